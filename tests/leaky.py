"""A step that the library has never heard of: all that a cell of one's own takes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.step import padded


class Leaky:
    """A leaky integrator for each channel: h' = h + (x - h) / 4, y = h'; a missing x is left out.

    Exact in float32 for small whole numbers, so that tests can compute by hand.
    """

    def __init__(self, channels: int = 1) -> None:
        self.inputs = self.outputs = channels
        self.layout = padded([("h", channels)], np.float32)

    def advance(
        self, states: NDArray[Any], rows: NDArray[np.int64], x: NDArray[Any], y: NDArray[Any]
    ) -> None:
        for n, row in enumerate(rows):
            h = states["h"][row]
            h += np.where(np.isnan(x[n]), 0, (x[n] - h) / 4)
            y[n] = h

    def units(self, states: NDArray[Any]) -> NDArray[np.float32]:
        return np.tanh(states["h"])
