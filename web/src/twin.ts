// The chart in words, for those who listen: said politely and not more often than every five seconds.

import { decimalsOf } from "./decimals";
import { element, write } from "./dom";
import { moment, number, withUnit } from "./format";
import { glyph, vocabularyText } from "./glyph";
import type { Picture } from "./protocol";
import { isTold, reasonOf, type Scene } from "./scene";

const EVERY_MS = 5000;
const ALARM_ROWS = 2000;
const MOST_POINTS = 8;

export function createTwin(): (scene: Scene) => void {
  const twin = element("twin");
  let saidAt = -Infinity;
  let saidOf = "";
  return (scene) => {
    const due = performance.now() - saidAt > EVERY_MS || saidOf !== scene.stream.key;
    if (!due || scene.newest < 0) return;
    saidAt = performance.now();
    saidOf = scene.stream.key;
    const { kind, picture } = scene;
    const words = kind.kind === "tokens" ? tokensInWords(scene) : sensorInWords(scene);
    write(twin, picture === null ? words : pictureInWords(scene.stream.key, picture));
  };
}

function pictureInWords(key: string, { text, truth, points }: Picture): string {
  const right = truth === "" ? "" : text === truth ? " That is right." : ` It should be: ${truth}.`;
  const places = points.slice(0, MOST_POINTS).map(({ name, label }) => `${name} ${label}`);
  return `${key} says: ${text === "" ? "nothing yet" : text}.${right} ${places.join(", ")}`;
}

function sensorInWords(scene: Scene): string {
  const { kind, series, newest, zone } = scene;
  const { name, unit } = kind.channels[kind.target];
  const column = series.x[kind.target];
  const decimals = decimalsOf(scene, column);
  const text = (value: number) => withUnit(number(value, decimals), unit);
  const output = (index: number) => (index < 0 ? NaN : series.at(series.y[index], newest));
  const when = moment(series.at(series.t, newest), zone, series.interval);
  const sentences = [`${scene.stream.key}, ${name}: ${text(series.at(column, newest))} at ${when}.`];
  const fan = kind.roles.fans.get(kind.target);
  if (fan !== undefined) {
    const last = fan.ahead.length - 1;
    const interval = (k: number) =>
      `90 percent between ${text(output(fan.lower[k]))} and ${text(output(fan.upper[k]))}`;
    sentences.push(`Forecast for the next sample ${text(output(fan.mean[0]))}, ${interval(0)};`);
    sentences.push(`${fan.ahead[last]} samples ahead ${text(output(fan.mean[last]))}, ${interval(last)}.`);
  }
  if (kind.roles.error >= 0) {
    sentences.push(
      `Running error ${text(output(kind.roles.error))}, of persistence ${text(output(kind.roles.errorPersistence))}.`,
    );
  }
  sentences.push(lastAlarm(scene));
  return sentences.join(" ");
}

function lastAlarm(scene: Scene): string {
  const { series, kind, zone } = scene;
  if (kind.roles.alarm < 0) return "";
  for (let row = scene.end - 1; row >= Math.max(scene.begin, scene.end - ALARM_ROWS); row--) {
    if (isTold(scene, row)) {
      return `Last event, at ${moment(series.at(series.t, row), zone, series.interval)}: ${reasonOf(scene, row)}.`;
    }
  }
  return "No alarm.";
}

function tokensInWords(scene: Scene): string {
  const { kind, series, newest } = scene;
  const output = (index: number) => (index < 0 ? NaN : series.at(series.y[index], newest));
  let line = "";
  for (let row = newest; row >= scene.begin && line.length < 80; row--) {
    const text = vocabularyText(kind, series.at(series.x[0], row));
    if (text === "\n" && line !== "") break;
    line = text + line;
  }
  const next =
    kind.roles.next.length === 0 ? "" : ` Expected next: ${glyph(vocabularyText(kind, output(kind.roles.next[0])))}.`;
  return `${scene.stream.key} reads: ${line}. Surprise ${number(output(kind.roles.bits), 2)} bits a character.${next}`;
}
