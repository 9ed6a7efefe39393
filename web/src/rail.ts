// The list of streams.  Only the rows in view exist as elements, whether there are four streams or ten thousand.

import { SPARK, isStale, silence_s, valueUnit, type Stream } from "./catalogue";
import { context, element, fit, make, write } from "./dom";
import { decimalsFor, duration, number, rate } from "./format";
import { order, type Filter, type Sort } from "./order";
import type { Look } from "./theme";

const ROW_PX = 56;
const SPARE_ROWS = 3;
const REORDER_MS = 4000;

export interface Rail {
  draw(streams: readonly Stream[], chosen: string | null, serverNow_s: number, look: Look): void;
  step(by: number): void; // chooses the next or the previous one
  search(): void;
}

interface Row {
  root: HTMLElement;
  name: HTMLElement;
  value: HTMLElement;
  unit: HTMLElement;
  facts: HTMLElement;
  alarm: HTMLElement;
  spark: HTMLCanvasElement;
}

export function createRail(choose: (key: string) => void, changed: () => void): Rail {
  const list = element("streams");
  const spacer = element("streams-spacer");
  const query = element<HTMLInputElement>("query");
  const sort = element<HTMLSelectElement>("sort");
  const filter = element<HTMLSelectElement>("filter");
  const summary = element("rail-summary");
  const rows: Row[] = [];
  let listed: Stream[] = [];
  let all: readonly Stream[] = [];
  let serverNow = NaN;
  let chosenKey: string | null = null;
  let orderedAt = -Infinity;
  let orderedFrom: readonly Stream[] = [];
  let orderedCount = -1;

  const reorder = () => {
    list.scrollTop = 0;
    refreshOrder();
    changed();
  };
  query.addEventListener("input", reorder);
  sort.addEventListener("change", reorder);
  filter.addEventListener("change", reorder);
  list.addEventListener("scroll", changed, { passive: true });
  new ResizeObserver(changed).observe(list);
  list.addEventListener("click", (event) => {
    const row = (event.target as Element).closest<HTMLElement>(".stream");
    if (row?.dataset.key !== undefined) choose(row.dataset.key);
  });
  query.addEventListener("keydown", (event) => {
    if (event.key === "Enter") reorder(); // the last letter may be newer than the last frame
    if (event.key === "Enter" && listed.length > 0) choose(listed[0].key);
    if (event.key === "Enter" || event.key === "Escape") list.focus();
  });

  function refreshOrder(): void {
    const wish = { query: query.value, sort: sort.value as Sort, filter: filter.value as Filter };
    listed = order(all, wish, serverNow);
    orderedAt = performance.now();
    orderedFrom = all;
    orderedCount = all.length;
    write(
      summary,
      listed.length === all.length ? `${all.length} streams` : `${listed.length} of ${all.length} streams`,
    );
    spacer.style.height = `${listed.length * ROW_PX}px`;
  }

  /** New streams change the order at once, new numbers only now and then, and not under the mouse. */
  function orderIsDue(): boolean {
    if (orderedFrom !== all || orderedCount !== all.length) return true;
    const moving = sort.value !== "name" || filter.value !== "all";
    return moving && performance.now() - orderedAt > REORDER_MS && !list.matches(":hover");
  }

  function newRow(index: number): Row {
    const root = make("div", "stream");
    root.role = "option";
    root.id = `stream-${index}`;
    const row: Row = {
      root,
      name: make("span", "name"),
      value: make("span", "value"),
      unit: make("span", "unit"),
      facts: make("span", "facts"),
      alarm: make("span", "had-alarm"),
      spark: make("canvas", "spark"),
    };
    row.spark.ariaHidden = "true";
    const top = make("span", "line");
    const number = make("span", "number");
    number.append(row.value, row.unit);
    top.append(row.name, number);
    const bottom = make("span", "line");
    const facts = make("span", "facts-line");
    facts.append(row.facts, row.alarm);
    bottom.append(facts, row.spark);
    root.append(top, bottom);
    spacer.append(root);
    return row;
  }

  function fill(row: Row, stream: Stream, position: number, serverNow_s: number, look: Look): void {
    const { root } = row;
    const stale = isStale(stream, serverNow_s);
    root.hidden = false;
    root.style.transform = `translateY(${position * ROW_PX}px)`;
    root.dataset.key = stream.key;
    root.ariaPosInSet = String(position + 1);
    root.ariaSetSize = String(listed.length);
    root.ariaSelected = String(stream.key === chosenKey);
    root.classList.toggle("stale", stale);
    if (stream.key === chosenKey) list.setAttribute("aria-activedescendant", root.id);
    write(row.name, stream.key);
    row.name.title = stream.key;
    write(row.value, number(stream.value, decimalsFor(sparkSize(stream))));
    write(row.unit, valueUnit(stream.kind));
    write(row.facts, stale ? `no data for ${duration(silence_s(stream, serverNow_s))}` : rate(stream.rate_hz));
    const ago = stream.t - stream.alarm_t;
    write(row.alarm, ago >= 0 ? `\u25bc ${ago === 0 ? "now" : `${duration(ago)} ago`}` : "");
    row.alarm.title = ago >= 0 ? "last alarm, in the stream's own time" : "";
    drawSpark(row.spark, stream, look, stale);
  }

  return {
    draw(streams, chosen, serverNow_s, look) {
      all = streams;
      serverNow = serverNow_s;
      const before = chosenKey;
      chosenKey = chosen;
      if (orderIsDue()) refreshOrder();
      if (before !== chosen) reveal();
      list.removeAttribute("aria-activedescendant"); // until the chosen one is among the rows in view
      const from = Math.max(0, Math.floor(list.scrollTop / ROW_PX) - SPARE_ROWS);
      const to = Math.min(listed.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW_PX) + SPARE_ROWS);
      while (rows.length < to - from) rows.push(newRow(rows.length));
      rows.forEach((row, k) => {
        const stream = listed[from + k];
        if (from + k < to) fill(row, stream, from + k, serverNow_s, look);
        else row.root.hidden = true;
      });
    },
    step(by) {
      if (listed.length === 0) return;
      const at = listed.findIndex(({ key }) => key === chosenKey);
      const next = at < 0 ? 0 : Math.min(listed.length - 1, Math.max(0, at + by));
      choose(listed[next].key);
    },
    search() {
      query.focus();
      query.select();
    },
  };

  function reveal(): void {
    const at = listed.findIndex(({ key }) => key === chosenKey);
    if (at < 0 || all.length === 0) return;
    const top = at * ROW_PX;
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + ROW_PX > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW_PX - list.clientHeight;
  }
}

function sparkSize(stream: Stream): number {
  let size = 0;
  for (const value of stream.spark) if (Math.abs(value) > size) size = Math.abs(value);
  return size;
}

function drawSpark(canvas: HTMLCanvasElement, stream: Stream, look: Look, stale: boolean): void {
  const [width, height] = [72, 20];
  fit(canvas, width, height);
  const ctx = context(canvas);
  const ratio = window.devicePixelRatio;
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  const kept = Math.min(stream.sparks, SPARK);
  const value = (k: number) => stream.spark[(stream.sparks - kept + k) % SPARK];
  let [min, max] = [Infinity, -Infinity];
  for (let k = 0; k < kept; k++) {
    if (value(k) < min) min = value(k);
    if (value(k) > max) max = value(k);
  }
  if (!(min <= max)) return;
  ctx.strokeStyle = stale ? look.soft : look.ink;
  ctx.lineWidth = 1;
  ctx.beginPath();
  let drawing = false;
  for (let k = 0; k < kept; k++) {
    const x = 1 + ((SPARK - kept + k) / (SPARK - 1)) * (width - 2);
    const y = max === min ? height / 2 : height - 2 - ((value(k) - min) / (max - min)) * (height - 4);
    if (drawing) ctx.lineTo(x, y);
    else ctx.moveTo(x, y);
    drawing = y === y;
  }
  ctx.stroke();
}
