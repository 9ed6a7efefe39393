// From the socket to numbers: the catalogue, the series of the stream that is looked at and of those looked at before,
// and how all of it survives a lost connection, a restarted server and a hidden tab.  No DOM.

import { createCatalogue, type Catalogue } from "./catalogue";
import { createLatency, type Latency } from "./latency";
import type { Example, Explanation, Frame, Hello, Picture, SamplesFrame, ServerMessage, Status, Written } from "./protocol";
import { Series } from "./series";
import { openSocket, type Link, type Socket } from "./socket";

const HISTORY = 2000;
const SERIES_KEPT = 4;
const EXPLAIN_MS = 1000;
const CATCH_UP_STATUSES = 2; // one may be on its way already, the second comes after what was missed

export interface Feed {
  readonly catalogue: Catalogue;
  readonly latency: Latency;
  readonly link: Link;
  readonly hello: Hello | null;
  readonly status: Status | null;
  series(key: string): Series | null; // of a stream that is or was looked at
  picture(key: string): Picture | null;
  look(key: string): void;
  hide(): void; // nobody sees the page: the server need not send
  show(): void;
  retry(): void;
  useToken(token: string): void;
  write(key: string, after: number, temperature: number, length: number): void;
  stop(): void; // writing
  reset(key: string): void; // puts the state of a stream of text back to the initial one
  example(): Example | null; // asked for when it is not there yet
  explanation(key: string, anew: boolean): Explanation | null; // asked for too; anew: again every second
  drawn(): void; // what came is on the screen now
}

export interface FeedListener {
  changed(what: "streams" | "samples" | "status" | "link"): void;
  say(text: string): void;
  refused(why: string): void; // what the page asked for
  lost(): void; // the connection
  written(key: string, message: Written): void;
}

export function createFeed(url: string, token: string | null, listener: FeedListener): Feed {
  const catalogue = createCatalogue();
  const latency = createLatency();
  const kept = new Map<string, Series>(); // the one looked at longest ago first
  const pictures = new Map<string, Picture>(); // the newest of each stream that was looked at
  let arrivals: number[] = []; // server's clock, of what is not drawn yet
  let link: Link = { state: "connecting" };
  let hello: Hello | null = null;
  let status: Status | null = null;
  let watched: string | null = null; // the stream that is looked at
  let asked = false; // the server of this connection was told so
  let hidden = false;
  let example: Example | null = null;
  let exampleAsked = false; // of the server of this connection
  let explanation: Explanation | null = null;
  let explained = { id: -1, at: -Infinity }; // the stream that was last asked about, and when
  let catchUp: { why: string; since_s: number; samples: number; statuses: number } | null = null;

  const socket: Socket = openSocket(url, token, {
    link(now) {
      link = now;
      if (now.state === "gone") listener.lost();
      listener.changed("link");
    },
    message: receive,
    frame: take,
    failure(error) {
      listener.say(error.message);
    },
  });

  function receive(message: ServerMessage): void {
    switch (message.type) {
      case "hello":
        greet(message);
        listener.changed("streams");
        break;
      case "streams":
        catalogue.add(message.groups, message.streams);
        if (!asked) watch();
        listener.changed("streams");
        break;
      case "status":
        status = message;
        latency.heard(message.now);
        endCatchUp();
        listener.changed("status");
        break;
      case "gap": {
        const key = catalogue.byId(message.stream)?.key;
        if (key !== undefined) kept.get(key)?.gap(message.first, message.last);
        listener.changed("samples");
        break;
      }
      case "picture": {
        const key = catalogue.byId(message.stream)?.key;
        if (key !== undefined) pictures.set(key, message);
        listener.changed("samples");
        break;
      }
      case "written": {
        const key = catalogue.byId(message.stream)?.key;
        if (key !== undefined) listener.written(key, message);
        break;
      }
      case "reset": {
        const key = catalogue.byId(message.stream)?.key;
        if (key === undefined) break;
        kept.get(key)?.forgot(message.seq);
        listener.say(`the state of ${key} was put back to its beginning`);
        break;
      }
      case "explanation":
        explanation = message;
        listener.changed("status");
        break;
      case "example":
        example = message;
        listener.changed("status");
        break;
      case "error":
        listener.refused(message.error);
        break;
      default:
        throw new Error(`unknown message ${JSON.stringify(message satisfies never)}`);
    }
  }

  function greet(message: Hello): void {
    const before = hello;
    hello = message;
    asked = exampleAsked = false;
    explanation = null;
    catalogue.reset(message);
    if (before !== null) {
      const restarted = before.epoch !== message.epoch;
      if (restarted) for (const series of kept.values()) series.restart();
      beginCatchUp(restarted ? "server restarted" : "connection back", message.now, 1);
    }
    if (hidden) socket.send({ type: "pause" });
    else watch();
  }

  function watch(): void {
    const stream = watched === null ? undefined : catalogue.byKey(watched);
    if (hello === null || stream === undefined) return;
    const before = kept.get(stream.key);
    const series = before?.fits(stream.kind) ? before : new Series(stream.kind);
    kept.delete(stream.key);
    kept.set(stream.key, series);
    for (const key of [...kept.keys()].slice(0, -SERIES_KEPT)) {
      kept.delete(key);
      pictures.delete(key);
    }
    const after = series.next < 0 ? null : series.next - 1;
    asked = true;
    socket.send({
      type: "watch",
      epoch: after === null ? null : hello.epoch,
      streams: [{ id: stream.id, after }],
      history: HISTORY,
    });
  }

  function take(frame: Frame): void {
    latency.heard(frame.sent);
    if (frame.epoch !== hello?.epoch) return;
    switch (frame.kind) {
      case "overview":
        catalogue.update(frame);
        listener.changed("streams");
        break;
      case "samples":
        takeSamples(frame);
        listener.changed("samples");
        break;
    }
  }

  function takeSamples(frame: SamplesFrame): void {
    for (const chunk of frame.chunks) {
      const stream = catalogue.byId(chunk.stream);
      const series = stream === undefined ? undefined : kept.get(stream.key);
      if (stream === undefined || series === undefined) continue; // no longer looked at
      const samples = series.append(chunk);
      const old = chunk.history || (catchUp !== null && !(chunk.arrived > catchUp.since_s)); // NaN: long ago
      if (!old) arrivals.push(chunk.arrived);
      else if (catchUp !== null) catchUp.samples += samples;
    }
  }

  /** What arrived at the server before `since_s`, by its clock, was missed; `more` statuses come at once. */
  function beginCatchUp(why: string, since_s: number, more: number): void {
    catchUp = { why, since_s, samples: 0, statuses: -more };
  }

  function endCatchUp(): void {
    if (catchUp === null || ++catchUp.statuses < CATCH_UP_STATUSES) return;
    const { why, samples } = catchUp;
    catchUp = null;
    listener.say(samples === 0 ? why : `${why}, ${samples} samples caught up`);
  }

  return {
    catalogue,
    latency,
    get link() {
      return link;
    },
    get hello() {
      return hello;
    },
    get status() {
      return status;
    },
    series: (key) => kept.get(key) ?? null,
    picture: (key) => pictures.get(key) ?? null,
    look(key) {
      if (watched === key) return;
      watched = key;
      watch();
    },
    hide() {
      hidden = true;
      socket.send({ type: "pause" });
    },
    show() {
      if (!hidden) return;
      hidden = false;
      arrivals = [];
      beginCatchUp("awake again", latency.serverNow_s(), 0);
      socket.send({ type: "resume" });
      watch();
    },
    retry: socket.retry,
    useToken: socket.useToken,
    write(key, after, temperature, length) {
      const stream = catalogue.byKey(key);
      if (stream !== undefined) socket.send({ type: "write", stream: stream.id, after, temperature, length });
    },
    stop: () => socket.send({ type: "stop" }),
    reset(key) {
      const stream = catalogue.byKey(key);
      if (stream !== undefined) socket.send({ type: "reset", stream: stream.id });
    },
    example() {
      if (example === null && !exampleAsked && link.state === "open") {
        exampleAsked = true;
        socket.send({ type: "example" });
      }
      return example;
    },
    explanation(key, anew) {
      const stream = catalogue.byKey(key);
      if (stream === undefined) return null;
      const known = explanation?.stream === stream.id ? explanation : null;
      const now = performance.now();
      if ((anew || known === null) && (explained.id !== stream.id || now - explained.at >= EXPLAIN_MS)) {
        explained = { id: stream.id, at: now };
        socket.send({ type: "explain", stream: stream.id });
      }
      return known;
    },
    drawn() {
      for (const arrived of arrivals) latency.drawn(arrived);
      arrivals = [];
    },
  };
}
