"""One update of all parameters, as PyTorch's optimizers of these names make it.

p, g (P,): parameters and their gradient, of one dtype; what else an optimizer remembers has their
size and starts from zero.
"""

import numpy as np

from streamrnn.kernels.jit import allocating, jit
from streamrnn.kernels.simd import LANES, fma, load, splat, store

ZERO, ONE = np.float32(0), np.float32(1)
PIECE, SUMS = 1024, 32


@allocating
def norm(g):
    """The Euclidean norm of g (P,): every SUMS-th number of a piece in float32, then float64."""
    at, sums, total = np.int64(g.ctypes.data), np.zeros(SUMS, np.float32), 0.0
    out = np.int64(sums.ctypes.data)
    whole = g.size - g.size % PIECE
    for piece in range(0, whole, PIECE):
        for l in range(0, SUMS, LANES):
            squares = splat(ZERO)
            for i in range(piece + l, piece + PIECE, SUMS):
                x = load(at, i)
                squares = fma(x, x, squares)
            store(out, l, squares)
        for l in range(SUMS):
            total += np.float64(sums[l])
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
