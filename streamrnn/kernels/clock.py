"""When rows come: the interval of a stream, learned from its times, and rows that are lacking.

A row that comes late by whole intervals has rows before it that never came: they count as missing.
That holds for a stream that keeps an interval, not for one that comes as it pleases, or in bursts.
"""

from streamrnn.kernels.channels import missing
from streamrnn.kernels.jit import inner

# row of clock
TIME = 0  # of the newest row that had one, seconds
INTERVAL = 1  # seconds between rows, usually
ROWS = 2  # intervals it comes from
STEADY = 3  # share of the last intervals that were like it
NOW = 4  # time of the row that comes, NaN where it is not known
SIZE = 5

RATE = 1 / 50
LIKE = 0.25  # an interval is like another that differs by at most this share of it
KEEPS = 0.75  # STEADY of a stream that keeps an interval
LEAST = 1e-3  # seconds: rows closer than that are those of a program that had them all at once
LEFT = 0.5  # where STEADY falls below it, the newest interval is the one from now on
AGAIN = 10.0  # ROWS then: ten that are like it in a row, and it keeps that interval
MOST = 300  # rows that are put in; of a longer gap only what is left of whole cycles


@inner
def lacking(t, period, clock):
    """How many rows are lacking before the one at time t (NaN: not known); then the clock is at t.

    A time that is not after the last one tells nothing; where many are before it, that was wrong.
    """
    if missing(t):
        return 0
    passed = t - clock[TIME]
    first = clock[ROWS] == 0.0
    if not first and passed <= 0.0:
        if passed < 0.0:
            clock[STEADY] -= RATE * clock[STEADY]
            if clock[STEADY] < LEFT:
                clock[TIME], clock[ROWS] = t, min(clock[ROWS], AGAIN)
        return 0
    clock[TIME] = t
    clock[ROWS] += 1.0
    if first:
        return 0
    interval, n = clock[INTERVAL], clock[ROWS] - 1.0
    if n == 1.0:
        clock[INTERVAL], clock[STEADY] = passed, 1.0
        return 0
    rows = passed / interval + 0.5
    rate = max(1.0 / n, RATE)
    keeps = clock[STEADY] >= KEEPS and interval >= LEAST
    if abs(passed - interval) <= LIKE * interval:
        clock[INTERVAL] += rate * (passed - interval)
        clock[STEADY] += rate * (1.0 - clock[STEADY])
    else:
        clock[STEADY] -= rate * clock[STEADY]
        if clock[STEADY] < LEFT:
            clock[INTERVAL], clock[STEADY], clock[ROWS] = passed, LEFT, AGAIN
    if not keeps:
        return 0
    if rows < MOST + 2.0:
        return max(int(rows) - 1, 0)
    return MOST if period == 0.0 else int((rows - 1.0) % period)
