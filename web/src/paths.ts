// A path of one line over typed columns for uPlot.  uPlot's own knows null as missing; here it is NaN, which canvases would
// silently bridge.  At most one vertical stroke per pixel column; a sample between two missing ones is a dot.

import type uPlot from "uplot";

export const linePath: uPlot.Series.PathBuilder = (u, index) => {
  const [xs, ys] = [u.data[0] as Float64Array, u.data[index] as Float32Array];
  const { left, width, top, height } = u.bbox;
  const x = u.scales.x;
  const y = u.scales[u.series[index].scale!];
  const perTime = width / (x.max! - x.min!);
  const perValue = height / (y.max! - y.min!);
  const xOf = (row: number) => left + (xs[row] - x.min!) * perTime;
  const yOf = (value: number) => top + height - (value - y.min!) * perValue;
  const stroke = new Path2D();
  const dense = xs.length > 2 * width;
  let drawing = false;
  for (let row = 0; row < xs.length; row++) {
    const value = ys[row];
    if (value !== value) {
      drawing = false;
      continue;
    }
    const at = xOf(row);
    if (dense) {
      const pixel = Math.floor(at);
      let [low, high, last] = [value, value, value];
      while (row + 1 < xs.length && Math.floor(xOf(row + 1)) === pixel && ys[row + 1] === ys[row + 1]) {
        last = ys[++row];
        if (last < low) low = last;
        if (last > high) high = last;
      }
      if (drawing) stroke.lineTo(pixel, yOf(value));
      else stroke.moveTo(pixel, yOf(value));
      if (low !== high) {
        stroke.lineTo(pixel, yOf(low));
        stroke.lineTo(pixel, yOf(high));
        stroke.lineTo(pixel, yOf(last));
      }
    } else if (drawing) {
      stroke.lineTo(at, yOf(value));
    } else {
      stroke.moveTo(at, yOf(value));
      if (row + 1 === xs.length || ys[row + 1] !== ys[row + 1]) stroke.lineTo(at + 1, yOf(value));
    }
    drawing = true;
  }
  return { stroke, fill: null, clip: null, band: null, gaps: null, flags: 0 } as unknown as uPlot.Series.Paths;
};
