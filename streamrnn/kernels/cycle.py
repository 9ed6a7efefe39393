"""Cycles that a stream keeps, a day or a week or a turn of a machine: how long, and what they say.

A cycle of p rows helps to forecast changes where the change over the last SPAN rows is like the one
p rows ago: its distance, mean |(y_t - y_(t-SPAN)) - (y_(t-p) - y_(t-p-SPAN))|, is then smaller than
the change itself. Independent changes are sqrt(2) times as far apart as they are large, so that
nothing periodic is found in a random walk.
"""

from streamrnn.kernels.channels import clip, running_size
from streamrnn.kernels.jit import inner

RING = 680  # values kept: the week of a stream of 15 minutes is 672 of them
SPAN = 12
FIRST, LAST = 14, 300  # periods that are searched, and seven times what is found
TURNS = 4  # a period's distance is looked at in every fourth row
RATE = 1 / 250  # of the distances; with TURNS the last 1000 rows or so
LOOK = 48  # rows between choices
SURE = 400  # rows after which any period may be chosen; a shorter one after itself
SHORTER = 0.96  # a longer period must be closer than a shorter one by this factor
BETTER = 0.95  # a new choice must be closer than the old one by this factor
LOST = 1.05  # a choice is given up where it is farther than the change itself by this factor
NAIVE_RATE = 1 / 100
CYCLES = 7  # averaged at most
DEVIANT = 60.0  # distances, in steps of the target, count at most as this many
KNOTS = 4
PERIODS = LAST + 1 - FIRST

# row of cycle
ROWS = 0  # values so far
PERIOD = 1  # of the cycle, 0 if there is none
DAY = 2  # the searched period it comes from: equal, or a seventh
USUAL = 3  # running mean size of the change over SPAN rows
WEEK = 4  # distance of seven DAYs
WEEK_ROWS = 5  # rows it comes from
NAIVE = 6  # running mean size of what changed since one PERIOD ago
SIZE = 7


@inner
def value(ring, newest, ago):
    """The value `ago` rows before the one at `newest`, ago < RING; a `%` would take long here."""
    at = newest - ago
    return ring[at if at >= 0 else at + RING]


@inner
def distance(ring, newest, p, change, scale):
    """How far the newest change over SPAN rows is from the one p rows before."""
    before = value(ring, newest, p) - value(ring, newest, p + SPAN)
    return min(abs(change - before) * scale, DEVIANT)


@inner
def observe(y, unit, cycle, ring, away):
    """The next value is y; away (PERIODS,) holds the distances of FIRST .. LAST."""
    newest = int(cycle[ROWS]) % RING
    ring[newest] = y
    cycle[ROWS] += 1.0
    rows, scale = int(cycle[ROWS]), 1.0 / unit
    if rows <= SPAN + FIRST:
        return
    change = y - value(ring, newest, SPAN)
    n = rows - SPAN - FIRST
    cycle[USUAL] += max(1.0 / n, RATE / TURNS) * (min(abs(change) * scale, DEVIANT) - cycle[USUAL])
    settled = TURNS < RATE * (rows - SPAN - LAST)
    for p in range(FIRST + rows % TURNS, min(LAST + 1, rows - SPAN), TURNS):
        rate = RATE if settled else max(RATE, TURNS / (rows - SPAN - p + TURNS - 1))
        away[p - FIRST] += rate * (distance(ring, newest, p, change, scale) - away[p - FIRST])
    week = 7 * int(cycle[DAY])
    if 0 < week and week + SPAN < min(RING, rows):
        cycle[WEEK_ROWS] += 1.0
        rate = max(1.0 / cycle[WEEK_ROWS], RATE / TURNS)
        cycle[WEEK] += rate * (distance(ring, newest, week, change, scale) - cycle[WEEK])
    period = int(cycle[PERIOD])
    if 0 < period < rows:
        size = abs(y - value(ring, newest, period))
        cycle[NAIVE] = running_size(cycle[NAIVE], size, 1.0 / NAIVE_RATE, NAIVE_RATE)
    if rows % LOOK == 0:
        choose(rows, cycle, away)


@inner
def choose(rows, cycle, away):
    """The period of the smallest distance, the shortest of those that are about as close."""
    found, least = 0, 1e300
    for i in range(1, min(PERIODS - 1, rows - SPAN - FIRST)):
        p, known = FIRST + i, rows - SPAN - FIRST - i
        if known < max(LOOK, min(p, SURE)):
            break
        if away[i] <= away[i - 1] and away[i] <= away[i + 1] and away[i] < SHORTER * least:
            found, least = p, away[i]
    day, before = int(cycle[DAY]), cycle[PERIOD]
    if found > 0 and found != day and least < cycle[USUAL]:
        if day == 0 or least < BETTER * away[day - FIRST]:
            day, cycle[WEEK], cycle[WEEK_ROWS] = found, 0.0, 0.0
    elif day > 0 and away[day - FIRST] > LOST * cycle[USUAL]:
        day, cycle[WEEK], cycle[WEEK_ROWS] = 0, 0.0, 0.0
    cycle[DAY] = cycle[PERIOD] = day
    if day > 0 and cycle[WEEK_ROWS] >= min(7 * day, SURE):
        if cycle[WEEK] < SHORTER * away[day - FIRST]:
            cycle[PERIOD] = 7 * day
    if cycle[PERIOD] != before:
        cycle[NAIVE] = 0.0


@inner
def features(H, unit, cycle, ring, f):
    """f (KNOTS + 1,): what followed this phase in the cycles before, and how far we are from it.

    As changes over 1, H/4, H/2 and H rows from the value one cycle ago, mean over the cycles, then
    the newest value minus theirs; all in steps of the target.
    """
    rows, p = int(cycle[ROWS]), int(cycle[PERIOD])
    for i in range(KNOTS + 1):
        f[i] = 0.0
    if p == 0:
        return
    newest, count = (rows - 1) % RING, 0
    while count < CYCLES and (count + 1) * p < min(RING, rows):
        count += 1
        then = value(ring, newest, count * p)
        for i in range(KNOTS):
            knot = 1 if i == 0 else max(1, H * i // 4) if i < 3 else H
            f[i] += value(ring, newest, count * p - 1 - (knot - 1) % p) - then
        f[KNOTS] += value(ring, newest, 0) - then
    for i in range(KNOTS + 1):
        f[i] = clip(f[i] / (max(count, 1) * unit), 8.0)
