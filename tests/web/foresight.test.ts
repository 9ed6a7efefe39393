// web/src/foresight.ts: what lies ahead of a point, and how far off that was.

import { createForesight, type Course } from "../../web/src/foresight";
import type { Chunk, Group } from "../../web/src/protocol";
import { rolesOf } from "../../web/src/roles";
import { Series } from "../../web/src/series";
import { equal, finish, test } from "./check";
import { GROUP } from "./group";

const STEP_S = 0.125;

/** Forecasts 1 and 2 samples ahead of the first of two channels, with their bounds. */
const group: Group = {
  ...GROUP,
  channels: [
    { name: "x", unit: "" },
    { name: "y", unit: "" },
  ],
  outputs: ["forecast", "lower", "upper"].flatMap((kind) =>
    [1, 2].map((ahead) => ({ name: `${kind} ${ahead}`, kind, channel: 0, ahead })),
  ),
};

function course(): Course {
  return { series: new Series(group, 64), channel: 0, fan: rolesOf(group).fans.get(0)! };
}

/** Samples `values` from number `first` on, each forecast to be followed by +1 and +2, +-0.5 and +-1. */
function samples(first: number, values: number[], t = first * STEP_S): Chunk {
  const n = values.length;
  const column = (add: number) => values.map((value) => value + add);
  return {
    stream: 0,
    first,
    n,
    channels: 2,
    outputs: 6,
    units: 0,
    history: false,
    arrived: 0,
    t: Float64Array.from(values, (_, k) => t + k * STEP_S),
    x: Float32Array.from([...values, ...values]),
    y: Float32Array.from([1, 2, 0.5, 1, 1.5, 3].flatMap(column)),
    h: new Int8Array(0),
  };
}

test("what is expected is of the newest moment that both axes have, as far as it is still to come", () => {
  const [x, y] = [course(), course()];
  const foresight = createForesight(x, y);
  equal(foresight.ahead(0), []);
  x.series.append(samples(0, [0, 1, 2, 3]));
  y.series.append(samples(0, [10, 10, 10]));
  // of sample 2, at 0.25 s: 1 and 2 samples later
  equal(foresight.ahead(0.3), [
    { t: 0.375, x: 3, y: 11, rx: 0.5, ry: 0.5 },
    { t: 0.5, x: 4, y: 12, rx: 1, ry: 1 },
  ]);
  equal(foresight.ahead(0.4).length, 1);
  equal(foresight.ahead(0.5), []);
});

test("errors are distances from where it was expected two samples before, in the unit of the pad", () => {
  const [x, y] = [course(), course()];
  const foresight = createForesight(x, y);
  x.series.append(samples(0, [0, 1, 2, 3]));
  y.series.append(samples(0, [0, 0, 0, 0]));
  foresight.judge(30, 20);
  // x goes on as expected; y was expected 2 higher, 40 px.  It had been 2 to the left, 60 px.
  equal([foresight.error, foresight.persistence], [40, 60]);
  foresight.judge(30, 20);
  equal(foresight.error, 40, "nothing is judged twice");
  x.series.append(samples(4, [4]));
  foresight.judge(30, 20);
  y.series.append(samples(4, [2]));
  foresight.judge(30, 20);
  // the third of the running means: 40, 40, 0 and 60, 60, hypot(60, 40)
  equal(foresight.error.toFixed(3), (80 / 3).toFixed(3));
  equal(foresight.persistence.toFixed(3), ((120 + Math.hypot(60, 40)) / 3).toFixed(3));
});

test("a rest is not judged", () => {
  const [x, y] = [course(), course()];
  const foresight = createForesight(x, y);
  x.series.append(samples(0, [0, 1, 2]));
  y.series.append(samples(0, [0, 1, 2]));
  foresight.judge(1, 1);
  equal(foresight.error, 0);
  x.series.append(samples(3, [9], 60));
  y.series.append(samples(3, [9], 60));
  foresight.judge(1, 1);
  equal(foresight.error, 0);
});

finish();
