// What hidden units of a text model seem to follow: the correlation of each unit with things one can say about the
// text. Numbers, no DOM.

import type { Kind } from "./catalogue";
import type { Series } from "./series";
import { vocabularyText } from "./glyph";

const ROWS = 1000;
const LEAST_ROWS = 200;
const LEAST_R = 0.3;

export interface Follow {
  feature: string;
  unit: number;
  r: number; // of the unit with the largest |r|
}

/** For each feature the unit that follows it best, best first; empty until enough was read. */
export function whatUnitsFollow(kind: Kind, series: Series, end: number): Follow[] {
  const begin = Math.max(series.first, end - ROWS);
  const rows: number[] = [];
  for (let row = begin; row < end; row++) {
    if (series.at(series.missed, row) === 0 && series.units > 0 && series.hidden(row)[0] !== -128) rows.push(row);
  }
  if (rows.length < LEAST_ROWS) return [];
  const text = rows.map((row) => vocabularyText(kind, series.at(series.x[0], row)));
  const units = standardUnits(series, rows);
  const found: Follow[] = [];
  for (const [feature, values] of Object.entries(featuresOf(text))) {
    if (!standardise(values)) continue;
    let best: Follow = { feature, unit: -1, r: 0 };
    for (let unit = 0; unit < series.units; unit++) {
      const h = units.subarray(unit * rows.length, (unit + 1) * rows.length);
      let r = 0;
      for (let k = 0; k < values.length; k++) r += values[k] * h[k];
      if (Math.abs(r) > Math.abs(best.r)) best = { feature, unit, r };
    }
    if (Math.abs(best.r) >= LEAST_R) found.push(best);
  }
  return found.sort((a, b) => Math.abs(b.r) - Math.abs(a.r));
}

/** (units, rows), each unit with mean 0 and length 1, or all 0. */
function standardUnits(series: Series, rows: number[]): Float32Array {
  const all = new Float32Array(series.units * rows.length);
  rows.forEach((row, k) => {
    const h = series.hidden(row);
    for (let unit = 0; unit < h.length; unit++) all[unit * rows.length + k] = h[unit];
  });
  for (let unit = 0; unit < series.units; unit++)
    standardise(all.subarray(unit * rows.length, (unit + 1) * rows.length));
  return all;
}

/** Mean 0 and length 1 in place; false (and all 0) when the values do not vary. */
function standardise(values: Float32Array): boolean {
  let mean = 0;
  for (const value of values) mean += value / values.length;
  let square = 0;
  for (let k = 0; k < values.length; k++) {
    values[k] -= mean;
    square += values[k] * values[k];
  }
  const scale = square > 1e-6 ? 1 / Math.sqrt(square) : 0;
  for (let k = 0; k < values.length; k++) values[k] *= scale;
  return scale > 0;
}

/** What one can say of the text after each of its characters. */
export function featuresOf(text: readonly string[]): Record<string, Float32Array> {
  const column = () => new Float32Array(text.length);
  const features = {
    "inside quotes": column(),
    "inside a comment": column(),
    "inside brackets": column(),
    indentation: column(),
    "position in the line": column(),
    "in a word": column(),
    "start of a line": column(),
    "digits and capitals": column(),
  };
  let quote = "";
  let comment = false;
  let depth = 0;
  let indent = 0;
  let position = 0;
  let blank = true; // nothing but blanks since the line began
  text.forEach((character, k) => {
    if (character === "\n") {
      quote = "";
      comment = false;
      indent = position = 0;
      blank = true;
    } else {
      position += character.length;
      if (blank && character === " ") indent++;
      else blank = false;
      if (comment) {
        // until the line ends
      } else if (quote !== "") {
        if (character === quote) quote = "";
      } else if (character === '"' || character === "'") quote = character;
      else if (character === "#") comment = true;
      else if ("([{".includes(character)) depth++;
      else if (")]}".includes(character)) depth = Math.max(0, depth - 1);
    }
    features["inside quotes"][k] = quote === "" ? 0 : 1;
    features["inside a comment"][k] = comment ? 1 : 0;
    features["inside brackets"][k] = Math.min(depth, 3);
    features.indentation[k] = indent;
    features["position in the line"][k] = Math.min(position, 80);
    features["in a word"][k] = /\w/.test(character) ? 1 : 0;
    features["start of a line"][k] = blank ? 1 : 0;
    features["digits and capitals"][k] = /[0-9A-Z]/.test(character) ? 1 : 0;
  });
  return features;
}
