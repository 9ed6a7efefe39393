"""The forecaster: what one stream remembers and learns, advanced by one row at a time.

mean_h = y + trust_h unit w_h'f       the target h rows ahead, as a change from its present value y
f      = waves, recent changes, levels, 1      what the rows so far look like, in running units
w_h    by recursive least squares (kernels/rls.py) from the labels as they come, errors clipped

C channels, H horizons, L lags, R waves, d = 2R + L + 2C features.
"""

import math

import numpy as np

from streamrnn.kernels import rls
from streamrnn.kernels.jit import inner, jit

# One configuration for all streams, chosen on weather, office, road, server and synthetic data.
FORGETTING = 0.999  # of the weights: they follow the last 1000 rows or so
PRIOR = 0.1  # variance of a weight about which nothing is known
TRACE_LIMIT = 1e3
START = 10  # rows before the weights learn: by then the units are known
CLIP = 8.0  # features lie within +-CLIP
SLOW = 1 / 500  # rate of level, spread and step
FAST = 1 / 100  # rate of miss
OUTLIER = 8.0  # a size beyond this many times the running mean counts as this many
HUBER = 2.0  # an error beyond this many times miss teaches as much as this many
TRUST_RATE = 0.002  # of trust; after n rows at least TRUST_START / n
TRUST_START = 2.0
TAIL_RATE = 0.05  # of low and high
WIDE = 2.0  # low and high to begin with: 5 % of normal errors exceed 2.06 mean sizes
OUTSIDE = 0.05  # share of the targets below the interval, and above it
HUGE = 1e100  # a value beyond it counts as missing, so that nothing computed from values overflows
TINY = 1e-290
APART = 1e4  # sizes apart by this factor are not of one sensor in one unit
STRANGERS = 50.0  # changes in a row that far from the usual: a channel begins anew
WIDEST = 20.0  # of low and high: by Markov, no more than 5 % of errors exceed 20 mean sizes

FIELDS = (
    "channels",  # (C, CHANNEL_SIZE) what is known of each channel, see below
    "lags",  # (L,) changes of the target, newest first
    "waves",  # (2, R) damped oscillators that the target drives: real, imaginary
    "f",  # (d,) features of the newest row
    "k",  # (d,) their gain
    "P",  # (d, d) covariance of the weights, the same for every horizon
    "W",  # (d, H) weights
    "F",  # (d, H) features; column h: of h + 1 rows ago, whose label h + 1 ahead comes next
    "K",  # (d, H) gains of those rows
    "ahead",  # (AHEAD_SIZE, H) what is known of each horizon, see below
    "made",  # (H, 3H) mean, lower, upper as forecast h + 1 rows ago
)

# a row of channels
SEEN = 0  # rows in which it was not missing, since its units were last chosen
VALUE = 1  # the last of them; for the target, while it is missing, its forecast
CHANGE = 2  # from the value before; 0 where it is missing
LEVEL = 3  # running mean
SPREAD = 4  # running mean distance from it
STEP = 5  # running mean size of a change
STRANGE = 6  # changes in a row that were of quite another size
CHANNEL_SIZE = 7

# rows of ahead
ORIGIN = 0  # the target h + 1 rows ago; NaN: it was missing, there is nothing to learn
UNIT = 1  # its step then
ERROR = 2  # what the weights missed of the newest label
MISS = 3  # running mean size of the forecast's error
TRUST = 4  # share of the learned change that is forecast; 0: persistence
LOW = 5  # 5 % quantile of the forecast's error, in units of miss
HIGH = 6  # 95 %
AHEAD_SIZE = 7


def shapes(C: int, H: int, L: int, R: int) -> list[tuple[int, ...]]:
    """Shape of each of FIELDS."""
    d = 2 * R + L + 2 * C
    return [
        (C, CHANNEL_SIZE),
        (L,),
        (2, R),
        (d,),
        (d,),
        (d, d),
        (d, H),
        (d, H),
        (d, H),
        (AHEAD_SIZE, H),
        (H, 3 * H),
    ]


@inner
def clip(x, limit):
    return min(max(x, -limit), limit)


@inner
def missing(x):
    return not abs(x) <= HUGE


@inner
def running_size(mean, size, n, rate):
    """Mean size (> 0) of changes or errors after the n-th of them; outliers don't carry it off.

    Geometric for the first 1 / rate, because then one spike of 1e30 is outvoted by what follows.
    The callers leave out sizes of zero: a value repeated, by a frozen or coarse sensor, does not
    tell how large a change is, and a unit that has faded to zero would have to grow back.
    """
    if mean == 0.0:
        return size
    if n * rate < 1.0:
        return mean ** (1.0 - 1.0 / n) * size ** (1.0 / n)
    return mean + rate * (min(size, OUTLIER * mean) - mean)


@inner
def begin(ahead, P, k, W):
    """Nothing is known of the target, or nothing in the units that it has from now on."""
    rls.restart(P, PRIOR, k)
    for i in range(W.shape[0]):
        for h in range(W.shape[1]):
            W[i, h] = 0.0
    for h in range(ahead.shape[1]):
        ahead[ORIGIN, h] = np.nan
        ahead[MISS, h] = ahead[TRUST, h] = 0.0
        ahead[LOW, h], ahead[HIGH, h] = -WIDE, WIDE


@inner
def score(y, n, floor, made, ahead):
    """The target, seen n times before, is y: size and quantiles of the forecasts' errors follow.

    The quantiles move as in adaptive conformal inference (Gibbs & Candes 2021): an end that the
    target exceeded moves out by 0.95 TAIL_RATE, one that held moves in by 0.05 TAIL_RATE, so that
    the share exceeded tends to 5 % at either end, whatever the distribution.
    """
    H = ahead.shape[1]
    for h in range(H):
        if missing(ahead[ORIGIN, h]):
            continue
        mean, lower, upper = made[h, h], made[h, H + h], made[h, 2 * H + h]
        low = ahead[LOW, h] - TAIL_RATE * ((y < lower) - OUTSIDE)
        high = ahead[HIGH, h] + TAIL_RATE * ((y > upper) - OUTSIDE)
        ahead[LOW, h] = min(max(low, -WIDEST), 0.0)
        ahead[HIGH, h] = max(min(high, WIDEST), 0.0)
        size = max(abs(y - mean), floor)
        if size > 0.0:
            ahead[MISS, h] = running_size(ahead[MISS, h], size, max(n - h, 1.0), FAST)


@inner
def learn(y, n, ahead, W, F, K):
    """The target is y: at each horizon it is the label of a row before; weights and trust learn."""
    error = ahead[ERROR]
    rls.predict(W, F, error)
    for h in range(error.size):
        origin, unit, miss = ahead[ORIGIN, h], ahead[UNIT, h], ahead[MISS, h]
        if missing(origin) or miss == 0.0:
            error[h] = 0.0
            continue
        change, learned = y - origin, unit * error[h]
        # a subgradient step on |change - trust learned|: persistence, where nothing can be learned
        uphill = 1.0 if change > ahead[TRUST, h] * learned else -1.0
        rate = max(TRUST_RATE, TRUST_START / n)
        trust = ahead[TRUST, h] + rate * uphill * clip(learned / miss, 2.0)
        ahead[TRUST, h] = min(max(trust, 0.0), 1.0)
        error[h] = clip(clip(change - learned, HUBER * miss) / unit, 100.0)
    rls.learn(W, K, error)


@inner
def observe(channel, x):
    """A channel takes the value x.  A repeated value moves neither level nor spread nor step."""
    channel[SEEN] += 1.0
    n = channel[SEEN]
    if n == 1.0:
        channel[VALUE] = channel[LEVEL] = x
        return
    channel[CHANGE] = x - channel[VALUE]
    channel[VALUE] = x
    size, distance = abs(channel[CHANGE]), x - channel[LEVEL]
    if size <= 1e-12 * abs(x):  # the last bits of a float are no change either
        return
    channel[STEP] = running_size(channel[STEP], size, n, SLOW)
    if distance != 0.0:
        channel[SPREAD] = running_size(channel[SPREAD], abs(distance), n, SLOW)
    channel[LEVEL] += max(1.0 / n, SLOW) * clip(distance, OUTLIER * channel[SPREAD])
    strange = not channel[STEP] / APART <= size <= channel[STEP] * APART
    channel[STRANGE] = channel[STRANGE] + 1.0 if strange else 0.0
    if channel[STRANGE] == STRANGERS or channel[SPREAD] > APART * channel[STEP]:
        # the units are of another age, or began with a spike: begin anew, from here
        channel[SEEN], channel[STRANGE] = 1.0, 0.0
        channel[LEVEL], channel[SPREAD], channel[STEP] = x, size, size


@inner
def features(target, turn, channels, lags, waves, f):
    """f of the newest row.  turn (3, R): r cos w, r sin w, 2 (1 - r) of each wave."""
    R, L = turn.shape[1], lags.size
    n = 2 * R + L
    for c in range(channels.shape[0]):
        channel = channels[c]
        level = (channel[VALUE] - channel[LEVEL]) / max(channel[SPREAD], TINY)
        f[n + 2 * c] = clip(level, CLIP)
        f[n + 2 * c + 1] = clip(channel[CHANGE] / max(channel[STEP], TINY), CLIP)
    f[n + 2 * target + 1] = 1.0  # the constant, in place of the target's change, which is a lag
    for a in range(L):
        f[2 * R + a] = clip(lags[a] / max(channels[target, STEP], TINY), CLIP)
    drive = f[n + 2 * target]
    for r in range(R):  # h <- r e^(i w) h + 2 (1 - r) drive
        re, im = waves[0, r], waves[1, r]
        f[r] = waves[0, r] = turn[0, r] * re - turn[1, r] * im + turn[2, r] * drive
        f[R + r] = waves[1, r] = turn[1, r] * re + turn[0, r] * im


@inner
def shift(rows, newest):
    """rows (n, ages): what was of age a is of age a + 1 now, and the newest (n,) of age 0."""
    for i in range(rows.shape[0]):
        for a in range(rows.shape[1] - 1, 0, -1):
            rows[i, a] = rows[i, a - 1]
        rows[i, 0] = newest[i]


@inner
def forecast(target, f, W, ahead, made):
    """The forecasts (3H,) from the newest row of the target's channel and features f."""
    H = ahead.shape[1]
    mean, lower, upper = made[:H], made[H : 2 * H], made[2 * H :]
    for h in range(H):
        mean[h] = 0.0
    for i in range(f.size):
        for h in range(H):
            mean[h] += W[i, h] * f[i]
    bound = CLIP * (target[SPREAD] + target[STEP])
    for h in range(H):
        learned = ahead[UNIT, 0] * mean[h]
        mean[h] = target[VALUE] + clip(ahead[TRUST, h] * learned, bound)
        # until the first label: as a random walk spreads
        width = ahead[MISS, h] if ahead[MISS, h] > 0.0 else target[STEP] * math.sqrt(h + 1.0)
        lower[h] = mean[h] + ahead[LOW, h] * width
        upper[h] = mean[h] + ahead[HIGH, h] * width


@inner
def advance_one(target, at, turn, s, x):
    """One stream, state s, by one row x (C,); returns its forecasts (3H,): mean, lower, upper.

    Field n of FIELDS lies at s[at[n] : at[n + 1]].
    """
    C, d, R = x.size, at[4] - at[3], turn.shape[1]
    H = (at[10] - at[9]) // AHEAD_SIZE
    channels, lags = s[at[0] : at[1]].reshape(C, CHANNEL_SIZE), s[at[1] : at[2]]
    waves, f, k = s[at[2] : at[3]].reshape(2, R), s[at[3] : at[4]], s[at[4] : at[5]]
    P, W = s[at[5] : at[6]].reshape(d, d), s[at[6] : at[7]].reshape(d, H)
    F, K = s[at[7] : at[8]].reshape(d, H), s[at[8] : at[9]].reshape(d, H)
    ahead, made = s[at[9] : at[10]].reshape(AHEAD_SIZE, H), s[at[10] : at[11]].reshape(H, 3 * H)

    y, channel = x[target], channels[target]
    present, known = not missing(y), channel[SEEN] > 0.0
    if present and known:  # predict, then learn: labels first
        score(y, channel[SEEN], 1e-3 * channel[STEP], made, ahead)
        learn(y, channel[SEEN], ahead, W, F, K)

    for c in range(C):
        channels[c, CHANGE] = 0.0
        if not missing(x[c]):
            observe(channels[c], x[c])
    if known and not present:
        channel[CHANGE] = made[0, 0] - channel[VALUE]
        channel[VALUE] = made[0, 0]
    for a in range(lags.size - 1, 0, -1):
        lags[a] = lags[a - 1]
    lags[0] = channel[CHANGE]
    features(target, turn, channels, lags, waves, f)

    for i in range(d):
        k[i] = 0.0
    fresh = channel[SEEN] == 1.0
    if present and channel[SEEN] > START:
        fresh = not rls.gain(P, f, FORGETTING, TRACE_LIMIT, k)
    if present and fresh:
        begin(ahead, P, k, W)
    shift(F, f)
    shift(K, k)
    for h in range(H - 1, 0, -1):
        ahead[ORIGIN, h], ahead[UNIT, h] = ahead[ORIGIN, h - 1], ahead[UNIT, h - 1]
        for q in range(3 * H):
            made[h, q] = made[h - 1, q]
    ahead[ORIGIN, 0] = y if present else np.nan
    ahead[UNIT, 0] = max(channel[STEP], TINY)
    if present:
        forecast(channel, f, W, ahead, made[0])
    elif known:  # what the row before forecast still stands, one row nearer
        for q in range(0, 3 * H, H):
            for h in range(H):
                made[0, q + h] = made[0, q + min(h + 1, H - 1)]
    return made[0]


@jit
def advance(target, at, turn, states, rows, x, y):
    """Moves row rows[n] of `states` by x[n] (C,) and writes y[n] (3H,): mean, lower, upper."""
    for n in range(rows.size):
        made = advance_one(target, at, turn, states[rows[n]], x[n])
        for q in range(made.size):
            y[n, q] = made[q]
