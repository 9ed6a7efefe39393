"""Late labels: what the weights of a forecaster learn from a target that came after its row."""

import math

import numpy as np

from streamrnn.kernels import cycle as cycles
from streamrnn.kernels import forecast, rls
from streamrnn.kernels.channels import missing
from streamrnn.kernels.doubles import matrix
from streamrnn.kernels.forecast import (
    AHEAD,
    AHEAD_SIZE,
    CYCLE,
    FEATURES,
    GAINS,
    MISS,
    ORIGIN,
    UNIT,
    WEIGHTS,
    part,
)
from streamrnn.kernels.jit import inner, jit
from streamrnn.kernels.ring import kept


@inner
def _learn(at, span, ago, value, s):
    """The target `ago` rows before the newest was missing there, and is `value`.

    A row c before the newest forecast it c - ago rows ahead; weights learn from all rows whose
    features and gains are kept. What members and the forecast said for it is not kept: the mixture
    and the interval do not learn. Returns False where its value is known, or nothing is kept.
    """
    M, H = span.shape[0], (at[AHEAD + 1] - at[AHEAD]) // AHEAD_SIZE
    ahead = matrix(s, at[AHEAD], AHEAD_SIZE, H)
    if not (0 <= ago < H - 1 and math.isnan(ahead[ORIGIN, ago])):
        return False
    ahead[ORIGIN, ago] = np.inf
    W, K, F = part(s, at, WEIGHTS), part(s, at, GAINS), part(s, at, FEATURES)
    d, u, place = W.size // H, F.size // H, int(s[at[CYCLE] + cycles.ROWS]) % H
    for c in range(ago + 1, H):
        h, then = c - ago - 1, kept(c, place, H)
        origin, unit, miss = ahead[ORIGIN, c], ahead[UNIT, c], ahead[MISS, h]
        if missing(origin) or miss == 0.0:
            continue
        i, j = h * d, then * d
        for e in range(M):
            first, size = span[e, 0], span[e, 1] - span[e, 0]
            error = value - origin - unit * rls.dot(W, i, F, then * u + first, size)
            rls.add(W, i, K, j, forecast.limited(error, unit, miss), size)
            i, j = i + size, j + size
    return True


@jit
def learn(span, at, states, rows, values, ago):
    """Row rows[n] of `states` learns that its target was values[n], ago[n] rows before the newest.

    ago[n] becomes -1 where it could not.
    """
    for n in range(rows.size):
        if not _learn(at, span, ago[n], values[n], states[rows[n]]):
            ago[n] = -1
