// The page: what is shown, when it is drawn, and who tells whom.

import { formatAddress, keepToken, parseAddress, takeToken, type Shown } from "./address";
import type { Stream } from "./catalogue";
import { element, write } from "./dom";
import { drawFace, faceOf } from "./face";
import { createFeed } from "./feed";
import { listenToGestures } from "./gestures";
import { fillHelp, listenToKeys, type Key } from "./keys";
import { chosenLines, createPanels, viewOf } from "./panels";
import type { Picture } from "./protocol";
import { createRail } from "./rail";
import { copyText, fileName, newestAsText, saveCsv, savePng } from "./save";
import { sceneOf, shownRow, timeOf, xOf, type Scene } from "./scene";
import { pan, zoomAt, type Span } from "./span";
import { createStatusBar } from "./status";
import { applyTheme, readLook, type Look, type Theme } from "./theme";

const ADDRESS_MS = 300;
const ZOOM_STEP = 1.5;
const KEPT_PX = 24; // a cursor moved by keys stays so far inside the window

const token = takeToken();
let shown: Shown = parseAddress(location.hash);
let cursor: { row: number } | { x: number } | null = null; // the keyboard's stays with a row, the mouse's with a place
let pinned: number | null = null; // row of the text where the caret stays when the mouse leaves
let paused: number | null = null; // rows there were when drawing was paused
let pausedPicture: Picture | null = null;
let look: Look;
let scene: Scene | null = null;
let requested = false;
let keyed = false; // the cursor was moved by keys and must be seen
let railChanged = true;
let addressTimer: number | undefined;

const statusBar = createStatusBar();
const panels = createPanels({
  open: (view) => show({ view }),
  toggleLine,
  point(row) {
    const at = row ?? pinned;
    cursor = at === null ? null : { row: at };
    request();
  },
  pin(row) {
    pinned = row === pinned ? null : row;
    cursor = { row };
    request();
  },
  chooseUnit: (unit) => show({ unit, surprise: false }),
  colourBy: (surprise) => show({ surprise }),
  ask: {
    write: (...request) => feed.write(...request),
    stop: () => feed.stop(),
    reset: (key) => feed.reset(key),
  },
  example: () => feed.example(),
  explanation: (key) => feed.explanation(key, paused === null),
  loaded: request,
});
const rail = createRail(choose, () => {
  railChanged = true;
  request();
});
const feed = createFeed(`${location.origin.replace("http", "ws")}/live`, token, {
  changed(what) {
    if (what === "streams" && paused === null) railChanged = true;
    request();
  },
  say(text) {
    statusBar.say(text);
    request();
  },
  refused(why) {
    panels.failed(why);
    statusBar.say(why);
    request();
  },
  lost: () => panels.failed("the connection was lost"),
  written(key, message) {
    panels.written(key, message);
    request();
  },
});

// ---- drawing: at most once a frame, only when something changed

function request(): void {
  if (requested) return;
  requested = true;
  requestAnimationFrame(frame);
}

function frame(): void {
  requested = false;
  const stream = chosenStream();
  if (stream !== null) feed.look(stream.key);
  const series = stream === null ? null : feed.series(stream.key);
  if (paused !== null && (series === null || paused <= series.first)) paused = null; // what was frozen is gone
  scene = stream === null || series === null ? null : sceneOf(stream, series, shown, paused, shown.zone);
  if (scene !== null) {
    scene.cursor = cursorRow(scene);
    scene.picture = paused === null ? feed.picture(scene.stream.key) : pausedPicture;
  }
  const face = faceOf(feed, shown.stream, scene);
  drawFace(face, feed, shown.stream);
  statusBar.draw(feed, stream, paused === null || series === null ? null : series.total - paused, shown.zone);
  if (railChanged) rail.draw(feed.catalogue.streams, stream?.key ?? null, feed.latency.serverNow_s(), look);
  railChanged = false;
  if (scene !== null && face === "live") drawScene(scene);
  feed.drawn();
}

/** The stream of the address; without one the first that there is, from then on. */
function chosenStream(): Stream | null {
  const { streams, byKey } = feed.catalogue;
  if (shown.stream === null && streams.length > 0) show({ stream: streams[0].key });
  return shown.stream === null ? null : (byKey(shown.stream) ?? null);
}

function cursorRow(now: Scene): number {
  if (cursor === null) return -1;
  if ("row" in cursor) return cursor.row >= now.begin && cursor.row < now.end ? cursor.row : -1;
  return now.series.nearest(timeOf(now, panels.plot, cursor.x), now.from, now.to);
}

function drawScene(now: Scene): void {
  panels.draw(now, shown, look);
  if (keyed) panels.reveal();
  keyed = false;
  element("live").setAttribute("aria-pressed", String(shown.end === null && paused === null));
  const title = `${now.stream.key} \u00b7 streamrnn`;
  if (document.title !== title) document.title = title;
}

// ---- what the user does

function show(change: Partial<Shown>): void {
  shown = { ...shown, ...change };
  window.clearTimeout(addressTimer);
  addressTimer = window.setTimeout(
    () => history.replaceState(null, "", formatAddress(shown) || location.pathname),
    ADDRESS_MS,
  );
  request();
}

function choose(key: string): void {
  if (key !== shown.stream) {
    const alike = feed.catalogue.byKey(key)?.kind === scene?.kind; // the same can be drawn of it
    paused = cursor = pinned = null;
    panels.otherStream();
    show({ stream: key, end: null, ...(alike ? {} : { lines: null, unit: null }) });
  }
  openSheet(false);
  railChanged = true;
}

function moveSpan(change: (now: Scene) => Span): void {
  if (scene === null || scene.newest < 0) return;
  const { rows, end } = change(scene);
  show({ rows, end });
}

function zoomBy(factor: number, x?: number): void {
  moveSpan((now) =>
    zoomAt(shown, factor, x === undefined ? now.max : timeOf(now, panels.plot, x), now.series, now.now),
  );
}

function panBy(seconds: number): void {
  moveSpan((now) => pan(shown, seconds, now.series, now.now));
}

function goLive(): void {
  paused = cursor = pinned = null;
  railChanged = true;
  panels.follow();
  show({ end: null });
}

function togglePause(): void {
  const series = scene?.series;
  paused = paused === null && series !== undefined ? series.total : null;
  pausedPicture = scene?.picture ?? null;
  railChanged = true;
  request();
}

function moveCursor(by: number): void {
  if (scene === null || scene.newest < 0) return;
  const { series, begin, newest } = scene;
  const at = cursor !== null && "row" in cursor ? cursor.row : shownRow(scene); // keys may come faster than frames
  let row = Math.min(newest, Math.max(begin, at + by));
  while (row > begin && row < newest && series.at(series.missed, row) !== 0) row += by;
  cursor = { row };
  keyed = true;
  request();
  if (viewOf(scene, shown) === "text") {
    pinned = row;
    return;
  }
  const x = xOf(scene, panels.plot, series.at(series.axis, row));
  const { left, width } = panels.plot;
  const beyond = Math.min(0, x - left - KEPT_PX) + Math.max(0, x - left - width + KEPT_PX);
  if (beyond !== 0) panBy((beyond / width) * (scene.max - scene.min));
}

function toggleLine(id: string): void {
  if (scene === null) return;
  const chosen = chosenLines(scene, shown);
  show({ lines: chosen.includes(id) ? chosen.filter((other) => other !== id) : [...chosen, id] });
}

/** On narrow screens the list of streams comes up from the bottom. */
function openSheet(open: boolean): void {
  document.body.classList.toggle("sheet-open", open);
  element("sheet").ariaExpanded = String(open);
}

function search(): void {
  openSheet(true);
  rail.search();
}

function applyLook(): void {
  applyTheme(shown.theme);
  look = readLook();
  railChanged = true;
  write(element("theme"), shown.theme);
  element("theme").title = `colours: ${shown.theme === "auto" ? "as the system says" : shown.theme}`;
  write(element("zone"), shown.zone === "utc" ? "UTC" : "local");
  element("zone").title = shown.zone === "utc" ? "times in UTC" : "times in this device's zone";
  request();
}

const KEYS: readonly Key[] = [
  { keys: ["ArrowUp"], shown: "\u2191", does: "stream before", run: () => rail.step(-1) },
  { keys: ["ArrowDown"], shown: "\u2193", does: "next stream", run: () => rail.step(1) },
  { keys: ["ArrowLeft"], shown: "\u2190", does: "cursor back in time", run: () => moveCursor(-1) },
  { keys: ["ArrowRight"], shown: "\u2192", does: "cursor forward", run: () => moveCursor(1) },
  { keys: ["+", "="], shown: "+", does: "less time, larger", run: () => zoomBy(1 / ZOOM_STEP) },
  { keys: ["-"], shown: "-", does: "more time", run: () => zoomBy(ZOOM_STEP) },
  { keys: [" "], shown: "space", does: "pause or resume drawing", run: togglePause },
  { keys: ["l"], shown: "l", does: "live: back to now", run: goLive },
  { keys: ["/"], shown: "/", does: "search streams", run: search },
  { keys: ["?"], shown: "?", does: "this help", run: () => element<HTMLDialogElement>("help-dialog").showModal() },
  {
    keys: ["Escape"],
    shown: "esc",
    does: "no cursor",
    run: () => {
      cursor = pinned = null;
      request();
    },
  },
];

function listen(): void {
  listenToKeys(KEYS);
  fillHelp(KEYS);
  listenToGestures(element("panels"), {
    hover(x) {
      cursor = x === null ? null : { x };
      request();
    },
    pan: (pixels) => scene !== null && panBy((pixels / panels.plot.width) * (scene.max - scene.min)),
    zoom: (factor, x) => zoomBy(factor, x),
    home: goLive,
  });
  const onClick = (id: string, run: () => void) => element(id).addEventListener("click", run);
  onClick("pause", togglePause);
  onClick("live", goLive);
  onClick("zoom-in", () => zoomBy(1 / ZOOM_STEP));
  onClick("zoom-out", () => zoomBy(ZOOM_STEP));
  onClick("help", () => element<HTMLDialogElement>("help-dialog").showModal());
  onClick("theme", () => {
    const next: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };
    show({ theme: next[shown.theme] });
    applyLook();
  });
  onClick("zone", () => {
    show({ zone: shown.zone === "utc" ? "local" : "utc" });
    applyLook();
  });
  onClick("sheet", () => openSheet(!document.body.classList.contains("sheet-open")));
  onClick("save-csv", () => scene !== null && saveCsv(scene, fileName(scene)));
  onClick("save-png", () => {
    if (scene === null) return;
    const title = `${scene.stream.key} \u00b7 ${element("readout").textContent}`;
    savePng(element("panels"), title, fileName(scene), look);
  });
  onClick("copy-value", () => scene !== null && copy(newestAsText(scene)));
  onClick("copy-command", () => copy(element("command").textContent ?? ""));
  element("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = element<HTMLInputElement>("token").value;
    keepToken(typed);
    feed.useToken(typed);
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? feed.hide() : feed.show()));
  window.addEventListener("hashchange", () => {
    const given = takeToken();
    if (given !== null && given !== token) feed.useToken(given);
    shown = parseAddress(location.hash);
    paused = cursor = pinned = null;
    applyLook();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyLook);
  new ResizeObserver(() => {
    panels.resize();
    request();
  }).observe(element("chart"));
  window.setInterval(() => {
    railChanged ||= paused === null; // words like "no data for 12 s" go on when nothing comes
    request();
  }, 1000);
}

async function copy(text: string): Promise<void> {
  statusBar.say((await copyText(text)) ? `copied: ${text}` : "the browser did not let the page copy");
  request();
}

applyLook();
listen();
if (shown.stream !== null) feed.look(shown.stream); // asked for with the server's first word, not a frame later
