// Over the chart: which lines are drawn, with their values; everything that is known of the row under the cursor; the
// legend.

import type { Kind } from "./catalogue";
import { decimalsOf } from "./decimals";
import { element, make, write } from "./dom";
import { moment, number, withUnit } from "./format";
import { choicesOf, lookOf, type Choice } from "./lines";
import { isTold, reasonOf, shownRow, type Scene } from "./scene";
import type { Look } from "./theme";

export interface Readout {
  draw(scene: Scene, chosen: readonly string[], look: Look): void;
}

export function createReadout(toggle: (id: string) => void): Readout {
  const host = element("lines");
  const readout = element("readout");
  let built: { kind: Kind; look: Look } | null = null;
  let choices: { choice: Choice; button: HTMLButtonElement; value: HTMLElement }[] = [];

  function build(kind: Kind, look: Look): void {
    built = { kind, look };
    choices = choicesOf(kind).map((choice, index) => {
      const button = make("button", "line-choice");
      button.type = "button";
      const value = make("span", "value");
      const { colour, dash } = lookOf(kind, choice, index, look);
      button.append(swatch(colour, dash), make("span", "", choice.name), value, make("small", "", choice.unit));
      button.disabled = index === 0; // the main line is always there
      button.addEventListener("click", () => toggle(choice.id));
      return { choice, button, value };
    });
    host.replaceChildren(...choices.map(({ button }) => button));
    element("legend").replaceChildren(...legend(kind, look));
  }

  return {
    draw(scene, chosen, look) {
      const { kind, series } = scene;
      if (built?.kind !== kind || built.look !== look) build(kind, look);
      const row = shownRow(scene);
      for (const { choice, button, value } of choices) {
        const column = choice.column(series);
        button.setAttribute("aria-pressed", String(chosen.includes(choice.id)));
        write(value, row < 0 ? "" : number(series.at(column, row), decimalsOf(scene, column)));
      }
      write(readout, row < 0 ? "" : rowText(scene, row));
    },
  };
}

/** Time, value, forecast, error, score and reason of one row. */
function rowText(scene: Scene, row: number): string {
  const { kind, series } = scene;
  const parts = [moment(series.at(series.t, row), scene.zone, series.interval)];
  const output = (index: number) => (index < 0 ? NaN : series.at(series.y[index], row));
  if (kind.kind === "sensor") {
    const { unit } = kind.channels[kind.target];
    const column = series.x[kind.target];
    const decimals = decimalsOf(scene, column);
    const value = series.at(column, row);
    const expected = series.expected.get(kind.target);
    const forecast = expected === undefined ? NaN : series.at(expected, row);
    parts.push(Number.isNaN(value) ? "missing" : `measured ${withUnit(number(value, decimals), unit)}`);
    if (expected !== undefined) parts.push(`forecast was ${withUnit(number(forecast, decimals), unit)}`);
    if (Number.isFinite(value - forecast)) parts.push(`off by ${withUnit(number(value - forecast, decimals), unit)}`);
  }
  if (kind.roles.surprise >= 0) parts.push(`surprise ${number(output(kind.roles.surprise), 2)} bits`);
  if (kind.roles.score >= 0) parts.push(`score ${number(output(kind.roles.score), 2)}`);
  if (isTold(scene, row)) parts.push(reasonOf(scene, row));
  return parts.join(" \u00b7 ");
}

function legend(kind: Kind, look: Look): HTMLElement[] {
  const fan = kind.roles.fans.get(kind.target);
  if (fan === undefined) return [];
  const item = (name: string, ...signs: Element[]) => {
    const made = make("span", "legend");
    made.append(...signs, name);
    return made;
  };
  const items = [item("forecast 1 step", swatch(look.blue, []))];
  if (fan.ahead.length > 1) items.push(item(`next ${fan.ahead.length}`, swatch(look.blue, [4, 3])));
  if (fan.lower[0] >= 0) {
    const band = make("span", "band");
    items.push(item("90\u202f%", band));
  }
  return items;
}

/** A short piece of the line as it is drawn. */
function swatch(colour: string, dash: number[]): SVGElement {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  const line = document.createElementNS(namespace, "line");
  for (const [name, value] of Object.entries({ width: "18", height: "8", "aria-hidden": "true" }))
    svg.setAttribute(name, value);
  for (const [name, value] of Object.entries({
    x1: "0",
    x2: "18",
    y1: "4",
    y2: "4",
    stroke: colour,
    "stroke-width": "1.5",
  })) {
    line.setAttribute(name, value);
  }
  line.setAttribute("stroke-dasharray", dash.join(" "));
  svg.append(line);
  return svg;
}
