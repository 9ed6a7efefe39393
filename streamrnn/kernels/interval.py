"""How wide the interval around a forecast is: quantiles of its errors, in units of their size.

The quantiles move as in adaptive conformal inference (Gibbs & Candes 2021): an end that the target
exceeded moves out by 0.95 RATE, one that held moves in by 0.05 RATE, so that the share exceeded
tends to 5 % at either end, whatever the distribution.
"""

from streamrnn.kernels.jit import inner

RATE = 0.025
OUTSIDE = 0.05  # share of the targets below the interval, and above it
WIDE = 2.0  # low and high to begin with: 5 % of normal errors exceed 2.06 mean sizes
WIDEST = 20.0  # of low and high: by Markov, no more than 5 % of errors exceed 20 mean sizes


@inner
def moved_low(low, below):
    """The lower quantile (<= 0) after a target that was below the interval, or was not."""
    return min(max(low - RATE * (below - OUTSIDE), -WIDEST), 0.0)


@inner
def moved_high(high, above):
    return max(min(high + RATE * (above - OUTSIDE), WIDEST), 0.0)
