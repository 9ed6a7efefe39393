"""LRU over T steps of B streams, and its gradient; equations: kernels/lru.py.

Three columns of D floats: the real and the imaginary part of what is added to s, and what is added
to h before its tanh. H units and zeros, which stay zero.
"""

import numpy as np

from streamrnn.kernels.activations import tanh
from streamrnn.kernels.jit import jit
from streamrnn.kernels.simd import LANES, call, fma, load, splat, store

ZERO, ONE = np.float32(0), np.float32(1)


@jit
def forward(multiply, z, h, s, l, weight_c):
    """z (T, B, 3D): what x adds; h (T + 1, B, D), s (T + 1, B, 2D): step t writes h, s[t + 1].

    multiply: address of `matmul.multiply`; l (2, D): real and imaginary; weight_c: packed (2D, D)
    """
    T, B, G = z.shape
    D = h.shape[2]
    z_0, h_0, s_0 = np.int64(z.ctypes.data), np.int64(h.ctypes.data), np.int64(s.ctypes.data)
    re = np.int64(l.ctypes.data)
    im = re + 4 * D
    for n in range(T * B):
        at, before = z_0 + 4 * n * G, s_0 + 8 * n * D
        after = before + 8 * B * D
        for j in range(0, D, LANES):
            a, b, x, y = load(re, j), load(im, j), load(before, j), load(before, D + j)
            store(after, j, fma(a, x, load(at, j) - b * y))
            store(after, D + j, fma(a, y, fma(b, x, load(at, D + j))))
    o = z_0 + 8 * D
    h_1, s_1 = h_0 + 4 * B * D, s_0 + 8 * B * D
    w = np.int64(weight_c.ctypes.data)
    call(multiply, (s_1, 2 * D, T * B, 2 * D, w, D, o, G, h_1, D, 0, 0))
    for i in range(0, T * B * D, LANES):
        store(h_1, i, tanh(load(h_1, i)))


@jit
def backward(multiply, begin, end, T, z, h, s, dh, l, dl, weight_c):
    """Steps end - 1 .. begin of T: z (T, B, 3D) receives the gradient of what x added.

    dh (T, B, D): gradient of h[t + 1]; dl (2, D) += that of l
    weight_c: packed (D, 2D), not transposed
    """
    _, B, G = z.shape
    D = h.shape[2]
    z_0, s_0, w = np.int64(z.ctypes.data), np.int64(s.ctypes.data), np.int64(weight_c.ctypes.data)
    h_1, dh_0 = np.int64(h.ctypes.data) + 4 * B * D, np.int64(dh.ctypes.data)
    for n in range(begin * B, end * B):
        at = z_0 + 4 * n * G
        for j in range(0, D, LANES):
            y = load(h_1, n * D + j)
            store(at, 2 * D + j, load(dh_0, n * D + j) * (splat(ONE) - y * y))
            store(at, j, splat(ZERO))
            store(at, D + j, splat(ZERO))
    z_b = z_0 + 4 * begin * B * G
    call(multiply, (z_b + 8 * D, G, (end - begin) * B, D, w, 2 * D, z_b, G, z_b, G, 0, 0))
    re, d_re = np.int64(l.ctypes.data), np.int64(dl.ctypes.data)
    im, d_im = re + 4 * D, d_re + 4 * D
    for n in range(end * B - 1, begin * B - 1, -1):
        at, before = z_0 + 4 * n * G, s_0 + 8 * n * D
        later = at + 4 * B * G
        for j in range(0, D, LANES):
            e, f = load(at, j), load(at, D + j)
            if n < (T - 1) * B:
                a, b, p, q = load(re, j), load(im, j), load(later, j), load(later, D + j)
                e, f = fma(a, p, fma(b, q, e)), fma(a, q, f - b * p)
                store(at, j, e)
                store(at, D + j, f)
            x, y = load(before, j), load(before, D + j)
            store(d_re, j, fma(e, x, fma(f, y, load(d_re, j))))
            store(d_im, j, fma(f, x, load(d_im, j) - e * y))
