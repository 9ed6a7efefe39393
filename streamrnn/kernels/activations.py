"""Sigmoid and tanh on vectors of float32, without branches and without library calls.

PyPI's LLVM has no vector math library: math.exp and math.tanh stay scalar calls and would dominate
a step. Both are within 5 ulp and 4e-7 of the exact value over all floats; a test measures it. On
a CPU without multiply-add tanh is within 6 ulp.

A division takes as long as ten products, so what multiplies two of them asks for numerators and
denominators and divides once. Polynomials go in pairs of terms, whose sums do not wait in line.
"""

import numpy as np

from streamrnn.kernels.jit import inner
from streamrnn.kernels.scaling import ROUND, at_least, at_most, negative, power, scale
from streamrnn.kernels.simd import absolute, fma, limit, splat

ZERO, UNIT = np.float32(0), np.float32(1)
LIMIT = np.float32(1e18)  # sums of weighted numbers up to this size stay finite

LOG2_E = np.float32(np.log2(np.e))
# ln 2 in two parts, the first in 16 bits: its product with a whole number below 2^8 is exact
LN2_HIGH = np.float32(45426 / 2**16)
LN2_LOW = np.float32(np.log(2) - np.float64(LN2_HIGH))
LAST = np.float32(151 / np.log2(np.e))  # e^-x beyond it is 0 in float32
# sigmoid of it is 1 in float32; 1 - sigmoid goes no lower than 4e-11, nor `yes` above 2^35, so that
# products of three stay finite
FULL = np.float32(24)
HALF = np.float32(0.5)

# e^r = 1 + r + E2 r^2 + ... for |r| <= ln 2 / 2, relative error 3e-9 before rounding
E2, E3, E4, E5, E6 = (
    np.float32(value)
    for value in (
        0.4999999403953552,
        0.1666652113199234,
        0.04166826605796814,
        0.008368674665689468,
        0.0013820661697536707,
    )
)

# tanh x = x P(x^2) / Q(x^2), fitted for |x| <= 9
P0, P1, P2, P3, P4 = (
    np.float32(value)
    for value in (
        1.0,
        0.13383448123931885,
        0.003498464822769165,
        2.065656917693559e-05,
        1.342067967868843e-08,
    )
)
Q0, Q1, Q2, Q3, Q4 = (
    np.float32(value)
    for value in (
        1.0,
        0.4671676754951477,
        0.025887921452522278,
        0.0003290345484856516,
        7.803540142958809e-07,
    )
)
EDGE = np.float32(9.01099967956543)  # here the quotient is 1 to the bit, as tanh is, fused or not


@inner
def exp_parts(x):
    """A whole number m and e^r, 0.7 .. 1.5, such that e^-x = 2^-m e^r, for |x| <= LAST."""
    m = fma(x, splat(LOG2_E), splat(ROUND)) - splat(ROUND)
    r = fma(m, splat(LN2_LOW), fma(m, splat(LN2_HIGH), negative(x)))
    u = r * r
    low = fma(fma(splat(E3), r, splat(E2)), u, splat(UNIT) + r)
    high = fma(splat(E6), u, fma(splat(E5), r, splat(E4)))
    return m, fma(high, u * u, low)


@inner
def exp_minus(size):
    """e^-size for size in 0 .. LAST, exact to the smallest float."""
    m, e = exp_parts(size)
    return scale(e, negative(m))


@inner
def sigmoid_parts(x):
    """Two numbers yes and no: sigmoid x = yes / (yes + no), 1 - sigmoid x = no / (yes + no).

    1 / (1 + e^-x) = 2^m / (2^m + e^r) is exact down to the smallest float, as 2^m is.
    """
    m, e = exp_parts(at_least(at_most(x, splat(FULL)), splat(-LAST)))
    return power(m), e


@inner
def tanh_ratio(x, factor):
    """Numerator and denominator of `factor` tanh x, for a factor that does not wait for x."""
    u = at_most(x * x, splat(EDGE * EDGE))
    u2 = u * u
    x = limit(x, splat(EDGE)) * factor
    n = fma(
        fma(splat(P4), u2, fma(splat(P3), u, splat(P2))), x * u2, x * fma(splat(P1), u, splat(P0))
    )
    d = fma(fma(splat(Q4), u2, fma(splat(Q3), u, splat(Q2))), u2, fma(splat(Q1), u, splat(Q0)))
    return n, d


@inner
def bounded(n, d):
    """n / d, d > 0, held within -1 .. 1; NaN stays NaN."""
    return n / at_least(d, absolute(n))


@inner
def sigmoid(x):
    """1 / (1 + e^-x)."""
    yes, no = sigmoid_parts(x)
    return yes / (yes + no)


@inner
def tanh(x):
    """Hyperbolic tangent."""
    n, d = tanh_ratio(x, splat(UNIT))
    return bounded(n, d)


@inner
def relu(x):
    """max(x, 0), and at most LIMIT: the sums that it goes into stay finite; NaN stays NaN."""
    x = limit(x, splat(LIMIT))
    return (x + absolute(x)) * splat(HALF)
