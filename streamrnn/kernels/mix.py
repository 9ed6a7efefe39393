"""One forecast from several members', by least squares on what they differ in.

mean = m_0 + sum_e a_e (m_e - m_0), e = 1 .. M-1 the other members, e = M persistence (members
forecast changes, so its m is 0).  The weights a follow by recursive least squares at each horizon;
members that are alike share a weight, and none has to be the best.
"""

from numba.extending import register_jitable

from streamrnn.kernels.channels import TINY, clip
from streamrnn.kernels.doubles import (
    FOUR,
    ONE,
    least,
    load,
    minus,
    most,
    over,
    plus,
    store,
    times,
    zero,
)
from streamrnn.kernels.jit import inner

FORGETTING = 0.9995
VARIANCE = 0.005  # of a weight about which nothing is known; also the limit of what P's mean may be
SHARE = 0.2  # weights to begin with, of members; persistence begins with none
APART = 5.0  # a difference counts as at most this many mean errors
HUBER = 3.0  # so does an error


# rows of mix (H,): D weights, D differences, D gains, D * D of the covariance, then these
WRONG, KNOWN = range(2)


@register_jitable
def height(D: int) -> int:
    """Rows of mix."""
    return 3 * D + D * D + 2


@inner
def begin(D, mix):
    for e in range(D):
        for h in range(mix.shape[1]):
            mix[e, h] = SHARE if e < D - 1 else 0.0
            for j in range(D):
                mix[(3 + e) * D + j, h] = VARIANCE if e == j else 0.0


@inner
def differ(D, said, miss, f):
    """f (D, H): each member but the first minus the first, then persistence minus it."""
    for e in range(D):
        for h in range(miss.size):
            other = said[e + 1, h] if e < D - 1 else 0.0
            f[e, h] = clip(other - said[0, h], APART * miss[h])


@inner
def _learn(D, mix, h, lanes):
    """The weights at horizon h, or the four from there on, by the rows WRONG and KNOWN."""
    H = mix.shape[1]
    a, f, k, P, rest = h, D * H + h, 2 * D * H + h, 3 * D * H + h, (3 * D + D * D) * H + h
    wrong, scale = load(mix, rest + WRONG * H, lanes), load(mix, rest + KNOWN * H, lanes)
    for e in range(0, D * H, H):
        apart = times(load(mix, f + e, lanes), scale)
        store(mix, f + e, apart)
        wrong = minus(wrong, times(load(mix, a + e, lanes), apart))
    wrong = least(most(wrong, -HUBER), HUBER)
    known, trace = plus(zero(lanes), FORGETTING), zero(lanes)
    for e in range(0, D * H, H):
        gain = zero(lanes)
        for j in range(0, D * H, H):
            gain = plus(gain, times(load(mix, P + D * e + j, lanes), load(mix, f + j, lanes)))
        store(mix, k + e, gain)
        known = plus(known, times(gain, load(mix, f + e, lanes)))
    known = over(1.0, known)
    for e in range(0, D * H, H):
        gain = load(mix, k + e, lanes)
        less = times(known, times(gain, gain))
        trace = plus(trace, minus(load(mix, P + (D + 1) * e, lanes), less))
    grow = least(1.0 / FORGETTING, over(VARIANCE * D, trace))
    for e in range(0, D * H, H):
        gain = load(mix, k + e, lanes)
        store(mix, a + e, plus(load(mix, a + e, lanes), times(times(known, gain), wrong)))
        for j in range(0, D * H, H):
            less = times(known, times(gain, load(mix, k + j, lanes)))
            at = P + D * e + j
            store(mix, at, times(grow, minus(load(mix, at, lanes), less)))


@inner
def learn(D, said, change, miss, mix):
    """The members said `said` (M, H) of what became `change` (H,); NaN: nothing was said."""
    H, rest = change.size, 3 * D + D * D
    wrong, known = mix[rest + WRONG], mix[rest + KNOWN]
    differ(D, said, miss, mix[D : 2 * D])
    for h in range(H):
        good = miss[h] > 0.0 and abs(change[h]) >= 0.0
        known[h] = 1.0 / max(miss[h], TINY) if good else 0.0
        wrong[h] = (change[h] - said[0, h]) * known[h] if good else 0.0
    fours = H - H % 4
    for h in range(0, fours, 4):
        _learn(D, mix, h, FOUR)
    for h in range(fours, H):
        _learn(D, mix, h, ONE)


@inner
def forecast(D, said, miss, mix, mean):
    """mean (H,) of the members' forecasts `said` (M, H)."""
    f = mix[D : 2 * D]
    differ(D, said, miss, f)
    for h in range(mean.size):
        mean[h] = said[0, h]
    for e in range(D):
        for h in range(mean.size):
            mean[h] += mix[e, h] * f[e, h]
