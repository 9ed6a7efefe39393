// The strip of hidden units to choose from: for each a tiny heatmap of the newest characters, layer by layer, and the
// units that follow something one can name.  Many units move little, so each is coloured by its own scale, a round
// number that the legend tells.

import { context, element, fit, make, write } from "./dom";
import { createTracker, type Tracker } from "./follow";
import { MINUS, number } from "./format";
import { vocabularyText } from "./glyph";
import { shownRow, type Scene } from "./scene";
import type { Series } from "./series";
import { colourIndex, type Look } from "./theme";

const SHOWN_ROWS = 64;
const DRAW_MS = 200;
const FOLLOW_MS = 2000;
const SCALES = [0.05, 0.1, 0.2, 0.5, 1];
const SCALE_ROWS = 500;

/** The unit that colours the text, and the activation at which its colours end. */
export interface Chosen {
  unit: number;
  scale: number;
}

export interface UnitStrip {
  /** Draws the strip; `wished` is null as long as nobody chose a unit. */
  draw(scene: Scene, wished: number | null, look: Look): Chosen;
}

export function createUnitStrip(choose: (unit: number) => void): UnitStrip {
  const host = element("units");
  const list = element("follows");
  const about = element("unit-about");
  const canvas = make("canvas"); // one for all: a hundred canvases would be a hundred layers to compose
  const strips = new OffscreenCanvas(SHOWN_ROWS, 1); // a row of pixels for each unit
  let cells: HTMLButtonElement[] = [];
  let buttons: HTMLButtonElement[] = []; // of units that follow something
  let scales: number[] = [];
  let of: { series: Series; generation: number; tracker: Tracker; until: number } | null = null;
  let usual: number | null = null;
  let drawnAt = -Infinity;
  let followedAt = -Infinity;
  let chosen = -1;

  list.addEventListener("click", (event) => {
    const { unit } = (event.target as HTMLElement).dataset;
    if (unit !== undefined) choose(Number(unit));
  });
  host.addEventListener("keydown", (event) => {
    const columns = Math.max(1, Math.round(host.clientWidth / (cells[0]?.offsetWidth ?? 1)));
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (by === undefined || cells.length === 0) return;
    event.preventDefault();
    event.stopPropagation();
    const next = Math.min(cells.length - 1, Math.max(0, chosen + by));
    choose(next);
    cells[next].focus();
  });

  function build(units: number, layers: number): void {
    strips.height = Math.max(1, units);
    cells = Array.from({ length: units }, (_, unit) => {
      const cell = make("button", "unit-cell");
      cell.type = "button";
      cell.role = "radio";
      cell.ariaLabel = cell.title = unitName(unit, units, layers);
      cell.addEventListener("click", () => choose(unit));
      return cell;
    });
    const each = units / layers;
    const parts = Array.from({ length: layers }, (_, layer) => [
      ...(layers > 1 ? [make("p", "soft", `layer ${layer + 1}, ${each} units`)] : []),
      ...cells.slice(layer * each, (layer + 1) * each),
    ]);
    host.replaceChildren(canvas, ...parts.flat());
  }

  /** Reads what is new, and now and then lists the units that follow something. */
  function follow(scene: Scene, now: number): void {
    const { series, kind } = scene;
    const { tracker } = of!;
    for (let row = Math.max(of!.until, scene.begin); row < scene.end; row++) {
      if (series.at(series.missed, row) !== 0) continue;
      tracker.take(vocabularyText(kind, series.at(series.x[0], row)), series.hidden(row));
    }
    of!.until = Math.max(of!.until, scene.end);
    if (now - followedAt < FOLLOW_MS) return;
    followedAt = now;
    scales = scalesOf(scene);
    const follows = tracker.found();
    usual ??= follows.find(({ feature }) => feature === "inside quotes")?.best[0].unit ?? null;
    if (list.contains(document.activeElement) || list.matches(":hover")) return; // nothing moves under a hand
    buttons = [];
    list.replaceChildren(
      ...follows.map(({ feature, best }) => {
        const line = make("li");
        line.append(make("span", "", feature));
        for (const { unit, r } of best) {
          const button = make("button", "", `${unit}`);
          button.type = "button";
          button.dataset.unit = String(unit);
          button.append(make("small", "", number(r, 2)));
          button.title = `unit ${unit}: correlation ${number(r, 2)} with ${feature}, over ${tracker.read} characters`;
          button.ariaLabel = button.title;
          buttons.push(button);
          line.append(button);
        }
        return line;
      }),
    );
    press();
    write(
      element("follows-about"),
      follows.length > 0 ? "unit, correlation" : `after ${tracker.read} characters none is clear yet`,
    );
  }

  function press(): void {
    for (const button of buttons) button.ariaPressed = String(Number(button.dataset.unit) === chosen);
  }

  function mark(unit: number): void {
    chosen = unit;
    cells.forEach((cell, k) => {
      cell.ariaChecked = String(k === unit);
      cell.tabIndex = k === unit ? 0 : -1;
    });
    press();
  }

  function drawCells(scene: Scene, row: number, look: Look): void {
    const image = new ImageData(SHOWN_ROWS, strips.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let k = 0; k < SHOWN_ROWS; k++) {
      const at = row - SHOWN_ROWS + 1 + k;
      if (at < scene.begin) continue;
      const h = scene.series.hidden(at);
      for (let unit = 0; unit < h.length; unit++) {
        pixels[unit * SHOWN_ROWS + k] = look.activationPixels[colourIndex(h[unit], scales[unit])];
      }
    }
    strips.getContext("2d")!.putImageData(image, 0, 0);
    fit(canvas, host.clientWidth, host.scrollHeight);
    const ctx = context(canvas);
    ctx.setTransform(window.devicePixelRatio, 0, 0, window.devicePixelRatio, 0, 0);
    ctx.clearRect(0, 0, canvas.width, canvas.height);
    ctx.imageSmoothingEnabled = false;
    cells.forEach((cell, unit) => {
      const [x, y, width, height] = [cell.offsetLeft, cell.offsetTop, cell.offsetWidth, cell.offsetHeight];
      ctx.drawImage(strips, 0, unit, SHOWN_ROWS, 1, x + 2, y + 2, width - 4, height - 4);
    });
  }

  return {
    draw(scene, wished, look) {
      const { series, kind } = scene;
      if (of?.series !== series || of.generation !== series.generation) {
        if (of?.series !== series) {
          usual = null;
          build(series.units, kind.layers);
          mark(-1);
        }
        of = { series, generation: series.generation, tracker: createTracker(series.units), until: 0 };
        followedAt = drawnAt = -Infinity;
      }
      const now = performance.now();
      follow(scene, now);
      element("unit-box").hidden = series.units === 0;
      if (series.units === 0) return { unit: 0, scale: 1 };
      const unit = Math.min(series.units - 1, wished ?? usual ?? 0);
      if (unit !== chosen) mark(unit);
      const row = shownRow(scene);
      const h = row < 0 ? -128 : series.hidden(row)[unit];
      const name = unitName(unit, series.units, kind.layers);
      write(about, `${name}: ${h === -128 ? "not sampled" : number(h / 127, 2)}`);
      write(element("unit-low"), `${MINUS}${scales[unit]}`);
      write(element("unit-high"), `+${scales[unit]}`);
      if (now - drawnAt > DRAW_MS || scene.cursor >= 0) {
        drawnAt = now;
        drawCells(scene, row, look);
      }
      return { unit, scale: scales[unit] };
    },
  };
}

function unitName(unit: number, units: number, layers: number): string {
  return layers > 1 ? `unit ${unit}, layer ${Math.floor((unit * layers) / units) + 1}` : `unit ${unit}`;
}

/** For each unit the smallest of SCALES that its newest activations fit in. */
function scalesOf({ series, begin, end }: Scene): number[] {
  const largest = new Float32Array(series.units);
  for (let row = Math.max(begin, end - SCALE_ROWS); row < end; row++) {
    const h = series.hidden(row);
    if (h[0] === -128) continue; // not sampled
    for (let unit = 0; unit < h.length; unit++) largest[unit] = Math.max(largest[unit], Math.abs(h[unit]));
  }
  return Array.from(largest, (h) => SCALES.find((scale) => h / 127 <= scale) ?? 1);
}
