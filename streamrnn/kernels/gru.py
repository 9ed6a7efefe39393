"""The gated recurrent unit.  Cho et al. 2014, eq. 5-8.

r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)         z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
n = tanh(W_in x + b_in + r (W_hn h + b_hn))        h' = (1 - z) n + z h

That is with the reset after the product, as in PyTorch.  Before it, as in the paper, n of a unit
needs r of all: n = tanh(W_in x + b_in + W_hn (r h) + b_hn), a second pass over the blocks.
"""

import numpy as np

from streamrnn.kernels.activations import UNIT, sigmoid, sigmoid_parts, tanh, tanh_ratio
from streamrnn.kernels.blocks import ONE, TILE, Cell, of_inputs, of_units, order
from streamrnn.kernels.jit import CFunction, inner
from streamrnn.kernels.simd import LANES, fma, for_each, load, loads, splat, store

SUMS, GATES = (0, 1, 2, 3), (0, 1, 2)
R_AND_Z, N = (0, 1), (0,)  # the passes with the reset before the product
WORK = 2  # they put down r h and z


def shapes(K, H):
    """PyTorch's, of one layer; gates r z n."""
    G = 3 * H
    return {"weight_ih": (G, K), "weight_hh": (G, H), "bias_ih": (G,), "bias_hh": (G,)}


def pack(p):
    """One pass: bias (4, H), weights (3, H, K), (3, H, H).

    Four sums: n of x, r, z, n of h. What x adds to are the first three, what h adds to the last.
    """
    (b_ir, b_iz, b_in), (b_hr, b_hz, b_hn) = np.split(p["bias_ih"], 3), np.split(p["bias_hh"], 3)
    W_ir, W_iz, W_in = np.split(p["weight_ih"], 3)
    bias = np.stack([b_in, b_ir + b_hr, b_iz + b_hz, b_hn])
    return [[bias, np.stack([W_in, W_ir, W_iz]), np.stack(np.split(p["weight_hh"], 3))]]


def pack_before(p):
    """Two passes: r and z, then n; each bias (gates, H), weights (gates, H, K), (gates, H, H)."""
    arrays = (p["bias_ih"] + p["bias_hh"], p["weight_ih"], p["weight_hh"])
    gates = [np.stack(np.split(array, 3)) for array in arrays]
    return [[array[:2] for array in gates], [array[2:] for array in gates]]


@inner
def cell(n_x, r, z, n_h, h):
    """Preactivations and h of LANES units -> their next h."""
    n, n_d = tanh_ratio(fma(sigmoid(r), n_h, n_x), splat(UNIT))
    z, no_z = sigmoid_parts(z)
    # over a common denominator: (1 - z) n + z h in one division
    return fma(no_z, n, z * h * n_d) / ((z + no_z) * n_d)


@inner
def block(w, first, last, K, H, x, dx, h, u, y, d, streams):
    """LANES units, from u on, of each of `streams`, whose rows are dx and d floats apart."""
    a = for_each(loads(w, 0, SUMS), streams)
    a = of_inputs(a, w, 4 * LANES, first, last, x, dx, streams, GATES)
    a = of_units(a, w, LANES * (4 + 3 * K), H, h, d, streams, GATES)
    for m in streams:
        n_x, r, z, n_h = a[4 * m], a[4 * m + 1], a[4 * m + 2], a[4 * m + 3]
        store(y, m * d + u, cell(n_x, r, z, n_h, load(h, m * d + u)))


@CFunction
def steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    blocks = -(-H // LANES)
    size = 4 * LANES * (4 + 3 * K + 3 * H)
    for t in range(begin, end):
        for n in range(blocks):
            b = order(n, blocks, t)
            block(w + b * size, first, last, K, H, x, dx, h, b * LANES, y, d, ONE)
        x, h, y = x + 4 * dx, y, y + 4 * d


@CFunction
def tile(w, K, H, S, x, dx, h, c, y, d):
    blocks = -(-H // LANES)
    size = 4 * LANES * (4 + 3 * K + 3 * H)
    for b in range(blocks):
        for s in range(0, S, len(TILE)):
            o = 4 * s * d
            block(w + b * size, 0, K, K, H, x + 4 * s * dx, dx, h + o, b * LANES, y + o, d, TILE)


# reset before the product; rows of `work` are WORK d floats: r h and z


@inner
def r_and_z(w, first, last, K, H, x, dx, h, work, u, d, streams):
    """The first pass, for LANES units from u on: reads x and h, puts r h and z down."""
    a = for_each(loads(w, 0, R_AND_Z), streams)
    a = of_inputs(a, w, 2 * LANES, first, last, x, dx, streams, R_AND_Z)
    a = of_units(a, w, 2 * LANES * (1 + K), H, h, d, streams, R_AND_Z)
    for m in streams:
        store(work, WORK * m * d + u, sigmoid(a[2 * m]) * load(h, m * d + u))
        store(work, WORK * m * d + d + u, sigmoid(a[2 * m + 1]))


@inner
def n_and_h(w, first, last, K, H, x, dx, h, work, u, y, d, streams):
    """The second pass: reads x, h, r h and z, writes the next h."""
    a = for_each(loads(w, 0, N), streams)
    a = of_inputs(a, w, LANES, first, last, x, dx, streams, N)
    a = of_units(a, w, LANES * (1 + K), H, work, WORK * d, streams, N)
    for m in streams:
        n, z = tanh(a[m]), load(work, WORK * m * d + d + u)
        store(y, m * d + u, fma(z, load(h, m * d + u) - n, n))


@CFunction
def steps_before(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    blocks = -(-H // LANES)
    row = 4 * LANES * (1 + K + H)
    second = w + 2 * row * blocks
    for t in range(begin, end):
        for n in range(blocks):
            b = order(n, blocks, t)
            r_and_z(w + 2 * b * row, first, last, K, H, x, dx, h, c, b * LANES, d, ONE)
        for n in range(blocks):
            b = order(n, blocks, t)
            n_and_h(second + b * row, first, last, K, H, x, dx, h, c, b * LANES, y, d, ONE)
        x, h, y = x + 4 * dx, y, y + 4 * d


@CFunction
def tile_before(w, K, H, S, x, dx, h, c, y, d):
    blocks = -(-H // LANES)
    row = 4 * LANES * (1 + K + H)
    second = w + 2 * row * blocks
    for s in range(0, S, len(TILE)):
        x_s, o = x + 4 * s * dx, 4 * s * d
        work = c + WORK * o
        for b in range(blocks):
            r_and_z(w + 2 * b * row, 0, K, K, H, x_s, dx, h + o, work, b * LANES, d, TILE)
        for b in range(blocks):
            n_and_h(second + b * row, 0, K, K, H, x_s, dx, h + o, work, b * LANES, y + o, d, TILE)


AFTER = Cell(3, {"h": 1}, 0, shapes, pack, steps, tile)
BEFORE = Cell(3, {"h": 1}, WORK, shapes, pack_before, steps_before, tile_before)
