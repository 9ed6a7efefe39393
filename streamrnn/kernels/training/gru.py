"""GRU over T steps of B streams, and its gradient; equations: kernels/gru.py.

Gates r z n, each D floats wide: H units and zeros, which stay zero.
"""

import numpy as np

from streamrnn.kernels.activations import sigmoid, tanh
from streamrnn.kernels.jit import allocating, jit
from streamrnn.kernels.simd import LANES, call, fma, load, splat, store

ZERO, ONE = np.float32(0), np.float32(1)


@jit
def forward(multiply, z, n_h, h, weight_rz, weight_n, bias_n, reset_after):
    """z (T, B, 3D): what x and the biases add to the gates -> the gates; h (T + 1, B, D).

    n_h (T, B, D) receives what gate n takes of h: W_hn h + b_hn, which r multiplies, or with
    reset_after=False r h, which W_hn multiplies, b_hn being in z then.
    multiply: address of `matmul.multiply`; weight_rz, weight_n: packed (D, 2D) and (D, D)
    bias_n (D,): b_hn.  Step t reads h[t] and writes h[t + 1].
    """
    T, B, G = z.shape
    D = h.shape[2]
    w_rz, w_n = np.int64(weight_rz.ctypes.data), np.int64(weight_n.ctypes.data)
    bias = np.int64(bias_n.ctypes.data)
    for t in range(T):
        z_t = np.int64(z.ctypes.data) + 4 * t * B * G
        m_t = np.int64(n_h.ctypes.data) + 4 * t * B * D
        h_t = np.int64(h.ctypes.data) + 4 * t * B * D
        ahead = z_t + 4 * T * B * G  # what the next block of steps begins with
        call(multiply, (h_t, D, B, D, w_rz, 2 * D, z_t, G, z_t, G, ahead, B * G))
        if reset_after:
            call(multiply, (h_t, D, B, D, w_n, D, bias, 0, m_t, D, 0, 0))
        for s in range(B):
            zs, ms, hs = z_t + 4 * s * G, m_t + 4 * s * D, h_t + 4 * s * D
            for j in range(0, D, LANES):
                r = sigmoid(load(zs, j))
                store(zs, j, r)
                store(zs, D + j, sigmoid(load(zs, D + j)))
                if reset_after:
                    store(zs, 2 * D + j, fma(r, load(ms, j), load(zs, 2 * D + j)))
                else:
                    store(ms, j, r * load(hs, j))
        if not reset_after:
            n_t = z_t + 8 * D
            call(multiply, (m_t, D, B, D, w_n, D, n_t, G, n_t, G, 0, 0))
        for s in range(B):
            zs, hs = z_t + 4 * s * G, h_t + 4 * s * D
            for j in range(0, D, LANES):
                n = tanh(load(zs, 2 * D + j))
                store(zs, 2 * D + j, n)
                store(hs, B * D + j, fma(load(zs, D + j), load(hs, j) - n, n))


@allocating
def backward(multiply, begin, end, z, n_h, h, dh, dr_h, weight_rz, weight_n, reset_after):
    """Steps end - 1 .. begin. z (T, B, 3D): the gates -> the gradient of what x added to them.

    n_h (T, B, D): with reset_after the gradient of W_hn h + b_hn, else left as it is.
    dh (T, B, D): gradient of h[t + 1]; what step t + 1 gives back is added to dh[t].
    dr_h (B, D): to work in; weight_rz, weight_n: packed (2D, D) and (D, D), not transposed
    """
    _, B, G = z.shape
    D = h.shape[2]
    w_rz, w_n = np.int64(weight_rz.ctypes.data), np.int64(weight_n.ctypes.data)
    zeros, work = np.zeros(D, np.float32), np.int64(dr_h.ctypes.data)
    nothing = np.int64(zeros.ctypes.data)
    one = splat(ONE)
    for t in range(end - 1, begin - 1, -1):
        z_t = np.int64(z.ctypes.data) + 4 * t * B * G
        m_t = np.int64(n_h.ctypes.data) + 4 * t * B * D
        h_t = np.int64(h.ctypes.data) + 4 * t * B * D
        dh_t = np.int64(dh.ctypes.data) + 4 * t * B * D
        before_t = dh_t - 4 * B * D
        for s in range(B):
            zs, ms = z_t + 4 * s * G, m_t + 4 * s * D
            hs, es = h_t + 4 * s * D, dh_t + 4 * s * D
            for j in range(0, D, LANES):
                r, u, n, e = load(zs, j), load(zs, D + j), load(zs, 2 * D + j), load(es, j)
                d_n = e * (one - u) * (one - n * n)
                store(zs, 2 * D + j, d_n)
                store(zs, D + j, e * (load(hs, j) - n) * u * (one - u))
                if reset_after:
                    store(zs, j, d_n * load(ms, j) * r * (one - r))
                    store(ms, j, d_n * r)
                if t > 0:
                    store(es, j - B * D, load(es, j - B * D) + e * u)
        if not reset_after:
            call(multiply, (z_t + 8 * D, G, B, D, w_n, D, nothing, 0, work, D, 0, 0))
            for s in range(B):
                zs, hs = z_t + 4 * s * G, h_t + 4 * s * D
                ds, es = work + 4 * s * D, dh_t + 4 * s * D
                for j in range(0, D, LANES):
                    r, d = load(zs, j), load(ds, j)
                    store(zs, j, d * load(hs, j) * r * (one - r))
                    if t > 0:
                        store(es, j - B * D, load(es, j - B * D) + d * r)
        if t > 0:
            ahead = z_t - 4 * B * G
            call(multiply, (z_t, G, B, 2 * D, w_rz, D, before_t, D, before_t, D, ahead, B * G))
            if reset_after:
                call(multiply, (m_t, D, B, D, w_n, D, before_t, D, before_t, D, 0, 0))
