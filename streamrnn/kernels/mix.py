"""One forecast from several members', by least squares on what they differ in.

mean = m_0 + sum_e a_e (m_e - m_0), e = 1 .. M-1 the other members, e = M persistence (members
forecast changes, so its m is 0).  The weights a follow by recursive least squares at each horizon;
members that are alike share a weight, and none has to be the best.
"""

from streamrnn.kernels.channels import TINY, clip
from streamrnn.kernels.jit import inner

FORGETTING = 0.9995
VARIANCE = 0.005  # of a weight about which nothing is known; also the limit of what P's mean may be
SHARE = 0.2  # weights to begin with, of members; persistence begins with none
APART = 5.0  # a difference counts as at most this many mean errors
HUBER = 3.0  # so does an error


# rows of mix (H,): D weights, D differences, D gains, D * D of the covariance, then these
WRONG, KNOWN, GROW = range(3)


def height(D: int) -> int:
    """Rows of mix."""
    return 3 * D + D * D + 3


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
def learn(D, said, change, miss, mix):
    """The members said `said` (M, H) of what became `change` (H,); NaN: nothing was said."""
    H = change.size
    f, k, P = mix[D : 2 * D], mix[2 * D : 3 * D], mix[3 * D : 3 * D + D * D]
    rest = 3 * D + D * D
    wrong, known, grow = mix[rest + WRONG], mix[rest + KNOWN], mix[rest + GROW]
    differ(D, said, miss, f)
    for h in range(H):
        good = miss[h] > 0.0 and abs(change[h]) >= 0.0
        known[h] = 1.0 / max(miss[h], TINY) if good else 0.0
        wrong[h] = (change[h] - said[0, h]) * known[h] if good else 0.0
    for e in range(D):
        for h in range(H):
            f[e, h] *= known[h]
            wrong[h] -= mix[e, h] * f[e, h]
    for h in range(H):
        wrong[h] = clip(wrong[h], HUBER)
        known[h] = FORGETTING
    for e in range(D):
        for h in range(H):
            k[e, h] = 0.0
        for j in range(D):
            for h in range(H):
                k[e, h] += P[e * D + j, h] * f[j, h]
        for h in range(H):
            known[h] += k[e, h] * f[e, h]
    for h in range(H):
        known[h] = 1.0 / known[h]
        trace = 0.0
        for e in range(D):
            trace += P[e * D + e, h] - known[h] * (k[e, h] * k[e, h])
        grow[h] = min(1.0 / FORGETTING, VARIANCE * D / trace)
    for e in range(D):
        for h in range(H):
            mix[e, h] += known[h] * k[e, h] * wrong[h]
        for j in range(D):
            for h in range(H):
                P[e * D + j, h] = grow[h] * (P[e * D + j, h] - known[h] * (k[e, h] * k[j, h]))


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
