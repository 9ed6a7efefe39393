"""The forecaster: what one stream remembers and learns, advanced by one row at a time.

f       what the rows so far look like, see kernels/features.py
m_eh    = unit w_eh'f    change of the target over h rows, said by member e from its part of f; w_eh
        by recursive least squares (kernels/rls.py) from the labels as they come, errors clipped
mean_h  = y + what kernels/mix.py makes of the members

C channels, H horizons, R waves, L lags, B others, M members, u features, d of all members together,
S of kernels/ring.py.
`sizes` holds R, L, B; `span` (M, 2) where a member's part of f begins and ends; `at` where each of
FIELDS does in a state.
"""

import math

import numpy as np

from streamrnn.kernels import calendar, interval, mix, rls
from streamrnn.kernels import channels as units
from streamrnn.kernels import clock as clocks
from streamrnn.kernels import cycle as cycles
from streamrnn.kernels.channels import (
    CHANGE,
    CHANNEL_SIZE,
    SEEN,
    SPREAD,
    STEP,
    TINY,
    VALUE,
    clip,
    missing,
    running_size,
)
from streamrnn.kernels.door import arguments
from streamrnn.kernels.doubles import matrix
from streamrnn.kernels.features import CLIP, features
from streamrnn.kernels.jit import CFunction, inner, jit, view
from streamrnn.kernels.ring import kept, waiting, waits

# One configuration for all streams, chosen on recordings and synthetic streams of thirty kinds.
MEMBERS = ("full", "curved", "cycle", "quick")
FORGETTING = (0.999, 0.9998, 0.9995, 0.99)  # of each member's weights
PRIOR = 0.1  # variance of a weight about which nothing is known
TRACE_LIMIT = 1e3
START = 10  # rows before the weights learn: by then the units are known
FAST = 1 / 100  # rate of miss
HUBER = 2.0  # an error beyond this many times miss teaches as much as this many

FIELDS = (
    "channels",  # (C, CHANNEL_SIZE) what is known of each channel, see kernels/channels.py
    "lags",  # (L,) changes of the target, newest first
    "waves",  # (2, R) damped oscillators that the target drives: real, imaginary
    "cycle",  # (cycles.SIZE,) the period of the stream, see kernels/cycle.py
    "ring",  # (cycles.RING,) the last values of the target
    "away",  # (cycles.PERIODS,) how far apart the stream is from itself, by period
    "P",  # (sum of rls.size(d_e),) covariance of the weights, the same for every horizon
    "W",  # (H, d) weights, member after member
    "F",  # (H, u) features of the last H rows, each where `kept` says
    "K",  # (H, d) their gains
    "said",  # (H, S, M) the changes that members said in these rows, each where `waits` says
    "made",  # (H, S, 2) mean as forecast in these rows, and the scale of its interval
    "mix",  # (mix.height(M), H) how the members are mixed, see kernels/mix.py
    "ahead",  # (AHEAD_SIZE, H) what is known of each horizon, see below
    "width",  # (interval.ROWS, H) how wide its interval is, see kernels/interval.py
    "change",  # (M, H) what members say of the next rows, or said of the newest
    "now",  # (3, H) the newest forecast: mean, lower, upper
    "clock",  # (clocks.SIZE,) when rows come, see kernels/clock.py
    "days",  # (calendar.SIZE,) what is usual at a time of the day, see kernels/calendar.py
    "told",  # (2, H) and how much that counts
    "usual",  # (H, S, 2) what it said in these rows
)
(
    CHANNELS,
    LAGS,
    WAVES,
    CYCLE,
    RING,
    AWAY,
    COVARIANCE,
    WEIGHTS,
    FEATURES,
    GAINS,
    SAID,
    MADE,
    MIX,
    AHEAD,
    WIDTH,
    CHANGES,
    NOW,
    CLOCK,
    DAYS,
    TOLD,
    USUAL,
) = range(len(FIELDS))

# rows of ahead
# the target h + 1 rows ago; NaN: it was missing, there is nothing to learn; inf: as well, but its
# value has come since
ORIGIN = 0
UNIT = 1  # its step then
TRUTH = 2  # the newest label, as a change
MISS = 3  # running mean size of the forecast's error
STAYED = 4  # the same of persistence's
AHEAD_SIZE = 5

ZERO = np.int64(0)  # for a literal 0 Numba compiles a version of its own of what it is given to


def shapes(C: int, H: int, R: int, L: int, spans: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Shape of each of FIELDS; spans: begin and end of each member's features."""
    M, parts = len(spans), [end - begin for begin, end in spans]
    u, d = max(end for _, end in spans), sum(parts)
    return [
        (C, CHANNEL_SIZE),
        (L,),
        (2, R),
        (cycles.SIZE,),
        (cycles.RING,),
        (cycles.PERIODS,),
        (sum(rls.size(part) for part in parts),),
        (H, d),
        (H, u),
        (H, d),
        (H, waiting(H), M),
        (H, waiting(H), 2),
        (mix.height(M), H),
        (AHEAD_SIZE, H),
        (interval.ROWS, H),
        (M, H),
        (3, H),
        (clocks.SIZE,),
        (calendar.SIZE,),
        (2, H),
        (H, waiting(H), 2),
    ]


@view
def part(s, at, field):
    return s[at[field] : at[field + 1]]


@inner
def begin(at, span, place, s):
    """Nothing is known of the target, or nothing in the units that it has from now on."""
    M, H = span.shape[0], (at[AHEAD + 1] - at[AHEAD]) // AHEAD_SIZE
    P, gains = part(s, at, COVARIANCE), part(s, at, GAINS)
    a, b = 0, place * (gains.size // H)
    for e in range(M):
        d = span[e, 1] - span[e, 0]
        size = rls.size(d)
        rls.restart(P[a : a + size], PRIOR, gains[b : b + d])
        a, b = a + size, b + d
    part(s, at, WEIGHTS)[:] = 0.0
    mix.begin(M, matrix(s, at[MIX], mix.height(M), H))
    ahead = matrix(s, at[AHEAD], AHEAD_SIZE, H)
    for h in range(H):
        ahead[ORIGIN, h] = np.nan
        ahead[MISS, h] = ahead[STAYED, h] = 0.0
    interval.begin(matrix(s, at[WIDTH], interval.ROWS, H))
    calendar.begin(part(s, at, DAYS), matrix(s, at[TOLD], 2, H))


@inner
def score(y, n, place, floor, levels, made, ahead, width):
    """The target, seen n times before, is y: sizes and quantiles of the errors follow.

    levels (H,) of the target in the last H rows.
    """
    H = ahead.shape[1]
    for h in range(H):
        origin = ahead[ORIGIN, h]
        ahead[TRUTH, h] = y - origin if not missing(origin) else np.nan
        width[interval.ERROR, h] = width[interval.SCALE, h] = 0.0
        if missing(origin):
            continue
        then = kept(h, place, H)
        said = waits(h, then, H)
        mean, scale = made[said, 0], made[said, 1]
        width[interval.ERROR, h], width[interval.SCALE, h] = y - mean, scale
        width[interval.LEVEL, h], width[interval.CHANGE, h] = levels[then], mean - origin
        width[interval.THEN, h] = width[interval.RECENT, then]
    interval.learn(n, ahead[STAYED], width)
    for h in range(H):
        if missing(ahead[ORIGIN, h]):
            continue
        labels, size = max(n - h, 1.0), max(abs(width[interval.ERROR, h]), floor)
        if size > 0.0:
            ahead[MISS, h] = running_size(ahead[MISS, h], size, labels, FAST)
            interval.follow(h, labels, size, ahead[MISS, h], width)
        size = abs(ahead[TRUTH, h])
        if size > 0.0:
            ahead[STAYED, h] = running_size(ahead[STAYED, h], size, labels, FAST)


@inner
def limited(error, unit, miss):
    """An error as it teaches, in units: an outlier counts no more than a few usual errors."""
    return clip(clip(error, HUBER * miss) / unit, 100.0)


@inner
def missed(h, said, ahead):
    """By how much what was said, in units, has missed the newest label at horizon h, as it teaches.

    0 where there is none.
    """
    unit, miss, truth = ahead[UNIT, h], ahead[MISS, h], ahead[TRUTH, h]
    if not (miss > 0.0) or missing(truth):
        return 0.0
    return limited(truth - unit * said, unit, miss)


@inner
def learn(at, span, place, s):
    """The target is known: at each horizon it is the label of a row before; weights learn."""
    M, H = span.shape[0], (at[AHEAD + 1] - at[AHEAD]) // AHEAD_SIZE
    ahead, change = matrix(s, at[AHEAD], AHEAD_SIZE, H), matrix(s, at[CHANGES], M, H)
    said = matrix(s, at[SAID], H * waiting(H), M)
    for h in range(H):
        then = waits(h, kept(h, place, H), H)
        for e in range(M):
            change[e, h] = said[then, e]
    mix.learn(M, change, ahead[TRUTH], ahead[MISS], matrix(s, at[MIX], mix.height(M), H))
    told, usual = matrix(s, at[TOLD], 2, H), matrix(s, at[USUAL], H * waiting(H), 2)
    timed = s[at[DAYS] + calendar.LEFT] > 0.0
    for h in range(H if timed else 0):
        truth, miss, then = ahead[TRUTH, h], ahead[MISS, h], waits(h, kept(h, place, H), H)
        if miss > 0.0 and not missing(truth):
            calendar.learn(h, usual[then], truth, miss, told)
    teach(at, span, place, ahead, s)


@inner
def teach(at, span, place, ahead, s):
    """The weights learn, at four horizons at a time; at the last again, but nothing, to fill up."""
    M, H = span.shape[0], ahead.shape[1]
    W, K, F = part(s, at, WEIGHTS), part(s, at, GAINS), part(s, at, FEATURES)
    d, u = W.size // H, F.size // H
    for h0 in range(0, H, 4):
        h1, h2, h3 = min(h0 + 1, H - 1), min(h0 + 2, H - 1), min(h0 + 3, H - 1)
        a, b, c, e = kept(h0, place, H), kept(h1, place, H), kept(h2, place, H), kept(h3, place, H)
        weights, inputs = (h0 * d, h1 * d, h2 * d, h3 * d), (a * u, b * u, c * u, e * u)
        gained, n = (a * d, b * d, c * d, e * d), ZERO
        for m in range(M):
            first, size = span[m, 0], span[m, 1] - span[m, 0]
            z0, z1, z2, z3 = rls.dots(W, weights, n, F, inputs, first, size)
            errors = (
                missed(h0, z0, ahead),
                missed(h1, z1, ahead) if h1 > h0 else 0.0,
                missed(h2, z2, ahead) if h2 > h1 else 0.0,
                missed(h3, z3, ahead) if h3 > h2 else 0.0,
            )
            rls.adds(W, weights, K, gained, n, errors, size)
            n += size


@inner
def gains(span, at, f, s, k):
    """Each member's gain for the features f, into k (d,).

    False where rounding has spoiled a covariance.
    """
    P = part(s, at, COVARIANCE)
    a = b = 0
    good = True
    for e in range(span.shape[0]):
        first, end = span[e, 0], span[e, 1]
        d = end - first
        size = rls.size(d)
        own = P[a : a + size]
        good &= rls.gain(own, f[first:end], FORGETTING[e], TRACE_LIMIT, k[b : b + d])
        a, b = a + size, b + d
    return good


@inner
def forecast(target, at, span, place, f, s):
    """What each member says, and mean, lower and upper of the next rows, from the newest row."""
    M, H = span.shape[0], (at[AHEAD + 1] - at[AHEAD]) // AHEAD_SIZE
    ahead, now = matrix(s, at[AHEAD], AHEAD_SIZE, H), matrix(s, at[NOW], 3, H)
    said = matrix(s, at[CHANGES], M, H)
    W, bound, unit = part(s, at, WEIGHTS), CLIP * (target[SPREAD] + target[STEP]), ahead[UNIT, 0]
    d = W.size // H
    for h0 in range(0, H, 4):
        h1, h2, h3 = min(h0 + 1, H - 1), min(h0 + 2, H - 1), min(h0 + 3, H - 1)
        weights, n = (h0 * d, h1 * d, h2 * d, h3 * d), ZERO
        for e in range(M):
            first, size = span[e, 0], span[e, 1] - span[e, 0]
            z0, z1, z2, z3 = rls.dots(W, weights, n, f, (ZERO, ZERO, ZERO, ZERO), first, size)
            said[e, h0], said[e, h1] = clip(unit * z0, bound), clip(unit * z1, bound)
            said[e, h2], said[e, h3] = clip(unit * z2, bound), clip(unit * z3, bound)
            n += size
    mix.forecast(M, said, ahead[MISS], matrix(s, at[MIX], mix.height(M), H), now[0])
    clock, days = part(s, at, CLOCK), part(s, at, DAYS)
    t = clock[clocks.NOW]
    seconds = calendar.interval(t, clock)
    if abs(t) <= calendar.LATEST:
        calendar.observe(t, seconds, target[CHANGE], target[SPREAD] + target[STEP], days)
    told, usual = matrix(s, at[TOLD], 2, H), matrix(s, at[USUAL], H * waiting(H), 2)
    calendar.forecast(t, seconds, place, ahead[MISS], days, told, usual, now[0])
    width = matrix(s, at[WIDTH], interval.ROWS, H)
    own, recent = f[span[-1, 1] - 1], interval.recent(ahead[MISS], width)
    width[interval.RECENT, place] = recent
    for h in range(H):
        now[0, h] = clip(now[0, h], bound)
    stayed, scale = ahead[STAYED], width[interval.SCALE]
    interval.reach(own, recent, now[0], stayed, width, scale, now[1], now[2])
    for h in range(H):
        if scale[h] == 0.0:  # until the first label: as a random walk spreads
            walked = interval.WIDE * target[STEP] * math.sqrt(h + 1.0)
            now[1, h], now[2, h] = -walked, walked
        now[0, h] += target[VALUE]
        now[1, h] += now[0, h]
        now[2, h] += now[0, h]
    every, made = matrix(s, at[SAID], H * waiting(H), M), matrix(s, at[MADE], H * waiting(H), 2)
    for h in range(H):
        where = waits(h, place, H)
        for e in range(M):
            every[where, e] = said[e, h]
        made[where, 0], made[where, 1] = now[0, h], scale[h]


@inner
def advance_one(target, sizes, span, at, turn, s, x):
    """One stream, state s, by one row x (C,); leaves its forecasts in NOW."""
    H = (at[AHEAD + 1] - at[AHEAD]) // AHEAD_SIZE
    channels, lags = matrix(s, at[CHANNELS], x.size, CHANNEL_SIZE), part(s, at, LAGS)
    ahead, now = matrix(s, at[AHEAD], AHEAD_SIZE, H), matrix(s, at[NOW], 3, H)
    cycle = part(s, at, CYCLE)
    f = matrix(s, at[FEATURES], H, (at[FEATURES + 1] - at[FEATURES]) // H)
    k = matrix(s, at[GAINS], H, (at[GAINS + 1] - at[GAINS]) // H)
    y, channel, place = x[target], channels[target], int(cycle[cycles.ROWS]) % H
    present, known = not missing(y), channel[SEEN] > 0.0
    if present and known:  # predict, then learn: labels first
        levels, width = f[:, span[-1, 1] - 1], matrix(s, at[WIDTH], interval.ROWS, H)
        made = matrix(s, at[MADE], H * waiting(H), 2)
        score(y, channel[SEEN], place, 1e-3 * channel[STEP], levels, made, ahead, width)
        learn(at, span, place, s)

    for c in range(x.size):
        channels[c, CHANGE] = 0.0
        if not missing(x[c]):
            units.observe(channels[c], x[c])
    if known and not present:
        channel[CHANGE] = now[0, 0] - channel[VALUE]
        channel[VALUE] = now[0, 0]
    for a in range(lags.size - 1, 0, -1):
        lags[a] = lags[a - 1]
    lags[0] = channel[CHANGE]
    if known or present:
        step = max(channel[STEP], TINY)
        cycles.observe(channel[VALUE], step, cycle, part(s, at, RING), part(s, at, AWAY))
    waves, ring = matrix(s, at[WAVES], 2, turn.shape[1]), part(s, at, RING)
    features(target, sizes, H, turn, channels, lags, waves, cycle, ring, f[place])

    k[place] = 0.0
    fresh = channel[SEEN] == 1.0
    if present and channel[SEEN] > START:
        fresh = not gains(span, at, f[place], s, k[place])
    if present and fresh:
        begin(at, span, place, s)
    for h in range(H - 1, 0, -1):
        ahead[ORIGIN, h], ahead[UNIT, h] = ahead[ORIGIN, h - 1], ahead[UNIT, h - 1]
    ahead[ORIGIN, 0] = y if present else np.nan
    ahead[UNIT, 0] = max(channel[STEP], TINY)
    if present:
        forecast(channel, at, span, place, f[place], s)
    elif known:  # what the row before forecast still stands, one row nearer
        for q in range(3):
            for h in range(H):
                now[q, h] = now[q, min(h + 1, H - 1)]


@inner
def lacking(at, s, t):
    """How many rows are lacking before the one at time t; they pass as missing."""
    clock = part(s, at, CLOCK)
    clock[clocks.NOW] = np.nan
    return clocks.lacking(t, s[at[CYCLE] + cycles.PERIOD], clock)


@jit
def advance(target, sizes, span, at, turn, blank, states, rows, t, x, y):
    """Moves row rows[n] of `states` by x[n] (C,) at time t[n], NaN where it is not known.

    y[n] (3H,) receives mean, lower, upper; blank (C,) holds NaN.
    """
    for n in range(rows.size):
        s = states[rows[n]]
        # one call for both kinds of row: the compiler writes all of it out where it is called
        for left in range(lacking(at, s, t[n]), -1, -1):
            if left == 0:
                s[at[CLOCK] + clocks.NOW] = t[n]
            advance_one(target, sizes, span, at, turn, s, blank if left else x[n])
        for q in range(y.shape[1]):
            y[n, q] = s[at[NOW] + q]


def _newest(p):
    advance(*arguments(p))


NEWEST = CFunction(_newest)  # `advance` by one row, for kernels/door.py
