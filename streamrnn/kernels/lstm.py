"""Long short-term memory.  Hochreiter and Schmidhuber 1997; forget gate of Gers et al. 2000.

i f o = sigmoid(W_i. x + b_i. + W_h. h + b_h.)     g = tanh(W_ig x + b_ig + W_hg h + b_hg)
c' = f c + i g                                     h' = o tanh(c')

With peepholes (Gers and Schmidhuber 2000) i and f also see w_ci c and w_cf c, and o sees w_co c'.
"""

import numpy as np

from streamrnn.kernels.activations import UNIT, bounded, sigmoid_parts, tanh_ratio
from streamrnn.kernels.blocks import ONE, TILE, Cell, of_inputs, of_units, order
from streamrnn.kernels.jit import CFunction, inner
from streamrnn.kernels.simd import LANES, fma, for_each, load, loads, splat, store

GATES = (0, 1, 2, 3)


def shapes(K, H):
    """PyTorch's, of one layer; gates i f g o."""
    G = 4 * H
    return {"weight_ih": (G, K), "weight_hh": (G, H), "bias_ih": (G,), "bias_hh": (G,)}


def peephole_shapes(K, H):
    """weight_ch: from c to i f o."""
    return shapes(K, H) | {"weight_ch": (3 * H,)}


def pack(p):
    """One pass: bias (4, H), weights (4, H, K), (4, H, H), and of peepholes (3, H)."""
    arrays = (p["bias_ih"] + p["bias_hh"], p["weight_ih"], p["weight_hh"])
    peepholes = [np.stack(np.split(p["weight_ch"], 3))] if "weight_ch" in p else []
    return [[np.stack(np.split(array, 4)) for array in arrays] + peepholes]


@inner
def cell(i, f, g, o, c, w, peepholes):
    """Preactivations and c of LANES units -> their next c and h.

    peepholes: 3, for i f o, whose weights are at w, or 0
    """
    if peepholes:
        i, f = fma(load(w, 0), c, i), fma(load(w, LANES), c, f)
    # over common denominators: f c + i g in one division, o tanh c in another
    (i, no_i), (f, no_f), (g, g_d) = sigmoid_parts(i), sigmoid_parts(f), tanh_ratio(g, splat(UNIT))
    f_d, ig, ig_d = f + no_f, i * g, (i + no_i) * g_d
    c = fma(f * c, ig_d, ig * f_d) / (f_d * ig_d)
    if peepholes:
        o = fma(load(w, 2 * LANES), c, o)
    o, no_o = sigmoid_parts(o)
    h, h_d = tanh_ratio(c, o)
    return c, bounded(h, (o + no_o) * h_d)


@inner
def block(w, first, last, K, H, x, dx, h, c, y, d, streams, peepholes):
    """LANES units, at `w`, `c` and `y`, of each of `streams`, whose rows are dx and d floats apart.

    Reads x[first:last] of x (K,), h (H,) and c; writes c and, to `y`, the next h.
    """
    a = for_each(loads(w, 0, GATES), streams)
    a = of_inputs(a, w, 4 * LANES, first, last, x, dx, streams, GATES)
    a = of_units(a, w, 4 * LANES * (1 + K), H, h, d, streams, GATES)
    p = w + 4 * 4 * LANES * (1 + K + H)
    for m in streams:
        i, f, g, o = a[4 * m], a[4 * m + 1], a[4 * m + 2], a[4 * m + 3]
        c_m, h_m = cell(i, f, g, o, load(c, m * d), p, peepholes)
        store(c, m * d, c_m)
        store(y, m * d, h_m)


@inner
def walk(w, first, last, K, H, begin, end, x, dx, h, c, y, d, peepholes):
    blocks = -(-H // LANES)
    size = 4 * LANES * (4 * (1 + K + H) + peepholes)
    for t in range(begin, end):
        for n in range(blocks):
            b = order(n, blocks, t)
            u = 4 * LANES * b
            block(w + b * size, first, last, K, H, x, dx, h, c + u, y + u, d, ONE, peepholes)
        x, h, y = x + 4 * dx, y, y + 4 * d


@inner
def side_by_side(w, K, H, S, x, dx, h, c, y, d, peepholes):
    blocks = -(-H // LANES)
    size = 4 * LANES * (4 * (1 + K + H) + peepholes)
    for b in range(blocks):
        for s in range(0, S, len(TILE)):
            x_s, o = x + 4 * s * dx, 4 * s * d
            u = o + 4 * LANES * b
            block(w + b * size, 0, K, K, H, x_s, dx, h + o, c + u, y + u, d, TILE, peepholes)


@CFunction
def steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    walk(w, first, last, K, H, begin, end, x, dx, h, c, y, d, 0)


@CFunction
def tile(w, K, H, S, x, dx, h, c, y, d):
    side_by_side(w, K, H, S, x, dx, h, c, y, d, 0)


@CFunction
def peephole_steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    walk(w, first, last, K, H, begin, end, x, dx, h, c, y, d, 3)


@CFunction
def peephole_tile(w, K, H, S, x, dx, h, c, y, d):
    side_by_side(w, K, H, S, x, dx, h, c, y, d, 3)


STATE = {"h": 1, "c": 1}
PLAIN = Cell(4, STATE, 0, shapes, pack, steps, tile)
PEEPHOLES = Cell(4, STATE, 0, peephole_shapes, pack, peephole_steps, peephole_tile)
