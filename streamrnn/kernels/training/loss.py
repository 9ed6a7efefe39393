"""Losses: each gives the sum over the rows that count, and puts the gradient in place of y.

y (N, D): a network's outputs, the first O of each row, and padding, whose gradient is zero
weight (N,): what a row counts, 0 for one that has no target
scale: what the gradient is multiplied by, such as 1 / the number of rows
"""

import math

import numpy as np

from streamrnn.kernels.activations import LAST, exp_minus
from streamrnn.kernels.jit import jit
from streamrnn.kernels.simd import LANES, limit, load, splat, store

ZERO = np.float32(0)


@jit
def squared_error(y, target, weight, scale):
    """Sum of (y - target)^2 over rows and columns; target (N, O), NaN where there is none."""
    N, O = target.shape
    total = 0.0
    for n in range(N):
        for o in range(O):
            error = y[n, o] - target[n, o]
            if weight[n] == ZERO or target[n, o] != target[n, o]:
                error = ZERO
            total += error * error * weight[n]
            y[n, o] = error * (scale + scale) * weight[n]
        for o in range(O, y.shape[1]):
            y[n, o] = ZERO
    return total


@jit
def pinball(y, target, weight, scale, quantiles):
    """Sum of max(q (target - y), (q - 1) (target - y)); its least is at the quantile q of target.

    quantiles (O,): one for each column.  Koenker and Bassett 1978.
    """
    N, O = target.shape
    total = 0.0
    for n in range(N):
        for o in range(O):
            q, above = quantiles[o], target[n, o] - y[n, o]
            slope = q - np.float32(1) if above < ZERO else q
            if weight[n] == ZERO or target[n, o] != target[n, o]:
                above = slope = ZERO
            total += slope * above * weight[n]
            y[n, o] = -slope * scale * weight[n]
        for o in range(O, y.shape[1]):
            y[n, o] = ZERO
    return total


@jit
def cross_entropy(y, target, weight, scale, O):
    """Sum of -log softmax(y)[target], in nats; target (N,) int64, below 0 where there is none."""
    total = 0.0
    for n in range(target.size):
        row = y[n]
        if weight[n] == ZERO or target[n] < 0:
            row[:] = ZERO
            continue
        # four at a time, here and below: each waits only for every fourth step
        t0 = t1 = t2 = t3 = row[0]
        for o in range(0, O - 3, 4):
            t0 = row[o] if row[o] > t0 else t0
            t1 = row[o + 1] if row[o + 1] > t1 else t1
            t2 = row[o + 2] if row[o + 2] > t2 else t2
            t3 = row[o + 3] if row[o + 3] > t3 else t3
        for o in range(O - O % 4, O):
            t0 = row[o] if row[o] > t0 else t0
        top = max(max(t0, t1), max(t2, t3))
        chosen = row[target[n]] - top
        at = np.int64(y.ctypes.data) + 4 * n * y.shape[1]
        for o in range(0, y.shape[1], LANES):
            below = limit(splat(top) - load(at, o), splat(LAST))  # further down it is 0 anyway
            store(at, o, exp_minus(below))
        s0 = s1 = s2 = s3 = ZERO
        for o in range(0, O - 3, 4):
            s0, s1, s2, s3 = s0 + row[o], s1 + row[o + 1], s2 + row[o + 2], s3 + row[o + 3]
        for o in range(O - O % 4, O):
            s0 += row[o]
        whole = (s0 + s1) + (s2 + s3)
        total += (math.log(whole) - chosen) * weight[n]
        share = scale * weight[n] / whole
        for o in range(O):
            row[o] *= share
        for o in range(O, y.shape[1]):
            row[o] = ZERO
        row[target[n]] -= scale * weight[n]
    return total
