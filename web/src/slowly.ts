// A single step taken slowly: x into h into y, with every number of a network small enough to show them.

import { element, write } from "./dom";
import { MINUS, number } from "./format";
import type { Example } from "./protocol";
import { drawing, svg } from "./svg";

const STAGE_MS = 2500;
const SUBSCRIPTS = "\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089";
const TIMES = "\u00b7";
const [WIDTH, HEIGHT] = [640, 300];

export interface Slowly {
  show(example: Example): void;
}

type Numbers = readonly number[];
type Moment = Example["moments"][number];

/** What is said and computed at each stage of a step; `lit` names the parts of the drawing. */
interface Stage {
  lit: string[];
  says: (moment: Moment, next: string) => string;
  computes: (moment: Moment) => string[];
}

export function createSlowly(): Slowly {
  const host = element("slowly");
  const play = element("slow-play");
  let example: Example | null = null;
  let stages: Stage[] = [];
  let drawn: { svg: SVGSVGElement; set: (moment: Moment, stage: Stage, at: number) => void } | null = null;
  let at = 0; // stages since the first letter
  let playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;

  function turn(by: number): void {
    if (example === null) return;
    const count = stages.length * example.moments.length;
    at = (at + by + count) % count;
    tell();
  }

  function tell(): void {
    if (example === null || drawn === null) return;
    const step = Math.floor(at / stages.length);
    const moment = example.moments[step];
    const stage = stages[at % stages.length];
    const next = example.vocabulary[example.moments[(step + 1) % example.moments.length].x];
    drawn.set(moment, stage, at % stages.length);
    const says = element("slow-says");
    says.ariaLive = playing ? "off" : "polite";
    write(says, stage.says(moment, next));
    write(element("slow-computes"), stage.computes(moment).join("\n"));
    write(
      element("slow-at"),
      `letter ${step + 1} of ${example.moments.length}, stage ${(at % stages.length) + 1} of ${stages.length}`,
    );
    write(play, playing ? "Stop" : "Play");
  }

  function set(now: boolean): void {
    playing = now;
    tell();
  }

  element("slow-back").addEventListener("click", () => (set(false), turn(-1)));
  element("slow-next").addEventListener("click", () => (set(false), turn(1)));
  play.addEventListener("click", () => set(!playing));
  window.setInterval(() => {
    if (playing && host.offsetParent !== null && !document.hidden) turn(1);
  }, STAGE_MS);

  return {
    show(given) {
      if (example === given) return;
      example = given;
      stages = stagesOf(given);
      drawn = draw(given);
      element("slow-drawing").replaceChildren(drawn.svg);
      host.hidden = false;
      tell();
    },
  };
}

function stagesOf(of: Example): Stage[] {
  const { vocabulary, weight_ih, weight_hh, bias_h, weight_ho, bias_o } = of;
  const letter = (x: number) => `\u201c${vocabulary[x]}\u201d`;
  const sums = ({ x, h_before }: Moment) =>
    bias_h.map((b, i) => weight_ih[i][x] + dot(weight_hh[i], h_before) + b);
  return [
    {
      lit: ["x"],
      says: ({ x }) => `The letter ${letter(x)} comes in: x has a 1 in its place and 0 elsewhere.`,
      computes: ({ x }) => [`x = (${vocabulary.map((_, k) => (k === x ? 1 : 0)).join(", ")})`],
    },
    {
      lit: ["before"],
      says: ({ h_before }) =>
        h_before.some((h) => h !== 0)
          ? "What the letters before have left: the state h."
          : "Nothing was read before: the state h is 0.",
      computes: ({ h_before }) => [`h = (${h_before.map(two).join(", ")})`],
    },
    {
      lit: ["x", "before", "in"],
      says: () => "Each unit weighs the letter and the state before, and adds them up with a bias.",
      computes: (moment) =>
        sums(moment).map(
          (a, i) =>
            `a${SUBSCRIPTS[i]} = ${one(weight_ih[i][moment.x])}${terms(weight_hh[i], moment.h_before)}` +
            `${signed(bias_h[i], one)} = ${two(a)}`,
        ),
    },
    {
      lit: ["h"],
      says: () => "tanh brings each sum between \u22121 and +1: that is the new state.",
      computes: (moment) => sums(moment).map((a, i) => `h${SUBSCRIPTS[i]} = tanh(${two(a)}) = ${two(moment.h[i])}`),
    },
    {
      lit: ["h", "out", "y"],
      says: () => "The state is weighed again, once for every letter that could come next.",
      computes: ({ h, y }) =>
        y.map(
          (value, k) =>
            `y(${vocabulary[k]}) =${terms(weight_ho[k], h).replace(/^ \+/, "")}${signed(bias_o[k], one)} = ${two(value)}`,
        ),
    },
    {
      lit: ["y", "p"],
      says: ({ p }, next) => {
        const best = p.indexOf(Math.max(...p));
        const came = p[vocabulary.indexOf(next)];
        return (
          `Softmax turns that into probabilities: it expects ${letter(best)}. ` +
          `\u201c${next}\u201d comes next, and surprises by ${two(-Math.log2(came))} bits.`
        );
      },
      computes: ({ y, p }) =>
        p.map((value, k) => `p(${vocabulary[k]}) = e^${two(y[k])} / sum = ${(100 * value).toFixed(1)}\u202f%`),
    },
  ];
}

/** The network: letters on the left, units in the middle over the state before, expected letters on the right. */
function draw({ vocabulary, weight_ih, weight_hh, weight_ho, bias_h }: Example): {
  svg: SVGSVGElement;
  set: (moment: Moment, stage: Stage) => void;
} {
  const made = drawing(WIDTH, HEIGHT, "a network of four letters, three units and four expected letters");
  const spread = (count: number, from: number, to: number) => (k: number) => from + ((to - from) * (k + 0.5)) / count;
  const [V, H] = [vocabulary.length, bias_h.length];
  const letterY = spread(V, 10, 200);
  const unitY = spread(H, 10, 200);
  const beforeX = spread(H, 200, 440);
  const parts: [string, SVGElement][] = [];
  const put = (part: string, ...elements: SVGElement[]) => {
    for (const one of elements) parts.push([part, one]);
    made.append(...elements);
  };
  const line = (x1: number, y1: number, x2: number, y2: number, w: number) =>
    svg("line", { x1, y1, x2, y2, class: w < 0 ? "low" : "high", "stroke-width": 0.5 + 1.2 * Math.abs(w) });
  const box = (x: number, y: number, width: number) =>
    svg("rect", { x: x - width / 2, y: y - 14, width, height: 28, rx: 3 });
  const label = (x: number, y: number, text = "", anchor = "middle") =>
    svg("text", { x, y: y + 5, "text-anchor": anchor }, text);
  const inLines = bias_h.map((_, i) =>
    vocabulary.map((__, k) => line(104, letterY(k), 288, unitY(i), weight_ih[i][k])),
  );
  inLines.flat().forEach((one) => put("in", one));
  for (let i = 0; i < H; i++) {
    for (let j = 0; j < H; j++) put("in", line(beforeX(j), 256, 320, unitY(i) + 14, weight_hh[i][j]));
    for (let k = 0; k < V; k++) put("out", line(352, unitY(i), 516, letterY(k), weight_ho[k][i]));
  }
  const values = { x: [] as SVGElement[], before: [] as SVGElement[], h: [] as SVGElement[], y: [] as SVGElement[] };
  const bars: SVGElement[] = [];
  const value = (into: SVGElement[], part: string, x: number, y: number, width: number) => {
    const text = label(x, y);
    into.push(text);
    put(part, box(x, y, width), text);
  };
  vocabulary.forEach((letter, k) => {
    put("x", label(50, letterY(k), letter));
    value(values.x, "x", 86, letterY(k), 36);
    value(values.y, "y", 544, letterY(k), 56);
    put("y", label(584, letterY(k), letter));
    const bar = svg("rect", { class: "bar", x: 596, y: letterY(k) - 6, width: 0, height: 12 });
    bars.push(bar);
    put("p", bar);
  });
  for (let i = 0; i < H; i++) {
    value(values.h, "h", 320, unitY(i), 64);
    value(values.before, "before", beforeX(i), 270, 64);
  }
  for (const [x, y, text] of [
    [86, 222, "x, a letter"],
    [544, 222, "y, the next"],
    [148, 275, "h before"],
    [320, 12, "h"],
  ] as const)
    made.append(svg("text", { x, y, "text-anchor": "middle", class: "soft" }, text));
  const order = ["x", "before", "in", "h", "out", "y", "p"];
  return {
    svg: made,
    set(moment, { lit }) {
      const until = Math.max(...lit.map((part) => order.indexOf(part)));
      for (const [part, one] of parts) one.classList.toggle("lit", lit.includes(part));
      inLines.forEach((lines) => lines.forEach((one, k) => one.classList.toggle("idle", k !== moment.x)));
      const known = (part: string) => order.indexOf(part) <= until;
      values.x.forEach((text, k) => write(text, k === moment.x ? "1" : "0"));
      values.before.forEach((text, i) => write(text, two(moment.h_before[i])));
      values.h.forEach((text, i) => write(text, known("h") ? two(moment.h[i]) : ""));
      values.y.forEach((text, k) => write(text, known("y") ? two(moment.y[k]) : ""));
      bars.forEach((bar, k) => bar.setAttribute("width", String(known("p") ? 40 * moment.p[k] : 0)));
    },
  };
}

function dot(a: Numbers, b: Numbers): number {
  return a.reduce((sum, value, k) => sum + value * b[k], 0);
}

const one = (value: number) => number(value, 1);
const two = (value: number) => number(value, 2);

/** " + 0.8 · 0.46 − 1.2 · 0.10 ..." */
function terms(weights: Numbers, values: Numbers): string {
  return weights.map((w, k) => signed(w, one) + ` ${TIMES} ${two(values[k])}`).join("");
}

function signed(value: number, text: (value: number) => string): string {
  return value < 0 ? ` ${MINUS} ${text(-value)}` : ` + ${text(value)}`;
}
