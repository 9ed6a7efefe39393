"""Sigmoid and tanh over all of float32."""

import numpy as np
import pytest

from streamrnn.kernels import activations

# every 1009th float32, positive and negative, from zero to the largest
BITS = np.arange(0, 0x7F800000, 1009, dtype=np.uint32)
GRID = np.concatenate([BITS.view(np.float32), -BITS.view(np.float32)])

EXACT = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-np.clip(x, -500, 500))),
    "tanh": np.tanh,
}


def over(function, x):
    return np.array([function(v) for v in x], np.float32)


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_within_4e_7_of_the_exact_value(name):
    ours = over(getattr(activations, name), GRID[:: len(GRID) // 200_000])
    exact = EXACT[name](GRID[:: len(GRID) // 200_000].astype(float))
    assert np.abs(ours - exact).max() < 4e-7


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_at_infinity_and_nan(name):
    function = getattr(activations, name)
    low = 0 if name == "sigmoid" else -1
    assert function(np.float32(np.inf)) == pytest.approx(1, abs=2e-7)
    assert function(np.float32(-np.inf)) == pytest.approx(low, abs=2e-7)
    assert np.isnan(function(np.float32(np.nan)))
