// web/src/visit.ts: which place a visitor of /sense gets.

import { createCatalogue, type Catalogue } from "../../web/src/catalogue";
import type { OverviewFrame } from "../../web/src/protocol";
import { freePlace, PLACES, streamOf } from "../../web/src/visit";
import { equal, finish, test } from "./check";
import { GROUP } from "./group";

const NOW = 1000;

/** A catalogue with a stream in each place, whose newest sample arrived then (server's clock). */
function places(arrived: number[]): Catalogue {
  const catalogue = createCatalogue();
  const streams = arrived.map((_, id) => ({ id, key: streamOf(id + 1, "y"), group: 0, seq: 0, spark: [] }));
  catalogue.add([GROUP], streams);
  const n = arrived.length;
  const frame: OverviewFrame = {
    kind: "overview",
    epoch: 1,
    sent: NOW,
    n,
    seq: new Float64Array(n),
    t: new Float64Array(n),
    alarm_t: new Float64Array(n).fill(NaN),
    arrived: Float64Array.from(arrived),
    id: Uint32Array.from(arrived, (_, id) => id),
    value: new Float32Array(n),
    forecast: new Float32Array(n),
    rate_hz: new Float32Array(n),
    error_ratio: new Float32Array(n),
    score: new Float32Array(n),
  };
  catalogue.update(frame);
  return catalogue;
}

test("a visitor gets one of all places by chance when nobody is there", () => {
  const found = new Set(Array.from({ length: 2000 }, () => freePlace(createCatalogue(), NOW)));
  equal(found.size, PLACES);
});

test("only a place that was left is given away", () => {
  const arrived = Array.from({ length: PLACES }, () => NOW - 29);
  equal(freePlace(places(arrived), NOW), null);
  arrived[6] = NOW - 31;
  equal(freePlace(places(arrived), NOW), 7);
});

test("a place that the server has from before it was started is free", () => {
  const arrived = Array.from({ length: PLACES }, () => NOW);
  arrived[4] = NaN;
  equal(freePlace(places(arrived), NOW), 5);
});

finish();
