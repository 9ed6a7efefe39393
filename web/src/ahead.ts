// What lies right of `now`: the fan of forecasts with its band; and the marks for `now` and for announced gaps.

import type uPlot from "uplot";
import type { Fan } from "./roles";
import type { Scene } from "./scene";
import type { Series } from "./series";
import type { Look } from "./theme";

const BAND_OPACITY = 0.16;
const HATCH_PX = 6;

/** Forecasts made at one row. */
export interface Ahead {
  t: Float64Array;
  mean: Float32Array;
  lower: Float32Array; // NaN: the step gives no interval
  upper: Float32Array;
}

export function aheadOf(series: Series, fan: Fan | undefined, row: number): Ahead | null {
  if (fan === undefined || row < 0) return null;
  const value = (column: number) => (column < 0 ? NaN : series.at(series.y[column], row));
  const start = series.at(series.axis, row);
  return {
    t: Float64Array.from(fan.ahead, (ahead) => start + ahead * series.interval),
    mean: Float32Array.from(fan.mean, value),
    lower: Float32Array.from(fan.lower, value),
    upper: Float32Array.from(fan.upper, value),
  };
}

/** Under the lines: the band. */
export function drawBand(u: uPlot, ahead: Ahead, start: number, value: number, look: Look): void {
  const known = ahead.t.findIndex((_, k) => Number.isFinite(ahead.lower[k]) && Number.isFinite(ahead.upper[k]));
  if (known < 0) return;
  const { ctx } = u;
  const x = (t: number) => u.valToPos(t, "x", true);
  const y = (v: number) => u.valToPos(v, "y", true);
  ctx.save();
  clipToPlot(u);
  ctx.globalAlpha = BAND_OPACITY;
  ctx.fillStyle = look.blue;
  ctx.beginPath();
  if (Number.isFinite(value)) ctx.moveTo(x(start), y(value));
  for (let k = 0; k < ahead.t.length; k++)
    if (Number.isFinite(ahead.upper[k])) ctx.lineTo(x(ahead.t[k]), y(ahead.upper[k]));
  for (let k = ahead.t.length - 1; k >= 0; k--)
    if (Number.isFinite(ahead.lower[k])) ctx.lineTo(x(ahead.t[k]), y(ahead.lower[k]));
  ctx.fill();
  ctx.restore();
}

/** Over the lines: the dashed middle of the fan. */
export function drawFan(u: uPlot, ahead: Ahead, start: number, value: number, look: Look): void {
  const { ctx } = u;
  ctx.save();
  clipToPlot(u);
  ctx.strokeStyle = look.blue;
  ctx.lineWidth = window.devicePixelRatio;
  ctx.setLineDash([4, 3].map((length) => length * window.devicePixelRatio));
  ctx.beginPath();
  if (Number.isFinite(value)) ctx.moveTo(u.valToPos(start, "x", true), u.valToPos(value, "y", true));
  for (let k = 0; k < ahead.t.length; k++) {
    if (!Number.isFinite(ahead.mean[k])) continue;
    ctx.lineTo(u.valToPos(ahead.t[k], "x", true), u.valToPos(ahead.mean[k], "y", true));
  }
  ctx.stroke();
  ctx.restore();
}

export function drawNow(u: uPlot, now: number, look: Look): void {
  const { ctx } = u;
  const x = Math.round(u.valToPos(now, "x", true)) + 0.5;
  if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) return;
  const ratio = window.devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = look.soft;
  ctx.lineWidth = ratio;
  ctx.beginPath();
  ctx.moveTo(x, u.bbox.top);
  ctx.lineTo(x, u.bbox.top + u.bbox.height);
  ctx.stroke();
  ctx.fillStyle = look.soft;
  ctx.font = `${11 * ratio}px ${look.font}`;
  ctx.textBaseline = "top";
  ctx.textAlign = "right";
  ctx.fillText("now", x - 4 * ratio, u.bbox.top + 2 * ratio);
  ctx.restore();
}

/** Samples that will never come: hatched from the row before to the row after. */
export function drawGaps(u: uPlot, scene: Scene, look: Look): void {
  const { series } = scene;
  for (let row = scene.from; row < scene.to; row++) {
    if (series.at(series.missed, row) === 0) continue;
    const from = u.valToPos(series.at(series.axis, row), "x", true);
    const until = row + 1 < scene.end ? series.at(series.axis, row + 1) : scene.now;
    hatch(u, from, Math.max(from + 2, u.valToPos(until, "x", true)), look);
  }
}

function hatch(u: uPlot, from: number, to: number, look: Look): void {
  const { ctx } = u;
  const { top, height } = u.bbox;
  const step = HATCH_PX * window.devicePixelRatio;
  ctx.save();
  clipToPlot(u);
  ctx.beginPath();
  ctx.rect(from, top, to - from, height);
  ctx.clip();
  ctx.strokeStyle = look.soft;
  ctx.globalAlpha = 0.45;
  ctx.lineWidth = 1;
  ctx.beginPath();
  // Lines start on a grid of the page, not of the gap: they stand still in the gap while it moves by whole steps.
  for (let x = Math.floor((from - height) / step) * step; x < to; x += step) {
    ctx.moveTo(x, top + height);
    ctx.lineTo(x + height, top);
  }
  ctx.stroke();
  ctx.restore();
}

function clipToPlot(u: uPlot): void {
  u.ctx.beginPath();
  u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  u.ctx.clip();
}
