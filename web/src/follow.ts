// What hidden units of a text model seem to follow: the correlation of each unit with each feature of the text, kept up
// to date while the text is read.  Numbers, no DOM.

import { FEATURES, featureReader } from "./features";

const LEAST = 200; // characters before anything is said
const MOST = 20_000; // then what was read before counts half: the network may be learning
const LEAST_R = 0.3;
const BEST = 3;

export interface Follow {
  feature: string;
  best: { unit: number; r: number }[]; // the units with the largest |r|, best first
}

export interface Tracker {
  readonly read: number; // characters that counted
  take(character: string, h: Int8Array): void; // units after it; h[0] -128: not sampled
  found(): Follow[]; // the features that some unit follows, best first
}

export function createTracker(units: number): Tracker {
  const F = FEATURES.length;
  const features = new Float64Array(F);
  const readFeatures = featureReader();
  // Sums over characters, of f and h (as -127..127, exact in float64): enough for every correlation.
  const sums = [F, F, units, units, F * units].map((size) => new Float64Array(size));
  const [f, ff, h, hh, fh] = sums;
  let count = 0;
  let read = 0;

  function correlation(k: number, unit: number): number {
    const spread = (ff[k] - f[k] ** 2 / count) * (hh[unit] - h[unit] ** 2 / count);
    return spread > 1e-9 ? (fh[k * units + unit] - (f[k] * h[unit]) / count) / Math.sqrt(spread) : 0;
  }

  return {
    get read() {
      return read;
    },
    take(character, activations) {
      readFeatures(character, features);
      if (units === 0 || activations[0] === -128) return;
      read++;
      if (++count > MOST) {
        count /= 2;
        for (const sum of sums) for (let k = 0; k < sum.length; k++) sum[k] /= 2;
      }
      for (let unit = 0; unit < units; unit++) {
        h[unit] += activations[unit];
        hh[unit] += activations[unit] ** 2;
      }
      for (let k = 0; k < F; k++) {
        const value = features[k];
        if (value === 0) continue;
        f[k] += value;
        ff[k] += value * value;
        for (let unit = 0, at = k * units; unit < units; unit++) fh[at + unit] += value * activations[unit];
      }
    },
    found() {
      if (count < LEAST) return [];
      const follows = FEATURES.map((feature, k): Follow => {
        const all = Array.from({ length: units }, (_, unit) => ({ unit, r: correlation(k, unit) }));
        all.sort((a, b) => Math.abs(b.r) - Math.abs(a.r));
        return { feature, best: all.slice(0, BEST).filter(({ r }) => Math.abs(r) >= LEAST_R) };
      }).filter(({ best }) => best.length > 0);
      return follows.sort((a, b) => Math.abs(b.best[0].r) - Math.abs(a.best[0].r));
    },
  };
}
