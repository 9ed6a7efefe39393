"""When rows come: the interval of a stream, learned from its times, and rows that are lacking.

A row that comes late by whole intervals has rows before it that never came: they count as missing.
"""

from streamrnn.kernels.channels import clip, missing
from streamrnn.kernels.jit import inner

# row of clock
TIME = 0  # of the newest row that had one, seconds
INTERVAL = 1  # seconds between rows, usually
ROWS = 2  # intervals it comes from
SIZE = 3

RATE = 1 / 50
MOST = 300  # rows that are put in; of a longer gap only what is left of whole cycles


@inner
def lacking(t, period, clock):
    """How many rows are lacking before the one at time t (NaN: not known); then the clock is at t.

    A time that is not after the last one tells nothing.
    """
    if missing(t):
        return 0
    passed = t - clock[TIME]
    first = clock[ROWS] == 0.0
    if not first and passed <= 0.0:
        return 0
    clock[TIME] = t
    clock[ROWS] += 1.0
    if first:
        return 0
    interval = clock[INTERVAL]
    if interval == 0.0:
        clock[INTERVAL] = passed
        return 0
    rows = passed / interval + 0.5
    # so that a gap moves it by half an interval at most
    away = clip(passed - interval, 0.5 * interval)
    clock[INTERVAL] += max(1.0 / (clock[ROWS] - 1.0), RATE) * away
    if rows < MOST + 2.0:
        return max(int(rows) - 1, 0)
    return MOST if period == 0.0 else int((rows - 1.0) % period)
