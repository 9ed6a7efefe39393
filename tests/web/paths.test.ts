// Lines that grow, without a canvas: a path is the list of what was drawn.

import { linePath } from "../../web/src/paths";
import type { Scene } from "../../web/src/scene";
import { equal, finish, test } from "./check";

type Builder = ReturnType<typeof linePath>;

class FakePath {
  ops: [draws: boolean, x: number, y: number][] = [];
  moveTo(x: number, y: number): void {
    this.ops.push([false, x, y]);
  }
  lineTo(x: number, y: number): void {
    this.ops.push([true, x, y]);
  }
  addPath(path: FakePath, { dx }: FakeMatrix): void {
    for (const [draws, x, y] of path.ops) this.ops.push([draws, x + dx, y]);
  }
}

class FakeMatrix {
  dx = 0;
  translate(dx: number): FakeMatrix {
    this.dx = dx;
    return this;
  }
}

Object.assign(globalThis, { Path2D: FakePath, DOMMatrix: FakeMatrix });

const ROWS = 150;
const LEFT = 50;
const times = Float64Array.from({ length: 600 }, (_, k) => 1000 + k + (k >= 230 ? 40 : 0)); // a long silence
const values = Float32Array.from({ length: 600 }, (_, k) =>
  k % 37 === 5 || (k > 100 && k < 110) || k === 310 || k === 312 ? NaN : 5 + 4 * Math.sin(k * k),
);

/** What is drawn when rows up to `end` are there: each piece of line, rounded, but for the edge. */
function pieces(path: Builder, at: { from: number }, end: number, width: number): string[] {
  at.from = Math.max(0, end - ROWS - 1);
  const now = times[end - 1];
  const u = {
    data: [times.subarray(at.from, end), values.subarray(at.from, end)],
    bbox: { left: LEFT, width, top: 0, height: 100 },
    scales: { x: { min: now - ROWS, max: now + 0.5 }, y: { min: 0, max: 10 } },
    series: [{}, { scale: "y" }],
  };
  const made = path(u as unknown as Parameters<Builder>[0], 1, 0, 0) as unknown as { stroke: FakePath };
  const { ops } = made.stroke;
  return ops.flatMap(([draws, x, y], k) => {
    if (!draws || Math.max(x, ops[k - 1][1]) < LEFT + 2) return [];
    return [[ops[k - 1][1], ops[k - 1][2], x, y].map((n) => n.toFixed(2)).join(" ")];
  });
}

function scenes(): { at: { from: number }; path: Builder } {
  const at = { from: 0 };
  const series = { generation: 0, hole: 5 };
  return { at, path: linePath(() => ({ series, from: at.from }) as unknown as Scene) };
}

test("a line that grew row by row is the line drawn at once", () => {
  const growing = scenes();
  for (let end = 2; end <= 600; end += 1 + (end % 3)) {
    const fresh = scenes();
    const drawn = pieces(growing.path, growing.at, end, 100);
    equal(drawn.length > 0, true, `anything of ${end} rows`);
    equal(drawn, pieces(fresh.path, fresh.at, end, 100), `${end} rows`);
  }
});

test("a row between two that are missing is a dot, and nothing is joined across a silence", () => {
  const { at, path } = scenes();
  const drawn = pieces(path, at, 320, 100).map((piece) => piece.split(" ").map(Number));
  const x = (row: number) => LEFT + ((times[row] - (times[319] - ROWS)) * 100) / (ROWS + 0.5);
  const near = (a: number, b: number) => Math.abs(a - b) < 0.02;
  equal(drawn.filter(([x1, , x2]) => near(x1, x(311)) && near(x2, x(311) + 1)).length, 1);
  equal(drawn.filter(([x1, , x2]) => x2 - x1 > 1.5).length, 0);
});

test("where rows are dense the lowest and the highest are drawn all the same", () => {
  const { at, path } = scenes();
  for (let end = 160; end <= 220; end++) {
    const drawn = pieces(path, at, end, 40).flatMap((piece) => piece.split(" ").map(Number));
    const y = drawn.filter((_, k) => k % 2 === 1);
    const known = [...values.subarray(end - ROWS, end)].filter((value) => !Number.isNaN(value));
    equal(Math.min(...y) <= 100 - 10 * Math.max(...known) + 0.01, true, `highest of ${end}`);
    equal(Math.max(...y) >= 100 - 10 * Math.min(...known) - 0.01, true, `lowest of ${end}`);
  }
});

finish();
