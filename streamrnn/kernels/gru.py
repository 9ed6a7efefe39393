"""The gated recurrent unit.  Cho et al. 2014, eq. 5-8, with reset after the product (PyTorch).

r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)         z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
n = tanh(W_in x + b_in + r (W_hn h + b_hn))        h' = (1 - z) n + z h
"""

import numpy as np

from streamrnn.kernels.activations import sigmoid, tanh
from streamrnn.kernels.jit import CFunction, inner
from streamrnn.kernels.network import ONE, TILE, order
from streamrnn.kernels.simd import (
    LANES,
    add_all,
    broadcasts,
    fma,
    fma_first,
    fma_last,
    for_each,
    load,
    loads,
    store,
    zeros,
)

GATES = 3
STATE = ("h",)


def pack(weight_ih, weight_hh, bias_ih, bias_hh):
    """PyTorch's arrays of one layer, gates r z n -> bias (4, H), weights (3, H, K), (3, H, H).

    Four sums: n of x, r, z, n of h. What x adds to are the first three, what h adds to the last.
    """
    (b_ir, b_iz, b_in), (b_hr, b_hz, b_hn) = np.split(bias_ih, 3), np.split(bias_hh, 3)
    W_ir, W_iz, W_in = np.split(weight_ih, 3)
    bias = np.stack([b_in, b_ir + b_hr, b_iz + b_hz, b_hn])
    return bias, np.stack([W_in, W_ir, W_iz]), np.stack(np.split(weight_hh, 3))


@inner
def cell(n_x, r, z, n_h, h):
    """Preactivations and h of LANES units -> their next h."""
    n = tanh(fma(sigmoid(r), n_h, n_x))
    return fma(sigmoid(z), h - n, n)


@inner
def block(w, first, last, K, H, x, dx, h, u, y, d, streams):
    """LANES units, from u on, of each of `streams`; arguments as in kernels/lstm.py, without c."""
    a = for_each(loads(w, 0, 4), streams)
    at = LANES * (4 + 3 * first)
    for k in range(first, last):
        a = fma_first(broadcasts(x, k, dx, streams), loads(w, at, 3), a)
        at += 3 * LANES
    at = LANES * (4 + 3 * K)
    odd = zeros(a)  # as in kernels/lstm.py
    for k in range(0, H - 1, 2):
        a = fma_last(broadcasts(h, k, d, streams), loads(w, at, 3), a)
        odd = fma_last(broadcasts(h, k + 1, d, streams), loads(w, at + 3 * LANES, 3), odd)
        at += 6 * LANES
    if H & 1:
        a = fma_last(broadcasts(h, H - 1, d, streams), loads(w, at, 3), a)
    a = add_all(a, odd)
    for m in streams:
        n_x, r, z, n_h = a[4 * m], a[4 * m + 1], a[4 * m + 2], a[4 * m + 3]
        store(y, m * d + u, cell(n_x, r, z, n_h, load(h, m * d + u)))


@CFunction
def steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    """Steps begin .. end - 1 of one stream in one layer: x (T, dx) and h (H,) -> y (T, d)."""
    blocks = -(-H // LANES)
    size = 4 * LANES * (4 + 3 * K + 3 * H)
    for t in range(begin, end):
        for n in range(blocks):
            b = order(n, blocks, t)
            block(w + b * size, first, last, K, H, x, dx, h, b * LANES, y, d, ONE)
        x, h, y = x + 4 * dx, y, y + 4 * d


@CFunction
def tile(w, K, H, S, x, dx, h, c, y, d):
    """One step of S streams, a multiple of TILE, in one layer; rows dx and d floats apart."""
    blocks = -(-H // LANES)
    size = 4 * LANES * (4 + 3 * K + 3 * H)
    for b in range(blocks):
        for s in range(0, S, len(TILE)):
            o = 4 * s * d
            block(w + b * size, 0, K, K, H, x + 4 * s * dx, dx, h + o, b * LANES, y + o, d, TILE)
