"""Rows that ask much of what learns from them: gaps, spikes, and whatever broke a filter once."""

import numpy as np


def awkward(T, C, seed=0):
    """Waves on a walk, with gaps in channels and rows, a spike, a frozen stretch, a late start."""
    random = np.random.default_rng(seed)
    X = np.cumsum(random.normal(size=(T, C)), axis=0)
    X += 10 * np.sin(np.arange(T) / 7)[:, None]
    X[random.random((T, C)) < 0.05] = np.nan
    X[:3] = X[T // 3 : T // 3 + 30] = np.nan
    X[T // 2] = 1e9
    X[2 * T // 3 : 2 * T // 3 + 60] = 5.0
    return X


def hostile(T, C, seed=0):
    """Stretches of every kind of input that has broken a filter somewhere."""
    random = np.random.default_rng(seed)
    X = np.empty((T, C))
    t = 0
    while t < T:
        n = int(random.integers(1, 400))
        rows, shape = np.arange(n)[:, None], (n, C)
        kind = random.integers(12)
        if kind == 0:  # spikes
            part = random.normal(size=shape)
            part[random.random(shape) < 0.05] = 1e30
        elif kind == 1:  # constants of any size
            part = np.full(shape, random.normal() * 10 ** random.uniform(-20, 20))
        elif kind == 2:  # alternating extremes
            part = np.where(rows % 2, 1e30, -1e30) * np.ones(shape)
        elif kind == 3:
            part = np.full(shape, np.nan)
        elif kind == 4:
            part = random.normal(size=shape)
            part[random.random(shape) < 0.1] = np.inf
            part[random.random(shape) < 0.1] = -np.inf
        elif kind == 5:  # a walk of denormal steps
            part = np.cumsum(random.normal(size=shape) * 1e-308, axis=0)
        elif kind == 6:  # any float there is
            part = 10 ** random.uniform(-310, 308, shape) * random.choice([-1, 1], shape)
        elif kind == 7:  # growth without end
            part = np.exp(rows / 3) * np.ones(shape)
        elif kind == 8:  # the largest values that count
            part = 1e100 * random.choice([-1.0, 1.0], shape)
        elif kind == 9:  # the smallest, among zeros
            part = 1e-300 * random.normal(size=shape) * random.integers(2, size=shape)
        elif kind == 10:  # now and then of a scale 1e12 times another
            part = random.normal(size=shape) * 1e12 ** (rows // 40 % 4 - 1.0)
        else:  # harmless
            part = np.sin(rows / 5) + 0.1 * random.normal(size=shape)
        X[t : t + n] = part[: T - t]
        t += n
    return X
