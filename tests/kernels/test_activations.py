"""Activations over all of float32, at every width of vectors, with and without multiply-add."""

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from streamrnn.kernels import activations
from streamrnn.kernels.jit import jit
from streamrnn.kernels.simd import LANES, load, store

# every 997th float32 from zero to infinity, and its negative
BITS = np.arange(0, 0x7F800001, 997, dtype=np.uint32)
GRID = np.concatenate([BITS.view(np.float32), -BITS.view(np.float32)])
# where they bend, by the size of x, every 7th: 31 million of sigmoid, 9 million of tanh
BENDS = {"sigmoid": (1 / 64, 105), "tanh": (1 / 16, 9.1), "relu": (1e17, 1e19)}
PIECE = 1 << 22
SMALLEST = 2.0**-149  # the spacing of float32 near zero
LIMIT = 1e18  # of relu, lest sums of its results overflow


@jit
def sigmoid_over(x, y):
    for i in range(0, x.size, LANES):
        store(np.int64(y.ctypes.data), i, activations.sigmoid(load(np.int64(x.ctypes.data), i)))


@jit
def tanh_over(x, y):
    for i in range(0, x.size, LANES):
        store(np.int64(y.ctypes.data), i, activations.tanh(load(np.int64(x.ctypes.data), i)))


@jit
def relu_over(x, y):
    for i in range(0, x.size, LANES):
        store(np.int64(y.ctypes.data), i, activations.relu(load(np.int64(x.ctypes.data), i)))


def over(function, x):
    padded = np.zeros(-(-len(x) // LANES) * LANES, np.float32)
    padded[: len(x)] = x
    y = np.empty_like(padded)
    function(padded, y)
    return y[: len(x)]


def exact_sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def exact_relu(x):
    return np.clip(x, 0, float(np.float32(LIMIT)))


FUNCTIONS = {
    "sigmoid": (sigmoid_over, exact_sigmoid),
    "tanh": (tanh_over, np.tanh),
    "relu": (relu_over, exact_relu),
}
AT_THE_ENDS = {"sigmoid": [1, 0, 0.5, 0.5], "tanh": [1, -1, 0, 0], "relu": [LIMIT, 0, 0, 0]}


def worst(name: str, x: np.ndarray) -> tuple[float, float]:
    """The largest error over x, absolute and in ulp of the exact value."""
    ours, exact = FUNCTIONS[name][0], FUNCTIONS[name][1](x.astype(float))
    error = np.abs(over(ours, x) - exact)
    ulp = np.maximum(np.spacing(np.abs(exact).astype(np.float32)), SMALLEST)
    return float(error.max()), float((error / ulp).max())


def bend(name: str, every: int) -> Iterator[np.ndarray]:
    first, last = np.array(BENDS[name], np.float32).view(np.uint32).tolist()
    for begin in range(first, last, PIECE * every):
        end = min(begin + PIECE * every, last)
        size = np.arange(begin, end, every, dtype=np.uint32).view(np.float32)
        yield size
        yield -size


def check(name: str, every: int, most: float = 5) -> None:
    for x in (GRID, *bend(name, every)):
        error, ulps = worst(name, x)
        assert (error == 0) if name == "relu" else (error < 4e-7 and ulps < most), (error, ulps)
    y = over(FUNCTIONS[name][0], np.array([np.inf, -np.inf, 0, -0.0, np.nan], np.float32))
    assert y[:4].tolist() == [np.float32(value) for value in AT_THE_ENDS[name]]
    assert np.isnan(y[4])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_5_ulp_and_4e_7_exact_at_the_ends_and_nan_stays_nan(name):
    check(name, every=7)


@pytest.mark.parametrize(
    ("environment", "lanes", "most"),
    [
        ({"STREAMRNN_LANES": "4"}, 4, 5),
        ({"STREAMRNN_LANES": "8"}, 8, 5),
        ({"STREAMRNN_LANES": "16"}, 16, 5),
        # without multiply-add each product of tanh's polynomials is rounded too
        ({"NUMBA_CPU_NAME": "generic"}, 4, 6),
    ],
    ids=["4 lanes", "8 lanes", "16 lanes", "no multiply-add"],
)
def test_the_bounds_hold_at_every_width_and_on_a_cpu_without_multiply_add(
    environment, lanes, most, tmp_path
):
    program = (
        "from tests.kernels.test_activations import FUNCTIONS, LANES, check\n"
        f"for name in FUNCTIONS:\n    check(name, 31, {most} if name == 'tanh' else 5)\n"
        "print(LANES)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) == lanes
