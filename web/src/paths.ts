// A path of one line over typed columns for uPlot.  uPlot's own knows null as missing; here it is NaN, which canvases
// would silently bridge, and a long time without samples.  A sample that stands alone is a dot.  Where there are more
// than two rows a pixel, groups of rows are drawn by their lowest and highest value.
//
// Rows never change once they are there, and while the newest is followed the picture only moves to the left: so what
// is drawn of a line is kept, moved, and grows by the new rows.

import type uPlot from "uplot";
import type { Scene } from "./scene";
import type { Series } from "./series";

const SPARE = 0.25; // of the window: so many rows left of it are kept before a path is made anew
const SAME = 1e-6; // relative change of scale that moves no row by a hundredth of a pixel

/** A line from row `from` up to row `until`, in pixels right of `origin`. */
interface Kept {
  path: Path2D;
  x: number; // where the path is
  y: number; // its value there, NaN: the line is interrupted
  series: Series;
  generation: number;
  from: number;
  until: number;
  origin: number; // event time
  group: number;
  perTime: number;
  frame: string; // everything vertical
}

/** `scene` tells which rows uPlot's columns are. */
export function linePath(scene: () => Scene): uPlot.Series.PathBuilder {
  let kept: Kept | null = null;
  return (u, index) => {
    const { series, from } = scene();
    const [xs, ys] = [u.data[0] as Float64Array, u.data[index] as Float32Array];
    const { left, width, top, height } = u.bbox;
    const [x, y] = [u.scales.x, u.scales[u.series[index].scale!]];
    const end = from + xs.length;
    const perTime = width / (x.max! - x.min!);
    const perValue = height / (y.max! - y.min!);
    const group = xs.length > 2 * width ? 2 ** Math.floor(Math.log2(xs.length / width)) : 1;
    const frame = `${top} ${height} ${y.min} ${y.max} ${series.hole} ${group}`;
    const usable =
      kept !== null &&
      kept.series === series &&
      kept.generation === series.generation &&
      kept.frame === frame &&
      Math.abs(kept.perTime / perTime - 1) < SAME &&
      kept.from <= from &&
      kept.from > from - SPARE * xs.length &&
      kept.until >= from &&
      kept.until <= end;
    if (!usable) {
      const { generation } = series;
      kept = { path: new Path2D(), x: 0, y: NaN, series, generation, from, until: from, origin: x.min!, group, perTime, frame };
    }
    const now = kept!;
    const pixelX = (time: number) => (time - now.origin) * now.perTime;
    const pixelY = (value: number) => top + height - (value - y.min!) * perValue;
    const place: Place = { group, hole: series.hole, pixelX, pixelY };
    // The newest group may still grow, and what comes after the newest row decides whether that is a dot.
    const settled = Math.max(now.until, end - 1 - ((end - 1 - now.from) % group));
    now.y = follow(now.path, now.y, xs, ys, now.until - from, settled - from, place);
    if (settled > now.until) now.x = pixelX(xs[settled - group - from]);
    now.until = settled;
    const moved = left + (now.origin - x.min!) * now.perTime;
    const stroke = new Path2D();
    stroke.addPath(now.path, new DOMMatrix().translate(moved, 0));
    if (now.y === now.y) stroke.moveTo(moved + now.x, pixelY(now.y));
    follow(stroke, now.y, xs, ys, settled - from, xs.length, { ...place, pixelX: (time) => moved + pixelX(time) });
    return { stroke, fill: null, clip: null, band: null, gaps: null, flags: 0 } as unknown as uPlot.Series.Paths;
  };
}

interface Place {
  group: number;
  hole: number;
  pixelX: (time: number) => number;
  pixelY: (value: number) => number;
}

/** Goes on from the value `y` over rows [begin, end) of the columns, a group at a time; returns the last value. */
function follow(
  path: Path2D,
  y: number,
  xs: Float64Array,
  ys: Float32Array,
  begin: number,
  end: number,
  { group, hole, pixelX, pixelY }: Place,
): number {
  for (let row = begin; row < end; row += group) {
    const after = Math.min(end, row + group);
    let low = Infinity;
    let high = -Infinity;
    let broken = false;
    for (let k = row; k < after; k++) {
      const value = ys[k];
      if (value < low) low = value; // both false for NaN
      if (value > high) high = value;
      broken ||= value !== value;
    }
    if (low <= high) {
      // Rows are joined when both are known and near.  Into the group by its nearer end, out by the other.
      const joined = y === y && row > 0 && xs[row] - xs[row - 1] <= hole;
      const enter = Math.abs(y - low) < Math.abs(y - high) ? low : high;
      const x = pixelX(xs[row]);
      if (joined) path.lineTo(x, pixelY(enter));
      else path.moveTo(x, pixelY(enter));
      y = enter === low ? high : low;
      const goesOn = after < xs.length && xs[after] - xs[after - 1] <= hole && ys[after] === ys[after];
      if (low < high) path.lineTo(x, pixelY(y));
      else if (!joined && !goesOn) path.lineTo(x + 1, pixelY(y)); // a dot
    }
    if (broken || low > high) y = NaN;
  }
  return y;
}
