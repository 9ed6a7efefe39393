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
def dots(a, i, m, b, j, n, d):
    """`dot` from i + m and j + n, of each of four i and j: what takes long is to begin a loop."""
    i0, i1, i2, i3 = i[0] + m, i[1] + m, i[2] + m, i[3] + m
    j0, j1, j2, j3 = j[0] + n, j[1] + n, j[2] + n, j[3] + n
    fours = d - d % 4
    even0 = odd0 = even1 = odd1 = even2 = odd2 = even3 = odd3 = zero(FOUR)
    for n in range(0, fours - 4, 8):
        even0 = fma(load(a, i0 + n, FOUR), load(b, j0 + n, FOUR), even0)
        even1 = fma(load(a, i1 + n, FOUR), load(b, j1 + n, FOUR), even1)
        even2 = fma(load(a, i2 + n, FOUR), load(b, j2 + n, FOUR), even2)
        even3 = fma(load(a, i3 + n, FOUR), load(b, j3 + n, FOUR), even3)
        n += 4
        odd0 = fma(load(a, i0 + n, FOUR), load(b, j0 + n, FOUR), odd0)
        odd1 = fma(load(a, i1 + n, FOUR), load(b, j1 + n, FOUR), odd1)
        odd2 = fma(load(a, i2 + n, FOUR), load(b, j2 + n, FOUR), odd2)
        odd3 = fma(load(a, i3 + n, FOUR), load(b, j3 + n, FOUR), odd3)
    if fours % 8:
        n = fours - 4
        even0 = fma(load(a, i0 + n, FOUR), load(b, j0 + n, FOUR), even0)
        even1 = fma(load(a, i1 + n, FOUR), load(b, j1 + n, FOUR), even1)
        even2 = fma(load(a, i2 + n, FOUR), load(b, j2 + n, FOUR), even2)
        even3 = fma(load(a, i3 + n, FOUR), load(b, j3 + n, FOUR), even3)
    z0, z1 = total(plus(even0, odd0)), total(plus(even1, odd1))
    z2, z3 = total(plus(even2, odd2)), total(plus(even3, odd3))
    for n in range(fours, d):
        z0 += load(a, i0 + n, ONE) * load(b, j0 + n, ONE)
        z1 += load(a, i1 + n, ONE) * load(b, j1 + n, ONE)
        z2 += load(a, i2 + n, ONE) * load(b, j2 + n, ONE)
        z3 += load(a, i3 + n, ONE) * load(b, j3 + n, ONE)
    return z0, z1, z2, z3


@inner
def adds(w, i, k, j, n, error, d):
    """`add` from i + n and j + n, for each of four i, j and errors."""
    i0, i1, i2, i3 = i[0] + n, i[1] + n, i[2] + n, i[3] + n
    j0, j1, j2, j3 = j[0] + n, j[1] + n, j[2] + n, j[3] + n
    error0, error1, error2, error3 = error
    fours = d - d % 4
    for n in range(0, fours, 4):
        store(w, i0 + n, fma(error0, load(k, j0 + n, FOUR), load(w, i0 + n, FOUR)))
        store(w, i1 + n, fma(error1, load(k, j1 + n, FOUR), load(w, i1 + n, FOUR)))
        store(w, i2 + n, fma(error2, load(k, j2 + n, FOUR), load(w, i2 + n, FOUR)))
        store(w, i3 + n, fma(error3, load(k, j3 + n, FOUR), load(w, i3 + n, FOUR)))
    for n in range(fours, d):
        store(w, i0 + n, fma(error0, load(k, j0 + n, ONE), load(w, i0 + n, ONE)))
        store(w, i1 + n, fma(error1, load(k, j1 + n, ONE), load(w, i1 + n, ONE)))
        store(w, i2 + n, fma(error2, load(k, j2 + n, ONE), load(w, i2 + n, ONE)))
        store(w, i3 + n, fma(error3, load(k, j3 + n, ONE), load(w, i3 + n, ONE)))


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
        # read once: for all that LLVM knows, k may lie in P
        ka, kb, kc, ke = -k[i], -k[i + 1], -k[i + 2], -k[i + 3]
        for j in range(0, fours - i, 4):
            other, p = load(k, i + j, FOUR), at + j
            store(P, p, fma(ka, other, times(grow, load(P, p, FOUR))))
            p += width
            store(P, p, fma(kb, other, times(grow, load(P, p, FOUR))))
            p += width
            store(P, p, fma(kc, other, times(grow, load(P, p, FOUR))))
            p += width
            store(P, p, fma(ke, other, times(grow, load(P, p, FOUR))))
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
