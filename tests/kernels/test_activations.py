"""Sigmoid and tanh over all of float32."""

import numpy as np
import pytest

from streamrnn.kernels import activations
from streamrnn.kernels.jit import jit
from streamrnn.kernels.simd import LANES, load, store

# every 997th float32 from zero to infinity, and its negative
BITS = np.arange(0, 0x7F800001, 997, dtype=np.uint32)
GRID = np.concatenate([BITS.view(np.float32), -BITS.view(np.float32)])
SMALLEST = 2.0**-149  # the spacing of float32 near zero


@jit
def sigmoid_over(x, y):
    for i in range(0, x.size, LANES):
        store(np.int64(y.ctypes.data), i, activations.sigmoid(load(np.int64(x.ctypes.data), i)))


@jit
def tanh_over(x, y):
    for i in range(0, x.size, LANES):
        store(np.int64(y.ctypes.data), i, activations.tanh(load(np.int64(x.ctypes.data), i)))


def over(function, x):
    padded = np.zeros(-(-len(x) // LANES) * LANES, np.float32)
    padded[: len(x)] = x
    y = np.empty_like(padded)
    function(padded, y)
    return y[: len(x)]


def exact_sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


FUNCTIONS = {"sigmoid": (sigmoid_over, exact_sigmoid), "tanh": (tanh_over, np.tanh)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_5_ulp_and_4e_7_of_the_exact_value(name):
    ours, exact = FUNCTIONS[name][0], FUNCTIONS[name][1](GRID.astype(float))
    error = np.abs(over(ours, GRID) - exact)
    ulp = np.maximum(np.spacing(np.abs(exact).astype(np.float32)), SMALLEST)
    assert error.max() < 4e-7 and (error / ulp).max() < 5


@pytest.mark.parametrize("name", FUNCTIONS)
def test_exact_at_infinity_and_zero_and_nan_stays_nan(name):
    y = over(FUNCTIONS[name][0], np.array([np.inf, -np.inf, 0, np.nan], np.float32))
    assert y[:3].tolist() == {"sigmoid": [1, 0, 0.5], "tanh": [1, -1, 0]}[name]
    assert np.isnan(y[3])
