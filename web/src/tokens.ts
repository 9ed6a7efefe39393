// The text a stream reads, as an editor would show it, each character on the activation of one hidden unit or on its
// surprise.  Lines never move while they are read: new text fills the pane downwards, and a full pane turns like a page.

import { make } from "./dom";
import { vocabularyText } from "./glyph";
import type { Scene } from "./scene";
import type { Series } from "./series";
import { colourIndex, surpriseColour, type Look } from "./theme";

const MOST_LINES = 200;
const MOST_LINES_READ = 600; // while the reader is somewhere above
const MOST_IN_LINE = 500; // a longer line goes on in the next
const FIRST_ROWS = 2000;
const TURN_TO = 0.35; // where the newest line stands after a turn, from the top

/** What colours the characters: their surprise, or a unit, whose colours end at the activation `scale`. */
export type Colouring = { by: "surprise" } | { by: "unit"; unit: number; scale: number };

export interface TokenPane {
  draw(scene: Scene, colouring: Colouring, look: Look): void;
  reveal(): void; // the caret moved by keys: bring it into view
  follow(): void; // back to the newest line
}

interface Painted {
  series: Series;
  generation: number;
  look: Look;
  colouring: Colouring;
  surprise: number; // column of it
  first: number; // row of spans[0]
  until: number; // rows before it are in the pane
}

/** `point`: at the character under the mouse; `pin`: at one that was pressed, to stay there. */
export function createTokenPane(
  pane: HTMLElement,
  point: (row: number | null) => void,
  pin: (row: number) => void,
): TokenPane {
  let painted: Painted | null = null;
  let spans: HTMLElement[] = []; // by row - painted.first
  let line: HTMLElement | null = null;
  let following = true;
  let turnedTo = 0; // where this file scrolled to last; anything else was the reader
  let caret: HTMLElement | null = null;
  let shownUntil = 0;

  pane.addEventListener("scroll", () => {
    if (Math.abs(pane.scrollTop - turnedTo) < 2 || line === null) return;
    following = line.offsetTop < pane.scrollTop + pane.clientHeight;
    turnedTo = pane.scrollTop;
  });
  pane.addEventListener("pointermove", (event) => {
    const row = (event.target as HTMLElement).dataset.row;
    if (row !== undefined) point(Number(row));
  });
  pane.addEventListener("pointerleave", () => point(null));
  pane.addEventListener("click", (event) => {
    const row = (event.target as HTMLElement).dataset.row;
    if (row !== undefined) pin(Number(row));
  });

  function begin(scene: Scene, colouring: Colouring, look: Look): Painted {
    pane.replaceChildren();
    spans = [];
    line = caret = null;
    following = true;
    turnedTo = pane.scrollTop = 0;
    const first = Math.max(scene.begin, scene.end - FIRST_ROWS);
    const { series, kind } = scene;
    const { surprise } = kind.roles;
    return { series, generation: series.generation, look, colouring, surprise, first, until: first };
  }

  function newLine(): HTMLElement {
    const made = make("div", "text-line");
    pane.append(made);
    while (pane.childElementCount > (following ? MOST_LINES : MOST_LINES_READ)) {
      const oldest = pane.firstElementChild!;
      const gone = oldest.childElementCount;
      const height = oldest.getBoundingClientRect().height;
      oldest.remove();
      spans = spans.slice(gone);
      painted!.first += gone;
      turnedTo = pane.scrollTop = Math.max(0, turnedTo - height);
    }
    return made;
  }

  function append(scene: Scene, row: number): void {
    const { series, kind } = scene;
    const missed = series.at(series.missed, row);
    const text = missed === 0 ? vocabularyText(kind, series.at(series.x[0], row)) : "";
    line ??= newLine();
    const span = make(
      "span",
      missed === 0 ? "" : "missed",
      missed === 0 ? (text === "\n" ? "\u21b5" : text) : missedText(missed),
    );
    if (text === "\n") span.className = "newline";
    if (series.resets.includes(series.at(series.seq, row) - 1)) span.classList.add("after-reset");
    span.dataset.row = String(row);
    line.append(span);
    spans.push(span);
    if (text === "\n" || line.childElementCount >= MOST_IN_LINE) line = newLine();
  }

  function paint(span: HTMLElement, row: number, now: Painted): void {
    const { series, colouring } = now;
    if (colouring.by === "surprise") {
      span.style.backgroundColor = surpriseColour(series.at(series.y[now.surprise], row), now.look);
      return;
    }
    const h = series.hidden(row)[colouring.unit] ?? -128;
    span.style.backgroundColor = now.look.activationText[colourIndex(h, colouring.scale)];
  }

  function turn(): void {
    if (!following || line === null) return;
    const bottom = line.offsetTop + line.offsetHeight;
    if (bottom <= pane.scrollTop + pane.clientHeight) return;
    pane.scrollTop = line.offsetTop - pane.clientHeight * TURN_TO;
    turnedTo = pane.scrollTop;
  }

  return {
    draw(scene, colouring, look) {
      const { series } = scene;
      if (painted?.series !== series || painted.generation !== series.generation || scene.end < painted.until) {
        painted = begin(scene, colouring, look);
      }
      const recolour = !sameColouring(painted.colouring, colouring) || painted.look !== look;
      painted.colouring = colouring;
      painted.look = look;
      if (painted.until < scene.begin) painted = begin(scene, colouring, look); // hidden for long
      if (recolour) spans.forEach((span, k) => paint(span, painted!.first + k, painted!));
      for (let row = painted.until; row < scene.end; row++) {
        append(scene, row);
        paint(spans[row - painted.first], row, painted);
      }
      painted.until = scene.end;
      const at = scene.cursor < 0 ? null : (spans[scene.cursor - painted.first] ?? null);
      if (at !== caret) {
        caret?.classList.remove("caret");
        at?.classList.add("caret");
        caret = at;
      }
      if (shownUntil !== scene.end) turn();
      shownUntil = scene.end;
    },
    reveal() {
      caret?.scrollIntoView({ block: "nearest" });
    },
    follow() {
      following = true;
      shownUntil = -1;
    },
  };
}

function sameColouring(a: Colouring, b: Colouring): boolean {
  return a.by === "unit" && b.by === "unit" ? a.unit === b.unit && a.scale === b.scale : a.by === b.by;
}

function missedText(missed: number): string {
  return missed > 0 ? ` ${missed} characters missed ` : " server restarted ";
}
