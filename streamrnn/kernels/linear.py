"""Products with weights, and the way into, between and out of the layers of a network.

Every output is summed over k = 0, 1, 2, ... one product after the other, in whatever kernel and for
however many streams: that fixed order is what makes the results the same bits everywhere.

Packed weights, one flat float32 array (model.py makes it; A, G and the shift are the cell's):
    mean (I,), 1 / std (I,)                              for the input
    bias (A,), weight_ih^T (K, G), weight_hh^T (H, G)    for each layer, K = I or H
    bias_o (O,), weight_ho^T (H, O), std (O,), mean (O,) for the readout, if there is one
"""

import numpy as np

from streamrnn.kernels.jit import jit

ZERO = np.float32(0.0)
LIMIT = np.float32(1e18)  # keeps sums of weighted inputs finite

DENSE = -2  # in place of a token: x is a vector
MISSING = -1


@jit
def accumulate(weight, x, out):
    """out += x weight; weight (K, N), x (K,), out (N,)."""
    K, N = weight.shape
    whole = K - K % 4
    for k in range(0, whole, 4):  # four at a time: a quarter of the loads and stores of `out`
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        w0, w1, w2, w3 = weight[k], weight[k + 1], weight[k + 2], weight[k + 3]
        for i in range(N):
            out[i] = (((out[i] + w0[i] * x0) + w1[i] * x1) + w2[i] * x2) + w3[i] * x3
    for k in range(whole, K):
        xk, wk = x[k], weight[k]
        for i in range(N):
            out[i] += wk[i] * xk


@jit
def enter(weights, tokens, x, below):
    """x (I,) standardised into `below` (I,); a missing value (NaN) counts as the mean.

    With tokens x is (1,) and I the vocabulary: returns the token, MISSING if x is none of 0 .. I-1.
    """
    I = below.size
    if tokens:
        return int(x[0]) if x[0] >= 0 and x[0] < I else MISSING
    for i in range(I):
        v = (x[i] - weights[i]) * weights[I + i]
        v = LIMIT if v > LIMIT else v
        v = -LIMIT if v < -LIMIT else v
        below[i] = v if v == v else ZERO
    return DENSE


@jit
def preactivate(weights, at, G, shift, token, below, h, a):
    """a (A,) = bias, + W_ih below into a[:G], + W_hh h into a[shift:]; returns the next `at`.

    A token stands for the one-hot vector that a dense `below` would be, and gives the same sums.
    """
    K, H, A = below.size, h.size, a.size
    for i in range(A):
        a[i] = weights[at + i]
    at += A
    weight_ih = weights[at : at + K * G].reshape(K, G)
    at += K * G
    weight_hh = weights[at : at + H * G].reshape(H, G)
    if token == DENSE:
        accumulate(weight_ih, below, a[:G])
    elif token != MISSING:
        row = weight_ih[token]
        for i in range(G):
            a[i] += row[i]
    accumulate(weight_hh, h, a[shift : shift + G])
    return at + H * G


@jit
def leave(weights, at, h, y):
    """y (O,) = (bias_o + W_ho h) std + mean; without a readout y (H,) = h."""
    O, H = y.size, h.size
    if at == weights.size:
        for i in range(H):
            y[i] = h[i]
        return
    for o in range(O):
        y[o] = weights[at + o]
    at += O
    accumulate(weights[at : at + H * O].reshape(H, O), h, y)
    at += H * O
    for o in range(O):
        y[o] = y[o] * weights[at + o] + weights[at + O + o]
