"""The plain recurrent cell: h' = f(W_ih x + b_ih + W_hh h + b_hh), f tanh or relu.  Elman 1990."""

from streamrnn.kernels.activations import relu, tanh
from streamrnn.kernels.blocks import ONE, TILE, Cell, of_inputs, of_units, order
from streamrnn.kernels.jit import CFunction, inner
from streamrnn.kernels.simd import LANES, for_each, loads, store

GATES = (0,)


def shapes(K, H):
    """PyTorch's, of one layer."""
    return {"weight_ih": (H, K), "weight_hh": (H, H), "bias_ih": (H,), "bias_hh": (H,)}


def pack(p):
    """One pass: bias (1, H), weights (1, H, K), (1, H, H)."""
    bias = p["bias_ih"] + p["bias_hh"]
    return [[array[None] for array in (bias, p["weight_ih"], p["weight_hh"])]]


@inner
def block(w, first, last, K, H, x, dx, h, y, d, streams, bent):
    """LANES units, at `w` and `y`, of each of `streams`, whose rows are dx and d floats apart.

    bent: relu instead of tanh
    """
    a = for_each(loads(w, 0, GATES), streams)
    a = of_inputs(a, w, LANES, first, last, x, dx, streams, GATES)
    a = of_units(a, w, LANES * (1 + K), H, h, d, streams, GATES)
    for m in streams:
        store(y, m * d, relu(a[m]) if bent else tanh(a[m]))


@inner
def walk(w, first, last, K, H, begin, end, x, dx, h, y, d, bent):
    blocks = -(-H // LANES)
    size = 4 * LANES * (1 + K + H)
    for t in range(begin, end):
        for n in range(blocks):
            b = order(n, blocks, t)
            block(w + b * size, first, last, K, H, x, dx, h, y + 4 * LANES * b, d, ONE, bent)
        x, h, y = x + 4 * dx, y, y + 4 * d


@inner
def side_by_side(w, K, H, S, x, dx, h, y, d, bent):
    blocks = -(-H // LANES)
    size = 4 * LANES * (1 + K + H)
    for b in range(blocks):
        for s in range(0, S, len(TILE)):
            o = 4 * s * d
            u = o + 4 * LANES * b
            block(w + b * size, 0, K, K, H, x + 4 * s * dx, dx, h + o, y + u, d, TILE, bent)


@CFunction
def tanh_steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    walk(w, first, last, K, H, begin, end, x, dx, h, y, d, False)


@CFunction
def tanh_tile(w, K, H, S, x, dx, h, c, y, d):
    side_by_side(w, K, H, S, x, dx, h, y, d, False)


@CFunction
def relu_steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    walk(w, first, last, K, H, begin, end, x, dx, h, y, d, True)


@CFunction
def relu_tile(w, K, H, S, x, dx, h, c, y, d):
    side_by_side(w, K, H, S, x, dx, h, y, d, True)


TANH = Cell(1, {"h": 1}, 0, shapes, pack, tanh_steps, tanh_tile)
RELU = Cell(1, {"h": 1}, 0, shapes, pack, relu_steps, relu_tile)
