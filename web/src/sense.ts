// /sense: the visitor's point is a live sensor of two channels, and what is expected of it is drawn ahead of it.

import { keepToken, parseAddress, takeToken } from "./address";
import { createCatalogue } from "./catalogue";
import { element, write } from "./dom";
import { createForesight, type Course, type Foresight } from "./foresight";
import { clock, duration, number } from "./format";
import { createLatency } from "./latency";
import { createPad } from "./pad";
import type { Frame, ServerMessage, Status } from "./protocol";
import { copyText } from "./save";
import { createSensor } from "./sensor";
import { Series } from "./series";
import { openSocket, type Link } from "./socket";
import { applyTheme, readLook, type Look } from "./theme";
import { AXES, freePlace, openSender, PLACES, streamOf, type Axis, type Refused, type Sender } from "./visit";

type Face = "connecting" | "starting" | "gone" | "token" | "full" | "unserved" | "refused" | "ready";

const KEPT = 2048; // samples
const WORDS_MS = 250;
const SPOKEN_MS = 5000;

const catalogue = createCatalogue();
const latency = createLatency();
const courses = new Map<Axis, Course>();
let token = takeToken();
let link: Link = { state: "connecting" };
let status: Status | null = null;
let greeted = false;
let place = Number(sessionStorage.getItem("place")) || null; // which of the visitors this is
let entered = false; // and the server was told to show it what comes of that
let full = false;
let refused: Refused | null = null;
let foresight: Foresight | null = null;
let clockAt = 0; // server's clock when performance.now() was 0
let look: Look;
let requested = false;
let wroteAt = -Infinity;
let spokeAt = -Infinity;

const host = element("sense-pad");
const pad = createPad(host);
const sensor = createSensor(host, read, request);
let sender: Sender = connectSender();
const socket = openSocket(`${location.origin.replace("http", "ws")}/live`, token, {
  link(now) {
    link = now;
    request();
  },
  message: receive,
  frame: take,
  failure: (error) => refuse({ kind: "page", error: error.message }),
});

function connectSender(): Sender {
  return openSender(`${location.origin.replace("http", "ws")}/ingest`, token, refuse);
}

function refuse(why: Refused): void {
  refused = why;
  request();
}

function now_s(): number {
  return clockAt + performance.now() / 1000;
}

// ---- what comes

function receive(message: ServerMessage): void {
  switch (message.type) {
    case "hello":
      greeted = true;
      entered = false;
      refused = null; // it may have been started with another configuration
      clockAt = message.now - performance.now() / 1000;
      catalogue.reset(message);
      courses.clear();
      foresight = null;
      if (place !== null) enter();
      break;
    case "streams":
      catalogue.add(message.groups, message.streams);
      if (place !== null) enter();
      break;
    case "status":
      status = message;
      latency.heard(message.now);
      break;
    case "error":
      refuse({ kind: "viewer", error: message.error });
      break;
    default: // nothing else is asked for
      break;
  }
  request();
}

function take(frame: Frame): void {
  latency.heard(frame.sent);
  if (frame.kind === "overview") catalogue.update(frame);
  else {
    for (const chunk of frame.chunks) {
      const axis = AXES.find((one) => catalogue.byId(chunk.stream)?.key === streamOf(place ?? 0, one));
      if (axis === undefined) continue;
      if (!chunk.history && chunk.t.some((t) => !sender.mine(t))) return moveOn(); // somebody else took this place, too
      courses.get(axis)?.series.append(chunk);
    }
    foresight?.judge(host.clientWidth, host.clientHeight);
  }
  request();
}

/** Looks at the own streams, as soon as the server has both. */
function enter(): void {
  const streams = AXES.map((axis) => catalogue.byKey(streamOf(place!, axis)));
  if (entered || streams.some((stream) => stream === undefined)) return;
  entered = true;
  const [x, y] = streams.map((stream, k): Course | null => {
    const { kind } = stream!;
    const fan = kind.roles.fans.get(kind.target);
    const fits = fan !== undefined && kind.channels[kind.target].name === AXES[k];
    return fits ? { series: new Series(kind, KEPT), channel: kind.target, fan } : null;
  });
  if (x === null || y === null) {
    return refuse({ kind: "stream", error: `${streamOf(place!, x === null ? "x" : "y")} is not forecast here` });
  }
  courses.set("x", x).set("y", y);
  foresight = createForesight(x, y);
  const watched = streams.map((stream) => ({ id: stream!.id, after: null }));
  socket.send({ type: "watch", epoch: null, streams: watched, history: 0 });
}

/** To another place: in this one is somebody else. */
function moveOn(): void {
  place = null;
  entered = false;
  courses.clear();
  foresight = null;
  sessionStorage.removeItem("place");
}

// ---- what goes

function read(t_ms: number, [x, y]: readonly [number, number]): void {
  if (link.state !== "open" || refused !== null || status?.state !== "live" || document.hidden) return;
  if (place === null) {
    place = freePlace(catalogue, latency.serverNow_s());
    full = place === null;
    if (place === null) return;
    sessionStorage.setItem("place", String(place));
    enter();
  }
  const short = (value: number, digits: number) => Number(value.toFixed(digits));
  sender.send(place, short(clockAt + t_ms / 1000, 4), short(x, 5), short(y, 5));
}

// ---- drawing: at most once a frame, as long as something moves

function request(): void {
  if (requested) return;
  requested = true;
  requestAnimationFrame(frame);
}

function frame(now_ms: number): void {
  requested = false;
  const moving = sensor.frame();
  const ahead = moving ? (foresight?.ahead(now_s()) ?? []) : [];
  const fading = pad.draw(now_s(), sensor.place, ahead, look);
  if (now_ms - wroteAt > WORDS_MS || !moving) {
    wroteAt = now_ms;
    tell(moving, ahead.length > 0 ? ahead[ahead.length - 1].t - now_s() : NaN);
  }
  if (moving || fading) request();
}

function face(): Face {
  if (link.state === "refused") return "token";
  if (!greeted) return link.state === "gone" ? "gone" : "connecting";
  if (refused !== null) return refused.kind === "stream" ? "unserved" : "refused";
  if (link.state === "gone") return "gone";
  if (status?.state !== "live") return "starting";
  return full ? "full" : "ready";
}

function tell(moving: boolean, beyond_s: number): void {
  const now = face();
  document.body.dataset.face = now;
  for (const part of element("sense-face").querySelectorAll<HTMLElement>("[data-for]"))
    part.hidden = part.dataset.for !== now;
  element("sense-hint").hidden = now !== "ready" || sensor.place !== null;
  write(element("link-word"), now === "ready" ? "live" : LINK_WORDS[now]);
  element("link").dataset.link = now === "ready" ? "live" : now === "connecting" ? "connecting" : "gone";
  write(element("sense-detail"), status?.detail ?? "");
  for (const part of document.querySelectorAll(".sense-error")) write(part, refused?.error ?? "");
  write(element("token-reason"), link.state === "refused" ? link.reason : "");
  if (link.state === "gone") {
    const wait = Math.max(0, (link.next - Date.now()) / 1000);
    const next = wait < 0.5 ? "trying now" : `next try in ${wait.toFixed(0)}\u202fs`;
    write(element("sense-gone"), `Gone since ${clock(link.since / 1000, "local", 1)}, ${next}. ${link.reason}`);
  }
  write(element("sense-reach"), reachInWords(moving, beyond_s));
  write(element("sense-error"), errorInWords());
  const stream = element<HTMLAnchorElement>("sense-stream");
  stream.hidden = !entered;
  if (place !== null) {
    stream.href = `/#stream=${streamOf(place, "x")}`;
    write(stream, streamOf(place, "x"));
  }
  speak(now, moving);
}

const LINK_WORDS: Record<Exclude<Face, "ready">, string> = {
  connecting: "connecting",
  starting: "starting",
  gone: "server gone",
  token: "not allowed",
  full: "full",
  unserved: "not forecast here",
  refused: "refused",
};

function reachInWords(moving: boolean, beyond_s: number): string {
  if (sensor.place === null) return "nothing sent yet";
  if (!moving) return "at rest, nothing is sent";
  if (!Number.isFinite(beyond_s)) return "waiting for the first forecast";
  return `${duration(beyond_s)} beyond now`;
}

function errorInWords(): string {
  if (foresight === null || !Number.isFinite(foresight.error)) return "not known yet";
  const { error, persistence, reach_s } = foresight;
  const share = Math.round(100 * (1 - error / persistence));
  const better = Number.isFinite(share) ? `, ${Math.abs(share)}\u202f% ${share < 0 ? "worse" : "better"}` : "";
  const [ours, stayed] = [error, persistence].map((pixels) => number(pixels, pixels < 9.95 ? 1 : 0));
  return `${ours}\u202fpx at ${duration(reach_s)}; standing still ${stayed}\u202fpx${better}`;
}

/** The same for those who listen, not more often than every five seconds. */
function speak(now: Face, moving: boolean): void {
  if (now !== "ready" || !moving || sensor.place === null || performance.now() - spokeAt < SPOKEN_MS) return;
  spokeAt = performance.now();
  const [x, y] = sensor.place.map((value) => `${(100 * value).toFixed(0)} percent`);
  const next = foresight?.ahead(now_s()).at(-1);
  const expected =
    next === undefined
      ? ""
      : ` Expected next at ${(100 * next.x).toFixed(0)} percent from the left and ${(100 * next.y).toFixed(0)} from the top.`;
  write(element("twin"), `The point is ${x} from the left and ${y} from the top.${expected} Error: ${errorInWords()}.`);
}

// ---- around it

function applyLook(): void {
  applyTheme(parseAddress(location.hash).theme);
  look = readLook();
  request();
}

function again(): void {
  refused = null;
  full = false;
  sender.close();
  sender = connectSender();
  moveOn();
  socket.retry();
  request();
}

applyLook();
write(element("sense-places"), String(PLACES));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyLook);
window.addEventListener("hashchange", applyLook);
new ResizeObserver(request).observe(host);
window.setInterval(request, 1000); // "next try in 3 s" goes on
document.addEventListener("visibilitychange", () => socket.send({ type: document.hidden ? "pause" : "resume" }));
for (const button of document.querySelectorAll(".again")) button.addEventListener("click", again);
element("copy-config").addEventListener("click", () => void copyText(element("config").textContent ?? ""));
element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = element<HTMLInputElement>("token").value;
  keepToken(token);
  socket.useToken(token);
  again();
});
