"""Recursive least squares with forgetting, for several targets that share their inputs.

Minimises sum_t forgetting^(now - t) (z_t - w'f_t)^2 for every target z at once: the gain k depends
on the inputs f alone, so the covariance P is kept once, and each target keeps its weights w.

k = P f / (forgetting + f'P f)      P <- (P - k f'P) / forgetting      w <- w + k (z - w'f)

Haykin, Adaptive Filter Theory, ch. 10.  A target that comes later needs the k and f of its row.
"""

import math

from streamrnn.kernels.doubles import FOUR, ONE, fma, load, plus, store, times, zero
from streamrnn.kernels.jit import inner, jit


@inner
def _multiply(P, f, k, j, lanes):
    """k_j = sum_i f_i P_ij; P is symmetric: by rows, so that neighbours lie together."""
    d = f.size
    even = odd = zero(lanes)
    for i in range(0, d - 1, 2):
        even = fma(load(f, i, ONE), load(P, i * d + j, lanes), even)
        odd = fma(load(f, i + 1, ONE), load(P, (i + 1) * d + j, lanes), odd)
    if d % 2:
        even = fma(f[d - 1], load(P, (d - 1) * d + j, lanes), even)
    store(k, j, plus(even, odd))


@inner
def _know(P, k, grow, less, i, j, lanes):
    """P_ij <- grow P_ij + less k_j, where less is -k_i."""
    at = i * k.size + j
    store(P, at, fma(less, load(k, j, lanes), times(grow, load(P, at, lanes))))


@jit
def gain(P, f, forgetting, trace_limit, k):
    """The gain k (d,) for inputs f (d,); P (d, d), symmetric, is advanced.

    Inputs that stay the same for long would let P grow in the directions they leave out, by
    1 / forgetting a step without end: its trace is kept within trace_limit.
    Returns False, P unchanged, where rounding has left P of no use: the caller starts it anew.
    """
    d = f.size
    fours = d - d % 4
    for j in range(0, fours, 4):
        _multiply(P, f, k, j, FOUR)
    for j in range(fours, d):
        _multiply(P, f, k, j, ONE)
    uncertainty = variance = square = 0.0
    for i in range(d):
        uncertainty += f[i] * k[i]
        variance += P[i, i]
        square += k[i] * k[i]
    known = 1.0 / (forgetting + uncertainty)
    trace = variance - known * square
    if not (uncertainty >= 0.0 and trace > 0.0):
        return False
    grow = min(1.0 / forgetting, trace_limit / trace)
    # the root of what k k' counts, on either side: the same bits above and below the diagonal
    root = math.sqrt(grow * known)
    for i in range(d):
        k[i] *= root
    for i in range(d):
        less = -k[i]
        for j in range(0, fours, 4):
            _know(P, k, grow, less, i, j, FOUR)
        for j in range(fours, d):
            _know(P, k, grow, less, i, j, ONE)
    for i in range(d):
        k[i] *= known / root
    return True


@jit
def restart(P, variance, k):
    """P (d, d) of weights about which nothing is known but that they are of this variance."""
    for i in range(k.size):
        for j in range(k.size):
            P[i, j] = variance if i == j else 0.0
        k[i] = 0.0


@inner
def _predict(W, F, z, h, lanes):
    d, H = W.shape[0], z.size
    even = odd = zero(lanes)
    for i in range(0, d - 1, 2):
        at = i * H + h
        even = fma(load(W, at, lanes), load(F, at, lanes), even)
        odd = fma(load(W, at + H, lanes), load(F, at + H, lanes), odd)
    if d % 2:
        at = (d - 1) * H + h
        even = fma(load(W, at, lanes), load(F, at, lanes), even)
    store(z, h, plus(even, odd))


@jit
def predict(W, F, z):
    """z_h = sum_i W_ih F_ih: target h (H,) from weights and inputs of its own; W, F (d, H)."""
    fours = z.size - z.size % 4
    for h in range(0, fours, 4):
        _predict(W, F, z, h, FOUR)
    for h in range(fours, z.size):
        _predict(W, F, z, h, ONE)


@inner
def _read(W, f, z, h, lanes):
    d, H = W.shape[0], z.size
    even = odd = zero(lanes)
    for i in range(0, d - 1, 2):
        even = fma(load(f, i, ONE), load(W, i * H + h, lanes), even)
        odd = fma(load(f, i + 1, ONE), load(W, (i + 1) * H + h, lanes), odd)
    if d % 2:
        even = fma(f[d - 1], load(W, (d - 1) * H + h, lanes), even)
    store(z, h, plus(even, odd))


@jit
def read(W, f, z):
    """z_h = sum_i W_ih f_i: all targets from the same inputs f (d,)."""
    fours = z.size - z.size % 4
    for h in range(0, fours, 4):
        _read(W, f, z, h, FOUR)
    for h in range(fours, z.size):
        _read(W, f, z, h, ONE)


@inner
def _learn(W, K, error, i, h, lanes):
    at = i * error.size + h
    store(W, at, fma(load(K, at, lanes), load(error, h, lanes), load(W, at, lanes)))


@jit
def learn(W, K, error):
    """w_h <- w_h + k_h error_h, for the gain K[:, h] of the inputs that error_h (H,) belongs to."""
    fours = error.size - error.size % 4
    for i in range(W.shape[0]):
        for h in range(0, fours, 4):
            _learn(W, K, error, i, h, FOUR)
        for h in range(fours, error.size):
            _learn(W, K, error, i, h, ONE)
