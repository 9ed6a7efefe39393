"""A forecaster whose waves learn how fast they turn and fade: exact gradients, forwards in time.

Wave r is h <- lambda h + 2 (1 - |lambda|) drive with lambda = exp(-e^v + i e^u).  A recurrence that
is diagonal needs one trace of dh/dv and one of dh/du for each h, and no more:

dh/dv <- lambda dh/dv - e^v lambda h + 2 e^v |lambda| drive
dh/du <- lambda dh/du + i e^u lambda h

Real-time recurrent learning, Williams & Zipser 1989; on diagonal recurrences, Zucchet et al. 2023.
"""

import math

from streamrnn.kernels import clock as clocks
from streamrnn.kernels import cycle as cycles
from streamrnn.kernels import forecast, rls
from streamrnn.kernels.channels import CHANNEL_SIZE, SEEN, clip, missing
from streamrnn.kernels.door import arguments
from streamrnn.kernels.doubles import matrix
from streamrnn.kernels.features import level
from streamrnn.kernels.forecast import (
    AHEAD,
    AHEAD_SIZE,
    CHANNELS,
    CYCLE,
    FEATURES,
    MISS,
    ORIGIN,
    UNIT,
    WAVES,
    WEIGHTS,
    part,
)
from streamrnn.kernels.jit import CFunction, inner, jit
from streamrnn.kernels.ring import kept

# the state of such a forecaster: that of kernels/forecast.py, then these
FIELDS = (
    "speeds",  # (2, R) v and u: logs of how fast a wave fades, and of its frequency
    "turn",  # (3, R) what they make of the recurrences, see features.advance_waves
    "traces",  # (4, R) dh/dv, real and imaginary, then dh/du
    "G",  # (H, 4 R) traces of the last H rows, each where its features are in F
    "error",  # (H,) what the full member missed of the newest label
    "squares",  # (2, R) running mean square of the gradient
)
SPEEDS, TURN, TRACES, KEPT, ERROR, SQUARES = range(len(forecast.FIELDS), len(forecast.FIELDS) + 6)

# The most that v or u changes in a row: weights and their covariance belong to waves as they were.
# At ten times that, sensors' forecasts 12 rows ahead became 0.6 to 1.7 % worse.
RATE = 1e-4
SLOW = 1 / 1000  # rate of squares
# of v and u: waves fade to 1 / e within 16 000 to 24 rows, their periods are 2000 to 3
LOWEST = math.log(1 / 16_000), math.log(2 * math.pi / 2000)
HIGHEST = math.log(1 / 24), math.log(2 * math.pi / 3)


def shapes(R: int, H: int) -> list[tuple[int, ...]]:
    """Shape of each of FIELDS."""
    return [(2, R), (3, R), (4, R), (H, 4 * R), (H,), (2, R)]


@inner
def set_turn(speeds, turn):
    for r in range(turn.shape[1]):
        size, angle = math.exp(-math.exp(speeds[0, r])), math.exp(speeds[1, r])
        turn[0, r], turn[1, r] = size * math.cos(angle), size * math.sin(angle)
        turn[2, r] = 2.0 * (1.0 - size)


@inner
def learn(R, at, span, y, s):
    """The target is known to be y: speeds go where the errors of the full member get smaller."""
    H = (at[AHEAD + 1] - at[AHEAD]) // AHEAD_SIZE
    ahead, error = matrix(s, at[AHEAD], AHEAD_SIZE, H), part(s, at, ERROR)
    W = matrix(s, at[WEIGHTS], H, (at[WEIGHTS + 1] - at[WEIGHTS]) // H)
    F = matrix(s, at[FEATURES], H, (at[FEATURES + 1] - at[FEATURES]) // H)
    G, place = matrix(s, at[KEPT], H, 4 * R), int(s[at[CYCLE] + cycles.ROWS]) % H
    for h in range(H):
        origin, unit, miss = ahead[ORIGIN, h], ahead[UNIT, h], ahead[MISS, h]
        if miss > 0.0 and not missing(origin):
            said = unit * rls.dot(W[h], 0, F[kept(h, place, H)], 0, span[0, 1])
            error[h] = forecast.limited(y - origin - said, unit, miss)
        else:
            error[h] = 0.0
    speeds, squares = matrix(s, at[SPEEDS], 2, R), matrix(s, at[SQUARES], 2, R)
    for q in range(2):
        for r in range(R):
            re, im, gradient = 2 * q * R + r, (2 * q + 1) * R + r, 0.0
            for h in range(H):
                then = G[kept(h, place, H)]
                gradient += error[h] * (W[h, r] * then[re] + W[h, R + r] * then[im])
            squares[q, r] += SLOW * (gradient * gradient - squares[q, r])
            if squares[q, r] > 0.0:
                move = RATE * clip(gradient / math.sqrt(squares[q, r]), 1.0)
                speeds[q, r] = min(max(speeds[q, r] + move, LOWEST[q]), HIGHEST[q])
    set_turn(speeds, matrix(s, at[TURN], 3, R))


@inner
def advance_traces(speeds, turn, waves, traces):
    """All of the traces' recurrences but the drive; waves are those of the row before."""
    for r in range(waves.shape[1]):
        fade, angle = math.exp(speeds[0, r]), math.exp(speeds[1, r])
        a, b = turn[0, r], turn[1, r]
        re, im = a * waves[0, r] - b * waves[1, r], a * waves[1, r] + b * waves[0, r]
        for q, more_re, more_im in ((0, -fade * re, -fade * im), (2, -angle * im, angle * re)):
            x, y = traces[q, r], traces[q + 1, r]
            traces[q, r] = a * x - b * y + more_re
            traces[q + 1, r] = a * y + b * x + more_im


@inner
def drive_traces(speeds, turn, drive, traces):
    for r in range(turn.shape[1]):
        traces[0, r] += math.exp(speeds[0, r]) * (2.0 - turn[2, r]) * drive


@inner
def advance_one(target, sizes, span, at, s, x):
    """One stream, state s, by one row x (C,): learn, then as kernels/forecast.py with its waves."""
    R, y, channels = sizes[0], x[target], matrix(s, at[CHANNELS], x.size, CHANNEL_SIZE)
    H = (at[AHEAD + 1] - at[AHEAD]) // AHEAD_SIZE
    place = int(s[at[CYCLE] + cycles.ROWS]) % H
    speeds, turn = matrix(s, at[SPEEDS], 2, R), matrix(s, at[TURN], 3, R)
    traces = matrix(s, at[TRACES], 4, R)
    if not missing(y) and channels[target, SEEN] > 0.0:
        learn(R, at, span, y, s)
    advance_traces(speeds, turn, matrix(s, at[WAVES], 2, R), traces)
    forecast.advance_one(target, sizes, span, at, turn, s, x)
    drive_traces(speeds, turn, level(channels[target]), traces)
    G, now = matrix(s, at[KEPT], H, 4 * R), part(s, at, TRACES)
    for i in range(now.size):
        G[place, i] = now[i]


@jit
def advance(target, sizes, span, at, turn, blank, states, rows, t, x, y):
    """As kernels/forecast.py; each state has a turn of its own, and `turn` is not read."""
    for n in range(rows.size):
        s = states[rows[n]]
        for left in range(forecast.lacking(at, s, t[n]), -1, -1):
            if left == 0:
                s[at[forecast.CLOCK] + clocks.NOW] = t[n]
            advance_one(target, sizes, span, at, s, blank if left else x[n])
        for q in range(y.shape[1]):
            y[n, q] = s[at[forecast.NOW] + q]


def _newest(p):
    advance(*arguments(p))


NEWEST = CFunction(_newest)  # `advance` by one row, for kernels/door.py
