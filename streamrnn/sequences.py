"""Sequences on a stream: a model in one of the five modes, with marks where they start and end.

>>> import numpy as np
>>> from streamrnn.bank import Bank
>>> from streamrnn.model import GRU
>>> bank = Bank(Sequences(GRU(2, 8, 3), "many_to_one"))
>>> rows = [[0.5, 1.0, START], [0.2, 0.1, 0], [0.3, 0.7, END]]  # two channels, and the mark
>>> bank.step(["a"] * 3, rows).shape  # the last row's is the answer
(3, 3)
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.model import Model
from streamrnn.modes import named, x_size
from streamrnn.step import initial, padded

# What the last column of x says of a row; START + END: both.
START = 1  # the sequence begins with this row, whatever was before
END = 2  # it is the last one that is read
WRITE = 4  # nothing is read: the network goes on by what it put out before

# Where a stream is in its sequence: `phase` of its state.
WAITING, READING, WRITING = 0, 1, 2


class Sequences:
    """A step whose streams consist of sequences: `mode` says when it reads x and when y counts.

    model    trained in that mode by `fit`
    classes  y are logits of classes; what is fed back is the likeliest
    end      the class that ends an output; after it the stream waits for its next sequence

    x (inputs,) are the model's channels of x, or its one token, and a mark: 0, START, END, their
    sum, or WRITE. Each row of one_to_one and one_to_many starts a sequence, in the others the first
    row after the end of one. Rows with WRITE let the network go on in one_to_many and many_to_many;
    where there is nothing to go on with they change nothing, and y is NaN.

    y (outputs,) is the network's output at every row. In many_to_one that of the row with END is
    the answer, in many_to_many those of rows with WRITE are.

    Raises ValueError for a mode that is not in the table, or that the model's sizes don't allow.
    """

    def __init__(
        self, model: Model, mode: str, *, classes: bool = False, end: int | None = None
    ) -> None:
        self.reads, self.emits, self.fed_back = named(mode)
        self.size = x_size(mode, model.input_size, model.outputs)
        self.classes = classes or model.tokens
        if end is not None and not (self.fed_back and self.classes and 0 <= end < model.outputs):
            raise ValueError(
                f"end is {end}, expected one of the model's {model.outputs} classes, in a mode "
                "whose output is fed back"
            )
        self.model, self.mode, self.end = model, mode, end
        self.config = {"mode": mode, "classes": self.classes, "end": end}
        self.inputs = (1 if model.tokens else self.size) + 1
        self.outputs = model.outputs
        # The model's own fields first: its `advance` then works on these rows as on its own.
        fields: list[tuple[str, int | tuple[int, ...]]] = [
            (name, model.layout[name].shape)
            for name in model.layout.names or ()
            if name != "padding"
        ]
        fed = 1 if self.classes else model.outputs
        fields += [("fed", fed), ("phase", 1)]
        self.fields = tuple(name for name, _ in fields)  # others may follow in a caller's layout
        self.layout = padded(fields, np.float32)
        self._begin = initial(self)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.config.items())
        return f"Sequences({self.model!r}, {options})"

    @property
    def num_layers(self) -> int:
        """Of the model."""
        return self.model.num_layers

    def units(self, states: NDArray[Any]) -> NDArray[np.float32]:
        """The model's hidden units (S, U), in [-1, 1]."""
        return self.model.units(states)

    def advance(
        self,
        states: NDArray[Any],
        rows: NDArray[np.int64],
        x: NDArray[np.float32],
        y: NDArray[np.float32],
    ) -> None:
        """Move row rows[n] of `states` by x[n] (inputs,) and write y[n] (outputs,); see `Step`."""
        for part in _rounds(rows):
            y[part] = self._once(states, rows[part], x[part])

    def _once(
        self, states: NDArray[Any], rows: NDArray[np.int64], x: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """One row of each of different streams."""
        mark = np.nan_to_num(x[:, -1]).astype(np.int64)
        phase = states["phase"][rows, 0]
        write = mark == WRITE
        y = np.full((len(rows), self.outputs), np.nan, np.float32)
        idle = write & (phase == WAITING if self.fed_back else True)
        begin = ~write & ((mark & START > 0) | (phase != READING) | (self.reads == "first"))
        for name in self.fields:
            states[name][rows[begin]] = self._begin[name]
        live = ~idle
        rows, write, mark = rows[live], write[live], mark[live]
        if not len(rows):
            return y
        out = np.empty((len(rows), self.outputs), np.float32)
        self.model.advance(states, rows, self._given(states["fed"][rows], write, x[live]), out)
        y[live] = out
        # What the next step is fed is kept only where y counts: the first step after the end of x
        # is fed nothing, as in training.
        chosen = out.argmax(axis=1)[:, None] if self.classes else out
        counts = write | (self.emits != "after")
        states["fed"][rows] = np.where(counts[:, None], chosen, np.nan)
        last = (mark & END > 0) | (self.reads == "first")
        after = np.where(last, WRITING if self.fed_back else WAITING, READING)
        after[write] = WRITING
        if self.end is not None:
            after[counts & (chosen[:, 0] == self.end)] = WAITING
        states["phase"][rows, 0] = after
        return y

    def _given(
        self, fed: NDArray[Any], write: NDArray[np.bool], x: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """What the network is given: x, and what is fed back beside it or as tokens after it."""
        if self.model.tokens:
            return np.where(write[:, None], self.size + fed, x[:, :1]).astype(np.float32)
        given = np.full((len(x), self.model.input_size), np.nan, np.float32)
        given[:, : self.size] = np.where(write[:, None], np.nan, x[:, :-1])
        if self.fed_back and not self.classes:
            given[write, self.size :] = fed[write]
        elif self.fed_back:
            known = write & ~np.isnan(fed[:, 0])
            given[known, self.size :] = np.eye(self.outputs, dtype=np.float32)[
                fed[known, 0].astype(np.int64)
            ]
        return given


def _rounds(rows: NDArray[np.int64]) -> Iterator[Any]:
    """Parts of `rows` without repetitions, in the order in which streams advance."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    nth = np.arange(len(rows)) - np.searchsorted(ordered, ordered)
    if not nth.any():
        yield slice(None)
        return
    for n in range(int(nth.max()) + 1):
        yield order[nth == n]
