"""Elements of a stream that consists of sequences, as rows of the step `Sequences`, and back.

source.rnn(model, mode="many_to_one").sink(print)
source.emit([0.5, 1.0])
source.emit(Marked([0.2, 0.1], end=True))  # prints the answer
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.sequences import END, START, WRITE, Sequences


class Marked(NamedTuple):
    """A row (C,) or rows (T, C) where a sequence starts or ends.

    start   the first of them begins a sequence; one that was not ended is given up
    end     the last of them ends it
    """

    x: Any
    start: bool = False
    end: bool = False


def rows_of(
    x: NDArray[Any], start: bool, end: bool, step: Sequences, length: int
) -> NDArray[np.float64]:
    """Rows x (T, C) with their marks (T, C + 1), then up to `length` rows for what is written."""
    if step.mode == "one_to_many" and len(x) != 1:
        raise ValueError(f"expected one row (C,) in mode 'one_to_many', got {len(x)}")
    marks = np.zeros(len(x))
    if len(x) and start:
        marks[0] += START
    if len(x) and end:
        marks[-1] += END
    writes = {"first": length - 1, "before": length if end else 0}.get(step.reads, 0)
    if not step.fed_back:
        writes = 0
    rows = np.full((len(x) + writes, x.shape[1] + 1), np.nan)
    rows[: len(x), :-1], rows[: len(x), -1] = x, marks
    rows[len(x) :, -1] = WRITE
    return rows


def answer(rows: NDArray[Any], y: NDArray[Any], ndim: int, step: Sequences) -> Any:
    """Of the outputs y (T, outputs) at `rows` those that count; None where there are none.

    ndim   the dimensions of the element that the rows are of
    """
    mark = rows[:, -1]
    if step.fed_back:
        counts = ~np.isnan(y).any(axis=1)  # behind the class that ends an output nothing does
        if step.emits == "after":
            counts &= mark == WRITE
        return y[counts] if counts.any() else None
    if step.emits == "last":
        ends = len(mark) > 0 and int(mark[-1]) & END
        return y[-1] if ends else None
    return y if ndim == 2 else y[0]
