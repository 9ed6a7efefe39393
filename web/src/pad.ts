// Draws the point, its trail behind it and what is expected ahead.

import { context, fit, make } from "./dom";
import type { Spot } from "./foresight";
import type { Look } from "./theme";

const TRAIL_S = 1.6;
const BAND_OPACITY = 0.16;
const POINT = 7;
const DOT = 1.5;

export interface Pad {
  /** Draws; whether something fades, so that another frame is wanted. */
  draw(now: number, place: readonly [number, number] | null, ahead: readonly Spot[], look: Look): boolean;
}

export function createPad(host: HTMLElement): Pad {
  const canvas = make("canvas");
  canvas.ariaHidden = "true";
  host.append(canvas);
  const ctx = context(canvas);
  let trail: { t: number; x: number; y: number }[] = [];

  return {
    draw(now, place, ahead, look) {
      const { clientWidth: width, clientHeight: height } = host;
      fit(canvas, width, height);
      const ratio = window.devicePixelRatio;
      ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
      ctx.clearRect(0, 0, width, height);
      trail = trail.filter(({ t }) => now - t < TRAIL_S);
      if (place === null) return false;
      const last = trail.at(-1);
      const [x, y] = [place[0] * width, place[1] * height];
      if (last === undefined || last.x !== place[0] || last.y !== place[1]) trail.push({ t: now, x: place[0], y: place[1] });
      drawTrail(now, width, height, look);
      if (ahead.length > 0) drawAhead([x, y], ahead, width, height, look);
      ctx.strokeStyle = look.ink;
      ctx.lineWidth = 2;
      ctx.beginPath();
      ctx.arc(x, y, POINT, 0, 2 * Math.PI);
      ctx.stroke();
      return trail.length > 1 || ahead.length > 0;
    },
  };

  function drawTrail(now: number, width: number, height: number, look: Look): void {
    ctx.strokeStyle = look.ink;
    ctx.lineWidth = 1.5;
    for (let k = 1; k < trail.length; k++) {
      ctx.globalAlpha = Math.max(0, 1 - (now - trail[k].t) / TRAIL_S);
      ctx.beginPath();
      ctx.moveTo(trail[k - 1].x * width, trail[k - 1].y * height);
      ctx.lineTo(trail[k].x * width, trail[k].y * height);
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
  }

  function drawAhead(from: [number, number], ahead: readonly Spot[], width: number, height: number, look: Look): void {
    // One path for all intervals: where they overlap, the shade stays the same.
    ctx.fillStyle = look.blue;
    ctx.globalAlpha = BAND_OPACITY;
    ctx.beginPath();
    for (const { x, y, rx, ry } of ahead) {
      ctx.moveTo((x + rx) * width, y * height);
      ctx.ellipse(x * width, y * height, Math.abs(rx) * width, Math.abs(ry) * height, 0, 0, 2 * Math.PI);
    }
    ctx.fill();
    ctx.globalAlpha = 1;
    ctx.strokeStyle = look.blue;
    ctx.lineWidth = 1.5;
    ctx.setLineDash([4, 3]);
    ctx.beginPath();
    ctx.moveTo(...from);
    for (const { x, y } of ahead) ctx.lineTo(x * width, y * height);
    ctx.stroke();
    ctx.setLineDash([]);
    ahead.forEach(({ x, y }, k) => {
      ctx.beginPath();
      ctx.arc(x * width, y * height, k === ahead.length - 1 ? 2.5 * DOT : DOT, 0, 2 * Math.PI);
      ctx.fill();
    });
  }
}
