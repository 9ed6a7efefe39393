"""The detector: what is odd about the newest row, on every channel, and whether it is news.

Each channel has a watch (kernels/watch.py).  The target's is fed with the errors of its forecasts,
one row and H rows ahead, and with its distance from its cycle; the others' with their changes, as
errors of a forecast that all stays as it is.

The strength of a row is the largest of all channels and kinds of evidence; 1 is an alarm.  An event
is told once: a row counts if it is clearly stronger than all of the last HOLD rows.
"""

import math

from streamrnn.kernels import calendar, forecast, watch
from streamrnn.kernels import clock as clocks
from streamrnn.kernels import cycle as cycles
from streamrnn.kernels.channels import CHANNEL_SIZE, SEEN, STEP, VALUE, missing
from streamrnn.kernels.door import arguments
from streamrnn.kernels.doubles import matrix
from streamrnn.kernels.jit import CFunction, inner, jit
from streamrnn.kernels.ring import kept, waits

# the state of a detector: the forecaster's fields, then these
FIELDS = (
    "news",  # (NEWS_SIZE,) of the last event
    "watch",  # (C, WATCH_SIZE) of each channel: its watch, then what an alarm has left, see below
    "strengths",  # (watch.KINDS,) of the newest value
)
PEAK, AGE = 0, 1  # strength of the last event, fading after HOLD rows; rows since then
NEWS_SIZE = 2
SINCE = watch.SIZE  # rows since an alarm for this channel, 0: none is looked after
FLOOR, CEILING = SINCE + 1, SINCE + 2  # range of the running mean before it
QUIETEST, LOUDEST = SINCE + 3, SINCE + 4  # range of the running size of the errors before it
ELSEWHERE, OTHERWISE = SINCE + 5, SINCE + 6  # rows in which they were outside
WATCH_SIZE = SINCE + 7

HOLD = 100
CLEARLY = 1.5
FADE = 0.9
SETTLED, JUDGED = 64.0, 320.0  # rows after an alarm whose share outside tells what is to last
LASTING = 1 / 3

REASONS = (
    "",
    "outside the range seen",
    "forecast missed",
    "level shift",
    "change of variance",
    "frozen",
    "drop-out",
    "off its cycle",
)
RANGE, MISSED, SHIFT, CHANGED, FROZEN, DROPPED, CYCLE = range(1, 8)
BECAUSE = (RANGE, SHIFT, SHIFT, MISSED, SHIFT, SHIFT, CHANGED, CHANGED, MISSED, CYCLE, CYCLE)

SCORE, ALARM, DRIFT, REASON, CHANNEL = range(5)  # columns of what is told
TOLD = 5


@inner
def news(strength, d):
    """Whether a row of this strength is a new event, not more of the last one."""
    d[AGE] += 1.0
    if d[AGE] > HOLD:
        d[PEAK] *= FADE
    if strength <= CLEARLY * d[PEAK] and (strength < 1.0 or d[PEAK] >= 1.0):
        return False
    d[PEAK], d[AGE] = strength, 0.0
    return True


@inner
def remember(d):
    """An alarm for the channel of this watch: what was usual is kept, to compare what follows."""
    if d[SINCE] > 0.0:
        return
    means = watch.FIRST_RANGE + watch.RANGE_SIZE * watch.MEAN
    tails = watch.FIRST_TAIL - watch.TAIL_SIZE * watch.RANGES + watch.MOST
    d[SINCE] = 1.0
    d[FLOOR], d[CEILING] = d[means + watch.LOW], d[means + watch.HIGH]
    d[LOUDEST] = d[tails + watch.TAIL_SIZE * watch.LOUD]
    d[QUIETEST] = 1.0 / max(d[tails + watch.TAIL_SIZE * watch.QUIET], 1e-3)
    d[ELSEWHERE] = d[OTHERWISE] = 0.0


@inner
def lasting(d):
    """The reason, in the one row that makes it sure that a regime has changed for good; else 0."""
    if d[SINCE] == 0.0:
        return 0
    d[SINCE] += 1.0
    if d[SINCE] > SETTLED:
        quiet = d[watch.STATISTICS + watch.QUIET - watch.RANGES]
        loud = d[watch.STATISTICS + watch.LOUD - watch.RANGES]
        d[ELSEWHERE] += not d[FLOOR] <= d[watch.FAST] <= d[CEILING]
        d[OTHERWISE] += quiet < d[QUIETEST] or loud > d[LOUDEST]
    if d[SINCE] < JUDGED:
        return 0
    d[SINCE] = 0.0
    rows = LASTING * (JUDGED - SETTLED)
    if d[ELSEWHERE] >= rows:
        return SHIFT
    return CHANGED if d[OTHERWISE] >= rows else 0


@inner
def made(h, at, s):
    """The forecast that was made h + 1 rows ago for the row that comes, and its usual error."""
    H = (at[forecast.AHEAD + 1] - at[forecast.AHEAD]) // forecast.AHEAD_SIZE
    ahead = matrix(s, at[forecast.AHEAD], forecast.AHEAD_SIZE, H)
    miss = ahead[forecast.MISS, h]
    if missing(ahead[forecast.ORIGIN, h]) or miss == 0.0:
        return math.nan, 0.0
    then = kept(h, int(s[at[forecast.CYCLE] + cycles.ROWS]) % H, H)
    return s[at[forecast.MADE] + 2 * waits(h, then, H)], miss


@inner
def on_cycle(at, s):
    """What the last turns of the cycle had where the row that comes is, NaN without a cycle."""
    cycle, ring = forecast.part(s, at, forecast.CYCLE), forecast.part(s, at, forecast.RING)
    rows, period, count, total = int(cycle[cycles.ROWS]), int(cycle[cycles.PERIOD]), 0, 0.0
    while period > 0 and count < watch.TURNS and (count + 1) * period < min(cycles.RING, rows):
        count += 1
        total += cycles.value(ring, (rows - 1) % cycles.RING, count * period - 1)
    return total / count if count > 0 else math.nan


@inner
def judge(target, at, s, x, told):
    """Score, alarm, drift, reason and channel of the row x into told (TOLD,); s is from before."""
    C, own = x.size, len(forecast.FIELDS)
    recent = s[at[own] : at[own + 1]]
    watches = matrix(s, at[own + 1], C, WATCH_SIZE)
    strengths = s[at[own + 2] : at[own + 2] + watch.KINDS]
    channels = matrix(s, at[forecast.CHANNELS], C, CHANNEL_SIZE)
    interval = s[at[forecast.CLOCK] + clocks.INTERVAL]
    strength, reason, blamed = 0.0, 0, 0
    sudden, where = 0, 0  # what is told of the errors meanwhile does not say it
    for c in range(C):
        y, d, channel = x[c], watches[c], channels[c]
        absent, n = missing(y), d[watch.ROWS]
        if watch.gone(absent, d):
            sudden, where = DROPPED, c
        if absent:
            continue
        error, miss, far, away, period = math.nan, channel[STEP], math.nan, math.nan, 0.0
        if channel[SEEN] > 0.0:
            error = y - channel[VALUE]
        if c == target:
            H = (at[forecast.AHEAD + 1] - at[forecast.AHEAD]) // forecast.AHEAD_SIZE
            one, miss = made(0, at, s)
            error, far = y - one, y - made(H - 1, at, s)[0]
            away, period = y - on_cycle(at, s), s[at[forecast.CYCLE] + cycles.PERIOD]
        same = n > 0.0 and y == channel[VALUE]
        staying = watch.stays(y, same, d)
        days = n * interval / calendar.DAY if interval >= clocks.LEAST else 0.0
        odd = watch.weigh(y, staying, channel, error, miss, far, away, period, days, d, strengths)
        if watch.dropped(y, same, d) and n > watch.START:
            sudden, where = DROPPED, c
        if watch.frozen(same, staying, d) and n > watch.START:
            sudden, where = FROZEN, c
        lasts = lasting(d)
        if lasts > 0:
            told[DRIFT], told[REASON], told[CHANNEL] = 1.0, lasts, c
        if n < watch.START or not odd:
            continue
        # what a person sees first comes first
        to_zero, outside = watch.at_zero(y, d), strengths[watch.VALUE] >= 1.0
        for kind in range(watch.KINDS):
            # while an event lasts, what only builds up from it is no news
            builds_up = kind != watch.VALUE and kind != watch.ERROR
            if strengths[kind] > strength and not (builds_up and recent[PEAK] >= 1.0):
                strength, blamed = strengths[kind], c
                reason = DROPPED if to_zero else RANGE if outside else BECAUSE[kind]
    strength = min(strength, watch.WORST)
    new = news(strength, recent)
    if sudden > 0 and (sudden == FROZEN or new or recent[PEAK] < 1.0):
        strength, reason, blamed, new = max(strength, 1.0), sudden, where, True
        recent[PEAK], recent[AGE] = max(recent[PEAK], 1.0), 0.0
    if not new:
        return
    told[SCORE] = 1.0 - 2.0**-strength
    if strength >= 1.0:
        told[ALARM], told[REASON], told[CHANNEL] = 1.0, reason, blamed
        remember(watches[blamed])


@jit
def advance(target, sizes, span, at, turn, blank, states, rows, t, x, y):
    """As kernels/forecast.py; y (3H + TOLD,) ends with score, alarm, drift, reason, channel."""
    H3 = y.shape[1] - TOLD
    for n in range(rows.size):
        s, told = states[rows[n]], y[n, H3:]
        for left in range(forecast.lacking(at, s, t[n]), -1, -1):
            if left == 0:
                s[at[forecast.CLOCK] + clocks.NOW] = t[n]
                for q in range(TOLD):
                    told[q] = 0.0
                told[CHANNEL] = -1.0
                judge(target, at, s, x[n], told)
            forecast.advance_one(target, sizes, span, at, turn, s, blank if left else x[n])
        for q in range(H3):
            y[n, q] = s[at[forecast.NOW] + q]


def _newest(p):
    advance(*arguments(p))


NEWEST = CFunction(_newest)  # `advance` by one row, for kernels/door.py
