"""Layers that remember nothing: y = W x + b, and functions of each unit or of the whole row.

They are cells with an empty state: a network runs them between and after its recurrent layers.
"""

import math

import numpy as np

from streamrnn.kernels.activations import relu, sigmoid, tanh
from streamrnn.kernels.blocks import Cell
from streamrnn.kernels.functions import LOG_SOFTMAX, RELU, SIGMOID, SOFTMAX, TANH, apply
from streamrnn.kernels.jit import CFunction, inner
from streamrnn.kernels.network import PAD, padded
from streamrnn.kernels.simd import LANES, fma, load, read, splat, store, write

ZERO = np.float32(0)


def shapes(K, H):
    """PyTorch's."""
    return {"weight": (H, K), "bias": (H,)}


def pack(p):
    """One pass: bias (1, H), weights (1, H, K)."""
    return [[p["bias"][None], p["weight"][None]]]


def whole(*arrays):
    """Arrays one after another as they are, each filled up to whole vectors of the widest CPU."""
    filled = [np.pad(np.ravel(a), (0, padded(np.size(a)) - np.size(a))) for a in arrays]
    return np.concatenate(filled).astype(np.float32)


@inner
def block(w, first, last, x, y):
    """LANES units at `w` and `y`: four sums, so that each waits only for every fourth product."""
    a0, a1, a2, a3 = load(w, 0), splat(ZERO), splat(ZERO), splat(ZERO)
    at = LANES * (1 + first)
    whole = last - (last - first) % 4
    for k in range(first, whole, 4):
        a0 = fma(splat(read(x, k)), load(w, at), a0)
        a1 = fma(splat(read(x, k + 1)), load(w, at + LANES), a1)
        a2 = fma(splat(read(x, k + 2)), load(w, at + 2 * LANES), a2)
        a3 = fma(splat(read(x, k + 3)), load(w, at + 3 * LANES), a3)
        at += 4 * LANES
    for k in range(whole, last):
        a0 = fma(splat(read(x, k)), load(w, at), a0)
        at += LANES
    store(y, 0, (a0 + a1) + (a2 + a3))


@CFunction
def steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    blocks = -(-H // LANES)
    for _ in range(begin, end):
        for b in range(blocks):
            block(w + 4 * b * LANES * (1 + K), first, last, x, y + 4 * b * LANES)
        x, y = x + 4 * dx, y + 4 * d


@CFunction
def tile(w, K, H, S, x, dx, h, c, y, d):
    blocks = -(-H // LANES)
    for b in range(blocks):  # its weights are read once for all streams
        for s in range(S):
            y_s = y + 4 * (s * d + b * LANES)
            block(w + 4 * b * LANES * (1 + K), 0, K, x + 4 * s * dx, y_s)


LINEAR = Cell(1, {}, 0, shapes, pack, steps, tile)


# y = f(x scale + shift); f of a whole row is softmax or its logarithm


def scaled_shapes(K, H):
    """function: its number in functions.py, a and b."""
    return {"function": (3,), "scale": (H,), "shift": (H,)}


def scaled_pack(p):
    """As they are, in whole vectors of the widest CPU: function, scale, shift."""
    return [whole(p["function"], p["scale"], p["shift"])]


@inner
def softmax(H, y, logarithm):
    """y (H,) = e^y / sum e^y, summed in order of the units, or its logarithm."""
    top = read(y, 0)
    for i in range(1, H):
        top = max(top, read(y, i))  # taken off, so that no exp overflows
    total = 0.0
    for i in range(H):
        total += math.exp(float(read(y, i) - top))
    shift = math.log(total)
    for i in range(H):
        v = float(read(y, i) - top) - shift
        write(y, i, np.float32(v if logarithm else math.exp(v)))


@inner
def bend(function, a, b, H, y):
    """y (H,) = f(y); H is a multiple of LANES where f has vectors of its own."""
    if function == SIGMOID:
        for i in range(0, H, LANES):
            store(y, i, sigmoid(load(y, i)))
    elif function == TANH:
        for i in range(0, H, LANES):
            store(y, i, tanh(load(y, i)))
    elif function == RELU:
        for i in range(0, H, LANES):
            store(y, i, relu(load(y, i)))
    elif function == SOFTMAX or function == LOG_SOFTMAX:
        softmax(H, y, function == LOG_SOFTMAX)
    else:
        for i in range(H):
            write(y, i, np.float32(apply(function, a, b, float(read(y, i)))))


@inner
def scaled(w, H, d, x, y):
    """One row: x (H,) -> y (H,), both with room for d floats."""
    function, a, b = np.int64(read(w, 0)), float(read(w, 1)), float(read(w, 2))
    w += 4 * PAD
    for i in range(0, d, LANES):
        store(y, i, fma(load(x, i), load(w, i), load(w, d + i)))
    elementwise = function == SIGMOID or function == TANH or function == RELU
    bend(function, a, b, d if elementwise else H, y)


@CFunction
def scaled_steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    for n in range(end - begin):
        scaled(w, H, d, x + 4 * n * dx, y + 4 * n * d)


@CFunction
def scaled_tile(w, K, H, S, x, dx, h, c, y, d):
    for s in range(S):
        scaled(w, H, d, x + 4 * s * dx, y + 4 * s * d)


SCALED = Cell(0, {}, 0, scaled_shapes, scaled_pack, scaled_steps, scaled_tile)
