// The anomaly score as an area and the alarms as ticks, under the chart and aligned with it.  Each alarm is a button:
// hovering or focusing it tells the reason.  What proves to last is a tick without its head.

import { context, fit, make } from "./dom";
import { moment } from "./format";
import { isTold, reasonOf, xOf, type Plot, type Scene } from "./scene";
import type { Look } from "./theme";

const MOST_BUTTONS = 60;
const AREA_OPACITY = 0.55;

export interface Strip {
  draw(scene: Scene, plot: Plot, look: Look): void;
}

export function createStrip(host: HTMLElement): Strip {
  const canvas = make("canvas");
  const buttons = new Map<number, HTMLButtonElement>(); // by row
  const tip = make("div", "tip");
  tip.hidden = true;
  tip.role = "tooltip";
  tip.id = "alarm-reason";
  host.append(canvas, tip);
  const ctx = context(canvas);
  let shown = -1; // row whose reason is told
  let generation = "";

  function tell(row: number): void {
    shown = row;
    const button = buttons.get(row);
    tip.hidden = button === undefined;
    if (button === undefined) return;
    tip.textContent = button.ariaLabel;
    const right = host.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(right, Number(button.dataset.x) - tip.offsetWidth / 2))}px`;
  }

  function forget(row: number, button: HTMLButtonElement): void {
    button.remove();
    buttons.delete(row);
    if (shown === row) tell(-1);
  }

  function buttonFor(row: number, label: string): HTMLButtonElement {
    const known = buttons.get(row);
    if (known !== undefined) return known;
    const button = make("button", "alarm");
    button.type = "button";
    button.ariaLabel = label;
    button.setAttribute("aria-describedby", tip.id);
    for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => tell(row));
    for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => tell(-1));
    buttons.set(row, button);
    host.append(button);
    return button;
  }

  function placeButtons(scene: Scene, plot: Plot, rows: number[]): void {
    const key = `${scene.stream.key} ${scene.series.generation} ${scene.zone}`;
    if (key !== generation) for (const [row, button] of [...buttons]) forget(row, button);
    generation = key;
    const kept = new Set(rows.slice(-MOST_BUTTONS));
    for (const [row, button] of [...buttons]) if (!kept.has(row)) forget(row, button);
    for (const row of kept) {
      const button = buttonFor(row, alarmText(scene, row));
      const x = xOf(scene, plot, scene.series.at(scene.series.axis, row));
      button.dataset.x = String(x);
      button.style.transform = `translateX(${x}px)`;
    }
    if (shown >= 0) tell(shown);
  }

  return {
    draw(scene, plot, look) {
      const { clientWidth: width, clientHeight: height } = host;
      const { series, kind } = scene;
      host.hidden = kind.roles.score < 0 && kind.roles.alarm < 0;
      if (host.hidden) return;
      fit(canvas, width, height);
      const ratio = window.devicePixelRatio;
      ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
      ctx.clearRect(0, 0, width, height);
      ctx.save();
      ctx.beginPath();
      ctx.rect(plot.left, 0, plot.width, height);
      ctx.clip();
      if (kind.roles.score >= 0) drawScore(scene, plot, look, height);
      const alarms = toldRows(scene);
      drawAlarms(scene, plot, look, height, alarms);
      ctx.restore();
      ctx.fillStyle = look.rule;
      ctx.fillRect(plot.left, height - 1, plot.width, 1);
      const inside = (row: number) =>
        series.at(series.axis, row) >= scene.min && series.at(series.axis, row) <= scene.max;
      placeButtons(scene, plot, alarms.filter(inside));
    },
  };

  function drawScore(scene: Scene, plot: Plot, look: Look, height: number): void {
    const { series, from, to } = scene;
    const score = series.view(series.y[scene.kind.roles.score], from, to);
    const axis = series.view(series.axis, from, to);
    ctx.fillStyle = look.vermilion;
    ctx.globalAlpha = AREA_OPACITY;
    ctx.beginPath();
    let open = NaN; // x where the area that is being drawn began
    let x = NaN;
    const close = () => {
      if (open === open) ctx.lineTo(x, height);
      open = NaN;
    };
    for (let k = 0; k < score.length; k++) {
      const value = score[k];
      if (k > 0 && axis[k] - axis[k - 1] > series.hole) close();
      if (value !== value) {
        close();
        continue;
      }
      x = xOf(scene, plot, axis[k]);
      if (open !== open) {
        open = x;
        ctx.moveTo(x, height);
      }
      ctx.lineTo(x, height - value * (height - 2));
    }
    close();
    ctx.fill();
    ctx.globalAlpha = 1;
  }

  function drawAlarms(scene: Scene, plot: Plot, look: Look, height: number, rows: number[]): void {
    ctx.fillStyle = look.vermilion;
    for (const row of rows) {
      const x = Math.round(xOf(scene, plot, scene.series.at(scene.series.axis, row)));
      ctx.fillRect(x - 0.5, 0, 1.5, height);
      if (!isAlarm(scene, row)) continue;
      ctx.beginPath();
      ctx.moveTo(x - 5, 0);
      ctx.lineTo(x + 5, 0);
      ctx.lineTo(x, 8);
      ctx.fill();
    }
  }
}

function isAlarm({ kind, series }: Scene, row: number): boolean {
  return kind.roles.alarm >= 0 && series.at(series.y[kind.roles.alarm], row) > 0;
}

function toldRows(scene: Scene): number[] {
  const { alarm, drift } = scene.kind.roles;
  const rows: number[] = [];
  if (alarm < 0 && drift < 0) return rows;
  for (let row = scene.from; row < scene.to; row++) if (isTold(scene, row)) rows.push(row);
  return rows;
}

function alarmText(scene: Scene, row: number): string {
  const { series, zone } = scene;
  const when = moment(series.at(series.t, row), zone, series.interval);
  return `${when} \u00b7 ${reasonOf(scene, row)}`;
}
