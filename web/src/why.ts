// "Why": what carries the newest forecast, and how far off forecasts have been beside two simple rivals.

import type { Kind } from "./catalogue";
import { element, make, write } from "./dom";
import { decimalsFor, duration, number, withUnit } from "./format";
import { createMisses } from "./misses";
import type { Explanation } from "./protocol";
import type { Scene } from "./scene";
import { svg } from "./svg";

const WORDS: Record<string, string> = {
  // members
  full: "all that it keeps",
  curved: "the last changes, the level, and how they bend",
  cycle: "the last changes and the cycle",
  quick: "the same, quicker to forget",
  persistence: "the same as now",
  // parts
  waves: "swings of many lengths",
  lags: "the last changes of the target",
  level: "how far it is from its usual level",
  others: "the other channels",
  curves: "where large and small changes differ",
  bounds: "held back by bounds",
};
const CYCLE_PART = "what followed here in the cycles before"; // as a part; as a member it is something else
const LEAST = 1e-9; // less than that is what rounding leaves
const LAG_HEIGHT = 64;

type Columns = readonly (readonly (number | null)[])[]; // for each row a value for each step ahead

/** `changed` is called when it is to be drawn anew. */
export function createWhy(changed: () => void): (scene: Scene, explanation: Explanation | null) => void {
  const drawMisses = createMisses(changed);
  const tables = ["why-parts", "why-members", "why-lags"].map((id) => {
    const table = element<HTMLTableElement>(id);
    const [head, body] = [make("thead"), make("tbody")];
    table.append(head, body);
    return { head, body };
  });
  const [parts, members, lags] = tables;
  let drawn: Explanation | null = null;
  return (scene, explanation) => {
    element("why-none").hidden = explanation !== null;
    element("why-all").hidden = explanation === null;
    if (explanation === null) return;
    const { kind, series } = scene;
    drawMisses(explanation, kind, series.interval);
    if (drawn === explanation) return;
    drawn = explanation;
    write(element("why-cycle"), cycleInWords(explanation, series.interval));
    const heads = explanation.ahead.map((ahead) => `${ahead} step${ahead === 1 ? "" : "s"} ahead`);
    for (const { head } of tables) fillHead(head, heads);
    fillParts(parts.body, explanation, kind);
    const shares = Object.entries(explanation.members);
    fillBars(members.body, shares.map(([name]) => [name, WORDS[name] ?? ""]), shares.map(([, of]) => of), "", 2);
    fillLags(lags.body, explanation);
  };
}

function cycleInWords({ period, seasonal }: Explanation, interval_s: number): string {
  if (period === 0) return "No cycle was found so far.";
  const length = `${period} samples, ${duration(period * interval_s)}`;
  return `It follows a cycle of ${length}${seasonal === null ? ", found just now" : ""}.`;
}

function fillHead(head: HTMLElement, heads: string[]): void {
  if (head.dataset.heads === heads.join()) return;
  head.dataset.heads = heads.join();
  const row = make("tr");
  for (const text of ["", ...heads]) {
    const cell = make(text === "" ? "td" : "th", "", text);
    if (text !== "") (cell as HTMLTableCellElement).scope = "col";
    row.append(cell);
  }
  head.replaceChildren(row);
}

function fillParts(body: HTMLElement, { parts, ahead }: Explanation, kind: Kind): void {
  const unit = kind.channels[kind.target].unit;
  const idle: Record<string, boolean> = {
    others: kind.channels.length === 1,
    bounds: parts.bounds.every((value) => Math.abs(value ?? 0) < LEAST),
  };
  const names = Object.keys(parts).filter((name) => !idle[name]);
  const columns = names.map((name) => parts[name]);
  const together = ahead.map((_, k) => columns.reduce((sum, of) => sum + (of[k] ?? NaN), 0));
  const largest = Math.max(...[...columns, together].flat().map((value) => Math.abs(value ?? 0)));
  const labels = names.map((name) => [name, name === "cycle" ? CYCLE_PART : (WORDS[name] ?? "")]);
  fillBars(body, [...labels, ["together", ""]], [...columns, together], unit, decimalsFor(largest));
}

/** A row for each label: bars from a common 0, and their numbers. */
function fillBars(body: HTMLElement, labels: string[][], values: Columns, unit: string, decimals: number): void {
  const all = values.flat().map((value) => value ?? 0);
  const [least, most] = [Math.min(0, ...all), Math.max(0, ...all)];
  const place = (value: number) => (100 * (value - least)) / (most - least || 1);
  labels.forEach(([name, about], at) => {
    const row = (body.children[at] as HTMLTableRowElement | undefined) ?? barRow(body, values[at].length);
    const [label, words] = row.cells[0].children;
    write(label, name);
    write(words, about);
    values[at].forEach((value, k) => {
      const [track, text] = row.cells[k + 1].firstElementChild!.children;
      const bar = track.firstElementChild as HTMLElement;
      const [from, to] = [place(Math.min(0, value ?? 0)), place(Math.max(0, value ?? 0))];
      bar.style.left = `${from}%`;
      bar.style.width = `${to - from}%`;
      (track as HTMLElement).style.setProperty("--zero", `${place(0)}%`);
      write(text, withUnit(number(value ?? NaN, decimals), unit));
    });
  });
  while (body.children.length > labels.length) body.lastElementChild!.remove();
}

function barRow(body: HTMLElement, columns: number): HTMLTableRowElement {
  const row = make("tr");
  const label = make("th");
  label.scope = "row";
  label.append(make("span"), make("small"));
  row.append(label);
  for (let k = 0; k < columns; k++) {
    const [cell, line, track] = [make("td"), make("div", "measure"), make("span", "track")];
    track.append(make("span", "bar"));
    line.append(track, make("span", "number"));
    cell.append(line);
    row.append(cell);
  }
  body.append(row);
  return row;
}

function fillLags(body: HTMLElement, { lags, ahead }: Explanation): void {
  const largest = Math.max(1e-9, ...lags.flat().map((value) => Math.abs(value ?? 0)));
  const row = make("tr");
  row.append(make("td"));
  ahead.forEach((_, k) => {
    const cell = make("td");
    const weights = lags.map((of) => of[k] ?? 0);
    const said = weights.slice(0, 5).map((weight) => number(weight, 2));
    const label = `weights of the last ${lags.length} changes, from ${number(-largest, 2)} to ${number(largest, 2)}; newest first: ${said.join(", ")}`;
    const picture = svg("svg", { role: "img", "aria-label": label, viewBox: `0 0 ${lags.length} 2` });
    picture.setAttribute("preserveAspectRatio", "none");
    picture.style.height = `${LAG_HEIGHT}px`;
    weights.forEach((weight, age) => {
      const size = Math.abs(weight) / largest;
      const x = lags.length - 1 - age + 0.1;
      picture.append(svg("rect", { x, width: 0.8, y: weight > 0 ? 1 - size : 1, height: size }));
    });
    picture.append(svg("line", { x1: 0, x2: lags.length, y1: 1, y2: 1 }));
    const ends = make("p", "ends soft");
    ends.append(make("span", "", `${lags.length} samples ago`), make("span", "", `\u00b1${number(largest, 2)}`));
    ends.append(make("span", "", "newest"));
    cell.append(picture, ends);
    row.append(cell);
  });
  body.replaceChildren(row);
}
