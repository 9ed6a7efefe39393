// What leaves the page: a value to the clipboard, the chart as PNG, the window as CSV.

import { make } from "./dom";
import { vocabularyText } from "./glyph";
import type { Scene } from "./scene";
import type { Look } from "./theme";

export async function copyText(text: string): Promise<boolean> {
  if (navigator.clipboard !== undefined) {
    await navigator.clipboard.writeText(text);
    return true;
  }
  // Over plain http on another host there is no clipboard, but selecting and copying still works.
  const area = make("textarea", "unseen", text);
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

/** The newest value as other programs read it: all digits of the float32, then the unit. */
export function newestAsText({ kind, series, newest }: Scene): string {
  const value = newest < 0 ? NaN : series.at(series.x[kind.target], newest);
  if (kind.kind === "tokens") return vocabularyText(kind, value);
  return `${Number(value.toPrecision(7))} ${kind.channels[kind.target].unit}`.trim();
}

/** All canvases in `panels` where they stand, on paper, under a title. */
export function savePng(panels: HTMLElement, title: string, name: string, look: Look): void {
  const ratio = window.devicePixelRatio;
  const box = panels.getBoundingClientRect();
  const head = 32;
  const picture = make("canvas");
  picture.width = Math.round(box.width * ratio);
  picture.height = Math.round((box.height + head) * ratio);
  const ctx = picture.getContext("2d")!;
  ctx.fillStyle = look.paper;
  ctx.fillRect(0, 0, picture.width, picture.height);
  ctx.scale(ratio, ratio);
  ctx.fillStyle = look.ink;
  ctx.font = `13px ${look.font}`;
  ctx.fillText(title, 12, 20);
  for (const canvas of panels.querySelectorAll("canvas")) {
    const at = canvas.getBoundingClientRect();
    if (at.width > 0) ctx.drawImage(canvas, at.left - box.left, at.top - box.top + head, at.width, at.height);
  }
  picture.toBlob((blob) => blob !== null && download(blob, `${name}.png`), "image/png");
}

/** The samples of the window, one line each: what was measured and what was said of it. */
export function csvOf(scene: Scene): string {
  const { series, kind } = scene;
  const token = kind.kind === "tokens" && kind.vocabulary !== null;
  const inputs = kind.channels.map(({ name, unit }) => (unit === "" ? name : `${name} (${unit})`));
  const lines = [["seq", "time", ...inputs, ...kind.outputs.map(({ name }) => name)].map(quote).join(",")];
  const cell = (value: number) => (Number.isNaN(value) ? "" : String(value));
  for (let row = scene.from; row < scene.to; row++) {
    const t = series.at(series.t, row);
    if (series.at(series.missed, row) !== 0 || t < scene.min || t > scene.max) continue;
    const x = series.x.map((column) => series.at(column, row));
    const read = token ? [quote(kind.vocabulary![x[0]] ?? "")] : x.map(cell);
    const y = series.y.map((column) => cell(series.at(column, row)));
    lines.push([series.at(series.seq, row), new Date(t * 1000).toISOString(), ...read, ...y].join(","));
  }
  return lines.join("\r\n") + "\r\n";
}

export function saveCsv(scene: Scene, name: string): void {
  download(new Blob([csvOf(scene)], { type: "text/csv" }), `${name}.csv`);
}

/** A name for files that says what and when: host-2013-01-03T14-00-00. */
export function fileName(scene: Scene): string {
  const key = scene.stream.key.replaceAll(/[^\w.-]+/g, "-");
  return `${key}-${new Date(scene.now * 1000).toISOString().slice(0, 19).replaceAll(":", "-")}`;
}

function quote(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function download(blob: Blob, name: string): void {
  const link = make("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
