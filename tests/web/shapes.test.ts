// Which column of a drawn shape lights up.

import { SHAPES, columnOf } from "../../web/src/shapes";
import type { Mode } from "../../web/src/protocol";
import { equal, finish, test } from "./check";

const shape = (mode: Mode) => SHAPES.find((one) => one.mode === mode)!;

/** Columns of a sequence, one letter a step: r reads, e emits, b both. */
function columns(mode: Mode, steps: string): number[] {
  return [...steps].map((does, step) =>
    columnOf(shape(mode), { step, reads: does !== "e", emits: does !== "r" }),
  );
}

test("every step lights a column that does the same", () => {
  equal(columns("one_to_one", "b"), [0]);
  equal(columns("one_to_many", "beeeee"), [0, 1, 2, 3, 1, 2]);
  equal(columns("many_to_one", "rrrrrb"), [0, 1, 2, 0, 1, 3]);
  equal(columns("many_to_many", "rrreeee"), [0, 1, 2, 3, 4, 5, 3]);
  equal(columns("synced", "bbbbb"), [0, 1, 2, 3, 0]);
});

test("a step that the shape has not lights none", () => {
  equal(columns("synced", "r"), [-1]);
  equal(columns("one_to_one", "e"), [-1]);
});

test("a shape says of each column whether it reads and emits", () => {
  equal(
    SHAPES.map(({ reads, emits }) => reads.length === emits.length && /^[01]+$/.test(reads + emits)),
    [true, true, true, true, true],
  );
});

finish();
