// A path of one line over typed columns for uPlot.  uPlot's own knows null as missing; here it is NaN, which canvases would
// silently bridge.  At most one vertical stroke per pixel column; a sample between two missing ones is a dot.

import type uPlot from "uplot";

export const linePath: uPlot.Series.PathBuilder = (u, index) => {
  const [xs, ys] = [u.data[0] as Float64Array, u.data[index] as Float32Array];
  const { left, width, top, height } = u.bbox;
  const [x, y] = [u.scales.x, u.scales[u.series[index].scale!]];
  const perTime = width / (x.max! - x.min!);
  const perValue = height / (y.max! - y.min!);
  const pixelX = (row: number) => left + (xs[row] - x.min!) * perTime;
  const pixelY = (value: number) => top + height - (value - y.min!) * perValue;
  const stroke = new Path2D();
  if (xs.length > 2 * width) dense(stroke, xs.length, ys, pixelX, pixelY);
  else sparse(stroke, xs.length, ys, pixelX, pixelY);
  return { stroke, fill: null, clip: null, band: null, gaps: null, flags: 0 } as unknown as uPlot.Series.Paths;
};

type Pixel = (value: number) => number;

function sparse(stroke: Path2D, rows: number, ys: Float32Array, pixelX: Pixel, pixelY: Pixel): void {
  let drawing = false;
  for (let row = 0; row < rows; row++) {
    const value = ys[row];
    const known = value === value;
    if (known && drawing) stroke.lineTo(pixelX(row), pixelY(value));
    else if (known) {
      const [x, y] = [pixelX(row), pixelY(value)];
      stroke.moveTo(x, y);
      if (row + 1 === rows || ys[row + 1] !== ys[row + 1]) stroke.lineTo(x + 1, y);
    }
    drawing = known;
  }
}

/** For each pixel column its lowest and highest value, entered from the nearer one. */
function dense(stroke: Path2D, rows: number, ys: Float32Array, pixelX: Pixel, pixelY: Pixel): void {
  let drawing = false;
  let before = 0; // value where the path is
  for (let row = 0; row < rows; ) {
    const column = Math.floor(pixelX(row));
    let low = Infinity;
    let high = -Infinity;
    let broken = false;
    for (; row < rows && pixelX(row) < column + 1; row++) {
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
