// Everything that shows the chosen stream, drawn from one scene: head, tabs, and the panels of the view that is open.

import type { Shown, View } from "./address";
import type { Kind } from "./catalogue";
import { createChart } from "./chart";
import { drawChosen } from "./chosen";
import { element } from "./dom";
import { createGuesses } from "./guesses";
import { createHeatmap } from "./heatmap";
import { linesOf, usualChoices, type Line } from "./lines";
import { createReadout } from "./readout";
import { xOf, type Plot, type Scene } from "./scene";
import { createStrip } from "./strip";
import { createTabs, viewsOf } from "./tabs";
import { createLazy } from "./lazy";
import type { Example, Explanation, Written } from "./protocol";
import type { Look } from "./theme";
import { createTokenPane } from "./tokens";
import { createTwin } from "./twin";
import { createUnitStrip } from "./units";
import type { Ask, WritingPane } from "./writing";

const NUMBERS_MS = 100; // numbers that change faster cannot be read

export interface Panels {
  draw(scene: Scene, shown: Shown, look: Look): void;
  resize(): void;
  otherStream(): void;
  follow(): void; // back to the newest
  reveal(): void; // the cursor was moved by keys
  written(key: string, message: Written): void;
  failed(why: string): void; // what was asked of the server
  readonly plot: Plot;
}

export interface PanelListener {
  open(view: View): void;
  toggleLine(id: string): void;
  point(row: number | null): void; // at a character
  pin(row: number): void; // the caret to a character
  chooseUnit(unit: number): void;
  colourBy(surprise: boolean): void;
  readonly ask: Ask;
  example(): Example | null; // asks for it when it is not there
  explanation(key: string): Explanation | null; // likewise, and for a newer one now and then
  loaded(): void; // a view that was asked for can be drawn
}

export function viewOf(scene: Scene, shown: Shown): View {
  const views = viewsOf(scene.kind);
  return shown.view !== null && views.includes(shown.view) ? shown.view : views[0];
}

export function chosenLines(scene: Scene, shown: Shown): string[] {
  return shown.lines ?? usualChoices(scene.kind);
}

export function createPanels(listener: PanelListener): Panels {
  const chart = createChart(element("chart"));
  const strip = createStrip(element("strip"));
  const heatmap = createHeatmap(element("heatmap"));
  const readout = createReadout(listener.toggleLine);
  const tabs = createTabs(listener.open);
  const tokens = createTokenPane(element("token-pane"), listener.point, listener.pin);
  const units = createUnitStrip(listener.chooseUnit);
  const drawGuesses = createGuesses();
  const colourings = [...element("colour").querySelectorAll("button")];
  for (const choice of colourings) choice.addEventListener("click", () => listener.colourBy(choice.value === "surprise"));
  const speak = createTwin();
  const cursorLine = element("cursor-line");
  const lazy = createLazy(listener.ask, listener.loaded);
  let writing: WritingPane | null = null; // once there was something to write on from
  let numbers: { at: number; scene: Scene; shown: Shown; look: Look } | null = null;
  let lines: Line[] = [];
  let linesFor: [Kind, Look, string] | null = null;

  /** At once when something else is shown, else all of them together now and then. */
  function numbersAreDue(scene: Scene, shown: Shown, look: Look): boolean {
    const now = { at: performance.now(), scene, shown, look };
    const same =
      numbers?.shown === shown &&
      numbers.look === look &&
      numbers.scene.series === scene.series &&
      numbers.scene.cursor === scene.cursor;
    if (same && now.at - numbers!.at < NUMBERS_MS) return false;
    numbers = now;
    return true;
  }

  function linesNow(scene: Scene, chosen: string[], look: Look): Line[] {
    const wanted: [Kind, Look, string] = [scene.kind, look, chosen.join()];
    if (linesFor === null || wanted.some((part, k) => part !== linesFor![k])) lines = linesOf(scene.kind, chosen, look);
    linesFor = wanted;
    return lines;
  }

  function drawStack(scene: Scene, shown: Shown, look: Look): void {
    const chosen = chosenLines(scene, shown);
    chart.draw(scene, linesNow(scene, chosen, look), look);
    strip.draw(scene, chart.plot, look);
    heatmap.draw(scene, chart.plot, look);
    cursorLine.hidden = scene.cursor < 0;
    if (scene.cursor < 0) return;
    const x = xOf(scene, chart.plot, scene.series.at(scene.series.axis, scene.cursor));
    cursorLine.style.transform = `translateX(${x}px)`;
  }

  function drawText(scene: Scene, shown: Shown, look: Look): void {
    const { unit, scale } = units.draw(scene, shown.unit, look);
    tokens.draw(scene, shown.surprise ? { by: "surprise" } : { by: "unit", unit, scale }, look);
    for (const choice of colourings) choice.ariaChecked = String((choice.value === "surprise") === shown.surprise);
    element("unit-scale").hidden = shown.surprise;
    element("surprise-scale").hidden = !shown.surprise;
  }

  return {
    draw(scene, shown, look) {
      const view = viewOf(scene, shown);
      tabs.draw(scene.kind, view);
      switch (view) {
        case "forecast":
        case "state":
          drawStack(scene, shown, look);
          break;
        case "text":
          drawText(scene, shown, look);
          break;
        case "picture":
          lazy()?.drawPicture(scene, look);
          break;
        case "why":
          lazy()?.drawWhy(scene, listener.explanation(scene.stream.key));
          break;
        case "past":
          lazy()?.drawPast(scene, look);
          break;
        case "how":
          lazy()?.drawHow(scene, listener.example());
          break;
      }
      // After the canvases: they read sizes, which text that has just changed would have laid out anew.
      if (numbersAreDue(scene, shown, look)) {
        drawChosen(scene);
        if (view === "text") {
          drawGuesses(scene);
          writing = lazy()?.writing ?? null;
          writing?.draw(scene);
        } else readout.draw(scene, chosenLines(scene, shown), look);
      }
      speak(scene);
    },
    resize: chart.resize,
    otherStream: chart.forget,
    follow: tokens.follow,
    reveal: tokens.reveal,
    written: (key, message) => writing?.written(key, message),
    failed: (why) => writing?.failed(why),
    get plot() {
      return chart.plot;
    },
  };
}
