// The strip of hidden units to choose from: for each a tiny heatmap of the newest characters, and what it seems to
// follow. Many units move little, so each is coloured by its own scale, a round number that the legend tells.

import { context, element, fit, make, write } from "./dom";
import { whatUnitsFollow, type Follow } from "./follow";
import { MINUS, number } from "./format";
import { shownRow, type Scene } from "./scene";
import type { Series } from "./series";
import { colourIndex, type Look } from "./theme";

const SHOWN_ROWS = 64;
const DRAW_MS = 200;
const FOLLOW_MS = 10_000;
const FIRST_FOLLOW_MS = 1000; // until something was found
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
  const select = element<HTMLSelectElement>("follows");
  const about = element("unit-about");
  const canvas = make("canvas"); // one for all: a hundred canvases would be a hundred layers to compose
  const strips = new OffscreenCanvas(SHOWN_ROWS, 1); // a row of pixels for each unit
  let cells: HTMLButtonElement[] = [];
  let follows: Follow[] = [];
  let scales: number[] = [];
  let of: Series | null = null;
  let usual: number | null = null;
  let drawnAt = -Infinity;
  let followedAt = -Infinity;
  let chosen = -1;

  select.addEventListener("change", () => {
    const found = follows.find(({ feature }) => feature === select.value);
    if (found !== undefined) choose(found.unit);
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

  function build(units: number): void {
    strips.height = units;
    cells = Array.from({ length: units }, (_, unit) => {
      const cell = make("button", "unit-cell");
      cell.type = "button";
      cell.role = "radio";
      cell.ariaLabel = cell.title = `unit ${unit}`;
      cell.addEventListener("click", () => choose(unit));
      return cell;
    });
    host.replaceChildren(canvas, ...cells);
  }

  function follow(scene: Scene): void {
    follows = whatUnitsFollow(scene.kind, scene.series, scene.end);
    if (follows.length > 0) usual ??= (follows.find(({ feature }) => feature === "inside quotes") ?? follows[0]).unit;
    const options = follows.map(({ feature, unit, r }) => {
      const option = make("option", "", `${feature} (unit ${unit}, r ${number(r, 2)})`);
      option.value = feature;
      return option;
    });
    select.replaceChildren(new Option("choose by what it follows", ""), ...options);
    select.hidden = options.length === 0;
  }

  function mark(unit: number): void {
    chosen = unit;
    cells.forEach((cell, k) => {
      cell.ariaChecked = String(k === unit);
      cell.tabIndex = k === unit ? 0 : -1;
    });
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
      const { series } = scene;
      if (of !== series) {
        of = series;
        usual = null;
        build(series.units);
        mark(-1);
        followedAt = drawnAt = -Infinity;
      }
      const now = performance.now();
      if (now - followedAt > (follows.length === 0 ? FIRST_FOLLOW_MS : FOLLOW_MS)) {
        follow(scene);
        scales = scalesOf(scene);
        followedAt = now;
      }
      element("unit-box").hidden = series.units === 0;
      if (series.units === 0) return { unit: 0, scale: 1 };
      const unit = Math.min(series.units - 1, wished ?? usual ?? 0);
      if (unit !== chosen) mark(unit);
      const row = shownRow(scene);
      const followed = follows.find((one) => one.unit === unit)?.feature ?? "";
      if (select.value !== followed && document.activeElement !== select) select.value = followed;
      if (row >= 0) write(about, `Unit ${unit}: ${number(series.hidden(row)[unit] / 127, 2)}`);
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
