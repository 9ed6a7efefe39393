"""A network that forgets all but the last W samples: its answers on windows, live.

A network that was trained on windows of W samples, each from the initial state, has never seen a
state older than W steps. Its answers drift from those of its training when the state never ends;
over windows they are the same. It costs W steps of the network for each sample.

>>> from streamrnn.model import GRU
>>> model = GRU(1, 8, 1)
>>> live = model.windowed(3)
>>> Y = live.run([1.0, 2.0, 3.0, 4.0])
>>> bool((Y[3] == model.run([2.0, 3.0, 4.0])[-1]).all())
True
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.step import OneStream, allocate, check_row, check_rows, padded

Array = NDArray[np.float32]
AT_ONCE = 256  # windows side by side: their states stay in the cache


class Network(Protocol):
    """What can be windowed."""

    inputs: int
    outputs: int
    metadata: dict[str, str]

    def answers(self, windows: Array) -> Array:
        """The last y (N, outputs) of sequences (N, T, inputs), each from the initial state."""
        ...


class Windowed(OneStream):
    """`model` over the last `window` samples of a stream, from its initial state each time.

    Until so many have come, over those that have. The state is the samples: a step like any other.
    """

    def __init__(self, model: Network, window: int) -> None:
        if isinstance(window, bool) or not isinstance(window, int | np.integer) or window < 1:
            raise ValueError(f"window is {window!r}, expected a whole number of at least 1")
        self.model, self.window = model, int(window)
        self.inputs, self.outputs = model.inputs, model.outputs
        self.layout = padded([("x", (self.window, self.inputs)), ("count", 1)], np.float32)
        self.metadata: dict[str, str] = dict(model.metadata)
        self._states = allocate(self.layout, 1)

    def __repr__(self) -> str:
        return f"Windowed({self.model!r}, {self.window})"

    def step(self, x: ArrayLike) -> Array:
        """Advance by one sample x (inputs,); returns y (outputs,)."""
        y: Array = self._run(check_row(x, self).reshape(1, -1))[0]
        return y

    def run(self, X: ArrayLike) -> Array:
        """Advance by X (T, inputs), oldest first; returns Y (T, outputs)."""
        return self._run(check_rows(X, self))

    def _run(self, X: Array) -> Array:
        Y = np.empty((len(X), self.outputs), np.float32)
        for n in range(0, len(X), AT_ONCE):
            part = np.s_[n : n + AT_ONCE]
            self.advance(self._states, np.zeros(len(X[part]), np.int64), X[part], Y[part])
        return Y

    def advance(self, states: NDArray[Any], rows: NDArray[np.int64], x: Array, y: Array) -> None:
        """Move rows of `states` (S,) by x (N, inputs) and write y (N, outputs); see `Step`."""
        W = self.window
        windows = np.empty((len(rows), W, self.inputs), np.float32)
        counts = np.empty(len(rows), np.int64)
        for n, row in enumerate(rows):
            kept = states["x"][row]
            kept[:-1] = kept[1:].copy()
            kept[-1] = x[n]
            counts[n] = states["count"][row, 0] = min(states["count"][row, 0] + 1, W)
            windows[n] = kept
        for count in np.unique(counts):
            chosen = np.flatnonzero(counts == count)
            y[chosen] = self.model.answers(windows[chosen, W - count :])
