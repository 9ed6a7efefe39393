// A path of one line over typed columns for uPlot.  uPlot's own knows null as missing; here it is NaN, which canvases
// would silently bridge, and a long time without samples.  At most one vertical stroke per pixel column; a sample that
// stands alone is a dot.

import type uPlot from "uplot";

/** `hole` tells after how many seconds without a sample a line ends. */
export function linePath(hole: () => number): uPlot.Series.PathBuilder {
  return (u, index) => {
    const [xs, ys] = [u.data[0] as Float64Array, u.data[index] as Float32Array];
    const { left, width, top, height } = u.bbox;
    const [x, y] = [u.scales.x, u.scales[u.series[index].scale!]];
    const perTime = width / (x.max! - x.min!);
    const perValue = height / (y.max! - y.min!);
    const pixelX = (time: number) => left + (time - x.min!) * perTime;
    const pixelY = (value: number) => top + height - (value - y.min!) * perValue;
    const stroke = new Path2D();
    const trace = xs.length > 2 * width ? dense : sparse;
    trace(stroke, xs, ys, hole(), pixelX, pixelY);
    return { stroke, fill: null, clip: null, band: null, gaps: null, flags: 0 } as unknown as uPlot.Series.Paths;
  };
}

type Pixel = (value: number) => number;

function sparse(stroke: Path2D, xs: Float64Array, ys: Float32Array, hole: number, pixelX: Pixel, pixelY: Pixel): void {
  // Rows are joined when both are known and near; NaN makes every comparison false.
  const joined = (row: number) => xs[row] - xs[row - 1] <= hole && ys[row] - ys[row - 1] < Infinity;
  for (let row = 0; row < xs.length; row++) {
    const value = ys[row];
    if (value !== value) continue;
    const x = pixelX(xs[row]);
    const y = pixelY(value);
    if (row > 0 && joined(row)) stroke.lineTo(x, y);
    else {
      stroke.moveTo(x, y);
      if (row + 1 === xs.length || !joined(row + 1)) stroke.lineTo(x + 1, y);
    }
  }
}

/** For each pixel column its lowest and highest value, entered from the nearer one. */
function dense(stroke: Path2D, xs: Float64Array, ys: Float32Array, hole: number, pixelX: Pixel, pixelY: Pixel): void {
  let drawing = false;
  let before = 0; // value where the path is
  for (let row = 0; row < xs.length;) {
    const column = Math.floor(pixelX(xs[row]));
    let low = Infinity;
    let high = -Infinity;
    let broken = false;
    if (row > 0 && xs[row] - xs[row - 1] > hole) drawing = false;
    for (; row < xs.length && pixelX(xs[row]) < column + 1; row++) {
      const value = ys[row];
      if (value < low) low = value; // both false for NaN
      if (value > high) high = value;
      broken ||= value !== value;
    }
    if (low <= high) {
      const near = Math.abs(before - low) < Math.abs(before - high) ? low : high;
      before = near === low ? high : low;
      if (drawing) stroke.lineTo(column, pixelY(near));
      else stroke.moveTo(column, pixelY(near));
      stroke.lineTo(low === high ? column + 1 : column, pixelY(before));
    }
    drawing = low <= high && !broken;
  }
}
