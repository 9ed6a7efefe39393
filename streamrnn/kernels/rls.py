"""Recursive least squares with forgetting, for several targets that share their inputs.

Minimises sum_t forgetting^(now - t) (z_t - w'f_t)^2 for every target z at once: the gain k depends
on the inputs f alone, so the covariance P is kept once, and each target keeps its weights w.

k = P f / (forgetting + f'P f)      P <- (P - k f'P) / forgetting      w <- w + k (z - w'f)

Haykin, Adaptive Filter Theory, ch. 10.  A target that comes later needs the k and f of its row.

P (d, d) is symmetric. Kept of row i, one row after the other: from column 4 (i // 4) on, `size(d)`
numbers in all; what is left of that is the mirror image of what is above.
"""

import math

from numba.extending import register_jitable

from streamrnn.kernels.doubles import FOUR, ONE, fma, load, plus, store, times, total, zero
from streamrnn.kernels.jit import inner, jit


@register_jitable
def size(d: int) -> int:
    """How many numbers are kept of P."""
    blocks, rest = d // 4, d % 4
    return 4 * blocks * (d - 2 * (blocks - 1)) + rest * rest


@inner
def dot(a, i, b, j, d):
    """sum_n a[i + n] b[j + n], n < d, of arrays as if they were flat."""
    fours = d - d % 4
    even = odd = zero(FOUR)
    for n in range(0, fours - 4, 8):
        even = fma(load(a, i + n, FOUR), load(b, j + n, FOUR), even)
        odd = fma(load(a, i + n + 4, FOUR), load(b, j + n + 4, FOUR), odd)
    if fours % 8:
        n = fours - 4
        even = fma(load(a, i + n, FOUR), load(b, j + n, FOUR), even)
    z = total(plus(even, odd))
    for n in range(fours, d):
        z += load(a, i + n, ONE) * load(b, j + n, ONE)
    return z


@inner
def add(w, i, k, j, error, d):
    """w[i + n] += error k[j + n], n < d, of arrays as if they were flat."""
    fours = d - d % 4
    for n in range(0, fours, 4):
        store(w, i + n, fma(error, load(k, j + n, FOUR), load(w, i + n, FOUR)))
    for n in range(fours, d):
        store(w, i + n, fma(error, load(k, j + n, ONE), load(w, i + n, ONE)))


@inner
def _multiply(P, f, k):
    """k = P f: each number is read once, for its own row and for that of its mirror image."""
    d, at = f.size, 0
    fours = d - d % 4
    for i in range(d):
        k[i] = 0.0
    for i in range(0, fours, 4):
        width = d - i
        a, b, c, e = at, at + width, at + 2 * width, at + 3 * width
        fa, fb, fc, fe = f[i], f[i + 1], f[i + 2], f[i + 3]
        square = fma(fa, load(P, a, FOUR), load(k, i, FOUR))
        square = fma(fb, load(P, b, FOUR), square)
        square = fma(fc, load(P, c, FOUR), square)
        store(k, i, fma(fe, load(P, e, FOUR), square))
        ka = kb = kc = ke = zero(FOUR)
        for j in range(4, fours - i, 4):
            x, mirror = load(f, i + j, FOUR), load(k, i + j, FOUR)
            row = load(P, a + j, FOUR)
            ka, mirror = fma(row, x, ka), fma(fa, row, mirror)
            row = load(P, b + j, FOUR)
            kb, mirror = fma(row, x, kb), fma(fb, row, mirror)
            row = load(P, c + j, FOUR)
            kc, mirror = fma(row, x, kc), fma(fc, row, mirror)
            row = load(P, e + j, FOUR)
            ke, mirror = fma(row, x, ke), fma(fe, row, mirror)
            store(k, i + j, mirror)
        k[i] += total(ka)
        k[i + 1] += total(kb)
        k[i + 2] += total(kc)
        k[i + 3] += total(ke)
        for r in range(i, i + 4):
            for j in range(fours, d):
                k[r] += f[j] * P[at + j - i]
                k[j] += f[r] * P[at + j - i]
            at += width
    for i in range(fours, d):
        for j in range(fours, d):
            k[i] += f[j] * P[at]
            at += 1


@inner
def _know(P, k, grow):
    """P <- grow P - k k'."""
    d, at = k.size, 0
    fours = d - d % 4
    for i in range(0, fours, 4):
        width = d - i
        for j in range(0, fours - i, 4):
            other = load(k, i + j, FOUR)
            for r in range(4):
                p = at + r * width + j
                store(P, p, fma(-k[i + r], other, times(grow, load(P, p, FOUR))))
        for r in range(4):
            for j in range(fours - i, width):
                p = at + r * width + j
                P[p] = fma(-k[i + r], k[i + j], grow * P[p])
        at += 4 * width
    for i in range(fours, d):
        for j in range(fours, d):
            P[at] = fma(-k[i], k[j], grow * P[at])
            at += 1


@jit
def gain(P, f, forgetting, trace_limit, k):
    """The gain k (d,) for inputs f (d,); P (size(d),) is advanced.

    Inputs that stay the same for long would let P grow in the directions they leave out, by
    1 / forgetting a step without end: its trace is kept within trace_limit.
    Returns False, P unchanged, where rounding has left P of no use: the caller starts it anew.
    """
    _multiply(P, f, k)
    d, at, variance = f.size, 0, 0.0
    for i in range(0, d - d % 4, 4):
        width = d - i
        low, high = P[at] + P[at + width + 1], P[at + 2 * width + 2] + P[at + 3 * width + 3]
        variance += low + high
        at += 4 * width
    for _ in range(d % 4):
        variance += P[at]
        at += d % 4 + 1
    uncertainty, square = dot(f, 0, k, 0, d), dot(k, 0, k, 0, d)
    known = 1.0 / (forgetting + uncertainty)
    trace = variance - known * square
    if not (uncertainty >= 0.0 and trace > 0.0):
        return False
    grow = min(1.0 / forgetting, trace_limit / trace)
    # the root of what k k' counts, on either side: the same bits above and below the diagonal
    root = math.sqrt(grow * known)
    for i in range(d):
        k[i] *= root
    _know(P, k, grow)
    for i in range(d):
        k[i] *= known / root
    return True


@jit
def restart(P, variance, k):
    """P (size(d),) of weights about which nothing is known but that they are of this variance."""
    at = 0
    for i in range(k.size):
        for j in range(i - i % 4, k.size):
            P[at] = variance if i == j else 0.0
            at += 1
        k[i] = 0.0
