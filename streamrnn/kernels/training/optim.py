"""One update of all parameters, as PyTorch's optimizers of these names make it.

p, g (P,): parameters and their gradient, of one dtype; what else an optimizer remembers has their
size and starts from zero.
"""

import numpy as np

from streamrnn.kernels.jit import jit
from streamrnn.kernels.simd import LANES, fma, load, splat, store

ZERO, ONE = np.float32(0), np.float32(1)
PIECE = 1024


@jit
def norm(g):
    """The Euclidean norm of g (P,), in float64; within a PIECE sums of float32, a lane each."""
    at, lanes, total = np.int64(g.ctypes.data), np.zeros(2 * LANES, np.float32), 0.0
    out = np.int64(lanes.ctypes.data)
    whole = g.size - g.size % PIECE
    for piece in range(0, whole, PIECE):
        even = odd = splat(ZERO)
        for i in range(piece, piece + PIECE, 2 * LANES):
            x, y = load(at, i), load(at, i + LANES)
            even, odd = fma(x, x, even), fma(y, y, odd)
        store(out, 0, even)
        store(out, LANES, odd)
        for l in range(2 * LANES):
            total += np.float64(lanes[l])
    for i in range(whole, g.size):
        total += np.float64(g[i]) * np.float64(g[i])
    return np.sqrt(total)


@jit
def sgd(p, g, velocity, lr, momentum):
    """velocity = momentum velocity + g; p -= lr velocity."""
    for i in range(p.size):
        velocity[i] = momentum * velocity[i] + g[i]
        p[i] -= lr * velocity[i]


@jit
def adagrad(p, g, total, lr, eps):
    """total += g^2; p -= lr g / (sqrt(total) + eps).  Duchi et al. 2011."""
    for i in range(p.size):
        total[i] += g[i] * g[i]
        p[i] -= lr * g[i] / (np.sqrt(total[i]) + eps)


@jit
def rmsprop(p, g, mean, lr, alpha, eps):
    """mean = alpha mean + (1 - alpha) g^2; p -= lr g / (sqrt(mean) + eps).  Hinton 2012."""
    for i in range(p.size):
        mean[i] = alpha * mean[i] + (ONE - alpha) * (g[i] * g[i])
        p[i] -= lr * g[i] / (np.sqrt(mean[i]) + eps)


@jit
def adam(p, g, m, v, lr, beta1, beta2, eps, first, second):
    """p -= lr first m / (sqrt(second v) + eps), m and v the means of g and g^2.

    first, second: 1 / (1 - beta^t) after t updates.  Kingma and Ba 2015, algorithm 1.
    """
    for i in range(p.size):
        m[i] = beta1 * m[i] + (ONE - beta1) * g[i]
        v[i] = beta2 * v[i] + (ONE - beta2) * (g[i] * g[i])
        p[i] -= lr * (first * m[i]) / (np.sqrt(second * v[i]) + eps)
