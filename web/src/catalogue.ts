// Every stream the server knows, each with the newest that the overview told of it.  Numbers, no DOM.

import type { Group, Hello, OverviewFrame, StreamInfo } from "./protocol";
import { rolesOf, type Roles } from "./roles";

export const SPARK = 60;
const STALE_S = 5;
const STALE_INTERVALS = 5;

export interface Kind extends Group {
  roles: Roles;
}

export interface Stream {
  id: number;
  key: string;
  kind: Kind;
  t: number; // event time of the newest sample
  arrived: number; // server's clock
  value: number;
  rate_hz: number;
  error_ratio: number; // running error / persistence's
  score: number;
  alarm_t: number; // event time of the last alarm, NaN: none
  spark: Float32Array; // ring of the newest overview values
  sparks: number; // how many went through it
}

export interface Catalogue {
  readonly streams: readonly Stream[];
  reset(hello: Hello): void;
  add(groups: Group[], streams: StreamInfo[]): void;
  update(frame: OverviewFrame): void;
  byId(id: number): Stream | undefined;
  byKey(key: string): Stream | undefined;
}

export function createCatalogue(): Catalogue {
  let streams: Stream[] = [];
  const kinds = new Map<number, Kind>();
  const ids = new Map<number, Stream>();
  const keys = new Map<string, Stream>();

  function add(groups: Group[], infos: StreamInfo[]): void {
    for (const group of groups) kinds.set(group.id, { ...group, roles: rolesOf(group) });
    for (const info of infos) {
      const kind = kinds.get(info.group);
      if (kind === undefined)
        throw new Error(`stream ${info.key} belongs to group ${info.group}, which was not announced`);
      const stream = newStream(info, kind);
      streams.push(stream);
      ids.set(stream.id, stream);
      keys.set(stream.key, stream);
    }
  }

  return {
    get streams() {
      return streams;
    },
    reset(hello) {
      streams = [];
      kinds.clear();
      ids.clear();
      keys.clear();
      add(hello.groups, hello.streams);
    },
    add,
    update(frame) {
      for (let k = 0; k < frame.n; k++) {
        const stream = ids.get(frame.id[k]);
        if (stream === undefined) continue; // announced in a message still to come
        stream.t = frame.t[k];
        stream.arrived = frame.arrived[k];
        stream.alarm_t = frame.alarm_t[k];
        stream.value = frame.value[k];
        stream.rate_hz = frame.rate_hz[k];
        stream.error_ratio = frame.error_ratio[k];
        stream.score = frame.score[k];
        stream.spark[stream.sparks++ % SPARK] = stream.value;
      }
    },
    byId: (id) => ids.get(id),
    byKey: (key) => keys.get(key),
  };
}

function newStream(info: StreamInfo, kind: Kind): Stream {
  const spark = new Float32Array(SPARK);
  const values = info.spark.slice(-SPARK);
  values.forEach((value, k) => (spark[k] = value ?? NaN));
  return {
    id: info.id,
    key: info.key,
    kind,
    t: NaN,
    arrived: NaN,
    value: values.at(-1) ?? NaN,
    rate_hz: NaN,
    error_ratio: NaN,
    score: NaN,
    alarm_t: NaN,
    spark,
    sparks: values.length,
  };
}

/** Seconds since the newest sample, on the server's clock. */
export function silence_s(stream: Stream, serverNow_s: number): number {
  return Math.max(0, serverNow_s - stream.arrived);
}

export function isStale(stream: Stream, serverNow_s: number): boolean {
  const patience = stream.rate_hz > 0 ? Math.max(STALE_S, STALE_INTERVALS / stream.rate_hz) : STALE_S;
  return silence_s(stream, serverNow_s) > patience; // false while nothing is known: NaN
}

/** The unit of `stream.value`. */
export function valueUnit(kind: Kind): string {
  return kind.kind === "tokens" ? "bits" : (kind.channels[kind.target]?.unit ?? "");
}
