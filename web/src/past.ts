// The whole past of a stream, from the server's journal: for each pixel the smallest and largest value in it.  The
// server finds these for any stretch of time; what is drawn here is asked for again whenever the stretch changes.

import { context, element, fit, make, write } from "./dom";
import { count, moment, number, withUnit } from "./format";
import type { Scene } from "./scene";
import type { Look } from "./theme";

const ZOOM = 2;
const STEP = 0.5; // of the stretch
const WHEEL_PER_PIXEL = 0.002;
const ASK_AFTER_MS = 120; // of quiet, so that a turning wheel asks once
const LEAST_S = 1e-3;
const MARGIN = 8;
const HOLE = 5; // mean distances between samples
const BAND = 0.25; // opacity of the forecast's

interface Column {
  low: (number | null)[];
  high: (number | null)[];
}

interface Answer {
  stream: string;
  first: number;
  last: number;
  from: number;
  to: number;
  pixels: number;
  samples: number;
  values: Record<string, Column>;
}

/** `changed` is called when it is to be drawn anew. */
export function createPast(changed: () => void): (scene: Scene, look: Look) => void {
  const host = element("past-chart");
  const canvas = make("canvas");
  canvas.role = "img";
  canvas.setAttribute("aria-labelledby", "past-about");
  host.append(canvas);
  const ctx = context(canvas);
  let key = "";
  let span: [number, number] | null = null; // null: everything
  let answer: Answer | null = null;
  let problem = "";
  let asked = ""; // what the answer, or the one on its way, is for
  let timer: number | undefined;
  let drawn = "";

  function stretch(): [number, number] | null {
    return span ?? (answer === null ? null : [answer.from, answer.to]);
  }

  /** `at`: from 0, the left edge, to 1: which moment stays where it is. */
  function zoom(by: number, at = 0.5): void {
    const now = stretch();
    if (now === null || answer === null) return;
    const [from, to] = now;
    const length = Math.max(LEAST_S, (to - from) * by);
    const start = from + (to - from - length) * at;
    span = length >= answer.last - answer.first ? null : [start, start + length];
    changed();
  }

  function move(by: number): void {
    const now = stretch();
    if (now === null || span === null || answer === null) return;
    const [from, to] = now;
    const most = answer.last - to;
    const least = answer.first - from;
    const shift = Math.min(Math.max((to - from) * by, Math.min(0, least)), Math.max(0, most));
    span = [from + shift, to + shift];
    changed();
  }

  const doing: Record<string, () => void> = {
    "past-earlier": () => move(-STEP),
    "past-later": () => move(STEP),
    "past-in": () => zoom(1 / ZOOM),
    "past-out": () => zoom(ZOOM),
    "past-all": () => {
      span = null;
      changed();
    },
  };
  for (const [id, act] of Object.entries(doing)) element(id).addEventListener("click", act);
  host.addEventListener("keydown", (event) => {
    const act = { ArrowLeft: "earlier", ArrowRight: "later", "+": "in", "-": "out", Home: "all" }[event.key];
    if (act === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    doing[`past-${act}`]();
  });
  host.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move(event.deltaX / host.clientWidth);
      else zoom(Math.exp(event.deltaY * WHEEL_PER_PIXEL), event.offsetX / host.clientWidth);
    },
    { passive: false },
  );
  let held: number | null = null;
  host.addEventListener("pointerdown", (event) => {
    held = event.clientX;
    host.setPointerCapture(event.pointerId);
  });
  host.addEventListener("pointermove", (event) => {
    if (held === null) return;
    move((held - event.clientX) / host.clientWidth);
    held = event.clientX;
  });
  host.addEventListener("pointerup", () => (held = null));

  async function ask(query: string): Promise<void> {
    const token = sessionStorage.getItem("token");
    const headers: HeadersInit = token === null ? {} : { Authorization: `Bearer ${token}` };
    try {
      const response = await fetch(`/past?${query}`, { headers });
      const text = await response.text();
      if (query !== asked) return; // something else is looked at by now
      problem = response.ok ? "" : text;
      if (response.ok) answer = JSON.parse(text) as Answer;
    } catch {
      if (query === asked) problem = "the server is gone";
    }
    drawn = "";
    changed();
  }

  function askFor(width: number): void {
    const query = new URLSearchParams({ stream: key, pixels: String(Math.max(1, Math.round(width))) });
    if (span !== null) {
      query.set("from", String(span[0]));
      query.set("to", String(span[1]));
    }
    if (asked === query.toString()) return;
    window.clearTimeout(timer);
    timer = window.setTimeout(() => void ask(asked), asked === "" ? 0 : ASK_AFTER_MS);
    asked = query.toString();
  }

  return (scene, look) => {
    if (key !== scene.stream.key) {
      key = scene.stream.key;
      span = answer = null;
      asked = drawn = problem = "";
    }
    const { clientWidth: width, clientHeight: height } = host;
    askFor(width);
    element("past-tools").hidden = host.hidden = problem !== "";
    if (problem !== "") write(element("past-about"), problem);
    if (answer === null || problem !== "") return;
    const now = stretch()!;
    const state = [width, height, window.devicePixelRatio, now, scene.zone, look.ink, asked].join();
    if (state === drawn) return;
    drawn = state;
    fit(canvas, width, height);
    const ratio = window.devicePixelRatio;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    const { kind } = scene;
    const channel = kind.channels[kind.target];
    const fan = kind.roles.fans.get(kind.target);
    const ink: Column | undefined = answer.values[channel.name];
    const forecast = fan === undefined ? undefined : answer.values[kind.outputs[fan.mean[0]].name];
    if (ink === undefined) return; // it has other channels than it had
    const known = [...ink.low, ...ink.high].filter((value): value is number => value !== null);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const scale = { low, size: high > low ? high - low : 1, width, height, now, answer };
    if (forecast !== undefined) band(forecast, look.blue, BAND, scale);
    band(ink, look.ink, 1, scale);
    const step = (now[1] - now[0]) / width;
    write(element("past-from"), moment(now[0], scene.zone, step));
    write(element("past-to"), moment(now[1], scene.zone, step));
    const values = `${withUnit(number(low), channel.unit)} to ${withUnit(number(high), channel.unit)}`;
    const found = known.length === 0 ? "no samples" : `${count(answer.samples)} samples, ${channel.name} ${values}`;
    write(element("past-about"), found);
  };

  function band(
    column: Column,
    colour: string,
    opacity: number,
    scale: { low: number; size: number; width: number; height: number; now: [number, number]; answer: Answer },
  ): void {
    const { low, size, width, height, now, answer } = scale;
    const y = (value: number) => height - MARGIN - ((value - low) / size) * (height - 2 * MARGIN);
    const pixel_s = (answer.to - answer.from) / answer.pixels;
    const wide = Math.max(1, (pixel_s / (now[1] - now[0])) * width);
    ctx.fillStyle = ctx.strokeStyle = colour;
    ctx.globalAlpha = opacity;
    ctx.beginPath();
    let before = -Infinity;
    for (let k = 0; k < answer.pixels; k++) {
      const [least, most] = [column.low[k], column.high[k]];
      if (least === null || most === null) continue;
      const x = ((answer.from + k * pixel_s - now[0]) / (now[1] - now[0])) * width;
      ctx.fillRect(x, y(most) - 0.75, wide, y(least) - y(most) + 1.5);
      // Fewer samples than pixels: a line joins those that are no hole apart.
      const middle = y((least + most) / 2);
      if ((k - before) * answer.samples > HOLE * answer.pixels) ctx.moveTo(x, middle);
      else ctx.lineTo(x, middle);
      before = k;
    }
    ctx.stroke();
    ctx.globalAlpha = 1;
  }
}
