"""One update of all parameters, as PyTorch's optimizers of these names make it.

p, g (P,): parameters and their gradient, of one dtype; what else an optimizer remembers has their
size and starts from zero.
"""

import numpy as np

from streamrnn.kernels.jit import jit

ONE = np.float32(1)


@jit
def norm(g):
    """The Euclidean norm, summed in float64 in eight strands."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = g.size - g.size % 8
    for i in range(0, whole, 8):
        s0 += np.float64(g[i]) * g[i]
        s1 += np.float64(g[i + 1]) * g[i + 1]
        s2 += np.float64(g[i + 2]) * g[i + 2]
        s3 += np.float64(g[i + 3]) * g[i + 3]
        s4 += np.float64(g[i + 4]) * g[i + 4]
        s5 += np.float64(g[i + 5]) * g[i + 5]
        s6 += np.float64(g[i + 6]) * g[i + 6]
        s7 += np.float64(g[i + 7]) * g[i + 7]
    for i in range(whole, g.size):
        s0 += np.float64(g[i]) * g[i]
    return np.sqrt(((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)))


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
