"""The linear recurrent unit.  Orvieto et al. 2023, eq. 3-6, with tanh after it.

s' = l s + g (B x)     l = exp(-exp(nu) + i exp(theta)), g = exp(gamma), s and B complex
h' = tanh(Re(C s') + D x + b)

|l| < 1 whatever nu is: the state of an LRU never runs away. It is diagonal, so all that mixes the
units is C; what the layer above reads is h.
"""

import numpy as np

from streamrnn.kernels.activations import tanh
from streamrnn.kernels.blocks import ONE, TILE, Cell, of_inputs, of_units, order
from streamrnn.kernels.jit import CFunction, inner
from streamrnn.kernels.network import padded
from streamrnn.kernels.simd import LANES, fma, for_each, load, loads, splat, store

RE_IM, OUT = (0, 1), (0,)
STATE = {"h": 1, "s": 2}  # s: the real parts of all units, then the imaginary ones
ZERO = np.float32(0)


def shapes(K, H):
    """The names of the paper's appendix A, of one layer; D is a matrix since K and H may differ."""
    names: dict[str, tuple[int, ...]] = dict.fromkeys(("nu_log", "theta_log", "gamma_log"), (H,))
    names |= {"B_re": (H, K), "B_im": (H, K), "C_re": (H, H), "C_im": (H, H), "D": (H, K)}
    return names | {"bias": (H,)}


def pack(p):
    """Two passes: l (2, H), g B (2, H, K); then bias (1, H), D (1, H, K), C (1, H, 2 d)."""
    nu, theta, gamma = (p[f"{name}_log"].astype(np.float64) for name in ("nu", "theta", "gamma"))
    l = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    B = np.exp(gamma)[:, None] * np.stack([p["B_re"], p["B_im"]])
    fill = ((0, 0), (0, padded(len(l)) - len(l)))  # the parts of s are d floats apart
    C = np.hstack([np.pad(p["C_re"], fill), np.pad(-p["C_im"], fill)])
    return [[np.stack([l.real, l.imag]), B], [p["bias"][None], p["D"][None], C[None]]]


@inner
def recur(w, first, last, K, x, dx, s, u, d, streams):
    """The first pass, for LANES units from u on: moves s, of which each stream has 2 d floats."""
    a = for_each((splat(ZERO), splat(ZERO)), streams)
    a = of_inputs(a, w, 2 * LANES, first, last, x, dx, streams, RE_IM)
    l_re, l_im = load(w, 0), load(w, LANES)
    for m in streams:
        re, im = load(s, 2 * m * d + u), load(s, 2 * m * d + d + u)
        store(s, 2 * m * d + u, fma(l_re, re, a[2 * m] - l_im * im))
        store(s, 2 * m * d + d + u, fma(l_re, im, fma(l_im, re, a[2 * m + 1])))


@inner
def mix(w, first, last, K, x, dx, s, u, y, d, streams):
    """The second pass: reads x and s, writes the next h."""
    a = for_each(loads(w, 0, OUT), streams)
    a = of_inputs(a, w, LANES, first, last, x, dx, streams, OUT)
    a = of_units(a, w, LANES * (1 + K), 2 * d, s, 2 * d, streams, OUT)
    for m in streams:
        store(y, m * d + u, tanh(a[m]))


@CFunction
def steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    blocks = -(-H // LANES)
    recurring, mixing = 4 * LANES * 2 * (1 + K), 4 * LANES * (1 + K + 2 * d)
    second = w + recurring * blocks
    for t in range(begin, end):
        for b in range(blocks):
            recur(w + b * recurring, first, last, K, x, dx, c, b * LANES, d, ONE)
        for n in range(blocks):
            b = order(n, blocks, t)
            mix(second + b * mixing, first, last, K, x, dx, c, b * LANES, y, d, ONE)
        x, y = x + 4 * dx, y + 4 * d


@CFunction
def tile(w, K, H, S, x, dx, h, c, y, d):
    blocks = -(-H // LANES)
    recurring, mixing = 4 * LANES * 2 * (1 + K), 4 * LANES * (1 + K + 2 * d)
    second = w + recurring * blocks
    for n in range(0, S, len(TILE)):
        x_n, s, y_n = x + 4 * n * dx, c + 8 * n * d, y + 4 * n * d
        for b in range(blocks):
            recur(w + b * recurring, 0, K, K, x_n, dx, s, b * LANES, d, TILE)
        for b in range(blocks):
            mix(second + b * mixing, 0, K, K, x_n, dx, s, b * LANES, y_n, d, TILE)


CELL = Cell(2, STATE, 0, shapes, pack, steps, tile)
