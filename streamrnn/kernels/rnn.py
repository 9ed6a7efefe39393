"""The plain recurrent cell: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).  Elman 1990."""

from streamrnn.kernels.activations import tanh
from streamrnn.kernels.jit import CFunction, inner
from streamrnn.kernels.network import ONE, TILE, order
from streamrnn.kernels.simd import (
    LANES,
    add_all,
    broadcasts,
    fma_first,
    fma_last,
    for_each,
    loads,
    store,
    zeros,
)

GATES = 1
STATE = ("h",)


def pack(weight_ih, weight_hh, bias_ih, bias_hh):
    """PyTorch's arrays of one layer -> bias (1, H), weights (1, H, K), (1, H, H)."""
    return [a[None] for a in (bias_ih + bias_hh, weight_ih, weight_hh)]


@inner
def block(w, first, last, K, H, x, dx, h, y, d, streams):
    """LANES units, at `w` and `y`, of each of `streams`; arguments as in kernels/lstm.py."""
    a = for_each(loads(w, 0, 1), streams)
    at = LANES * (1 + first)
    for k in range(first, last):
        a = fma_first(broadcasts(x, k, dx, streams), loads(w, at, 1), a)
        at += LANES
    at = LANES * (1 + K)
    odd = zeros(a)  # as in kernels/lstm.py
    for k in range(0, H - 1, 2):
        a = fma_last(broadcasts(h, k, d, streams), loads(w, at, 1), a)
        odd = fma_last(broadcasts(h, k + 1, d, streams), loads(w, at + LANES, 1), odd)
        at += 2 * LANES
    if H & 1:
        a = fma_last(broadcasts(h, H - 1, d, streams), loads(w, at, 1), a)
    a = add_all(a, odd)
    for m in streams:
        store(y, m * d, tanh(a[m]))


@CFunction
def steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    """Steps begin .. end - 1 of one stream in one layer: x (T, dx) and h (H,) -> y (T, d)."""
    blocks = -(-H // LANES)
    size = 4 * LANES * (1 + K + H)
    for t in range(begin, end):
        for n in range(blocks):
            b = order(n, blocks, t)
            block(w + b * size, first, last, K, H, x, dx, h, y + 4 * LANES * b, d, ONE)
        x, h, y = x + 4 * dx, y, y + 4 * d


@CFunction
def tile(w, K, H, S, x, dx, h, c, y, d):
    """One step of S streams, a multiple of TILE, in one layer; rows dx and d floats apart."""
    blocks = -(-H // LANES)
    size = 4 * LANES * (1 + K + H)
    for b in range(blocks):
        for s in range(0, S, len(TILE)):
            o = 4 * s * d
            u = o + 4 * LANES * b
            block(w + b * size, 0, K, K, H, x + 4 * s * dx, dx, h + o, y + u, d, TILE)
