"""How wide the interval around a forecast is: quantiles of its errors, in units of a scale.

scale = size (1 + w'x)      x: the level, how much is to change, recent errors beside the usual
mean + low scale .. mean + high scale

Errors of many streams grow with the level, or where much is to change: w learns by normalised
gradients how large an error is to be expected.  The quantiles move as in adaptive conformal
inference (Gibbs & Candes 2021): an end that the target exceeded moves out by 0.95 RATE of itself,
one that held moves in by 0.05 RATE, so that the share exceeded tends to 5 % at either end, whatever
the distribution.  They are slow, since what moves quickly is blurred; so where clearly more or
less than 10 % of the last values were outside, both ends give way until they have followed.
"""

import math

from streamrnn.kernels.channels import TINY
from streamrnn.kernels.doubles import (
    FOUR,
    ONE,
    least,
    less,
    load,
    minus,
    most,
    over,
    plus,
    store,
    times,
)
from streamrnn.kernels.jit import inner

OUTSIDE = 0.05  # share of the targets below the interval, and above it
RATE = 0.005
NEAR = 0.3  # a quantile moves as if it were at least that far out
WIDE = 2.0  # low and high to begin with: 5 % of normal errors exceed 2.06 mean sizes
WIDEST = 20.0  # of low and high: by Markov, no more than 5 % of errors exceed 20 mean sizes
SLOW = 1 / 250  # rate of the size
OUTLIER = 8.0  # an error counts as at most this many times the size
LEARNING = 0.006  # of the weights, at the first horizon; less where errors follow each other
SURPRISE = 3.0  # a size beyond the scale by more than this many times teaches no more
HALF = 0.5  # weight of recent errors to begin with; the others begin with none
WEIGHT = 4.0  # weights lie within +-WEIGHT
SMALLEST, LARGEST = 0.25, 4.0  # scale, in sizes
MANY = 4.0  # of the change forecast, of recent errors: beside the usual, at most
LAST = 1 / 100  # rate of the share outside
STRAY = 0.03  # the share outside may differ by that much
GIVE = 4.0  # by what it differs beyond, times this, the interval is wider or narrower

# row of width (H,)
SIZE = 0  # running mean size of the errors
BY_LEVEL, BY_CHANGE, BY_RECENT = 1, 2, 3  # weights
PACE = 4  # at which they learn
OUT = 5  # share of the last values that were outside
LOW = 6  # 5 % quantile of the errors, in units of the scale
HIGH = 7  # 95 %
RECENT = 8  # recent errors beside usual in the last H rows, each where forecast.kept says
# the newest errors; the scales that they were said to have, 0: there is none; and what these follow
ERROR, SCALE, LEVEL, CHANGE, THEN = 9, 10, 11, 12, 13
ROWS = 14


@inner
def begin(width):
    for h in range(width.shape[1]):
        for row in range(ROWS):
            width[row, h] = 0.0
        width[BY_RECENT, h], width[OUT, h] = HALF, 2 * OUTSIDE
        width[PACE, h] = LEARNING / math.sqrt(h + 1.0)
        width[LOW, h], width[HIGH, h] = -WIDE, WIDE


@inner
def recent(miss, width):
    """Recent errors, whose mean sizes miss (H,) are, beside usual ones; 0 where they are alike."""
    now = usual = 0.0
    for h in range(miss.size):
        if width[SIZE, h] > 0.0:
            now += miss[h]
            usual += width[SIZE, h]
    return min(now / usual, MANY) - 1.0 if usual > 0.0 else 0.0


@inner
def _within(x, low, high):
    return least(most(x, low), high)


@inner
def _size(x):
    return most(x, minus(0.0, x))


@inner
def _changing(change, stayed):
    """A change that is forecast, beside the usual change over as many rows."""
    return minus(least(over(_size(change), most(stayed, TINY)), MANY), 0.5)


@inner
def _give(out):
    """What the interval is wider by than its quantiles tell, to make up for what was outside."""
    stray = minus(out, 2 * OUTSIDE)
    return plus(1.0, times(GIVE, minus(stray, _within(stray, -STRAY, STRAY))))


@inner
def _learn(rate, pace, stayed, width, h, lanes):
    H = stayed.size
    error, scale = load(width, ERROR * H + h, lanes), load(width, SCALE * H + h, lanes)
    known = less(0.0, scale)
    scale = most(scale, TINY)
    low, high = load(width, LOW * H + h, lanes), load(width, HIGH * H + h, lanes)
    out = load(width, OUT * H + h, lanes)
    reach = times(scale, _give(out))
    outside = plus(less(error, times(low, reach)), less(times(high, reach), error))
    store(width, OUT * H + h, plus(out, times(times(LAST, known), minus(outside, out))))

    below = minus(less(error, times(low, scale)), OUTSIDE)
    above = minus(less(times(high, scale), error), OUTSIDE)
    rate = times(rate, known)
    low = minus(low, times(times(rate, most(minus(0.0, low), NEAR)), below))
    high = plus(high, times(times(rate, most(high, NEAR)), above))
    store(width, LOW * H + h, _within(low, -WIDEST, 0.0))
    store(width, HIGH * H + h, _within(high, 0.0, WIDEST))

    level, then = load(width, LEVEL * H + h, lanes), load(width, THEN * H + h, lanes)
    change = _changing(load(width, CHANGE * H + h, lanes), load(stayed, h, lanes))
    pace = times(most(load(width, PACE * H + h, lanes), pace), known)
    pace = times(pace, least(minus(over(_size(error), scale), 1.0), SURPRISE))
    square = plus(plus(times(level, level), times(change, change)), plus(times(then, then), 1.0))
    pace = over(pace, square)
    for row, x in ((BY_LEVEL, level), (BY_CHANGE, change), (BY_RECENT, then)):
        at = row * H + h
        w = plus(load(width, at, lanes), times(pace, x))
        store(width, at, _within(w, -WEIGHT, WEIGHT))


@inner
def learn(n, stayed, width):
    """Quantiles and weights follow the newest errors, the n-th of the stream or so."""
    rate, pace = RATE + 0.5 / n, 1.0 / (n + 20.0)
    fours = stayed.size - stayed.size % 4
    for h in range(0, fours, 4):
        _learn(rate, pace, stayed, width, h, FOUR)
    for h in range(fours, stayed.size):
        _learn(rate, pace, stayed, width, h, ONE)


@inner
def follow(h, n, size, miss, width):
    """Errors have the mean size `miss` lately, and the n-th of them, of horizon h, had `size`."""
    usual = width[SIZE, h]
    if usual == 0.0:
        width[SIZE, h] = size
    else:
        usual += max(SLOW, 1.0 / n) * (min(size, OUTLIER * usual) - usual)
        width[SIZE, h] = min(usual, OUTLIER * miss)  # begun with a spike


@inner
def _reach(level, recently, change, stayed, width, scale, low, high, h, lanes):
    H = stayed.size
    changing = _changing(load(change, h, lanes), load(stayed, h, lanes))
    more = plus(
        plus(
            times(load(width, BY_LEVEL * H + h, lanes), level),
            times(load(width, BY_CHANGE * H + h, lanes), changing),
        ),
        times(load(width, BY_RECENT * H + h, lanes), recently),
    )
    size = load(width, SIZE * H + h, lanes)
    size = times(size, _within(plus(1.0, more), SMALLEST, LARGEST))
    store(scale, h, size)
    size = times(size, _give(load(width, OUT * H + h, lanes)))
    store(low, h, times(load(width, LOW * H + h, lanes), size))
    store(high, h, times(load(width, HIGH * H + h, lanes), size))


@inner
def reach(level, recently, change, stayed, width, scale, low, high):
    """Scales of the errors to come, and how far below and above the mean the ends lie; each (H,).

    change (H,) is forecast; stayed (H,) is the usual change over as many rows.
    """
    fours = stayed.size - stayed.size % 4
    for h in range(0, fours, 4):
        _reach(level, recently, change, stayed, width, scale, low, high, h, FOUR)
    for h in range(fours, stayed.size):
        _reach(level, recently, change, stayed, width, scale, low, high, h, ONE)
