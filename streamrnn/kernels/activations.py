"""Sigmoid and tanh on vectors of float32, without branches and without library calls.

PyPI's LLVM has no vector math library: math.exp and math.tanh stay scalar calls and would dominate
a step. Both are within 5 ulp and 4e-7 of the exact value over all floats; a test measures it.

A division takes as long as ten products, so what multiplies two of them asks for numerators and
denominators and divides once. Polynomials go in pairs of terms, whose sums do not wait in line.
"""

import numpy as np

from streamrnn.kernels.jit import inner
from streamrnn.kernels.scaling import ROUND, at_most, negative, scale
from streamrnn.kernels.simd import (
    absolute,
    fma,
    limit,
    select_positive,
    splat,
)

ZERO, UNIT = np.float32(0), np.float32(1)
LIMIT = np.float32(1e18)  # sums of weighted numbers up to this size stay finite

# 2^f for |f| <= 1/2 by a polynomial, relative error 1e-8 before rounding
E0, E1, E2, E3, E4, E5, E6 = (
    np.float32(value)
    for value in (
        1.0,
        0.6931471824645996,
        0.24022647738456726,
        0.055503323674201965,
        0.00961843691766262,
        0.0013398875016719103,
        0.00015353361959569156,
    )
)
LOG2_E = np.float32(np.log2(np.e))
LOG2_E_LOW = np.float32(np.log2(np.e) - np.float64(LOG2_E))
LAST = np.float32(151 / np.log2(np.e))  # e^-x beyond it is 0 in float32
HALF = np.float32(0.5)

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
def exp_minus(size):
    """e^-size for size in 0 .. LAST, exact to the smallest float."""
    # e^-size = 2^n 2^f with n whole and |f| <= 1/2; the low part of log2 e keeps f exact
    n = fma(size, splat(-LOG2_E), splat(ROUND)) - splat(ROUND)
    f = fma(size, splat(-LOG2_E_LOW), fma(size, splat(-LOG2_E), negative(n)))
    u = f * f
    low = fma(splat(E1), f, splat(E0))
    low = fma(fma(splat(E3), f, splat(E2)), u, low)
    high = fma(splat(E6), u, fma(splat(E5), f, splat(E4)))
    return scale(fma(high, u * u, low), n)


@inner
def sigmoid_ratio(x):
    """Numerator and denominator of 1 / (1 + e^-x), of e^-|x| / (1 + e^-|x|) where x < 0."""
    e = exp_minus(at_most(absolute(x), splat(LAST)))
    return select_positive(x, splat(UNIT), e), splat(UNIT) + e


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
def sigmoid(x):
    """1 / (1 + e^-x), as e^-|x| / (1 + e^-|x|) where x < 0: exact to the smallest float."""
    n, d = sigmoid_ratio(x)
    return n / d


@inner
def tanh(x):
    """Hyperbolic tangent."""
    n, d = tanh_ratio(x, splat(UNIT))
    return limit(n / d, splat(UNIT))


@inner
def relu(x):
    """max(x, 0), and at most LIMIT: the sums that it goes into stay finite; NaN stays NaN."""
    x = limit(x, splat(LIMIT))
    return (x + absolute(x)) * splat(HALF)
