// Which stretch of time the page shows.  Counted in rows, so that it fits a stream of one sample an hour as well as
// one of fifty a second.  It follows the newest row, or stays where somebody put it.

import type { Series } from "./series";

export const DEFAULT_ROWS = 150;
const LEAST_ROWS = 8;
const AHEAD_MARGIN = 0.5; // rows right of the last forecast

export interface Span {
  rows: number;
  end: number | null; // time of the last row wanted, null: follow the newest
}

export interface Limits {
  min: number;
  max: number;
}

/** The times at the left and right edge; `now` is the newest row's, `ahead` how many rows the forecast reaches. */
export function limits(span: Span, series: Series, now: number, ahead: number): Limits {
  const margin = (ahead + AHEAD_MARGIN) * series.interval;
  const end = span.end ?? now;
  return { min: end - span.rows * series.interval, max: end + margin };
}

function zoom(span: Span, factor: number, most: number): Span {
  return { ...span, rows: Math.min(most, Math.max(LEAST_ROWS, span.rows * factor)) };
}

/** Zooms so that `time` stays where it is on the screen. */
export function zoomAt(span: Span, factor: number, time: number, series: Series, now: number): Span {
  const zoomed = zoom(span, factor, series.capacity);
  if (span.end === null) return zoomed;
  const end = time + (span.end - time) * (zoomed.rows / span.rows);
  return within({ ...zoomed, end }, series, now);
}

export function pan(span: Span, seconds: number, series: Series, now: number): Span {
  return within({ ...span, end: (span.end ?? now) + seconds }, series, now);
}

/** Not beyond what was received; at the newest row it follows again. */
function within(span: Span, series: Series, now: number): Span {
  if (span.end === null || span.end >= now) return { ...span, end: null };
  const oldest = series.at(series.axis, series.first) + Math.min(span.rows, 4) * series.interval;
  return { ...span, end: Math.max(span.end, oldest) };
}
