"""Elman's RNN over T steps of B streams, and its gradient; equations: kernels/rnn.py."""

import numpy as np

from streamrnn.kernels.activations import relu as rectified
from streamrnn.kernels.activations import tanh
from streamrnn.kernels.jit import jit
from streamrnn.kernels.simd import LANES, call, load, select_positive, splat, store

ZERO, ONE = np.float32(0), np.float32(1)


@jit
def forward(multiply, z, h, weight_hh, relu):
    """z (T, B, D): what x and the biases add; h (T + 1, B, D): step t reads h[t], writes h[t + 1].

    multiply: address of `matmul.multiply`; weight_hh: packed (D, D); relu: in place of tanh
    """
    T, B, D = z.shape
    w = np.int64(weight_hh.ctypes.data)
    for t in range(T):
        z_t = np.int64(z.ctypes.data) + 4 * t * B * D
        h_t = np.int64(h.ctypes.data) + 4 * t * B * D
        ahead = z_t + 4 * T * B * D  # what the next block of steps begins with
        call(multiply, (h_t, D, B, D, w, D, z_t, D, z_t, D, ahead, B * D))
        for j in range(0, B * D, LANES):
            a = load(z_t, j)
            if relu:
                store(h_t, B * D + j, rectified(a))
            else:
                store(h_t, B * D + j, tanh(a))


@jit
def backward(multiply, begin, end, z, h, dh, weight_hh, relu):
    """Steps end - 1 .. begin. z (T, B, D) receives the gradient of what was added.

    dh (T, B, D): gradient of h[t + 1]; what step t + 1 gives back is added to dh[t].
    weight_hh: packed (D, D), not transposed
    """
    _, B, D = z.shape
    w = np.int64(weight_hh.ctypes.data)
    for t in range(end - 1, begin - 1, -1):
        z_t = np.int64(z.ctypes.data) + 4 * t * B * D
        h_t = np.int64(h.ctypes.data) + 4 * (t + 1) * B * D
        dh_t = np.int64(dh.ctypes.data) + 4 * t * B * D
        for j in range(0, B * D, LANES):
            y, e = load(h_t, j), load(dh_t, j)
            if relu:  # y is 0 where the slope is: e * 0 there, and e elsewhere
                store(z_t, j, select_positive(splat(ZERO) - y, splat(ZERO), e))
            else:
                store(z_t, j, e * (splat(ONE) - y * y))
        if t > 0:
            before_t = dh_t - 4 * B * D
            ahead = z_t - 4 * B * D
            call(multiply, (z_t, D, B, D, w, D, before_t, D, before_t, D, ahead, B * D))
