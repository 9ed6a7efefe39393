// Which lines the chart can draw of a kind of stream, and how each looks.

import type { Kind } from "./catalogue";
import type { Series } from "./series";
import type { Look } from "./theme";

/** One that can be chosen: a channel or an output. */
export interface Choice {
  id: string; // "c3" channel 3, "o7" output 7; as in the address
  name: string;
  unit: string;
  column: (series: Series) => Float32Array;
  channel: number; // -1: an output
}

export interface Line {
  choice: Choice;
  column: (series: Series) => Float32Array;
  colour: string;
  dash: number[];
}

const DASHES = [[], [7, 3], [7, 3, 2, 3], [2, 3]];

export function choicesOf(kind: Kind): Choice[] {
  const { roles } = kind;
  const output = (index: number, name: string, unit: string): Choice => ({
    id: `o${index}`,
    name,
    unit,
    column: (series) => series.y[index],
    channel: -1,
  });
  const values = roles.values.map((index) => output(index, kind.outputs[index].name, ""));
  if (kind.kind === "tokens") {
    const bits = roles.bits < 0 ? [] : [output(roles.bits, "running mean", "bits")];
    return [...(roles.surprise < 0 ? [] : [output(roles.surprise, "surprise", "bits")]), ...bits, ...values];
  }
  const channels = kind.channels.map(({ name, unit }, c): Choice => ({
    id: `c${c}`,
    name,
    unit,
    column: (series) => series.x[c],
    channel: c,
  }));
  const [target] = channels.splice(kind.target, 1);
  return [target, ...channels, ...values];
}

/** Those drawn until somebody chooses: the main one, and outputs that nothing else on the page shows. */
export function usualChoices(kind: Kind): string[] {
  const choices = choicesOf(kind);
  const unseen = kind.roles.fans.size === 0 ? choices.filter(({ channel }) => channel < 0) : [];
  return [...new Set([choices[0], ...unseen.slice(0, 3)].map(({ id }) => id))];
}

/** The lines of the chosen, in the order of drawing: what was measured lies on top. */
export function linesOf(kind: Kind, chosen: readonly string[], look: Look): Line[] {
  const choices = choicesOf(kind);
  const lines: Line[] = [];
  choices.forEach((choice, index) => {
    if (!chosen.includes(choice.id)) return;
    const { colour, dash } = lookOf(kind, choice, index, look);
    lines.push({ choice, column: choice.column, colour, dash });
    if (!kind.roles.fans.has(choice.channel)) return;
    const column = (series: Series) => series.expected.get(choice.channel)!;
    lines.push({ choice, column, colour: look.blue, dash });
  });
  return lines.reverse();
}

export function lookOf(kind: Kind, choice: Choice, index: number, look: Look): { colour: string; dash: number[] } {
  if (index === 0) return { colour: look.ink, dash: [] };
  if (kind.kind === "tokens" && kind.roles.bits >= 0 && choice.id === `o${kind.roles.bits}`) {
    return { colour: look.soft, dash: [2, 3] };
  }
  const palette = look.series;
  return {
    colour: palette[(index - 1) % palette.length],
    dash: DASHES[Math.floor((index - 1) / palette.length) % DASHES.length],
  };
}
