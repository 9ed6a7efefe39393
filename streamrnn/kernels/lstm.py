"""Long short-term memory.  Hochreiter and Schmidhuber 1997; forget gate of Gers et al. 2000.

i f o = sigmoid(W_i. x + b_i. + W_h. h + b_h.)     g = tanh(W_ig x + b_ig + W_hg h + b_hg)
c' = f c + i g                                     h' = o tanh(c')
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

GATES = 4
STATE = ("h", "c")


def pack(weight_ih, weight_hh, bias_ih, bias_hh):
    """PyTorch's arrays of one layer, gates i f g o -> bias (4, H), weights (4, H, K), (4, H, H)."""
    return [np.stack(np.split(a, 4)) for a in (bias_ih + bias_hh, weight_ih, weight_hh)]


@inner
def cell(i, f, g, o, c):
    """Preactivations and c of LANES units -> their next c and h."""
    c = fma(sigmoid(f), c, sigmoid(i) * tanh(g))
    return c, sigmoid(o) * tanh(c)


@inner
def block(w, first, last, K, H, x, dx, h, c, y, d, streams):
    """LANES units, at `w`, `c` and `y`, of each of `streams`, whose rows are dx and d floats apart.

    Reads x[first:last] of x (K,), h (H,) and c; writes c and, to `y`, the next h.
    """
    a = for_each(loads(w, 0, 4), streams)
    at = 4 * LANES * (1 + first)
    for k in range(first, last):
        a = fma_first(broadcasts(x, k, dx, streams), loads(w, at, 4), a)
        at += 4 * LANES
    at = 4 * LANES * (1 + K)
    odd = zeros(a)  # two sums, over even and odd k: each waits only for every other product
    for k in range(0, H - 1, 2):
        a = fma_last(broadcasts(h, k, d, streams), loads(w, at, 4), a)
        odd = fma_last(broadcasts(h, k + 1, d, streams), loads(w, at + 4 * LANES, 4), odd)
        at += 8 * LANES
    if H & 1:
        a = fma_last(broadcasts(h, H - 1, d, streams), loads(w, at, 4), a)
    a = add_all(a, odd)
    for m in streams:
        i, f, g, o = a[4 * m], a[4 * m + 1], a[4 * m + 2], a[4 * m + 3]
        c_m, h_m = cell(i, f, g, o, load(c, m * d))
        store(c, m * d, c_m)
        store(y, m * d, h_m)


@CFunction
def steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    """Steps begin .. end - 1 of one stream in one layer: x (T, dx), h (H,) -> y (T, d), and c."""
    blocks = -(-H // LANES)
    size = 4 * 4 * LANES * (1 + K + H)
    for t in range(begin, end):
        for n in range(blocks):
            b = order(n, blocks, t)
            u = 4 * LANES * b
            block(w + b * size, first, last, K, H, x, dx, h, c + u, y + u, d, ONE)
        x, h, y = x + 4 * dx, y, y + 4 * d


@CFunction
def tile(w, K, H, S, x, dx, h, c, y, d):
    """One step of S streams, a multiple of TILE, in one layer; rows dx and d floats apart."""
    blocks = -(-H // LANES)
    size = 4 * 4 * LANES * (1 + K + H)
    for b in range(blocks):
        for s in range(0, S, len(TILE)):
            o = 4 * s * d
            u = o + 4 * LANES * b
            block(w + b * size, 0, K, K, H, x + 4 * s * dx, dx, h + o, c + u, y + u, d, TILE)
