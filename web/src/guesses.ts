// Beside the text: how much the character under the caret surprised, and the five likeliest to come after it.

import { element, make, write } from "./dom";
import { number, UNKNOWN } from "./format";
import { glyph, vocabularyText } from "./glyph";
import { shownRow, type Scene } from "./scene";

const TAIL = 12;

interface Guess {
  root: HTMLElement;
  text: HTMLElement;
  bar: HTMLElement;
  share: HTMLElement;
}

export function createGuesses(): (scene: Scene) => void {
  const host = element("guesses");
  const guesses: Guess[] = [];

  function newGuess(): Guess {
    const root = make("li", "guess");
    const guess = { root, text: make("span", "character"), bar: make("span", "bar"), share: make("span", "share") };
    const track = make("span", "track");
    track.append(guess.bar);
    root.append(guess.text, track, guess.share);
    host.append(root);
    return guess;
  }

  return (scene) => {
    const { kind, series } = scene;
    const { roles } = kind;
    const row = shownRow(scene);
    if (row < 0) return;
    const output = (index: number) => (index < 0 ? NaN : series.at(series.y[index], row));
    const character = vocabularyText(kind, series.at(series.x[0], row));
    write(element("guess-after"), tailOf(scene, row));
    write(element("guess-surprise"), `${glyph(character)} surprised by ${number(output(roles.surprise), 2)} bits`);
    const followed = row + 1 < scene.end && series.at(series.missed, row + 1) === 0;
    const came = followed ? vocabularyText(kind, series.at(series.x[0], row + 1)) : null;
    write(element("guess-came"), came === null ? "not read yet" : `then came ${glyph(came)}`);
    while (guesses.length < roles.next.length) guesses.push(newGuess());
    roles.next.forEach((column, k) => {
      const { root, text, bar, share } = guesses[k];
      const guessed = vocabularyText(kind, output(column));
      const p = output(roles.nextP[k]);
      write(text, Number.isNaN(output(column)) ? UNKNOWN : glyph(guessed));
      bar.style.width = Number.isFinite(p) ? `${100 * p}%` : "0";
      write(share, Number.isFinite(p) ? `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)}\u202f%` : UNKNOWN);
      root.classList.toggle("right", came !== null && guessed === came);
    });
  };
}

/** The character of a row and those before it. */
function tailOf(scene: Scene, row: number): string {
  let text = "";
  for (let k = Math.max(scene.begin, row - TAIL + 1); k <= row; k++) {
    const known = scene.series.at(scene.series.missed, k) === 0;
    text += known ? glyph(vocabularyText(scene.kind, scene.series.at(scene.series.x[0], k))) : "\u2026";
  }
  return text;
}
