"""What is odd about one channel, from its own past: a strength for each kind of evidence.

A strength of 1 is an alarm.  Evidence is of two kinds, and both are judged beside all rows before:

reach   how far the value, or its running mean, lies outside the range it has kept to
excess  how far a statistic X of the errors lies above its 95 % quantile q, beside the largest X
        so far, m:  log(X / q) / (log(m / q) (1 + c / log(0.05 n / tau)))

m is about where one of 0.05 n independent rows above q falls, so that for any tail X^(-1/g) the
chance of a false alarm in row n is about e^-c / n: few in all, and fewer and fewer.
Records grow after 48 to 96 rows only, or an event that builds up would raise them as it comes.

Most channels have a cycle of a day, and days of their own: day D shows the largest value so far
with probability 1 / D, however many rows it has.  For as few such records on each day of the first
week as after it, c has to be larger by log(7 / D), and strengths smaller by c / (c + log(7 / D)).
"""

import math

from streamrnn.kernels.channels import OUTLIER, SPREAD, STEP, clip
from streamrnn.kernels.jit import inner

START = 100  # rows before anything can be surprising
EARLY = 1000.0  # rows in which strengths are scaled down: what is usual is still to be seen
EARLY_DAYS = 800.0  # the same where days are counted too
WEEK = 7.0  # days in which they are scaled down, where days are counted
RECORD, LEAST_DAYS = 3.5, 0.25  # c of a day's record; days count as so many at least
RECORD_ERROR, LEAST_DAYS_ERROR = 7.0, 1.0  # of an error's, which depends less on the hour
BLOCK = 48
SLOW = 1 / 1000  # rate of the scales of errors
WORST = 50.0  # an error beyond so many of its mean counts as this many
ABSURD = 1e9  # a range of so many steps is of another age, or began with a spike
SHARE = 0.05  # of the rows above a quantile
USUAL_LOG = 7.6  # log of the rows, about 2000, for which the margins c hold
LATE_LOG = 8.3  # log of the rows, about 4000, from which on strengths are scaled down again
FROZEN_ROWS = 50.0
DROPPED_ROWS = 3.0
MORE = 4.0  # so many times the longest run before, on top
OFTEN = 3.0  # times a value came to an end of its range before it may stay there
STAY = 1 / 3  # of the rows before, for so long
QUIETEST = 0.05  # a smaller mean of the errors counts as this one: then the value is frozen
SURE = 300.0  # rows of a period that is compared with the ones before
TURNS = 3  # cycles that are averaged, at most

# kinds of evidence, in the order of their strengths
VALUE, MEAN, LEVEL = 0, 1, 2  # reach of the value and of its running means over 8 and 64 rows
ERROR = 3  # size of the newest error
SUM, DRIFT = 4, 5  # size of the running mean of the errors over 8 and 32 rows
LOUD, QUIET = 6, 7  # running mean size of the errors over 16 rows, and 1 over that of 32 rows
FAR = 8  # running mean size of the error of the farthest horizon over 16 rows
OFF, APART = 9, 10  # running mean of the distance from the cycle over 16 rows, of its size over 64
KINDS = 11

RANGES = 3
TAU = (1.0, 8.0, 64.0, 1.0, 8.0, 32.0, 16.0, 32.0, 16.0, 16.0, 64.0)
LOG_SHARE = tuple(math.log(SHARE / tau) for tau in TAU)
MARGIN = (3.5, 4.0, 4.0, 3.5, 2.5, 3.0, 2.5, 2.5, 2.5, 3.0, 3.0)  # c
WIDTHS = (0.05, 0.1, 0.1)  # least reach, in widths of the range
WANDER = 3.0  # least reach, in mean changes of the level over a block
QUANTILE_RATE = 0.005
RANGE_RATE = 0.0005
FADE = 0.5  # of m, in BLOCK log(m / q) / n a block
LEAST = math.exp(0.2)  # m / q at least

# a range: what it was before the last blocks, in them, and the quantiles of what it is a range of
LOW, HIGH, NEW_LOW, NEW_HIGH, OLD_LOW, OLD_HIGH, BOTTOM, TOP = range(8)
RANGE_SIZE = 8
# a tail: q, m, and the largest of this block and of the last
Q, MOST, NEW, OLD = range(4)
TAIL_SIZE = 4

# the state of one channel's watch
ROWS = 0  # in which it was not missing
FAST, SLOWER = 1, 2  # running means of the value
BEFORE, MOVED = 3, 4  # SLOWER a block ago, and its mean change over a block
ERROR_SCALE, FAR_SCALE, CYCLE_SCALE = 5, 6, 7  # running mean sizes
PERIOD, CYCLE_ROWS = 8, 9  # that is compared with, and for how long it has been
RUN, LONGEST = 10, 11  # rows for which the value has not changed, and the most there were before
LOWEST, LONGEST_LOWEST, FELL = 12, 13, 14  # as RUN, at or below the range; it began with a fall
GAP, LONGEST_GAP = 15, 16  # as RUN, rows in which it was missing
BOTTOM_END, TOP_END = 17, 19  # lowest and highest value so far; then how often it came there
STATISTICS = 21  # KINDS - RANGES of them
FIRST_RANGE = STATISTICS + KINDS - RANGES
FIRST_TAIL = FIRST_RANGE + RANGES * RANGE_SIZE
SIZE = FIRST_TAIL + (KINDS - RANGES) * TAIL_SIZE


@inner
def rate(n, slowest):
    return slowest if n * slowest >= 3.0 else min(1.0, 3.0 / n)  # most rows without a division


@inner
def within(y, step, d):
    """y, or as much of it as counts: one spike widens the range d, but must not become it."""
    grow = d[HIGH] - d[LOW] + OUTLIER * step
    return min(max(y, d[LOW] - grow), d[HIGH] + grow)


@inner
def reach(kind, y, n, channel, moved, block_ends, d):
    """How far y is outside the range of d (RANGE_SIZE,), in least reaches; then that learns.

    Beyond 1 its logarithm counts, as with excesses.
    """
    if n == 0.0:
        d[:] = y
        return 0.0
    low, high, step = d[LOW], d[HIGH], channel[STEP]
    width = high - low
    far = 0.0
    if not low <= y <= high:
        steady = math.log(n + 1.0)
        margin = MARGIN[kind] * (steady / USUAL_LOG) / max(steady + LOG_SHARE[kind], 1.0)
        least = max(WIDTHS[kind] * width, WANDER * moved)
        if y > high:
            far = (y - high) / max(least, margin * (high - d[TOP]))
        else:
            far = (low - y) / max(least, margin * (d[BOTTOM] - low))
    y = within(y, step, d)
    if width > ABSURD * step:
        d[:BOTTOM] = y
    d[NEW_LOW], d[NEW_HIGH] = min(d[NEW_LOW], y), max(d[NEW_HIGH], y)
    if n < START:
        d[LOW], d[HIGH] = min(low, y), max(high, y)
    if block_ends:
        d[LOW], d[HIGH] = min(d[LOW], d[OLD_LOW]), max(d[HIGH], d[OLD_HIGH])
        d[OLD_LOW], d[OLD_HIGH] = d[NEW_LOW], d[NEW_HIGH]
        d[NEW_LOW] = d[NEW_HIGH] = y
    move = rate(n, RANGE_RATE) * max(channel[SPREAD], 0.05 * width)
    bottom = d[BOTTOM] + move * (SHARE - (y < d[BOTTOM]))
    d[TOP] = min(max(d[TOP] + move * ((y > d[TOP]) - SHARE), d[LOW]), d[HIGH])
    d[BOTTOM] = min(max(bottom, d[LOW]), d[TOP])
    return far if far < 1.0 else 1.0 + math.log(far)


@inner
def excess(kind, X, n, block_ends, d):
    """How far X lies above its tail d (TAIL_SIZE,), as the page's head says; then that learns."""
    if d[Q] == 0.0:
        if X > 0.0:
            d[Q], d[MOST] = X, 1.5 * X
        return 0.0
    q = d[Q]
    d[Q] = q * (1.0 + rate(n, QUANTILE_RATE) * ((X > q) - SHARE))
    if X <= q and not block_ends:  # most rows: nothing to tell, and logarithms take long
        d[NEW] = max(d[NEW], X)
        return 0.0
    most = max(d[MOST], q * LEAST)
    reached = math.log(most / q)
    steady = math.log(n + 1.0)
    tail = max(steady + LOG_SHARE[kind], 1.0)
    full = reached * (1.0 + MARGIN[kind] * (steady / USUAL_LOG) / tail)
    far = math.log(X / q) / full if X > q else 0.0
    if n > START:
        X = min(X, q * math.exp(min(full, 5.0)))
    else:
        most = max(most, X)
    d[NEW] = max(d[NEW], X)
    if block_ends:
        most *= 1.0 - min(FADE * BLOCK * reached / n, 0.5)
        most, d[OLD], d[NEW] = max(most, d[OLD]), d[NEW], 0.0
    d[MOST] = most
    return far


@inner
def follow(scale, size, n):
    """The running mean size, after one more."""
    if scale == 0.0:
        return size
    return scale + max(1.0 / n, SLOW) * (min(size, OUTLIER * scale) - scale)


@inner
def stays(y, same, d):
    """How often the value has come to the end of its range where it stays, as humidity at 100 %.

    0 where it does not.
    """
    times = 0.0
    for end, beyond in ((BOTTOM_END, d[BOTTOM_END] - y), (TOP_END, y - d[TOP_END])):
        if beyond > 0.0 or d[end + 1] == 0.0:
            d[end], d[end + 1] = y, 1.0
        elif beyond == 0.0:
            d[end + 1] += not same
            if same:
                times = d[end + 1]
    return times


@inner
def errors(error, miss, far, n, staying, d):
    """The statistics of the errors, into those of d.  error, far: NaN where not known."""
    x = d[STATISTICS - RANGES :]
    if error == error and miss > 0.0:
        size, ratio = abs(error), clip(error / miss, WORST)
        x[ERROR] = abs(ratio)
        x[SUM] += (ratio - x[SUM]) / TAU[SUM]
        x[DRIFT] += (ratio - x[DRIFT]) / TAU[DRIFT]
        if d[ERROR_SCALE] == 0.0:
            d[ERROR_SCALE] = max(size, miss)
        ratio = min(size / d[ERROR_SCALE], WORST)
        x[LOUD] += (ratio - x[LOUD]) / TAU[LOUD]
        if staying == 0.0:  # there it is quiet, which is no news
            x[QUIET] += (ratio - x[QUIET]) / TAU[QUIET]
            d[ERROR_SCALE] = follow(d[ERROR_SCALE], size, n)
    if far == far:
        size = abs(far)
        if staying == 0.0:
            d[FAR_SCALE] = follow(d[FAR_SCALE], size, n)
        if d[FAR_SCALE] > 0.0:
            x[FAR] += (min(size / d[FAR_SCALE], WORST) - x[FAR]) / TAU[FAR]


@inner
def from_cycle(away, period, staying, d):
    """The statistics of the distance from what the cycle says, NaN where that is not known."""
    x, tails = d[STATISTICS - RANGES :], d[FIRST_TAIL - RANGES * TAIL_SIZE :]
    if period != d[PERIOD]:
        d[PERIOD], d[CYCLE_ROWS], d[CYCLE_SCALE] = period, 0.0, 0.0
        x[OFF] = x[APART] = 0.0
        tails[TAIL_SIZE * OFF : TAIL_SIZE * (APART + 1)] = 0.0
    if away == away:
        d[CYCLE_ROWS] += 1.0
        if staying == 0.0:
            d[CYCLE_SCALE] = follow(d[CYCLE_SCALE], abs(away), d[CYCLE_ROWS])
        if d[CYCLE_SCALE] > 0.0:
            ratio = clip(away / d[CYCLE_SCALE], WORST)
            x[OFF] += (ratio - x[OFF]) / TAU[OFF]
            x[APART] += (abs(ratio) - x[APART]) / TAU[APART]


@inner
def counts(c, least, n, steady, days):
    """How much evidence counts in row n; days: what has been seen, 0 where that is not known."""
    late = 1.0 / max(1.0, steady / LATE_LOG) ** 2
    if days == 0.0:
        return min(1.0, n / EARLY) * late
    record = c / (c + math.log(WEEK / max(days, least))) if days < WEEK else 1.0
    return min(1.0, n / EARLY_DAYS) * min(late, record)


@inner
def weigh(y, staying, channel, error, miss, far, away, period, days, d, strengths):
    """The strength of each kind of evidence that y is odd, into strengths (KINDS,).

    False where there is none.
    """
    n = d[ROWS]
    block_ends = int(n) % BLOCK == 0
    if n == 0.0:
        d[FAST] = d[SLOWER] = d[BEFORE] = d[FIRST_RANGE + LOW] = d[FIRST_RANGE + HIGH] = y
    held = within(y, channel[STEP], d[FIRST_RANGE : FIRST_RANGE + RANGE_SIZE])
    d[FAST] += (held - d[FAST]) / TAU[MEAN]
    d[SLOWER] += (held - d[SLOWER]) / TAU[LEVEL]
    if block_ends and n > 0.0:
        d[MOVED] = follow(d[MOVED], abs(d[SLOWER] - d[BEFORE]), min(n / BLOCK, 100.0))
        d[BEFORE] = d[SLOWER]
    odd = 0.0
    for kind in range(RANGES):
        value = y if kind == VALUE else d[FAST] if kind == MEAN else d[SLOWER]
        first = FIRST_RANGE + RANGE_SIZE * kind
        there = d[first : first + RANGE_SIZE]
        strengths[kind] = reach(kind, value, n, channel, d[MOVED], block_ends, there)
        odd += strengths[kind]
    errors(error, miss, far, n, staying, d)
    from_cycle(away, period, staying, d)
    for kind in range(RANGES, KINDS):
        strengths[kind] = 0.0
        rows = d[CYCLE_ROWS] if kind >= OFF else n
        if rows < 20.0 or (kind == QUIET and staying > 0.0):
            continue
        X = abs(d[STATISTICS + kind - RANGES])
        if kind == QUIET:
            X = 1.0 / max(X, QUIETEST)
        first = FIRST_TAIL + TAIL_SIZE * (kind - RANGES)
        there = d[first : first + TAIL_SIZE]
        found = excess(kind, X, rows, block_ends, there)
        if kind < OFF or rows >= SURE:
            strengths[kind] = found
            odd += found
    d[ROWS] += 1.0
    if odd == 0.0:  # most rows: what evidence counts takes logarithms
        return False
    steady = math.log(n + 1.0)
    scale = counts(RECORD, LEAST_DAYS, n, steady, days)
    scale_error = counts(RECORD_ERROR, LEAST_DAYS_ERROR, n, steady, days)
    for kind in range(KINDS):
        found = strengths[kind] * (scale_error if kind == ERROR else scale)
        # squared, as small excesses of errors are common where nothing happens
        strengths[kind] = found * found if kind >= RANGES and found < 1.0 else found
    return True


@inner
def frozen(same, staying, d):
    """True in the one row in which the value has stayed the same for clearly longer than ever."""
    if not same:
        d[LONGEST], d[RUN] = max(d[LONGEST], d[RUN]), 0.0
        return False
    d[RUN] += 1.0
    least = FROZEN_ROWS + MORE * d[LONGEST]
    if staying > OFTEN:
        least = max(least, math.floor(STAY * (d[ROWS] - d[RUN])))
    return d[RUN] == least


@inner
def dropped(y, same, d):
    """True in the one row in which the value has lain on a floor for longer than ever.

    A floor: no value before was lower, it stays the same, and more than a usual error led there.
    """
    if same and y <= d[FIRST_RANGE + LOW]:
        d[LOWEST] += 1.0
        return d[FELL] > 0.0 and d[LOWEST] == DROPPED_ROWS - 1.0 + MORE * d[LONGEST_LOWEST]
    d[LONGEST_LOWEST], d[LOWEST] = max(d[LONGEST_LOWEST], d[LOWEST]), 0.0
    fell = y <= d[FIRST_RANGE + LOW] and d[STATISTICS + ERROR - RANGES] > 1.0
    d[FELL] = 1.0 if fell else 0.0
    return False


@inner
def at_zero(y, d):
    """True for a zero where all values were above it."""
    return y == 0.0 and d[FIRST_RANGE + LOW] > 0.0


@inner
def gone(absent, d):
    """True in the one row in which values have been missing for longer than ever."""
    if not absent:
        d[LONGEST_GAP], d[GAP] = max(d[LONGEST_GAP], d[GAP]), 0.0
        return False
    d[GAP] += 1.0
    return d[ROWS] > START and d[GAP] == DROPPED_ROWS + MORE * d[LONGEST_GAP]
