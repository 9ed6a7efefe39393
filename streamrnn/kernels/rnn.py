"""The plain recurrent cell: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).  Elman 1990."""

from streamrnn.kernels.activations import tanh
from streamrnn.kernels.jit import jit
from streamrnn.kernels.linear import DENSE, enter, leave, preactivate

GATES = 1
STATE = ("h",)


def pack(weight_ih, weight_hh, bias_ih, bias_hh):
    """PyTorch's arrays of one layer, weights (H, K), biases (H,), as `advance` reads them."""
    return bias_ih + bias_hh, weight_ih.T, weight_hh.T


def scratch(I, H):
    """Floats that `advance` needs to work in."""
    return I + H


@jit
def advance(sizes, weights, states, rows, x, y, scratch):
    """Moves row rows[n] of `states` by x[n] and writes y[n], n = 0 .. N-1.

    sizes (I, H, layers, tokens); weights packed as kernels/linear.py says; states (S, layers H ...)
    h of every layer; x (N, I) or tokens (N, 1); y (N, O)
    """
    I, H, layers, tokens = sizes[0], sizes[1], sizes[2], sizes[3]
    a = scratch[I : I + H]
    for n in range(rows.size):
        state = states[rows[n]]
        below = scratch[:I]
        token = enter(weights, tokens, x[n], below)
        at = 2 * I
        for layer in range(layers):
            h = state[layer * H : (layer + 1) * H]
            at = preactivate(weights, at, H, 0, token, below, h, a)
            for i in range(H):
                h[i] = tanh(a[i])
            below = h
            token = DENSE
        leave(weights, at, below, y[n])
