"""The features of a forecaster: what the rows so far look like, in running units.

Damped oscillators that the target drives, its recent changes, those of the other channels, levels,
what the cycle says, and curves: products of some of these.
"""

import math

from streamrnn.kernels import cycle as cycles
from streamrnn.kernels.channels import CHANGE, LEVEL, SPREAD, STEP, TINY, VALUE, clip
from streamrnn.kernels.jit import inner

CLIP = 8.0  # features lie within +-CLIP
CURVES = 7


def spans(R: int, L: int, B: int) -> list[tuple[int, int]]:
    """Where the features of each of forecast.MEMBERS begin and end.

    f holds waves, lags from the seventh on, changes of the others, lags 6 to 1, the cycle, 1, the
    target's level, levels of the others, curves. All sizes are multiples of four, as vectors are.
    """
    late = 2 * R + L - 6 + B
    level = late + 6 + cycles.KNOTS + 3
    end = level + B + CURVES
    return [(0, level + B), (late, end), (late + 1, level), (late + 1, level)]


@inner
def advance_waves(turn, drive, waves):
    """h <- r e^(i w) h + 2 (1 - r) drive.  turn (3, R): r cos w, r sin w, 2 (1 - r)."""
    for r in range(waves.shape[1]):
        re, im = waves[0, r], waves[1, r]
        waves[0, r] = turn[0, r] * re - turn[1, r] * im + turn[2, r] * drive
        waves[1, r] = turn[1, r] * re + turn[0, r] * im


@inner
def level(channel):
    return clip((channel[VALUE] - channel[LEVEL]) / max(channel[SPREAD], TINY), CLIP)


@inner
def features(target, sizes, H, turn, channels, lags, waves, cycle, ring, f):
    """f (u,) of the newest row; its order is that of `spans`, the other arrays are the state's."""
    R, L, B = sizes[0], sizes[1], sizes[2]
    late = 2 * R + L - 6 + B
    levels = late + 6 + cycles.KNOTS + 3
    own, step = level(channels[target]), max(channels[target, STEP], TINY)
    advance_waves(turn, own, waves)
    for r in range(R):
        f[r], f[R + r] = waves[0, r], waves[1, r]
    for a in range(L):
        place = 2 * R + a - 6 if a >= 6 else late + 5 - a
        f[place] = clip(lags[a] / step, CLIP)
    for b in range(B):
        f[2 * R + L - 6 + b] = f[levels + b] = 0.0
    others = channels.shape[0] - 1
    each = 1.0 / math.sqrt((others + B - 1) // max(B, 1))  # of the channels that share a feature
    for c in range(others):
        channel = channels[c if c < target else c + 1]
        change = clip(channel[CHANGE] / max(channel[STEP], TINY), CLIP)
        f[2 * R + L - 6 + c % B] += each * change
        f[levels + c % B] += each * level(channel)
    cycles.features(H, step, cycle, ring, f[late + 6 : late + 6 + cycles.KNOTS + 1])
    f[levels - 2], f[levels - 1] = 1.0, own
    curves = f[levels + B :]
    for a in range(4):
        curves[a] = abs(clip(lags[a] / step, CLIP)) - 1.0
    for a in range(2):
        curves[4 + a] = clip(own * clip(lags[a] / step, CLIP), CLIP)
    curves[6] = clip(own * own, CLIP)
