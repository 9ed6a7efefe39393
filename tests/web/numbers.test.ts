// The other modules without DOM: what is written, in what order, over which stretch of time.

import { formatAddress, parseAddress } from "../../web/src/address";
import { createCatalogue, isStale, type Stream } from "../../web/src/catalogue";
import { roundExtent } from "../../web/src/extent";
import { clock, count, decimalsFor, duration, moment, number, rate } from "../../web/src/format";
import { createLatency } from "../../web/src/latency";
import { choicesOf, usualChoices } from "../../web/src/lines";
import { order } from "../../web/src/order";
import type { Group, Hello } from "../../web/src/protocol";
import { rolesOf } from "../../web/src/roles";
import { isTold, reasonOf, type Scene } from "../../web/src/scene";
import { equal, finish, test } from "./check";
import { GROUP } from "./group";

const PLANT: Group = {
  ...GROUP,
  channels: [
    { name: "load", unit: "kW" },
    { name: "temp", unit: "\u00b0C" },
  ],
  target: 1,
  outputs: [{ name: "temp +1", kind: "forecast", channel: 1, ahead: 1 }],
};

function streams(...keys: string[]): readonly Stream[] {
  const catalogue = createCatalogue();
  const infos = keys.map((key, id) => ({ id, key, group: 0, seq: -1, spark: [] }));
  catalogue.reset({ groups: [PLANT], streams: infos } as unknown as Hello);
  return catalogue.streams;
}

test("an alarm tells its reason and the channel to blame, and so does what lasts", () => {
  const outputs = ["alarm", "drift", "reason", "channel"].map((kind) => ({ name: kind, kind, channel: 1, ahead: 0 }));
  const reasons = ["", "level shift", "frozen"];
  const kind = { ...PLANT, reasons, roles: rolesOf({ ...PLANT, outputs }) };
  const y = [
    [1, 0, 0],
    [0, 1, 0],
    [2, 1, 0],
    [0, 1, -1],
  ];
  const scene = { kind, series: { y, at: (column: number[], row: number) => column[row] } } as unknown as Scene;
  equal([0, 1, 2].map((row) => isTold(scene, row)), [true, true, false]);
  equal([reasonOf(scene, 0), reasonOf(scene, 1)], ["alarm: frozen of load", "lasting: level shift of temp"]);
  const single = { ...scene, kind: { ...kind, channels: [PLANT.channels[1]] } } as Scene;
  equal(reasonOf(single, 0), "alarm: frozen");
});

test("numbers have four digits and a real minus", () => {
  equal(
    [21.456, 0.012345, 1012.3, -3.1].map((value) => number(value)),
    ["21.46", "0.01235", "1012", "\u22123.100"],
  );
  equal([number(NaN), number(0), number(1e9), number(-0.0001, 2)], ["\u2013", "0.00", "1.000e+9", "0.00"]);
  equal(
    [1234, -12_345, 294_912.5].map((value) => number(value, 0).replaceAll("\u202f", " ")),
    ["1234", "\u221212 345", "294 913"],
  );
  equal([999, 9.99, 0.02].map(decimalsFor), [1, 3, 5]);
});

test("counts, rates and times have one unit", () => {
  equal([3, 950, 12_345, 4_050_000].map(count), ["3.0", "950", "12.3k", "4.05M"]);
  equal(
    [0.0004, 0.25, 3.21, 75, 600, 7200, 400_000].map((s) => duration(s).replace("\u202f", " ")),
    ["0.4 ms", "250 ms", "3.2 s", "75 s", "10 min", "2 h", "5 d"],
  );
  equal([50, 0.2, 1 / 3600, NaN].map(rate), ["50/s", "12/min", "1.0/h", "\u2013"]);
});

test("times of day are as fine as the rows", () => {
  const t = Date.UTC(2013, 0, 3, 4, 5, 6, 789) / 1000;
  equal(
    [3600, 60, 1, 0.1, 0.01].map((step) => clock(t, "utc", step)),
    ["04:05", "04:05", "04:05:06", "04:05:06.7", "04:05:06.789"],
  );
  equal(moment(t, "utc", 1).replaceAll("\u202f", " "), "3 Jan 2013 04:05:06");
});

test("an axis keeps its limits until the data need others", () => {
  const first = roundExtent({ min: 0.3, max: 9.1 }, undefined);
  equal(first, { min: -2, max: 10 });
  equal(roundExtent({ min: 1, max: 9 }, first), first);
  equal(roundExtent({ min: 4, max: 5 }, first), { min: 3.8, max: 5.2 });
  equal(roundExtent({ min: 4, max: 14 }, first), { min: 2, max: 16 });
  equal(roundExtent({ min: Infinity, max: -Infinity }, undefined), { min: 0, max: 1 });
});

test("an address says what is shown, and only what is not usual", () => {
  const empty = parseAddress("");
  equal(formatAddress(empty), "");
  const shown = {
    ...empty,
    stream: "plant/boiler 7&8",
    rows: 300,
    end: 1357000000.5,
    lines: ["c0", "o3"],
    zone: "utc" as const,
  };
  const address = formatAddress(shown);
  equal(address, "#stream=plant/boiler%207%268&window=300&end=1357000000.5&lines=c0,o3&zone=utc");
  equal(parseAddress(address), shown);
  equal(parseAddress("#window=x&view=all&theme=pink&zone=mars"), empty);
});

test("every word of a search must be in the name; names count like people do", () => {
  const all = streams("plant/boiler-10", "plant/boiler-9", "plant/pump-1");
  const keys = (query: string) => order(all, { query, sort: "name", filter: "all" }, 0).map(({ key }) => key);
  equal(keys(""), ["plant/boiler-9", "plant/boiler-10", "plant/pump-1"]);
  equal(keys("BOIL pla"), ["plant/boiler-9", "plant/boiler-10"]);
});

test("what is not known comes last in every order", () => {
  const all = streams("a", "b", "c");
  Object.assign(all[1], { score: 0.1, t: 100, alarm_t: 40 });
  Object.assign(all[2], { score: 0.9, t: 1e9, alarm_t: 1e9 - 10 });
  const keys = (sort: "score" | "alarm") =>
    order(all, { query: "", sort, filter: "all" }, 0)
      .map(({ key }) => key)
      .join("");
  equal([keys("score"), keys("alarm")], ["cba", "cba"]);
  equal(order(all, { query: "", sort: "name", filter: "alarms" }, 0).length, 2);
});

test("a slow stream is not stale before five of its intervals", () => {
  const [slow, fast, unknown] = streams("slow", "fast", "unknown");
  Object.assign(slow, { rate_hz: 0.1, arrived: 100 });
  Object.assign(fast, { rate_hz: 50, arrived: 100 });
  equal(
    [slow, fast, unknown].map((stream) => isStale(stream, 110)),
    [false, true, false],
  );
  equal(isStale(slow, 151), true);
});

test("the target is the first line, and drawn from the start", () => {
  const kind = streams("a")[0].kind;
  equal(
    choicesOf(kind).map(({ name }) => name),
    ["temp", "load"],
  );
  equal(usualChoices(kind), ["c1"]);
});

test("latency is counted on the server's clock", () => {
  let now = 1000;
  const latency = createLatency(() => now);
  latency.heard(899.99); // the page's clock is 100.01 s ahead, or the way took time
  now = 1000.5;
  latency.heard(900.5); // the faster frame counts: 100 s
  now = 1001;
  latency.drawn(900.98);
  equal([latency.quantile_s(0.5).toFixed(3), latency.serverNow_s(), latency.behind_s()], ["0.020", 901, 0]);
});

finish();
