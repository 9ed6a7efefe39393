// What travels between server and page.  protocol.py and binary.py of the server are the definition;
// tests/golden_frames.json holds the two together.  Binary frames are little-endian columns, read in place: every
// column is a view of the frame's buffer.

export const SUBPROTOCOL = "streamrnn.v1";
export const CLOSED_TOKEN = 4401; // wrong or missing token

export interface Channel {
  name: string;
  unit: string;
}

export interface Output {
  name: string;
  kind: string; // "forecast", "lower", "upper", "score", "alarm", ... as in streamrnn/step.py
  channel: number; // the channel it speaks of, -1: none
  ahead: number; // for how many samples ahead; for "next": the rank
}

/** When a network reads x and when its y counts: the table of five. */
export type Mode = "one_to_one" | "one_to_many" | "many_to_one" | "many_to_many" | "synced";

export interface Group {
  id: number;
  kind: "sensor" | "tokens";
  channels: Channel[];
  target: number;
  outputs: Output[];
  units: number; // hidden units sent with each sample
  layers: number; // that they are of, equally many each, the lowest layer's first
  reasons: string[];
  vocabulary: string[] | null;
  mode: Mode;
  pictured: boolean; // its streams have pictures
  writes: boolean; // its streams can be asked to write and be reset
  explains: boolean; // it can be asked what carries a forecast
}

export interface StreamInfo {
  id: number;
  key: string;
  group: number;
  seq: number; // last sequence number, -1: none yet
  spark: (number | null)[];
}

export interface Hello {
  type: "hello";
  version: number;
  epoch: number; // a new one whenever the server starts; sequence numbers count within it
  name: string;
  server: string;
  now: number;
  started: number;
  groups: Group[];
  streams: StreamInfo[];
}

export interface Streams {
  type: "streams";
  groups: Group[];
  streams: StreamInfo[];
}

export interface Refusal {
  t: number;
  kind: string;
  where: string;
  error: string;
}

export interface Source {
  name: string;
  state: "waiting" | "running" | "ended" | "failed";
  detail: string;
}

export interface Status {
  type: "status";
  now: number;
  state: "starting" | "live";
  detail: string;
  samples: number;
  samples_per_s: number;
  latency_p50_s: number | null;
  latency_p99_s: number | null;
  viewers: number;
  refused: { total: number; kinds: Record<string, number>; last: Refusal | null };
  sources: Source[];
}

export interface Gap {
  type: "gap";
  stream: number;
  first: number; // samples first..last, both included, will never come
  last: number;
}

/** What a stream looks like after sample `seq`. */
export interface Picture {
  type: "picture";
  stream: number;
  seq: number;
  image: { height: number; width: number; pixels: string } | null; // base64 of bytes, row by row, 255 = ink
  row: number | null; // the one that was read last
  points: Spot[];
  text: string;
  truth: string;
  likely: { text: string; p: number }[];
  step: number; // within its sequence
  reads: boolean;
  emits: boolean;
}

/** Something at a place: x from 0, left, to 1, right; y from 0, top, to 1, bottom. */
export interface Spot {
  name: string;
  x: number;
  y: number;
  label: string;
}

/** Tokens that the network wrote on, after sample `after` of the stream. */
export interface Written {
  type: "written";
  stream: number;
  after: number;
  tokens: number[];
  done: boolean;
}

/** After sample `seq` the state of the stream was put back to the initial one. */
export interface WasReset {
  type: "reset";
  stream: number;
  seq: number;
}

/** What carries the newest forecast of a stream, and how good its forecasts have been. */
export interface Explanation {
  type: "explanation";
  stream: number;
  ahead: number[]; // the steps, first and last, that members, parts and lags are of
  members: Record<string, (number | null)[]>; // weights that add up to 1
  parts: Record<string, (number | null)[]>; // what they add to the present value, in the target's unit
  lags: (number | null)[][]; // weights of the last changes, newest first
  period: number; // samples of the cycle that was found, 0: none
  error: (number | null)[]; // for each step ahead, running mean absolute error ...
  persistence: (number | null)[]; // ... and persistence's
  seasonal: number | null; // that of the value one period before
}

/** A network small enough to show every number: h = tanh(W_ih x + W_hh h + b_h), y = W_ho h + b_o. */
export interface Example {
  type: "example";
  vocabulary: string[];
  weight_ih: number[][]; // (hidden, vocabulary)
  weight_hh: number[][];
  bias_h: number[];
  weight_ho: number[][]; // (vocabulary, hidden)
  bias_o: number[];
  moments: { x: number; h_before: number[]; h: number[]; y: number[]; p: number[] }[];
}

export interface ServerError {
  type: "error";
  error: string;
}

export type ServerMessage =
  Hello | Streams | Status | Gap | Picture | Written | WasReset | Explanation | Example | ServerError;

export interface Watched {
  id: number;
  after: number | null; // the last sequence number received, null: none
}

export type ViewerMessage =
  | { type: "watch"; epoch: number | null; streams: Watched[]; history: number }
  | { type: "ack"; frames: number }
  | { type: "pause" }
  | { type: "resume" }
  | { type: "write"; stream: number; after: number; temperature: number; length: number }
  | { type: "stop" }
  | { type: "reset"; stream: number }
  | { type: "explain"; stream: number }
  | { type: "example" };

/** Consecutive samples of one stream. */
export interface Chunk {
  stream: number;
  first: number; // sequence number of the first of them
  n: number;
  channels: number;
  outputs: number;
  units: number;
  history: boolean;
  arrived: number; // server's clock when the newest of them came in
  t: Float64Array; // (n,) event time, seconds since 1970 UTC
  x: Float32Array; // (channels, n)
  y: Float32Array; // (outputs, n)
  h: Int8Array; // (n, units): 127 = +1, -128 = not sampled
}

export interface SamplesFrame {
  kind: "samples";
  epoch: number;
  sent: number;
  chunks: Chunk[];
}

/** The newest of every stream that changed; one row per stream. */
export interface OverviewFrame {
  kind: "overview";
  epoch: number;
  sent: number;
  n: number;
  seq: Float64Array;
  t: Float64Array;
  alarm_t: Float64Array;
  arrived: Float64Array;
  id: Uint32Array;
  value: Float32Array;
  forecast: Float32Array;
  rate_hz: Float32Array;
  error_ratio: Float32Array;
  score: Float32Array;
}

export type Frame = SamplesFrame | OverviewFrame;

const VERSION = 1;
const HISTORY = 1; // bit of a chunk's flags

export function decodeText(text: string): ServerMessage {
  const message = JSON.parse(text) as ServerMessage;
  switch (message.type) {
    case "hello":
      if (message.version !== VERSION) {
        throw new Error(`the server speaks version ${message.version}, this page ${VERSION}: load the page again`);
      }
      return message;
    case "streams":
    case "status":
    case "gap":
    case "picture":
    case "written":
    case "reset":
    case "explanation":
    case "example":
    case "error":
      return message;
    default:
      throw new Error(`unknown message type: ${text.slice(0, 80)}`);
  }
}

export function decodeFrame(buffer: ArrayBuffer): Frame {
  const data = new DataView(buffer);
  const kind = data.getUint8(0);
  const version = data.getUint8(1);
  if (version !== VERSION)
    throw new Error(`frame of version ${version}, this page reads ${VERSION}: load the page again`);
  const chunks = data.getUint16(2, true);
  const epoch = data.getUint32(4, true);
  const sent = data.getFloat64(8, true);
  switch (kind) {
    case 1:
      return { kind: "samples", epoch, sent, chunks: decodeChunks(data, chunks) };
    case 2:
      return { kind: "overview", epoch, sent, ...decodeOverview(data) };
    default:
      throw new Error(`unknown frame kind ${kind}`);
  }
}

function decodeChunks(data: DataView, count: number): Chunk[] {
  const buffer = data.buffer as ArrayBuffer;
  const chunks: Chunk[] = [];
  let at = 16;
  for (let k = 0; k < count; k++) {
    const n = data.getUint32(at + 4, true);
    const channels = data.getUint16(at + 16, true);
    const outputs = data.getUint16(at + 18, true);
    const units = data.getUint16(at + 20, true);
    const t = at + 32;
    const x = t + 8 * n;
    const y = x + 4 * n * channels;
    const h = y + 4 * n * outputs;
    chunks.push({
      stream: data.getUint32(at, true),
      first: data.getFloat64(at + 8, true),
      n,
      channels,
      outputs,
      units,
      history: (data.getUint16(at + 22, true) & HISTORY) !== 0,
      arrived: data.getFloat64(at + 24, true),
      t: new Float64Array(buffer, t, n),
      x: new Float32Array(buffer, x, n * channels),
      y: new Float32Array(buffer, y, n * outputs),
      h: new Int8Array(buffer, h, n * units),
    });
    at = (h + n * units + 7) & ~7;
  }
  return chunks;
}

function decodeOverview(data: DataView): Omit<OverviewFrame, "kind" | "epoch" | "sent"> {
  const buffer = data.buffer as ArrayBuffer;
  const n = data.getUint32(16, true);
  const wide = (column: number) => new Float64Array(buffer, 24 + 8 * n * column, n);
  const narrow = 24 + 32 * n;
  const single = (column: number) => new Float32Array(buffer, narrow + 4 * n * column, n);
  return {
    n,
    seq: wide(0),
    t: wide(1),
    alarm_t: wide(2),
    arrived: wide(3),
    id: new Uint32Array(buffer, narrow, n),
    value: single(1),
    forecast: single(2),
    rate_hz: single(3),
    error_ratio: single(4),
    score: single(5),
  };
}

export function encode(message: ViewerMessage): string {
  return JSON.stringify(message);
}
