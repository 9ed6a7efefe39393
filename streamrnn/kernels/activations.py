"""Sigmoid and tanh of float32 without branches, so that a loop over units becomes vector code.

PyPI's LLVM has no vector math library: math.exp and math.tanh inside a loop stay scalar calls and
would dominate a step. The errors below are over all floats, measured in tests/kernels/.
"""

import numpy as np

from streamrnn.kernels.jit import jit

ONE = np.float32(1.0)

# exp: x = n ln 2 + r with |r| <= ln 2 / 2 (Cody and Waite's split of ln 2), then a polynomial in r.
LOG2_E = np.float32(1.44269504)
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)
ROUND = np.float32(12582912.0)  # 1.5 * 2^23: adding it rounds to a whole number
E2, E3, E4, E5, E6 = (
    np.float32(value)
    for value in (
        0.4999999105930,
        0.1666666716337,
        0.04166822135448,
        0.008329197764396,
        0.001379583380185,
    )
)
LIMIT_EXP = np.float32(87.0)  # e^87 and e^-87 are normal float32 numbers

# tanh: x P(x^2) / Q(x^2), fitted for |x| <= 9, beyond which tanh rounds to 1.
P0, P1, P2, P3, P4, P5, P6 = (
    np.float32(value)
    for value in (
        1.0,
        0.13084009289741516,
        0.003103956114500761,
        1.1154307685501408e-05,
        -2.0225225938474978e-08,
        5.277950299031886e-11,
        -8.488718896641073e-14,
    )
)
Q0, Q1, Q2, Q3 = (
    np.float32(value)
    for value in (1.0, 0.4641733765602112, 0.02449517883360386, 0.0002546145115047693)
)
LIMIT_TANH = np.float32(9.0)


@jit
def exp(x):
    """e^x of a float32, |x| limited to 87; NaN stays NaN."""
    # `limit if x > limit else x`, not min(): it keeps NaN and is one instruction
    x = LIMIT_EXP if x > LIMIT_EXP else x
    x = -LIMIT_EXP if x < -LIMIT_EXP else x
    n = (x * LOG2_E + ROUND) - ROUND
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = ((((E6 * r + E5) * r + E4) * r + E3) * r + E2) * (r * r) + r + ONE
    # 2^n by its exponent bits; a product, so that a NaN in p survives whatever n became
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return p * power


@jit
def sigmoid(x):
    """1 / (1 + e^-x)."""
    return ONE / (ONE + exp(-x))


@jit
def tanh(x):
    """Hyperbolic tangent."""
    x = LIMIT_TANH if x > LIMIT_TANH else x
    x = -LIMIT_TANH if x < -LIMIT_TANH else x
    u = x * x
    p = (((((P6 * u + P5) * u + P4) * u + P3) * u + P2) * u + P1) * u + P0
    q = ((Q3 * u + Q2) * u + Q1) * u + Q0
    return x * p / q
