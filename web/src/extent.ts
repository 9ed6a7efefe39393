// Limits of a value axis: round numbers that stay where they are until the data really need others.

export interface Extent {
  min: number;
  max: number;
}

const LEAST_USED = 0.6; // an axis of which less is used shrinks
const EMPTY: Extent = { min: 0, max: 1 };

export function widen(extent: Extent, column: Float32Array): void {
  for (let k = 0; k < column.length; k++) {
    if (column[k] < extent.min) extent.min = column[k]; // both false for NaN
    if (column[k] > extent.max) extent.max = column[k];
  }
}

/** Round limits around `data`; `before` is kept as long as it fits. */
export function roundExtent(data: Extent, before: Extent | undefined): Extent {
  if (!(data.min <= data.max)) return before ?? EMPTY;
  let { min, max } = data;
  if (min === max) {
    const pad = Math.abs(min) * 0.05 || 0.5;
    min -= pad;
    max += pad;
  }
  if (before !== undefined && min >= before.min && max <= before.max) {
    if (max - min >= LEAST_USED * (before.max - before.min)) return before;
  }
  const step = roundStep((max - min) / 5);
  const pad = (max - min) * 0.04;
  const at = (steps: number) => Number((steps * step).toPrecision(12)); // 3.8, not 3.8000000000000003
  return { min: at(Math.floor((min - pad) / step)), max: at(Math.ceil((max + pad) / step)) };
}

function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  const digit = step / power;
  return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}
