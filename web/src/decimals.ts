// How many decimals the values of a column have on the page: the same while they move, so that nothing jitters.

import { decimalsFor } from "./format";
import type { Scene } from "./scene";

const ROWS = 120; // the newest decide
const EVERY_ROWS = 16;

const decided = new WeakMap<Float32Array, { end: number; decimals: number }>();

export function decimalsOf(scene: Scene, column: Float32Array): number {
  const { series, begin, end } = scene;
  const known = decided.get(column);
  if (known !== undefined && end >= known.end && end < known.end + EVERY_ROWS) return known.decimals;
  let size = 0;
  for (let row = Math.max(begin, end - ROWS); row < end; row++) {
    const value = Math.abs(series.at(column, row));
    if (value > size) size = value;
  }
  const decimals = decimalsFor(size);
  decided.set(column, { end, decimals });
  return decimals;
}
