// The five shapes of sequences, as boxes and arrows; the one of this stream lights up with its steps.

import { make, write } from "./dom";
import type { Mode } from "./protocol";
import type { Scene } from "./scene";
import { arrow, drawing, svg } from "./svg";

interface Shape {
  mode: Mode;
  reads: string; // for each column whether it reads x ...
  emits: string; // ... and whether its y counts
  feeds: boolean; // what it said goes into its next step
  about: string;
}

export const SHAPES: readonly Shape[] = [
  { mode: "one_to_one", reads: "1", emits: "1", feeds: false, about: "an image, and what it shows" },
  { mode: "one_to_many", reads: "1000", emits: "1111", feeds: true, about: "an image, and its caption" },
  { mode: "many_to_one", reads: "1111", emits: "0001", feeds: false, about: "a review, and the verdict" },
  { mode: "many_to_many", reads: "111000", emits: "000111", feeds: true, about: "a date, and its translation" },
  { mode: "synced", reads: "1111", emits: "1111", feeds: false, about: "every sample, and the forecast at it" },
];

const WIDE = 38;
const BOX = 22;
const ROWS = { y: 4, h: 44, x: 84 }; // tops of the boxes

/** What the newest step of a stream did. */
interface Step {
  step: number;
  reads: boolean;
  emits: boolean;
}

/** Which column of a drawing stands for a step: those that read count from the first, what follows from there. */
export function columnOf({ reads, emits }: Shape, now: Step): number {
  const fits = [...reads].map((r, k) => (r === "1") === now.reads && (emits[k] === "1") === now.emits);
  const columns = fits.flatMap((fit, k) => (fit ? [k] : []));
  const begin = fits.lastIndexOf(false, columns[0] ?? 0) + 1; // steps before these columns
  return columns.length === 0 ? -1 : columns[Math.max(0, now.step - begin) % columns.length];
}

export function createShapes(host: HTMLElement): (scene: Scene) => void {
  const figures = SHAPES.map((shape) => {
    const figure = make("figure");
    const picture = draw(shape);
    const words = make("span", "soft", shape.about);
    const step = make("span", "step");
    const caption = make("figcaption");
    caption.append(make("b", "", shape.mode.replaceAll("_", " ")), words, step);
    figure.append(picture, caption);
    host.append(figure);
    return { shape, figure, picture, step };
  });
  return (scene) => {
    const { picture, kind, series, newest } = scene;
    const step = newest < 0 ? 0 : series.at(series.seq, newest);
    const now: Step = picture ?? { step, reads: true, emits: true };
    for (const one of figures) {
      const own = one.shape.mode === kind.mode;
      one.figure.classList.toggle("own", own);
      write(one.step, own ? stepInWords(now) : "");
      const column = own ? columnOf(one.shape, now) : -1;
      if (one.picture.dataset.column === String(column)) continue;
      one.picture.dataset.column = String(column);
      for (const part of one.picture.querySelectorAll<SVGElement>("[data-column]"))
        part.classList.toggle("lit", part.dataset.column === String(column));
    }
  };
}

function stepInWords({ step, reads, emits }: Step): string {
  const does = reads ? (emits ? "reads and says" : "reads, says nothing yet") : emits ? "says" : "goes on";
  return `this stream, step ${step + 1}: ${does}`;
}

function draw({ mode, reads, emits, feeds, about }: Shape): SVGSVGElement {
  const columns = reads.length;
  const made = drawing(6 * WIDE, ROWS.x + BOX + 4, `${mode.replaceAll("_", " ")}: ${about}`);
  const left = (6 - columns) * (WIDE / 2) + (WIDE - BOX) / 2; // in the middle
  for (let k = 0; k < columns; k++) {
    const x = left + k * WIDE;
    const middle = x + BOX / 2;
    const column = svg("g", { "data-column": k });
    const box = (part: "x" | "h" | "y") =>
      svg("rect", { class: part, x, y: ROWS[part], width: BOX, height: BOX, rx: 3 });
    column.append(box("h"));
    if (k > 0) column.append(arrow(x - WIDE + BOX, ROWS.h + BOX / 2, x - 1, ROWS.h + BOX / 2, "state"));
    if (reads[k] === "1") column.append(box("x"), arrow(middle, ROWS.x, middle, ROWS.h + BOX + 1, "input"));
    if (emits[k] === "1") column.append(box("y"), arrow(middle, ROWS.h, middle, ROWS.y + BOX + 1, "output"));
    if (feeds && k > 0 && emits[k - 1] === "1") {
      column.append(arrow(x - WIDE + BOX, ROWS.y + BOX - 3, x + 2, ROWS.h - 1, "fed"));
    }
    made.append(column);
  }
  return made;
}
