// The head of the chosen stream: its newest value, what is expected next and how good such expectations have been.

import { decimalsOf } from "./decimals";
import { element, write } from "./dom";
import { moment, number, UNKNOWN } from "./format";
import { glyph, vocabularyText } from "./glyph";
import type { Scene } from "./scene";

export function drawChosen(scene: Scene): void {
  write(element("stream-key"), scene.stream.key);
  if (scene.kind.kind === "tokens") drawTokens(scene);
  else drawSensor(scene);
}

/** One number of the head; no value: the step does not tell it. */
function figure(
  name: "now" | "next" | "error",
  value: string | null,
  unit: string,
  about: string,
  title: string,
): void {
  element(`${name}-figure`).hidden = value === null;
  if (value === null) return;
  write(element(`${name}-value`), value);
  write(element(`${name}-unit`), unit);
  const line = element(`${name}-about`);
  write(line, about);
  line.title = title;
}

function drawSensor(scene: Scene): void {
  const { kind, series, newest, zone } = scene;
  const { target, roles } = kind;
  const { name, unit } = kind.channels[target];
  const column = series.x[target];
  const decimals = decimalsOf(scene, column);
  const fan = roles.fans.get(target);
  const output = (index: number | undefined) =>
    index === undefined || index < 0 || newest < 0 ? NaN : series.at(series.y[index], newest);
  const text = (value: number) => number(value, decimals);
  write(element("stream-channel"), kind.channels.length > 1 || name !== "" ? name : "");
  const value = newest < 0 ? NaN : series.at(column, newest);
  const when = newest < 0 ? "" : moment(series.at(series.t, newest), zone, series.interval);
  figure(
    "now",
    text(value),
    unit,
    Number.isNaN(value) && newest >= 0 ? `missing \u00b7 ${when}` : `measured \u00b7 ${when}`,
    "",
  );

  const [lower, upper] = [output(fan?.lower[0]), output(fan?.upper[0])];
  const band = Number.isFinite(lower) ? ` \u00b7 90\u202f% ${text(lower)} to ${text(upper)}` : "";
  figure(
    "next",
    fan === undefined ? null : text(output(fan.mean[0])),
    unit,
    `next step${band}`,
    "forecast of the next sample, and the interval that should hold 90 of 100 samples",
  );

  const [error, persistence] = [output(roles.error), output(roles.errorPersistence)];
  figure(
    "error",
    roles.error < 0 ? null : text(error),
    unit,
    errorAbout(error, persistence, text),
    "running mean absolute error of the one-step forecast, beside that of saying: the same as now",
  );
}

function errorAbout(error: number, persistence: number, text: (value: number) => string): string {
  if (!Number.isFinite(error)) return "running error \u00b7 not known yet";
  if (!Number.isFinite(persistence)) return "running error";
  const share = Math.round(100 * (1 - error / persistence));
  if (!Number.isFinite(share)) return `running error \u00b7 persistence ${text(persistence)}`;
  const words = share === 0 ? "the same as" : `${Math.abs(share)}\u202f% ${share > 0 ? "better" : "worse"} than`;
  return `running error \u00b7 ${words} persistence, ${text(persistence)}`;
}

function drawTokens(scene: Scene): void {
  const { kind, series, newest } = scene;
  const { roles } = kind;
  const output = (index: number | undefined) =>
    index === undefined || index < 0 || newest < 0 ? NaN : series.at(series.y[index], newest);
  const percent = (value: number) => (Number.isFinite(value) ? `${(100 * value).toFixed(0)}\u202f%` : UNKNOWN);
  write(element("stream-channel"), "text");
  const read = newest < 0 ? "" : vocabularyText(kind, series.at(series.x[0], newest));
  figure("now", glyph(read), "", `just read \u00b7 surprise ${number(output(roles.surprise), 2)} bits`, "");
  const likeliest = vocabularyText(kind, output(roles.next[0]));
  figure("next", glyph(likeliest), percent(output(roles.nextP[0])), "expected next", "likeliest next character");
  const guess = Math.log2(Math.max(2, kind.vocabulary?.length ?? 2));
  figure(
    "error",
    number(output(roles.bits), 2),
    "bits",
    `a character, running mean \u00b7 blind guessing ${guess.toFixed(2)}`,
    "",
  );
}
