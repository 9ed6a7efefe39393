"""The five shapes of sequences in and out, one table.

A network runs T steps; the mode says at which of them it reads x, at which its output y counts, and
whether the output before is an input too:

>>> for name, mode in MODES.items():
...     print(f"{name:13}{mode.reads:7}{mode.emits:7}{mode.fed_back}")
one_to_one   first  first  False
one_to_many  first  every  True
many_to_one  every  last   False
many_to_many before after  True
synced       every  every  False

Where the output is fed back, the network's inputs are x and, beside it, the output of the step
before: `input_size` is the channels of x plus `output_size`. An input that is not there is NaN,
which counts as 0. With tokens=True ids below input_size - output_size are x, the others what came
out.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Mode(NamedTuple):
    """reads, emits: "first", "every", "last" step; "before" the end of x, or "after" it."""

    reads: str
    emits: str
    fed_back: bool


MODES = {
    "one_to_one": Mode("first", "first", False),
    "one_to_many": Mode("first", "every", True),
    "many_to_one": Mode("every", "last", False),
    "many_to_many": Mode("before", "after", True),
    "synced": Mode("every", "every", False),
}


class Steps(NamedTuple):
    """T steps, those that read x, and those whose output counts."""

    T: int
    reads: slice
    emits: slice


class Example(NamedTuple):
    """One sequence as a network learns it.

    x        (T, input_size), NaN where nothing comes in, or tokens (T,) int64, -1 for none
    target   (T, output_size), NaN where nothing is asked, or classes (T,) int64, -1 for nothing
    """

    x: NDArray[Any]
    target: NDArray[Any]


def steps(mode: str, read: int, emitted: int) -> Steps:
    """The steps for `read` rows of x and `emitted` rows of y.

    Raises ValueError where they don't go together.

    >>> steps("many_to_many", 3, 2)
    Steps(T=5, reads=slice(0, 3, None), emits=slice(3, 5, None))
    """
    reads, emits, _ = named(mode)
    if mode == "synced" and read != emitted:
        raise ValueError(f"{read} rows of inputs and {emitted} of targets, expected as many")
    for what, when, count in (("inputs", reads, read), ("targets", emits, emitted)):
        single = when in ("first", "last")
        if (count != 1) if single else (count < 1):
            expected = "1" if single else "at least 1"
            raise ValueError(f"{count} rows of {what}, expected {expected} in mode {mode!r}")
    T = read + emitted if reads == "before" else max(read, emitted)
    return Steps(T, slice(0, read), slice(T - emitted, T))


def named(mode: str) -> Mode:
    """The row of the table; ValueError for a name that is not in it."""
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}, expected one of {', '.join(MODES)}")
    return MODES[mode]


def x_size(mode: str, input_size: int, output_size: int) -> int:
    """The channels of x, or its tokens, in a network's `input_size`.

    Raises ValueError where the output, fed back, leaves no place for x.
    """
    if not named(mode).fed_back:
        return input_size
    if input_size <= output_size:
        raise ValueError(
            f"input_size is {input_size} and output_size {output_size}; in mode {mode!r} the "
            "output is fed back beside x: expected input_size = channels of x + output_size"
        )
    return input_size - output_size


def teach(
    mode: str, x: NDArray[Any], target: NDArray[Any], input_size: int, output_size: int
) -> Example:
    """Inputs and targets for all steps, with the right output fed back (teacher forcing).

    x        (read, channels), or tokens (read,) of integers
    target   (emitted, output_size), or classes (emitted,) of integers
    Williams and Zipser 1989.
    """
    T, reads, emits = steps(mode, len(x), len(target))
    if mode in ("synced", "one_to_one"):
        return Example(x, target)
    asked = _nothing(T, target)
    asked[emits] = target
    if not named(mode).fed_back:
        return Example(x, asked)
    size = x_size(mode, input_size, output_size)
    fed, before = slice(emits.start + 1, T), target[:-1]
    if x.dtype.kind in "iu":
        ids = _nothing(T, x)
        ids[reads] = x
        ids[fed] = size + before
        return Example(ids, asked)
    rows = np.full((T, input_size), np.nan, np.float32)
    rows[reads, :size] = x
    if before.dtype.kind in "iu":
        before = np.eye(output_size, dtype=np.float32)[before]
    rows[fed, size:] = before
    return Example(rows, asked)


def _nothing(T: int, like: NDArray[Any]) -> NDArray[Any]:
    if like.dtype.kind in "iu":
        return np.full(T, -1, np.int64)
    return np.full((T, *like.shape[1:]), np.nan, np.float32)
