// What the page finds out about a text and its hidden units.

import { FEATURES, featureReader } from "../../web/src/features";
import { createTracker } from "../../web/src/follow";
import { equal, finish, test } from "./check";

test("features of a text follow quotes, comments and indentation", () => {
  const text = ["\n", " ", " ", "'", "#", "'", "(", "#", "A", "\n"];
  const read = featureReader();
  const rows = text.map((character) => {
    const features = new Float64Array(FEATURES.length);
    read(character, features);
    return features;
  });
  const column = (feature: (typeof FEATURES)[number]) => rows.map((row) => row[FEATURES.indexOf(feature)]);
  equal(column("inside quotes"), [0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
  equal(column("in a comment"), [0, 0, 0, 0, 0, 0, 0, 1, 1, 0]);
  equal(column("indentation"), [0, 1, 2, 2, 2, 2, 2, 2, 2, 0]);
  equal(column("line position"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
  equal(column("inside brackets"), [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
});

const TEXT = Array.from({ length: 1000 }, (_, k) => "ab 'cd' ef"[k % 10]);
const QUOTED = TEXT.map((_, k) => (k % 10 >= 3 && k % 10 < 6 ? 1 : 0)); // from the opening quote to before the closing

test("units are listed by their correlation with a feature", () => {
  const tracker = createTracker(4);
  TEXT.forEach((character, k) => {
    const noise = (k * 7919) % 101; // follows nothing
    tracker.take(character, Int8Array.of(noise, 40 * QUOTED[k] - 20, -100 * QUOTED[k] + (noise % 20), 5));
  });
  const quotes = tracker.found().find(({ feature }) => feature === "inside quotes")!;
  equal(
    quotes.best.map(({ unit }) => unit),
    [1, 2],
  );
  equal(quotes.best[0].r.toFixed(6), "1.000000"); // a linear function of the feature
  const noisy = QUOTED.map((quoted, k) => -100 * quoted + (((k * 7919) % 101) % 20));
  equal(quotes.best[1].r.toFixed(6), pearson(QUOTED, noisy).toFixed(6));
  equal(tracker.read, 1000);
});

test("nothing is said before enough was read, and what was not sampled does not count", () => {
  const tracker = createTracker(1);
  TEXT.slice(0, 199).forEach((character, k) => tracker.take(character, Int8Array.of(QUOTED[k])));
  equal(tracker.found(), []);
  TEXT.slice(0, 500).forEach((character) => tracker.take(character, Int8Array.of(-128)));
  equal([tracker.read, tracker.found()], [199, []]);
  tracker.take("a", Int8Array.of(0));
  equal(tracker.found()[0].feature, "inside quotes");
});

test("a unit that changes what it follows is found anew", () => {
  const tracker = createTracker(2);
  const follows = () => tracker.found().find(({ feature }) => feature === "inside quotes")!.best[0].unit;
  for (let round = 0; round < 20; round++) {
    TEXT.forEach((character, k) => tracker.take(character, Int8Array.of(100 * QUOTED[k], 0)));
  }
  equal(follows(), 0);
  for (let round = 0; round < 60; round++) {
    TEXT.forEach((character, k) => tracker.take(character, Int8Array.of(0, 100 * QUOTED[k])));
  }
  equal(follows(), 1);
});

finish();

function pearson(a: number[], b: number[]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [ma, mb] = [mean(a), mean(b)];
  const sum = (of: (k: number) => number) => a.reduce((total, _, k) => total + of(k), 0);
  return (
    sum((k) => (a[k] - ma) * (b[k] - mb)) / Math.sqrt(sum((k) => (a[k] - ma) ** 2) * sum((k) => (b[k] - mb) ** 2))
  );
}
