// What one frame shows, worked out once and given to every panel: they all share one window and one cursor.

import type { Kind, Stream } from "./catalogue";
import type { Zone } from "./format";
import type { Picture } from "./protocol";
import type { Series } from "./series";
import { limits, type Span } from "./span";

export interface Scene {
  stream: Stream;
  kind: Kind;
  series: Series;
  begin: number; // rows [begin, end) exist; while paused `end` stays where it was
  end: number;
  from: number; // rows [from, to) are in the window, and one more on either side
  to: number;
  min: number; // the window, in event time
  max: number;
  now: number; // time of the newest row, NaN: none
  newest: number; // newest row that is a sample, -1: none
  cursor: number; // row under the cursor, -1: none
  zone: Zone;
  picture: Picture | null; // what it looks like
}

/** `paused`: how many rows there were when drawing was paused, null: it goes on. */
export function sceneOf(stream: Stream, series: Series, span: Span, paused: number | null, zone: Zone): Scene {
  const { kind } = stream;
  const begin = series.first;
  const end = Math.min(paused ?? Infinity, series.total);
  const newest = series.sampleAt(end - 1, begin);
  const now = newest < 0 ? NaN : series.at(series.axis, newest);
  const ahead = kind.kind === "tokens" ? 0 : (kind.roles.fans.get(kind.target)?.ahead.at(-1) ?? 0);
  const { min, max } = limits(span, series, now, ahead);
  const from = Math.max(begin, series.rowAt(min, begin, end) - 1);
  const to = Math.min(end, series.rowAt(max, begin, end) + 1);
  return { stream, kind, series, begin, end, from, to, min, max, now, newest, cursor: -1, zone, picture: null };
}

/** Left edge and width of the plotting area in CSS pixels: the same in every panel. */
export interface Plot {
  left: number;
  width: number;
}

export function xOf(scene: Scene, plot: Plot, time: number): number {
  return plot.left + ((time - scene.min) / (scene.max - scene.min)) * plot.width;
}

export function timeOf(scene: Scene, plot: Plot, x: number): number {
  return scene.min + ((x - plot.left) / plot.width) * (scene.max - scene.min);
}

/** The row the numbers on the page speak of. */
export function shownRow(scene: Scene): number {
  return scene.cursor >= 0 ? scene.cursor : scene.newest;
}

/** Whether there is something to tell of a row: an alarm, or that what an alarm began is to last. */
export function isTold(scene: Scene, row: number): boolean {
  const { alarm, drift } = scene.kind.roles;
  return [alarm, drift].some((column) => column >= 0 && scene.series.at(scene.series.y[column], row) > 0);
}

/** What is told of a row: "alarm: level shift of humidity", or "lasting: level shift". */
export function reasonOf(scene: Scene, row: number): string {
  const { kind, series } = scene;
  const { alarm, reason, channel } = kind.roles;
  const output = (column: number) => (column < 0 ? NaN : series.at(series.y[column], row));
  const why = kind.reasons[output(reason)] || "no reason given";
  const blamed = kind.channels.length > 1 ? kind.channels[output(channel)] : undefined;
  return `${output(alarm) > 0 ? "alarm" : "lasting"}: ${why}${blamed === undefined ? "" : ` of ${blamed.name}`}`;
}
