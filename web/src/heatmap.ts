// The hidden state: units down, time across, aligned with the chart.  Each sample becomes one column of pixels once,
// in a ring as wide as the series; a frame only copies stretches of it to where their times are.

import { context, element, fit, make, write } from "./dom";
import { number } from "./format";
import type { Series } from "./series";
import { shownRow, xOf, type Plot, type Scene } from "./scene";
import type { Look } from "./theme";

const STRETCH_ROWS = 64; // within a stretch rows are spread evenly: a changing rate bends no more than this
const BREAK_INTERVALS = 1.8;
const BREAK_PX = 3;

export interface Heatmap {
  draw(scene: Scene, plot: Plot, look: Look): void;
}

export function createHeatmap(host: HTMLElement): Heatmap {
  const canvas = make("canvas");
  host.append(canvas);
  const ctx = context(canvas);
  let ring: OffscreenCanvas | null = null;
  let pointed: number | null = null; // share of the height under the mouse
  let painted: { series: Series; look: Look; until: number } | null = null;

  host.addEventListener("pointermove", (event) => {
    const box = host.getBoundingClientRect();
    pointed = (event.clientY - box.top) / box.height;
  });
  host.addEventListener("pointerleave", () => (pointed = null));

  function paint(series: Series, look: Look): OffscreenCanvas {
    if (painted === null || painted.series !== series || painted.look !== look || ring === null) {
      ring = new OffscreenCanvas(series.capacity, series.units);
      painted = { series, look, until: series.first };
    }
    const columns = ring.getContext("2d")!;
    let row = Math.max(painted.until, series.first);
    while (row < series.total) {
      const slot = row % series.capacity;
      const width = Math.min(series.total - row, series.capacity - slot);
      columns.putImageData(imageOf(series, row, width, look), slot, 0);
      row += width;
    }
    painted.until = series.total;
    return ring;
  }

  return {
    draw(scene, plot, look) {
      const { series } = scene;
      host.hidden = series.units === 0;
      if (host.hidden) return;
      const { clientWidth: width, clientHeight: height } = host;
      const columns = paint(series, look);
      fit(canvas, width, height);
      const ratio = window.devicePixelRatio;
      ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
      ctx.clearRect(0, 0, width, height);
      ctx.save();
      ctx.beginPath();
      ctx.rect(plot.left, 0, plot.width, height);
      ctx.clip();
      ctx.imageSmoothingEnabled = false;
      const half = series.interval / 2;
      const breakAt = Math.max(BREAK_INTERVALS * series.interval, (BREAK_PX * (scene.max - scene.min)) / plot.width);
      for (let row = scene.from; row < scene.to;) {
        const end = stretchEnd(series, row, scene.to, breakAt);
        // A stretch reaches to the middle between it and its neighbour, or half an interval beyond its rows.
        const left = edge(series, row - 1, row, scene.begin, breakAt, -half);
        const right = edge(series, end - 1, end, scene.end, breakAt, half);
        if (series.at(series.missed, row) === 0) {
          const [x0, x1] = [xOf(scene, plot, left), xOf(scene, plot, right)];
          copy(columns, series, row, end, x0, x1 - x0, height);
        }
        row = end;
      }
      ctx.restore();
      write(element("heat-unit"), pointed === null ? "" : unitText(scene, pointed));
    },
  };

  function copy(
    columns: OffscreenCanvas,
    series: Series,
    from: number,
    to: number,
    x: number,
    width: number,
    height: number,
  ): void {
    const slot = from % series.capacity;
    const first = Math.min(to - from, series.capacity - slot);
    const share = (width * first) / (to - from);
    ctx.drawImage(columns, slot, 0, first, series.units, x, 0, share, height);
    if (first < to - from) {
      ctx.drawImage(columns, 0, 0, to - from - first, series.units, x + share, 0, width - share, height);
    }
  }
}

function unitText(scene: Scene, share: number): string {
  const unit = Math.min(scene.series.units - 1, Math.max(0, Math.floor(share * scene.series.units)));
  const row = shownRow(scene);
  const h = row < 0 ? -128 : scene.series.hidden(row)[unit];
  return `unit ${unit}: ${h === -128 ? "not sampled" : number(h / 127, 2)}`;
}

/** End of the evenly spaced rows that begin at `row`. */
function stretchEnd(series: Series, row: number, to: number, breakAt: number): number {
  const most = Math.min(to, row + STRETCH_ROWS);
  let end = row + 1;
  while (
    end < most &&
    series.at(series.missed, end) === 0 &&
    series.at(series.missed, end - 1) === 0 &&
    series.at(series.axis, end) - series.at(series.axis, end - 1) <= breakAt
  ) {
    end++;
  }
  return end;
}

/** Time between the rows `before` and `after`, one of which is in the stretch and `half` tells on which side. */
function edge(series: Series, before: number, after: number, limit: number, breakAt: number, half: number): number {
  const inside = half < 0 ? after : before;
  const outside = half < 0 ? before : after;
  const time = series.at(series.axis, inside);
  const beyond = half < 0 ? outside < limit : outside >= limit;
  if (beyond || series.at(series.missed, outside) !== 0) return time + half;
  const other = series.at(series.axis, outside);
  return Math.abs(other - time) > breakAt ? time + half : (time + other) / 2;
}

function imageOf(series: Series, row: number, width: number, look: Look): ImageData {
  const image = new ImageData(width, series.units);
  const pixels = new Uint32Array(image.data.buffer);
  for (let k = 0; k < width; k++) {
    const h = series.hidden(row + k);
    for (let unit = 0; unit < series.units; unit++) pixels[unit * width + k] = look.activationPixels[h[unit] + 128];
  }
  return image;
}
