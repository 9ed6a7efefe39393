// web/src/series.ts: nothing twice, nothing invented, every gap kept.

import type { Chunk, Group } from "../../web/src/protocol";
import { RESTART, Series } from "../../web/src/series";
import { equal, finish, test, throws } from "./check";
import { GROUP } from "./group";

const WEATHER: Group = {
  ...GROUP,
  channels: [{ name: "temp", unit: "\u00b0C" }],
  outputs: [{ name: "temp +1", kind: "forecast", channel: 0, ahead: 1 }],
  units: 2,
};

/** Samples first..first+n-1, one second apart; x = 10 * seq, forecast = 10 * seq + 1. */
function chunk(first: number, n: number, start = 1000): Chunk {
  const seqs = Array.from({ length: n }, (_, k) => first + k);
  return {
    stream: 0,
    first,
    n,
    channels: 1,
    outputs: 1,
    units: 2,
    history: false,
    arrived: 0,
    t: Float64Array.from(seqs, (seq) => start + seq),
    x: Float32Array.from(seqs, (seq) => 10 * seq),
    y: Float32Array.from(seqs, (seq) => 10 * seq + 1),
    h: Int8Array.from(seqs.flatMap((seq) => [seq, -seq])),
  };
}

const seqs = (series: Series) => series.view(series.seq, series.first, series.total);
const values = (series: Series) => series.view(series.x[0], series.first, series.total);
const forecasts = (series: Series) => series.view(series.expected.get(0)!, series.first, series.total);

test("a forecast stands at the row it was for", () => {
  const series = new Series(WEATHER, 8);
  series.append(chunk(0, 3));
  equal(forecasts(series), [NaN, 1, 11]);
});

test("what was received before is skipped", () => {
  const series = new Series(WEATHER, 8);
  equal(series.append(chunk(0, 3)), 3);
  equal(series.append(chunk(1, 3)), 1);
  equal(series.append(chunk(0, 2)), 0);
  equal(seqs(series), [0, 1, 2, 3]);
});

test("a gap breaks every line and no forecast reaches over it", () => {
  const series = new Series(WEATHER, 8);
  series.append(chunk(0, 2));
  series.gap(2, 4);
  series.append(chunk(5, 2));
  equal(values(series), [0, 10, NaN, 50, 60]);
  equal(forecasts(series), [NaN, 1, NaN, NaN, 51]);
  equal(series.view(series.missed, series.first, series.total), [0, 0, 3, 0, 0]);
});

test("a gap that was not announced is a gap too, and one that is known already is not a second", () => {
  const series = new Series(WEATHER, 8);
  series.append(chunk(0, 2));
  series.append(chunk(4, 1));
  series.gap(1, 3);
  equal(seqs(series), [0, 1, 2, 4]);
  equal(series.at(series.missed, 2), 2);
});

test("the ring keeps the newest rows, each stretch of them contiguous", () => {
  const series = new Series(WEATHER, 4);
  for (let first = 0; first < 10; first += 3) series.append(chunk(first, 3));
  equal([series.first, series.total], [8, 12]);
  equal(values(series), [80, 90, 100, 110]);
  equal(series.hidden(9), [9, -9]);
});

test("after a restart time goes on behind a mark", () => {
  const series = new Series(WEATHER, 8);
  series.append(chunk(5, 2));
  series.restart();
  series.append(chunk(0, 2, 2000));
  equal(seqs(series), [5, 6, NaN, 0, 1]);
  equal(series.at(series.missed, 2), RESTART);
  equal(forecasts(series), [NaN, 51, NaN, NaN, 1]);
});

test("a restart that sends the same times again replaces what was there", () => {
  const series = new Series(WEATHER, 8);
  series.append(chunk(0, 3));
  series.restart();
  series.append(chunk(0, 4));
  equal(seqs(series), [0, 1, 2, 3]);
});

test("a recording that starts again empties the ring; a sample a little late does not", () => {
  const series = new Series(WEATHER, 8);
  series.append(chunk(0, 3));
  series.append(chunk(3, 1, 998)); // at 1001, after 1002
  equal(series.view(series.axis, series.first, series.total), [1000, 1001, 1002, 1002]);
  equal(series.at(series.t, 3), 1001);
  series.append(chunk(4, 2, 0));
  equal(seqs(series), [4, 5]);
  equal(series.generation, 1);
});

test("rows are found by time", () => {
  const series = new Series(WEATHER, 8);
  series.append(chunk(0, 2));
  series.append(chunk(6, 2));
  const all = [series.first, series.total] as const;
  equal(
    [999, 1000.5, 1007].map((time) => series.rowAt(time, ...all)),
    [0, 1, 4],
  );
  equal(
    [0, 1000.4, 1000.6, 1003, 9999].map((time) => series.nearest(time, ...all)),
    [0, 0, 1, 1, 4],
  );
});

test("the interval is the usual one, and does not follow jitter", () => {
  const series = new Series(WEATHER, 64);
  series.append(chunk(0, 20));
  equal(series.interval, 1);
  const jitter = chunk(20, 20);
  jitter.t.forEach((t, k) => (jitter.t[k] = t + 0.05 * k));
  series.append(jitter);
  equal(series.interval, 1);
});

test("a chunk with other columns is refused", () => {
  throws(
    () => new Series(WEATHER, 8).append({ ...chunk(0, 1), outputs: 2 }),
    "chunk of 1, 2, 2 columns, expected 1, 1, 2",
  );
});

finish();
