"""What a reader makes of a network's outputs: probabilities, surprise, and the likeliest tokens."""

import math

import numpy as np

from streamrnn.kernels.jit import jit

BITS = np.float32(1 / math.log(2))  # bits in a nat
NAN = np.float32(np.nan)
ONE = np.float32(1.0)


@jit
def log_softmax(logits, log_p):
    """log_p (V,) = logits - log sum exp(logits), summed in order of the tokens."""
    top = logits[0]
    for v in range(1, logits.size):
        top = logits[v] if logits[v] > top else top  # taken off, so that no exp overflows
    total = np.float32(0.0)
    for v in range(logits.size):
        total += math.exp(logits[v] - top)
    shift = top + np.float32(math.log(total))
    for v in range(logits.size):
        log_p[v] = logits[v] - shift


@jit
def likeliest(log_p, ids, p):
    """The tokens of highest probability: ids (K,) as whole numbers, p (K,), in falling order.

    Of equals the smaller id comes first. Ranks beyond the size of the vocabulary are NaN.
    """
    K = ids.size
    for k in range(K):
        ids[k] = NAN
        p[k] = -np.inf
    for v in range(log_p.size):
        k = K
        while k > 0 and log_p[v] > p[k - 1]:
            k -= 1
        for j in range(K - 1, k, -1):
            ids[j], p[j] = ids[j - 1], p[j - 1]
        if k < K:
            ids[k], p[k] = np.float32(v), log_p[v]
    for k in range(K):
        p[k] = math.exp(p[k]) if k < log_p.size else NAN


@jit
def read(at, window, states, rows, tokens, logits, y):
    """Score token n by what its stream predicted before, then keep the new prediction; n = 0...

    at       where log_p (V,), bits and count begin in a row of states (S, row)
    window   tokens over which the mean of the surprise forgets
    tokens (N, 1): ids below V, NaN = missing; logits (N, V): the network's after token n
    y (N, 2 + 2K) receives surprise, bits, and K ids and K probabilities of the likeliest tokens
    """
    V = logits.shape[1]
    K = (y.shape[1] - 2) // 2
    for n in range(rows.size):
        state = states[rows[n]]
        log_p = state[at : at + V]
        bits, count = state[at + V], state[at + V + 1]
        surprise = NAN
        token = tokens[n, 0]
        if token == token:
            surprise = -log_p[int(token)] * BITS
            count = count + ONE if count < window else window
            bits += (surprise - bits) / count
            state[at + V], state[at + V + 1] = bits, count
        y[n, 0] = surprise
        y[n, 1] = bits if count > 0 else NAN
        log_softmax(logits[n], log_p)
        likeliest(log_p, y[n, 2 : 2 + K], y[n, 2 + K :])
