// Which streams the rail lists, and in what order.  No DOM.

import { isStale, silence_s, type Stream } from "./catalogue";

export type Sort = "name" | "alarm" | "score" | "error" | "rate" | "silence" | "value";
export type Filter = "all" | "alarms" | "stale" | "sensors" | "tokens";

export interface Wish {
  query: string;
  sort: Sort;
  filter: Filter;
}

export function order(streams: readonly Stream[], wish: Wish, serverNow_s: number): Stream[] {
  const words = wish.query.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = streams.filter(
    (stream) =>
      passes(stream, wish.filter, serverNow_s) && words.every((word) => stream.key.toLowerCase().includes(word)),
  );
  const rank = (stream: Stream) => rankOf(stream, wish.sort, serverNow_s);
  const byName = new Intl.Collator(undefined, { numeric: true }).compare;
  return wanted
    .map((stream) => ({ stream, rank: rank(stream) }))
    .sort((a, b) => b.rank - a.rank || byName(a.stream.key, b.stream.key))
    .map(({ stream }) => stream);
}

function passes(stream: Stream, filter: Filter, serverNow_s: number): boolean {
  switch (filter) {
    case "all":
      return true;
    case "alarms":
      return !Number.isNaN(stream.alarm_t);
    case "stale":
      return isStale(stream, serverNow_s);
    case "sensors":
      return stream.kind.kind === "sensor";
    case "tokens":
      return stream.kind.kind === "tokens";
  }
}

/** Greater comes first; what is not known comes last. */
function rankOf(stream: Stream, sort: Sort, serverNow_s: number): number {
  const known = (value: number) => (Number.isFinite(value) ? value : -Number.MAX_VALUE);
  switch (sort) {
    case "name":
      return 0;
    case "alarm": // streams may replay other years: how long ago by the stream's own time
      return known(stream.alarm_t - stream.t);
    case "score":
      return known(stream.score);
    case "error":
      return known(stream.error_ratio);
    case "rate":
      return known(stream.rate_hz);
    case "silence":
      return known(silence_s(stream, serverNow_s));
    case "value":
      return known(stream.value);
  }
}
