"""LSTM over T steps of B streams, and its gradient; equations: kernels/lstm.py.

Gates i f g o, each D floats wide: H units and zeros, which stay zero. Peepholes (Gers et al. 2002)
add p_i c and p_f c to gates i and f, and p_o c' to o; without them p is zero.
"""

import numpy as np

from streamrnn.kernels.activations import sigmoid, tanh
from streamrnn.kernels.jit import jit
from streamrnn.kernels.simd import LANES, call, fma, load, splat, store

ZERO, ONE = np.float32(0), np.float32(1)


@jit
def forward(multiply, z, h, c, weight_hh, p):
    """z (T, B, 4D): what x and the biases add to the gates -> the gates; h, c (T + 1, B, D).

    multiply: address of `matmul.multiply`; weight_hh: packed (D, 4D); p (3, D): peepholes i f o.
    Step t reads h[t], c[t] and writes h[t + 1], c[t + 1].
    """
    T, B, G = z.shape
    D = h.shape[2]
    z_t, h_t, c_t = np.int64(z.ctypes.data), np.int64(h.ctypes.data), np.int64(c.ctypes.data)
    w, p_i = np.int64(weight_hh.ctypes.data), np.int64(p.ctypes.data)
    p_f, p_o = p_i + 4 * D, p_i + 8 * D
    for _ in range(T):
        ahead = z_t + 4 * T * B * G  # what the next block of steps begins with
        call(multiply, (h_t, D, B, D, w, G, z_t, G, z_t, G, ahead, B * G))
        h_t += 4 * B * D  # the next h
        for _ in range(B):
            for j in range(0, D, LANES):
                before = load(c_t, j)
                i = sigmoid(fma(load(p_i, j), before, load(z_t, j)))
                f = sigmoid(fma(load(p_f, j), before, load(z_t, D + j)))
                g = tanh(load(z_t, 2 * D + j))
                after = fma(f, before, i * g)
                o = sigmoid(fma(load(p_o, j), after, load(z_t, 3 * D + j)))
                store(z_t, j, i)
                store(z_t, D + j, f)
                store(z_t, 2 * D + j, g)
                store(z_t, 3 * D + j, o)
                store(c_t, B * D + j, after)
                store(h_t, j, o * tanh(after))
            z_t, h_t, c_t = z_t + 4 * G, h_t + 4 * D, c_t + 4 * D
        h_t -= 4 * B * D


@jit
def backward(multiply, begin, end, z, c, dh, dc, weight_hh, p):
    """Steps end - 1 .. begin. z (T, B, 4D): the gates -> the gradient of what was added to them.

    dh (T, B, D): gradient of h[t + 1]; what step t + 1 gives back is added to dh[t].
    dc (B, D): gradient of c[end], in the end that of c[begin]; weight_hh: packed (4D, D).
    """
    _, B, G = z.shape
    D = c.shape[2]
    w, p_i = np.int64(weight_hh.ctypes.data), np.int64(p.ctypes.data)
    p_f, p_o = p_i + 4 * D, p_i + 8 * D
    one = splat(ONE)
    for t in range(end - 1, begin - 1, -1):
        z_t = np.int64(z.ctypes.data) + 4 * t * B * G
        c_t = np.int64(c.ctypes.data) + 4 * t * B * D
        dh_t, dc_t = np.int64(dh.ctypes.data) + 4 * t * B * D, np.int64(dc.ctypes.data)
        for _ in range(B):
            for j in range(0, D, LANES):
                i, f = load(z_t, j), load(z_t, D + j)
                g, o = load(z_t, 2 * D + j), load(z_t, 3 * D + j)
                before, s, e = load(c_t, j), tanh(load(c_t, B * D + j)), load(dh_t, j)
                d_o = e * s * o * (one - o)
                d = load(dc_t, j) + e * o * (one - s * s) + load(p_o, j) * d_o
                d_i = d * g * i * (one - i)
                d_f = d * before * f * (one - f)
                store(z_t, j, d_i)
                store(z_t, D + j, d_f)
                store(z_t, 2 * D + j, d * i * (one - g * g))
                store(z_t, 3 * D + j, d_o)
                store(dc_t, j, d * f + load(p_i, j) * d_i + load(p_f, j) * d_f)
            z_t, c_t = z_t + 4 * G, c_t + 4 * D
            dh_t, dc_t = dh_t + 4 * D, dc_t + 4 * D
        if t > 0:
            before_t = np.int64(dh.ctypes.data) + 4 * (t - 1) * B * D
            first = np.int64(z.ctypes.data) + 4 * t * B * G
            ahead = first - 4 * B * G
            call(multiply, (first, G, B, G, w, D, before_t, D, before_t, D, ahead, B * G))


@jit
def peephole_gradient(dz, c, dp):
    """dp (3, D) += sum over dz (T, B, 4D), gates i f o, times the c (T + 1, B, D) they saw."""
    T, B, _ = dz.shape
    D = c.shape[2]
    for t in range(T):
        for b in range(B):
            for j in range(D):
                dp[0, j] += dz[t, b, j] * c[t, b, j]
                dp[1, j] += dz[t, b, D + j] * c[t, b, j]
                dp[2, j] += dz[t, b, 3 * D + j] * c[t + 1, b, j]
