// What the page has received of one stream: numbers, no DOM.  Rows are numbered from 0 as they come and never move;
// the newest `capacity` of them are kept.  Each column is a ring of twice its length, written at both places, so that
// any stretch of rows is one contiguous subarray: nothing is shifted, copied or allocated while samples flow.

import type { Chunk, Group } from "./protocol";
import { rolesOf } from "./roles";

export const CAPACITY = 16384;

const RESETS_KEPT = 32;

/** `missed` of a row that stands for a restart of the server: nobody knows how many samples. */
export const RESTART = -1;

const INTERVAL_ROWS = 32;
const LATE_INTERVALS = 10;
const HOLE_INTERVALS = 5;

export class Series {
  readonly channels: number;
  readonly outputs: number;
  readonly units: number;
  readonly seq: Float64Array;
  readonly t: Float64Array; // event time as sent
  readonly axis: Float64Array; // the same, never running backwards: where the row is drawn
  readonly missed: Float64Array; // > 0: this row stands for so many samples that will never come
  readonly x: Float32Array[];
  readonly y: Float32Array[];
  readonly expected = new Map<number, Float32Array>(); // by channel: the nearest forecast, at the row it was for

  total = 0; // rows so far; the newest is total - 1
  first = 0; // oldest row kept
  next = -1; // sequence number expected next, -1: whatever comes
  interval = 1; // typical seconds between rows; steady: follows only a change of a fifth
  generation = 0; // counts how often it was emptied
  readonly resets: number[] = []; // sequence numbers after which the state was put back

  private readonly h: Int8Array;
  private restarted = false;
  private known = 0; // differences that went into interval
  private readonly forecasts: { column: number; ahead: number; expected: Float32Array }[] = [];

  constructor(
    group: Group,
    readonly capacity = CAPACITY,
  ) {
    const column = () => new Float32Array(2 * capacity);
    const wide = () => new Float64Array(2 * capacity);
    this.channels = group.channels.length;
    this.outputs = group.outputs.length;
    this.units = group.units;
    this.seq = wide();
    this.t = wide();
    this.axis = wide();
    this.missed = wide();
    this.x = Array.from({ length: this.channels }, column);
    this.y = Array.from({ length: this.outputs }, column);
    this.h = new Int8Array(capacity * this.units);
    for (const [channel, fan] of rolesOf(group).fans) {
      const expected = column();
      this.expected.set(channel, expected);
      this.forecasts.push({ column: fan.mean[0], ahead: fan.ahead[0], expected });
    }
  }

  /** Whether samples of this group can be appended: a restarted server may give a stream other columns. */
  fits({ channels, outputs, units }: Group): boolean {
    return channels.length === this.channels && outputs.length === this.outputs && units === this.units;
  }

  /** Takes what is new in `chunk` and says how many samples that was.  Where some are absent a gap is left. */
  append(chunk: Chunk): number {
    const { channels, outputs, units } = chunk;
    if (channels !== this.channels || outputs !== this.outputs || units !== this.units) {
      throw new Error(
        `stream ${chunk.stream}: chunk of ${channels}, ${outputs}, ${units} columns, ` +
          `expected ${this.channels}, ${this.outputs}, ${this.units}`,
      );
    }
    if (this.restarted && chunk.n > 0) this.joinRestart(chunk.t[0]);
    const skip = this.next < 0 ? 0 : Math.max(0, this.next - chunk.first);
    if (skip >= chunk.n) return 0;
    if (this.next >= 0 && chunk.first > this.next) this.gap(this.next, chunk.first - 1);
    for (let k = skip; k < chunk.n; k++) this.push(chunk, k);
    this.next = chunk.first + chunk.n;
    this.measureInterval();
    return chunk.n - skip;
  }

  /** Samples first..last will never come: one row that breaks every line stands for them. */
  gap(first: number, last: number): void {
    const from = this.next < 0 ? first : Math.max(first, this.next);
    if (last < from) return;
    if (this.total > this.first) this.pushEmpty(from, last - from + 1);
    this.next = last + 1;
  }

  /** The server started again: its numbers begin anew, what was received stays as long as time goes on. */
  restart(): void {
    this.next = -1;
    this.resets.length = 0;
    this.restarted = this.total > this.first;
  }

  /** The state was put back after sample `seq`. */
  forgot(seq: number): void {
    this.resets.push(seq);
    if (this.resets.length > RESETS_KEPT) this.resets.shift();
  }

  clear(): void {
    this.first = this.total;
    this.next = -1;
    this.known = 0;
    this.restarted = false;
    this.generation++;
  }

  /** No line joins rows that are further apart, in seconds: nobody knows what was between them. */
  get hole(): number {
    return HOLE_INTERVALS * this.interval;
  }

  /** Rows [from, to) of a column, without copying. */
  view<A extends Float32Array | Float64Array>(column: A, from: number, to: number): A {
    const start = from % this.capacity;
    return column.subarray(start, start + to - from) as A;
  }

  at(column: Float32Array | Float64Array, row: number): number {
    return column[row % this.capacity];
  }

  hidden(row: number): Int8Array {
    const start = (row % this.capacity) * this.units;
    return this.h.subarray(start, start + this.units);
  }

  /** First row in [begin, end) drawn at or after `time`; `end` when there is none. */
  rowAt(time: number, begin: number, end: number): number {
    let low = begin;
    let high = end;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.at(this.axis, middle) < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The sample nearest to `time` in [begin, end); -1 when there is none. */
  nearest(time: number, begin: number, end: number): number {
    if (end <= begin) return -1;
    const after = Math.min(this.rowAt(time, begin, end), end - 1);
    const before = Math.max(after - 1, begin);
    return this.sampleAt(time - this.at(this.axis, before) < this.at(this.axis, after) - time ? before : after, begin);
  }

  /** `row` or the first before it that is a sample; -1 when there is none from `begin` on. */
  sampleAt(row: number, begin: number): number {
    while (row >= begin && this.at(this.missed, row) !== 0) row--;
    return row < begin ? -1 : row;
  }

  private push(chunk: Chunk, k: number): void {
    const t = chunk.t[k];
    let axis = t;
    if (this.total > this.first) {
      const last = this.at(this.axis, this.total - 1);
      // A sample that is a little late is drawn at the newest time; a recording that starts again empties the ring.
      if (t < last - LATE_INTERVALS * this.interval) this.clear();
      else axis = Math.max(t, last);
    }
    const slot = this.total % this.capacity;
    this.put(this.seq, slot, chunk.first + k);
    this.put(this.t, slot, t);
    this.put(this.axis, slot, axis);
    this.put(this.missed, slot, 0);
    for (let c = 0; c < this.channels; c++) this.put(this.x[c], slot, chunk.x[c * chunk.n + k]);
    for (let o = 0; o < this.outputs; o++) this.put(this.y[o], slot, chunk.y[o * chunk.n + k]);
    for (const { column, ahead, expected } of this.forecasts) {
      const made = this.total - ahead;
      const usable = made >= this.first && this.at(this.seq, made) === chunk.first + k - ahead;
      this.put(expected, slot, usable ? this.at(this.y[column], made) : NaN);
    }
    const from = k * this.units;
    this.h.set(chunk.h.subarray(from, from + this.units), slot * this.units);
    this.advance();
  }

  private pushEmpty(seq: number, missed: number): void {
    const last = this.at(this.axis, this.total - 1);
    const slot = this.total % this.capacity;
    this.put(this.seq, slot, seq);
    this.put(this.t, slot, NaN);
    this.put(this.axis, slot, last);
    this.put(this.missed, slot, missed);
    for (const column of this.x) this.put(column, slot, NaN);
    for (const column of this.y) this.put(column, slot, NaN);
    for (const { expected } of this.forecasts) this.put(expected, slot, NaN);
    this.h.fill(-128, slot * this.units, (slot + 1) * this.units);
    this.advance();
  }

  private put(column: Float32Array | Float64Array, slot: number, value: number): void {
    column[slot] = value;
    column[slot + this.capacity] = value;
  }

  private advance(): void {
    this.total++;
    this.first = Math.max(this.first, this.total - this.capacity);
  }

  private joinRestart(t: number): void {
    this.restarted = false;
    if (t > this.at(this.axis, this.total - 1)) this.pushEmpty(NaN, RESTART);
    else this.clear();
  }

  private measureInterval(): void {
    const steps: number[] = [];
    for (let row = Math.max(this.first + 1, this.total - INTERVAL_ROWS); row < this.total; row++) {
      const step = this.at(this.axis, row) - this.at(this.axis, row - 1);
      if (step > 0 && this.at(this.missed, row - 1) === 0) steps.push(step);
    }
    if (steps.length === 0) return;
    steps.sort((a, b) => a - b);
    const median = steps[steps.length >> 1];
    const settled = this.known >= INTERVAL_ROWS / 2;
    if (!settled || Math.abs(median / this.interval - 1) > 0.2) this.interval = median;
    this.known = steps.length;
  }
}
