// Time from a sample's arrival at the server to its picture on this screen, as quantiles over the newest of them.

const KEPT = 512;
const OFFSET_S = 60;

export interface Latency {
  /** What the server sent at `sent` (its clock, seconds) came in now. */
  heard(sent: number): void;
  /** What arrived at the server at `arrived` was drawn now. */
  drawn(arrived: number): void;
  quantile_s(q: number): number;
  serverNow_s(): number;
  behind_s(): number; // how late the newest frame came, beyond the usual
}

export function createLatency(now_s: () => number = () => Date.now() / 1000): Latency {
  const delays = new Float64Array(KEPT);
  let count = 0;
  // The clocks' difference is the smallest seen, i.e. the fastest frame is taken to have needed no time.
  let offset = Infinity;
  let candidate = Infinity;
  let since = 0;
  let late = 0;
  return {
    heard(sent) {
      const difference = now_s() - sent;
      if (now_s() - since > OFFSET_S) {
        offset = Math.min(candidate, difference);
        candidate = Infinity;
        since = now_s();
      }
      candidate = Math.min(candidate, difference);
      offset = Math.min(offset, difference);
      late = difference - offset;
    },
    drawn(arrived) {
      if (Number.isNaN(arrived) || offset === Infinity) return;
      delays[count++ % KEPT] = Math.max(0, now_s() - offset - arrived);
    },
    quantile_s(q) {
      const kept = Math.min(count, KEPT);
      if (kept === 0) return NaN;
      const sorted = delays.slice(0, kept).sort();
      return sorted[Math.min(kept - 1, Math.floor(q * kept))];
    },
    serverNow_s: () => now_s() - (offset === Infinity ? 0 : offset),
    behind_s: () => late,
  };
}
