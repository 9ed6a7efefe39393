"""What the time of the day tells, where rows come with times: by workday and weekend, UTC.

The usual change of the target in each half hour of the day is learned, and a forecast moves
towards what these add up to:

mean_h <- mean_h + w_h (sum of the usual changes over h rows - what is forecast to change)

w_h by recursive least squares at each horizon, from 0 on, so that the calendar counts where it
helps.  A week is known after a week; a cycle that is found in the values takes two.
"""

import math

from streamrnn.kernels import clock as clocks
from streamrnn.kernels.channels import clip
from streamrnn.kernels.jit import inner
from streamrnn.kernels.ring import waits

DAY = 86400.0  # seconds
PARTS = 48  # of a day
LONGEST = DAY / 4  # between rows: less often than that they don't tell the time of the day
LATEST = 253_402_300_800.0  # seconds from 1970 to the year 10000: a clock beyond it is not one
DAYS = 10.0  # that a usual change is the mean of
FORGETTING = 0.996
VARIANCE = 0.005  # of a weight about which nothing is known, and at most
APART = 3.0  # a difference counts as at most this many mean errors
HUBER = 2.0  # so does an error
OUTLIER = 1.5  # a change counts as at most this many times spread and step

# days (SIZE,): usual change of the target in a row by part, PARTS of a workday, then of a weekend;
# how many it comes from, by part; then these
COUNTS = 2 * PARTS
LAST = 4 * PARTS  # time of the last row whose target was present
LEFT = LAST + 1  # rows for which something may still be kept in the ring
SIZE = LEFT + 1

WEIGHT, SURE = 0, 1  # row of told (2, H)

# of a forecast in the ring: what the calendar said beyond the others, and what they said
BEYOND, CHANGE = 0, 1


@inner
def begin(days, told):
    for i in range(2 * PARTS):
        days[i] = days[COUNTS + i] = 0.0
    days[LEFT] = 0.0
    for h in range(told.shape[1]):
        told[WEIGHT, h], told[SURE, h] = 0.0, VARIANCE


@inner
def interval(t, clock):
    """Seconds between rows, 0 where t or they don't tell the time of the day."""
    seconds = clock[clocks.INTERVAL]
    steady = clock[clocks.STEADY] >= clocks.KEEPS and clocks.LEAST <= seconds <= LONGEST
    return seconds if steady and abs(t) <= LATEST else 0.0


@inner
def part(t):
    """Which part of which kind of day it is at t."""
    day = math.floor(t / DAY)
    i = min(int((t - day * DAY) * (PARTS / DAY)), PARTS - 1)
    return i + PARTS if (int(day) + 3) % 7 >= 5 else i  # 1970 began on a Thursday


@inner
def observe(t, seconds, change, size, days):
    """The target is known at t, `seconds` after the row before, and has changed by `change`.

    size  its spread and step
    """
    if seconds > 0.0 and abs(t - days[LAST] - seconds) <= clocks.LIKE * seconds:
        i = part(t - 0.5 * seconds)
        days[COUNTS + i] += 1.0
        rate = max(min(seconds * (PARTS / DAY), 1.0) / DAYS, 1.0 / days[COUNTS + i])
        days[i] += rate * (clip(change, OUTLIER * size) - days[i])
    days[LAST] = t


@inner
def learn(h, said, truth, miss, told):
    """The change since the row h + 1 rows ago, which left `said`, is known, and the usual error."""
    beyond = said[BEYOND]
    if beyond == 0.0:
        return
    error = truth - said[CHANGE] - told[WEIGHT, h] * beyond
    x, P = beyond / miss, told[SURE, h]
    known = P * x / (FORGETTING + P * x * x)
    told[WEIGHT, h] = min(max(told[WEIGHT, h] + known * clip(error / miss, HUBER), 0.0), 1.0)
    told[SURE, h] = min((P - known * x * P) / FORGETTING, VARIANCE)


@inner
def forecast(t, seconds, place, miss, days, told, ring, change):
    """change (H,), forecast at t, receives what the calendar has to say; `ring` keeps that."""
    H = change.size
    if seconds == 0.0 and days[LEFT] == 0.0:
        return
    if days[LEFT] == 0.0:
        ring[:, BEYOND] = 0.0
    days[LEFT] = H if seconds > 0.0 else days[LEFT] - 1.0
    known, usual = seconds > 0.0, 0.0
    for h in range(H):
        beyond = 0.0
        if known:
            i = part(t + (h + 0.5) * seconds)
            known, usual = days[COUNTS + i] > 0.0, usual + days[i]
            if known:
                beyond = clip(usual - change[h], APART * miss[h])
        said = ring[waits(h, place, H)]
        said[BEYOND], said[CHANGE] = beyond, change[h]
        change[h] += told[WEIGHT, h] * beyond
