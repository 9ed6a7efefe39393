// A visitor's own streams: which of the names are free, what is sent of them, and what the server says to that.  No DOM.

import { silence_s, type Catalogue } from "./catalogue";
import { subprotocols } from "./socket";

export const AXES = ["x", "y"] as const;
export type Axis = (typeof AXES)[number];

export const PLACES = 32; // visitors at once; each place is a stream for each axis, which the next visitor goes on with
const LEFT_S = 30; // a place where nobody moved for so long is free
const REMEMBERED = 4096; // samples that are known to be one's own, of more than a minute
const AGAIN_MS = 1000;

export function streamOf(place: number, axis: Axis): string {
  return `sense/${place}/${axis}`;
}

/**
 * A place where nobody is, by chance; null: all are taken.  Of a stream that is as old as the server, or that the
 * overview has not told of yet, nobody knows: whoever takes it and finds another there moves on.
 */
export function freePlace(catalogue: Catalogue, serverNow_s: number): number | null {
  const taken = (place: number) =>
    AXES.some((axis) => {
      const stream = catalogue.byKey(streamOf(place, axis));
      return stream !== undefined && silence_s(stream, serverNow_s) <= LEFT_S; // false for NaN
    });
  const free = Array.from({ length: PLACES }, (_, k) => k + 1).filter((place) => !taken(place));
  return free[Math.floor(Math.random() * free.length)] ?? null;
}

export interface Refused {
  kind: string;
  error: string;
}

export interface Sender {
  send(place: number, t: number, x: number, y: number): void;
  mine(t: number): boolean; // a sample of that time was sent from here
  close(): void;
}

/** Sends to /ingest.  `refused` hears what the server does not take; its kind is "closed" where it takes nothing. */
export function openSender(url: string, token: string | null, refused: (why: Refused) => void): Sender {
  const sent = new Set<number>();
  let socket: WebSocket | null = null;
  let closed = false;

  function connect(): void {
    if (closed) return;
    const opened = new WebSocket(url, subprotocols(token));
    opened.onmessage = ({ data }: MessageEvent<string>) => {
      const { refused: lines } = JSON.parse(data) as { refused: Refused[] };
      if (lines.length > 0) refused(lines[0]);
    };
    opened.onclose = ({ reason }) => {
      if (socket !== opened) return;
      socket = null;
      if (reason !== "" && !closed) refused({ kind: "closed", error: reason });
      window.setTimeout(connect, AGAIN_MS);
    };
    socket = opened;
  }

  connect();
  return {
    send(place, t, x, y) {
      if (socket?.readyState !== WebSocket.OPEN) return;
      // The channel that is forecast comes first: a rule that names no channels takes it for its target.
      const lines = [
        { stream: streamOf(place, "x"), t, x, y },
        { stream: streamOf(place, "y"), t, y, x },
      ];
      socket.send(lines.map((line) => JSON.stringify(line)).join("\n"));
      sent.add(t);
      if (sent.size > REMEMBERED) sent.delete(sent.values().next().value!); // the oldest
    },
    mine: (t) => sent.has(t),
    close() {
      closed = true;
      socket?.close();
    },
  };
}
