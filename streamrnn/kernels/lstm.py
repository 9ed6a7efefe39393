"""Long short-term memory.  Hochreiter and Schmidhuber 1997; forget gate of Gers et al. 2000.

i f o = sigmoid(W_i. x + b_i. + W_h. h + b_h.)     g = tanh(W_ig x + b_ig + W_hg h + b_hg)
c' = f c + i g                                     h' = o tanh(c')
"""

from streamrnn.kernels.activations import sigmoid, tanh
from streamrnn.kernels.jit import jit
from streamrnn.kernels.linear import DENSE, enter, leave, preactivate

GATES = 4
STATE = ("h", "c")


def pack(weight_ih, weight_hh, bias_ih, bias_hh):
    """PyTorch's arrays of one layer, gates i f g o, as `advance` reads them."""
    return bias_ih + bias_hh, weight_ih.T, weight_hh.T


def scratch(I, H):
    """Floats that `advance` needs to work in."""
    return I + 4 * H


@jit
def cell(a, h, c):
    """Preactivations a (4H,), h and c (H,) -> the next h and c, in place."""
    H = h.size
    for i in range(H):
        c[i] = sigmoid(a[H + i]) * c[i] + sigmoid(a[i]) * tanh(a[2 * H + i])
        h[i] = sigmoid(a[3 * H + i]) * tanh(c[i])


@jit
def advance(sizes, weights, states, rows, x, y, scratch):
    """Moves row rows[n] of `states` by x[n] and writes y[n]; arguments as in kernels/rnn.py.

    states (S, 2 layers H ...): h of every layer, then c of every layer
    """
    I, H, layers, tokens = sizes[0], sizes[1], sizes[2], sizes[3]
    a = scratch[I : I + 4 * H]
    for n in range(rows.size):
        state = states[rows[n]]
        below = scratch[:I]
        token = enter(weights, tokens, x[n], below)
        at = 2 * I
        for layer in range(layers):
            h = state[layer * H : (layer + 1) * H]
            c = state[(layers + layer) * H : (layers + layer + 1) * H]
            at = preactivate(weights, at, 4 * H, 0, token, below, h, a)
            cell(a, h, c)
            below = h
            token = DENSE
        leave(weights, at, below, y[n])
