"""The detector: how surprising the newest row is, from the forecaster's error and the range so far.

strength = max of   distance outside the range seen so far, in widths of that range
                    error of the one-step forecast, beside the largest percent of errors before
                    smoothed error, as a z-score beside its own past, of one row and of H rows ahead
                    1 where a value has been repeated for longer than ever before

Scale: 1 is an alarm.  An event is told once: a row counts if it is clearly stronger than all of the
last HOLD rows.
"""

import math

from streamrnn.kernels import forecast
from streamrnn.kernels.channels import CHANNEL_SIZE, OUTLIER, STEP, VALUE, clip, missing
from streamrnn.kernels.jit import inner, jit

# the state of a detector: the forecaster's fields, then one of these
LOW, HIGH = 0, 1  # range seen so far
SMOOTH = 2  # running mean of the error / miss
MEAN, VARIANCE = 3, 4  # of SMOOTH, over the last 1000 rows
TAIL = 5  # 99 % quantile of error / miss
PEAK = 6  # strength of the last event, fading after HOLD rows
AGE = 7  # rows since then
RUN, LONGEST = 8, 9  # rows for which the value has not changed, and the most there were before
ROWS = 10  # in which the target was not missing
FAR, FAR_MEAN, FAR_VARIANCE = 11, 12, 13  # as SMOOTH, of the error of the farthest horizon
SIZE = 14

START = 100  # rows before anything can be surprising
RANGE_WEIGHT = 20.0  # 5 % of the range's width outside it: an alarm, more in the first EARLY rows
EARLY = 1000.0  # the range is still to be seen: every new extreme widens it by much
SMOOTH_WEIGHT = 0.1
FAR_WEIGHT = 0.12
TAIL_WEIGHT = 0.15
SMOOTH_RATE = 1 / 16
SLOW = 1 / 1000
TAIL_RATE = 0.03
TAIL_AT_FIRST = 3.0  # about 99 % of normal errors over their mean size
WORST = 50.0  # error / miss beyond it counts as this much
ABSURD = 1e9  # a range of so many steps is of another age, or began with a spike
HOLD = 100
CLEARLY = 1.5
FADE = 0.9
FROZEN_ROWS = 50.0

REASONS = (
    "",
    "outside the range seen so far",
    "forecast missed",
    "forecasts keep missing",
    "frozen",
    "off its course",
)
RANGE, MISSED, KEEPS_MISSING, FROZEN, LOST = range(1, 6)


@inner
def outside(y, step, d):
    """How far y lies outside the range seen so far, in widths of it; then the range grows."""
    width = d[HIGH] - d[LOW]
    beyond = max(y - d[HIGH], d[LOW] - y, 0.0)
    grow = width + OUTLIER * step  # one spike widens the range, but must not become it
    d[HIGH] = max(d[HIGH], min(y, d[HIGH] + grow))
    d[LOW] = min(d[LOW], max(y, d[LOW] - grow))
    if width > ABSURD * step:
        d[HIGH] = d[LOW] = y
    return beyond / width if beyond > 0.0 else 0.0


@inner
def smoothed(error, n, d):
    """The z-score of the smoothed error, beside its past; then that past learns.

    d (3,): the smoothed error, its mean, its variance.
    """
    d[0] += SMOOTH_RATE * (error - d[0])
    distance, deviation = d[0] - d[1], math.sqrt(d[2])
    z = distance / deviation if deviation > 0.0 else 0.0
    if n > START:
        distance = clip(distance, OUTLIER * deviation)
    rate = max(1.0 / n, SLOW)
    d[1] += rate * distance
    d[2] += rate * (distance * distance - d[2])
    return z


@inner
def beside_tail(error, n, d):
    """The error in units of its 99 % quantile; then that follows (stochastic approximation)."""
    ratio = error / d[TAIL]
    rate = max(TAIL_RATE, min(1.0, 10.0 / n))
    d[TAIL] *= math.exp(rate * ((error > d[TAIL]) - 0.01))
    d[TAIL] = min(max(d[TAIL], 1.0), WORST)
    return ratio


@inner
def frozen(changed, d):
    """True in the one row in which the value has stayed the same for clearly longer than ever."""
    if changed:
        d[LONGEST] = max(d[LONGEST], d[RUN])
        d[RUN] = 0.0
        return False
    d[RUN] += 1.0
    return d[RUN] == FROZEN_ROWS + 4.0 * d[LONGEST]


@inner
def news(strength, d):
    """Whether a row of this strength is a new event, not more of the last one."""
    d[AGE] += 1.0
    if d[AGE] > HOLD:
        d[PEAK] *= FADE
    if strength <= CLEARLY * d[PEAK]:
        return False
    d[PEAK], d[AGE] = strength, 0.0
    return True


@inner
def judge(y, error, far, channel, d, out):
    """Score, alarm and reason of the target y into out (3,); channel is that from before y.

    error, far: of the forecasts one row and H rows ahead, in units of their mean
    """
    n, step = d[ROWS], channel[STEP]
    d[ROWS] += 1.0
    if n == 0.0:
        d[LOW] = d[HIGH] = y
        return
    error, far = min(error, WORST), min(far, WORST)
    strength, reason = RANGE_WEIGHT * min(1.0, n / EARLY) * outside(y, step, d), RANGE
    for other, why in (
        (TAIL_WEIGHT * beside_tail(error, n, d), MISSED),
        (SMOOTH_WEIGHT * smoothed(error, n, d[SMOOTH:TAIL]), KEEPS_MISSING),
        (FAR_WEIGHT * smoothed(far, n, d[FAR:SIZE]), LOST),
    ):
        if other > strength:
            strength, reason = other, why
    stuck = frozen(y != channel[VALUE], d)
    if n < START:
        return
    strength = min(strength, WORST)
    new = news(strength, d)
    if stuck:  # what is told of the errors meanwhile does not say it
        strength, reason = max(strength, 1.0), FROZEN
    elif not new:
        return
    out[0] = 1.0 - 2.0**-strength
    if strength >= 1.0:
        out[1], out[2] = 1.0, reason


@inner
def ratio(h, y, at, s):
    """The error of the forecast that was made h + 1 rows ago for y, beside its running mean."""
    ahead = forecast.part(s, at, forecast.AHEAD).reshape(forecast.AHEAD_SIZE, -1)
    miss = ahead[forecast.MISS, h]
    if missing(ahead[forecast.ORIGIN, h]) or miss == 0.0:
        return 0.0
    made = s[at[forecast.MADE] + forecast.slot(h, s[at[forecast.CYCLE]])]
    return abs(y - made) / miss


@jit
def advance(target, sizes, span, at, turn, blank, states, rows, t, x, y):
    """As kernels/forecast.py; y (3H + 3,) ends with score, alarm and reason."""
    H3 = y.shape[1] - 3
    for n in range(rows.size):
        s, now = states[rows[n]], x[n, target]
        forecast.bridge(target, sizes, span, at, turn, blank, s, t[n])
        verdict = y[n, H3:]
        for q in range(3):
            verdict[q] = 0.0
        if not missing(now):
            error, far = ratio(0, now, at, s), ratio(H3 // 3 - 1, now, at, s)
            first = at[forecast.CHANNELS] + CHANNEL_SIZE * target
            own = at[len(forecast.FIELDS)]
            judge(now, error, far, s[first : first + CHANNEL_SIZE], s[own : own + SIZE], verdict)
        forecast.advance_one(target, sizes, span, at, turn, s, x[n])
        for q in range(H3):
            y[n, q] = s[at[forecast.NOW] + q]
