// The errors of forecasts by how far ahead they reach: ours, persistence's and those of the value one cycle ago.

import type { Kind } from "./catalogue";
import { element, write } from "./dom";
import { roundExtent } from "./extent";
import { decimalsFor, duration, number, withUnit } from "./format";
import type { Explanation } from "./protocol";
import { svg } from "./svg";

const HEIGHT = 184;
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 96, 8, 34];
const TICK_PX = 56;
const LABEL_PX = 14;

/** `changed` is called when another step ahead is pointed at. */
export function createMisses(changed: () => void): (why: Explanation, kind: Kind, interval_s: number) => void {
  const host = element("why-chart");
  let steps = 1;
  let marked: number | null = null; // step ahead, null: the last
  let drawn: readonly unknown[] = [];

  function mark(step: number): void {
    marked = Math.min(steps, Math.max(1, Math.round(step)));
    changed();
  }

  host.addEventListener("pointermove", ({ offsetX }) => {
    const width = host.clientWidth - LEFT - RIGHT;
    mark(1 + ((offsetX - LEFT) / width) * (steps - 1));
  });
  host.addEventListener("keydown", (event) => {
    const at = marked ?? steps;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowDown: at - 1, ArrowUp: at + 1, Home: 1, End: steps }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    mark(to);
  });

  return (why, kind, interval_s) => {
    const width = host.clientWidth;
    const state = [why, marked, interval_s, width];
    if (state.every((part, k) => part === drawn[k])) return;
    drawn = state;
    steps = why.error.length;
    const at = Math.min(steps, marked ?? steps);
    const { unit } = kind.channels[kind.target];
    const said = inWords(why, at, unit, interval_s);
    write(element("why-at"), said);
    host.setAttribute("aria-valuemax", String(steps));
    host.setAttribute("aria-valuenow", String(at));
    host.setAttribute("aria-valuetext", said);
    host.replaceChildren(draw(why, at, unit, interval_s, width));
  };
}

function inWords(why: Explanation, at: number, unit: string, interval_s: number): string {
  const [ours, stayed] = [why.error[at - 1] ?? NaN, why.persistence[at - 1] ?? NaN];
  const decimals = decimalsFor(Math.max(ours, stayed));
  const text = (value: number) => withUnit(number(value, decimals), unit);
  const distance = `${at} step${at === 1 ? "" : "s"} ahead, ${duration(at * interval_s)}`;
  if (!Number.isFinite(ours) || !(stayed > 0)) return `${distance}: not known yet.`;
  const share = Math.round(100 * (1 - ours / stayed));
  const better = share === 0 ? "as much as" : `${Math.abs(share)}\u202f% ${share > 0 ? "less" : "more"} than`;
  const cycle = why.seasonal === null ? "" : ` The value one cycle ago is off by ${text(why.seasonal)}.`;
  return `${distance}: off by ${text(ours)} on average, ${better} persistence with ${text(stayed)}.${cycle}`;
}

function draw(why: Explanation, at: number, unit: string, interval_s: number, width: number): SVGSVGElement {
  const made = svg("svg", { width, height: HEIGHT, "aria-hidden": "true" });
  const lines = [
    { name: "persistence", values: why.persistence, className: "persistence" },
    { name: "one cycle ago", values: why.seasonal === null ? [] : why.error.map(() => why.seasonal), className: "seasonal" },
    { name: "this forecast", values: why.error, className: "ours" },
  ].filter(({ values }) => values.some((value) => value !== null));
  const most = Math.max(0, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const { max } = roundExtent({ min: 0, max: most > 0 ? most : 1 }, undefined);
  const steps = why.error.length;
  const x = (step: number) => LEFT + ((step - 1) / Math.max(1, steps - 1)) * (width - LEFT - RIGHT);
  const y = (value: number) => HEIGHT - BOTTOM - (value / max) * (HEIGHT - TOP - BOTTOM);
  const decimals = Math.max(0, decimalsFor(max) - 2);
  for (let k = 0; k <= 2; k++) {
    const value = (max * k) / 2;
    made.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
    const text = k === 2 ? withUnit(number(value, decimals), unit) : number(value, decimals);
    made.append(svg("text", { class: "soft", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, text));
  }
  const every = Math.max(1, Math.ceil((steps * TICK_PX) / Math.max(1, width - LEFT - RIGHT)));
  for (let step = steps; step >= 1; step -= every) {
    made.append(svg("text", { class: "soft", x: x(step), y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" }, String(step)));
    const time = duration(step * interval_s);
    made.append(svg("text", { class: "soft", x: x(step), y: HEIGHT - BOTTOM + 29, "text-anchor": "middle" }, time));
  }
  made.append(svg("text", { class: "soft", x: width - RIGHT + 28, y: HEIGHT - BOTTOM + 15 }, "steps"));
  made.append(svg("line", { class: "marked", x1: x(at), x2: x(at), y1: TOP, y2: HEIGHT - BOTTOM }));
  const ends = lines.map(({ values }) => y(values.at(-1) ?? 0));
  const places = apart(ends);
  lines.forEach(({ name, values, className }, k) => {
    const known = values.flatMap((value, h) => (value === null ? [] : [[x(h + 1), y(value)]]));
    const group = svg("g", { class: className });
    group.append(svg("polyline", { points: known.map(([a, b]) => `${a},${b}`).join(" ") }));
    if (className === "ours") for (const [cx, cy] of known) group.append(svg("circle", { cx, cy, r: 2 }));
    group.append(svg("text", { x: width - RIGHT + 8, y: places[k] + 4 }, name));
    made.append(group);
  });
  return made;
}

/** Places of labels that want to be at these, none nearer to another than its height. */
export function apart(wanted: readonly number[]): number[] {
  const order = wanted.map((_, k) => k).sort((a, b) => wanted[a] - wanted[b]);
  const places = [...wanted];
  order.forEach((k, at) => {
    if (at > 0) places[k] = Math.max(places[k], places[order[at - 1]] + LABEL_PX);
  });
  const over = places[order.at(-1)!] - (HEIGHT - BOTTOM);
  if (over > 0) {
    [...order].reverse().forEach((k, at, all) => {
      places[k] = Math.min(places[k], at === 0 ? HEIGHT - BOTTOM : places[all[at - 1]] - LABEL_PX);
    });
  }
  return places;
}
