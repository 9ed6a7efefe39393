// What is expected of a point that moves, from the forecasts of its two channels; and how well that came true.  No DOM.

import type { Fan } from "./roles";
import type { Series } from "./series";

const RATE = 1 / 100; // of the running means, in samples
const STEADY = 1.5; // rows further apart than that many intervals: it rested in between

/** The series of one axis, its channel in there, and the columns of that one's forecast. */
export interface Course {
  series: Series;
  channel: number;
  fan: Fan;
}

/** One moment ahead: where the point is expected, and half the width and height of its 90 % interval. */
export interface Spot {
  t: number;
  x: number;
  y: number;
  rx: number;
  ry: number;
}

export interface Foresight {
  /** What is expected after time `now`, nearest first, of the newest sample of both axes. */
  ahead(now: number): Spot[];
  /** Takes what has come since; sizes: of the pad, in the unit of the errors. */
  judge(width: number, height: number): void;
  readonly error: number; // running mean distance from where it was expected `steps` ahead, NaN: none yet
  readonly persistence: number; // the same of where it had been
  readonly steps: number; // furthest, in samples ...
  readonly reach_s: number; // ... and in time
  readonly interval_s: number;
}

export function createForesight(x: Course, y: Course): Foresight {
  const steps = Math.min(x.fan.ahead.length, y.fan.ahead.length);
  let [atX, atY] = [0, 0]; // next rows to be judged
  let judged = 0;
  let [error, persistence] = [NaN, NaN];

  const value = ({ series, channel }: Course, row: number) => series.at(series.x[channel], row);
  const output = ({ series }: Course, column: number, row: number) => series.at(series.y[column], row);
  const timeOf = ({ series }: Course, row: number) => series.at(series.t, row);

  /** Newest rows of both that are of the same moment; null: there are none. */
  function newest(): [number, number] | null {
    let [a, b] = [x.series.total - 1, y.series.total - 1];
    while (a >= x.series.first && b >= y.series.first) {
      const [tx, ty] = [timeOf(x, a), timeOf(y, b)];
      if (tx === ty) return [a, b];
      if (tx > ty || Number.isNaN(tx)) a--;
      else b--;
    }
    return null;
  }

  function judgeAt(a: number, b: number, width: number, height: number): void {
    const ahead = x.fan.ahead[steps - 1];
    const [made, madeY] = [a - ahead, b - ahead];
    if (made < x.series.first || madeY < y.series.first) return;
    if (timeOf(x, made) !== timeOf(y, madeY)) return;
    if (!(timeOf(x, a) - timeOf(x, made) < STEADY * ahead * x.series.interval)) return;
    const off = (ofX: number, ofY: number) => Math.hypot((value(x, a) - ofX) * width, (value(y, b) - ofY) * height);
    const missed = off(output(x, x.fan.mean[steps - 1], made), output(y, y.fan.mean[steps - 1], madeY));
    const moved = off(value(x, made), value(y, madeY));
    if (!Number.isFinite(missed) || !Number.isFinite(moved)) return;
    const rate = Math.max(RATE, 1 / ++judged);
    error = judged === 1 ? missed : error + rate * (missed - error);
    persistence = judged === 1 ? moved : persistence + rate * (moved - persistence);
  }

  return {
    ahead(now) {
      const rows = newest();
      if (rows === null) return [];
      const [a, b] = rows;
      const spots: Spot[] = [];
      for (let k = 0; k < steps; k++) {
        const t = timeOf(x, a) + x.fan.ahead[k] * x.series.interval;
        if (t <= now) continue;
        const half = (course: Course, row: number) =>
          (output(course, course.fan.upper[k], row) - output(course, course.fan.lower[k], row)) / 2;
        const spot = {
          t,
          x: output(x, x.fan.mean[k], a),
          y: output(y, y.fan.mean[k], b),
          rx: half(x, a),
          ry: half(y, b),
        };
        if (Object.values(spot).every(Number.isFinite)) spots.push(spot);
      }
      return spots;
    },
    judge(width, height) {
      atX = Math.max(atX, x.series.first);
      atY = Math.max(atY, y.series.first);
      while (atX < x.series.total && atY < y.series.total) {
        const [tx, ty] = [timeOf(x, atX), timeOf(y, atY)];
        if (tx === ty) judgeAt(atX++, atY++, width, height);
        else if (tx < ty || Number.isNaN(tx)) atX++;
        else atY++;
      }
    },
    get error() {
      return error;
    },
    get persistence() {
      return persistence;
    },
    steps: x.fan.ahead[steps - 1],
    get reach_s() {
      return x.fan.ahead[steps - 1] * x.series.interval;
    },
    get interval_s() {
      return x.series.interval;
    },
  };
}
