"""The network of "How it works": small enough to show every number of a step.

It reads "hello" over and over and expects the next letter. 3 units, trained on that word with
cross-entropy and Adam until it was sure, its weights then rounded to one decimal. Rounded weights
let a reader follow each product; they cost it nothing (expected letters: test_example.py).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from streamrnn_server import protocol

VOCABULARY = "helo"
TEXT = "hellohello"

# Elman 1990: h = tanh(W_ih x + W_hh h + b_h), y = W_ho h + b_o, x one letter as a one-hot vector.
WEIGHT_IH = [[0.8, 0.1, 0.8, -1.2], [0.7, -1.1, -0.8, 0.9], [-1.0, -0.1, 0.3, 0.2]]  # (H, V)
WEIGHT_HH = [[-0.9, 0.8, 2.0], [0.3, 0.3, 1.1], [0.0, -1.3, 0.8]]  # (H, H)
BIAS_H = [-0.3, 0.0, -0.2]
WEIGHT_HO = [[-1.8, 2.4, 0.9], [1.6, 1.6, -2.1], [-2.5, -2.7, -1.0], [2.5, -1.2, 1.7]]  # (V, H)
BIAS_O = [-0.3, 0.1, 0.3, -0.2]


@cache
def example() -> protocol.Example:
    """The message with the weights, and every number of the steps over TEXT."""
    W_ih, W_hh, b_h, W_ho, b_o = map(np.array, (WEIGHT_IH, WEIGHT_HH, BIAS_H, WEIGHT_HO, BIAS_O))
    moments = []
    h = np.zeros(len(b_h))
    for letter in TEXT:
        x = VOCABULARY.index(letter)
        before, h = h, np.tanh(W_ih[:, x] + W_hh @ h + b_h)
        y = W_ho @ h + b_o
        moments.append(protocol.Moment(x, *map(_short, (before, h, y, _softmax(y)))))
    return protocol.Example(
        vocabulary=list(VOCABULARY),
        weight_ih=WEIGHT_IH,
        weight_hh=WEIGHT_HH,
        bias_h=BIAS_H,
        weight_ho=WEIGHT_HO,
        bias_o=BIAS_O,
        moments=moments,
    )


def _softmax(y: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(y - y.max())
    p: NDArray[np.float64] = e / e.sum()
    return p


def _short(values: NDArray[np.float64]) -> list[float]:
    return [round(value, 6) for value in values.tolist()]
