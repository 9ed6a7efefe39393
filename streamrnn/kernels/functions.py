"""Activations by their number: those of ONNX, PyTorch and Keras, of one float64 or of a row.

Each is a function of v with at most two constants a and b.  What a trained network mostly uses,
sigmoid, tanh and relu, has vectors of its own in activations.py.
"""

import math

from streamrnn.kernels.jit import inner

NAMES = (
    "identity",
    "tanh",
    "sigmoid",
    "relu",
    "leaky_relu",  # a v where v < 0
    "elu",  # a (e^v - 1) where v < 0
    "selu",  # b times that, and b v elsewhere
    "hard_sigmoid",  # a v + b, held within 0 .. 1
    "softplus",
    "softsign",
    "thresholded_relu",  # v where v > a, else 0
    "affine",  # a v + b
    "scaled_tanh",  # a tanh(b v)
    "clip",  # v held within a .. b
    "gelu",
    "gelu_tanh",  # its approximation by tanh
    "silu",  # v sigmoid(v)
    "hard_swish",  # v hard_sigmoid(v)
    "exponential",
    "softmax",  # of the whole row
    "log_softmax",
)
(
    IDENTITY,
    TANH,
    SIGMOID,
    RELU,
    LEAKY_RELU,
    ELU,
    SELU,
    HARD_SIGMOID,
    SOFTPLUS,
    SOFTSIGN,
    THRESHOLDED_RELU,
    AFFINE,
    SCALED_TANH,
    CLIP,
    GELU,
    GELU_TANH,
    SILU,
    HARD_SWISH,
    EXPONENTIAL,
    SOFTMAX,
    LOG_SOFTMAX,
) = range(len(NAMES))

CONSTANTS = {  # a and b where a file does not say: the defaults of ONNX's operators
    "leaky_relu": (0.01, 0.0),
    "elu": (1.0, 0.0),
    "selu": (1.67326319217681884765625, 1.05070102214813232421875),
    "hard_sigmoid": (0.2, 0.5),
    "thresholded_relu": (1.0, 0.0),
    "affine": (1.0, 0.0),
    "scaled_tanh": (1.0, 1.0),
    "clip": (-math.inf, math.inf),
    "hard_swish": (1 / 6, 0.5),
}
MOST = 1e18  # as in activations.py: sums of weighted numbers up to this size stay finite
ROOT_HALF, ROOT_2_PI = math.sqrt(0.5), math.sqrt(2 / math.pi)


@inner
def sigmoid(v):
    return 1.0 / (1.0 + math.exp(-v))


@inner
def held(v, low, high):
    """v within low .. high; NaN stays NaN."""
    v = low if v < low else v
    return high if v > high else v


@inner
def unheld(function, a, b, v):
    if function == TANH:
        return math.tanh(v)
    if function == SIGMOID:
        return sigmoid(v)
    if function == RELU:
        return v if v > 0.0 else 0.0
    if function == LEAKY_RELU:
        return v if v >= 0.0 else a * v
    if function == ELU:
        return v if v >= 0.0 else a * math.expm1(v)
    if function == SELU:
        return b * v if v >= 0.0 else b * (a * math.expm1(v))
    if function == HARD_SIGMOID:
        return held(a * v + b, 0.0, 1.0)
    if function == SOFTPLUS:
        return (v if v > 0.0 else 0.0) + math.log1p(math.exp(-abs(v)))
    if function == SOFTSIGN:
        return v / (1.0 + abs(v))
    if function == THRESHOLDED_RELU:
        return v if v > a else 0.0
    if function == AFFINE:
        return a * v + b
    if function == SCALED_TANH:
        return a * math.tanh(b * v)
    if function == CLIP:
        return held(v, a, b)
    if function == GELU:
        return 0.5 * v * (1.0 + math.erf(v * ROOT_HALF))
    if function == GELU_TANH:
        return 0.5 * v * (1.0 + math.tanh(ROOT_2_PI * (v + 0.044715 * v * v * v)))
    if function == SILU:
        return v * sigmoid(v)
    if function == HARD_SWISH:
        return v * held(a * v + b, 0.0, 1.0)
    if function == EXPONENTIAL:
        return math.exp(v)
    return v


@inner
def apply(function, a, b, v):
    """The function of that number, of one float64; at most MOST either way."""
    return held(unheld(function, a, b, v), -MOST, MOST)
