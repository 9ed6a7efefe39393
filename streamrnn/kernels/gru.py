"""The gated recurrent unit.  Cho et al. 2014, eq. 5-8, with reset after the product (PyTorch).

r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)         z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
n = tanh(W_in x + b_in + r (W_hn h + b_hn))        h' = (1 - z) n + z h
"""

import numpy as np

from streamrnn.kernels.activations import sigmoid, tanh
from streamrnn.kernels.jit import jit
from streamrnn.kernels.linear import DENSE, enter, leave, preactivate

GATES = 3
STATE = ("h",)


def pack(weight_ih, weight_hh, bias_ih, bias_hh):
    """PyTorch's arrays of one layer, gates r z n, as `advance` reads them.

    The preactivations are [n of x, r, z, n of h]: what x adds to and what h adds to are then each
    one run of 3H, though r z n's two halves of n must stay apart.
    """
    b_ir, b_iz, b_in = np.split(bias_ih, 3)
    b_hr, b_hz, b_hn = np.split(bias_hh, 3)
    W_ir, W_iz, W_in = np.split(weight_ih, 3)
    bias = np.concatenate([b_in, b_ir + b_hr, b_iz + b_hz, b_hn])
    return bias, np.concatenate([W_in, W_ir, W_iz]).T, weight_hh.T


def scratch(I, H):
    """Floats that `advance` needs to work in."""
    return I + 4 * H


@jit
def cell(a, h):
    """Preactivations a (4H,) and h (H,) -> the next h, in place."""
    H = h.size
    for i in range(H):
        r = sigmoid(a[H + i])
        z = sigmoid(a[2 * H + i])
        n = tanh(a[i] + r * a[3 * H + i])
        h[i] = n + z * (h[i] - n)


@jit
def advance(sizes, weights, states, rows, x, y, scratch):
    """Moves row rows[n] of `states` by x[n] and writes y[n]; arguments as in kernels/rnn.py."""
    I, H, layers, tokens = sizes[0], sizes[1], sizes[2], sizes[3]
    a = scratch[I : I + 4 * H]
    for n in range(rows.size):
        state = states[rows[n]]
        below = scratch[:I]
        token = enter(weights, tokens, x[n], below)
        at = 2 * I
        for layer in range(layers):
            h = state[layer * H : (layer + 1) * H]
            at = preactivate(weights, at, 3 * H, H, token, below, h, a)
            cell(a, h)
            below = h
            token = DENSE
        leave(weights, at, below, y[n])
