"""A window net as a step: it sees the last symbols of its stream, and nothing else."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.model import Model
from streamrnn.sequences import START, Sequences
from streamrnn.step import padded


class Sliding:
    """A network without a state over the last `width` symbols, one-hot, of `size` different ones.

    x is the number of a symbol and a mark; START empties the window.
    """

    inputs = 2

    def __init__(self, model: Model, width: int, size: int) -> None:
        self.model = Sequences(model, "one_to_one", classes=True)
        self.width, self.size, self.outputs = width, size, model.outputs
        self.config = {"width": width, "size": size}
        # The fields of `model` first: its `advance` then works on these rows as on its own.
        fields = [(name, self.model.layout[name].shape) for name in self.model.fields]
        self.layout = padded([*fields, ("seen", width)], np.float32)  # numbers + 1, 0 for none

    def units(self, states: NDArray[Any]) -> NDArray[np.float32]:
        """Those of the network's hidden layer."""
        return self.model.units(states)

    def advance(
        self,
        states: NDArray[Any],
        rows: NDArray[np.int64],
        x: NDArray[np.float32],
        y: NDArray[np.float32],
    ) -> None:
        """Let x[n] into the window of row rows[n], and write what the network says of it."""
        seen = np.zeros((len(rows), self.width), np.int64)
        for n, row in enumerate(rows):
            window = states["seen"][row]
            if int(np.nan_to_num(x[n, 1])) & START:
                window[:] = 0
            window[:-1] = window[1:].copy()
            window[-1] = np.nan_to_num(x[n, 0], nan=-1) + 1
            seen[n] = window
        self.model.advance(states, rows, with_mark(one_hot(seen, self.size)), y)


def one_hot(seen: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """Windows (N, width) of numbers + 1 as (N, width * size)."""
    return np.eye(size + 1, dtype=np.float32)[seen][..., 1:].reshape(len(seen), -1)


def windows(ids: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """What a window of that width sees at every step of a line of numbers (T,): (T, width)."""
    before = np.concatenate([np.zeros(width - 1, np.int64), ids + 1])
    return np.lib.stride_tricks.sliding_window_view(before, width)


def with_mark(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """x (N, C) with a column for the mark, and none in it."""
    return np.pad(x, ((0, 0), (0, 1)))
