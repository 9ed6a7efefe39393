"""Regression on features that come with a value, and on what came before: one value a row.

Three members weigh features by recursive least squares (rls.py), each with its own memory:

    plain    the row's features
    change   the same, their changes, and the target's last changes: learns the target's change
    units    the features, the target's past, and tanh units that read both, half of them recurrent

The units' own weights are random and stay (an echo state network: Jaeger 2001).  The members, and
the last value there was, count by the eighth power of how small their errors are.
"""

from math import sqrt, tanh

from streamrnn.kernels import rls
from streamrnn.kernels.channels import (
    LEVEL,
    OUTLIER,
    SEEN,
    SPREAD,
    VALUE,
    clip,
    missing,
    observe,
    running_size,
)
from streamrnn.kernels.jit import inner, jit

MEMBERS = ("plain", "change", "units")
PLAIN, CHANGE, UNITS, STAYED = range(4)
FORGETTING = (0.999, 0.998, 0.999)
BEGIN, GROW = (
    20.0,
    0.5,
)  # the memory of the first rows: BEGIN rows and GROW of those that there were
VARIANCE = 3.0  # of a weight about which nothing is known
TRACE = 1e5
LIMIT = 6.0  # a feature counts as at most so many spreads off its level
RATE = 1 / 50  # of the errors that say how much a member counts
UNSURE = 10.0  # rows in which an error is taken as it is

PAST = 6  # the target, twice before, and its running means at these rates, in spreads off its level
MEANS = (0.3, 0.1, 0.03)
FIXED, ECHO = 32, 32  # units without and with memory


def sizes(n: int) -> tuple[int, int, int]:
    """Features of each member, for n features of a row."""
    return 1 + n, 1 + PAST + 2 * n, 1 + PAST + FIXED + ECHO + n


@inner
def units(inputs, x, drive, bias, echo, back, leak, past, h, f, z):
    """z (n, 2): the features and their changes in running units; f: what the units become."""
    n = z.shape[0]
    for i in range(n):
        level, spread = inputs[i, LEVEL], inputs[i, SPREAD]
        z[i, 0] = z[i, 1] = 0.0
        if not missing(x[i]) and spread > 0.0:
            z[i, 0] = clip((x[i] - level) / spread, LIMIT)
            z[i, 1] = z[i, 0] - clip((inputs[i, VALUE] - level) / spread, LIMIT)
    for u in range(FIXED + ECHO):
        f[u] = 0.0
    for i in range(n):
        for u in range(FIXED + ECHO):
            f[u] += drive[i, u] * z[i, 0]
    for u in range(FIXED + ECHO):
        f[u] = f[u] / sqrt(max(n, 1)) + bias[u]
    for u in range(ECHO):
        heard = back[u] * past[0]
        for v in range(ECHO):
            heard += echo[u, v] * h[v]
        f[FIXED + u] += heard
    for u in range(FIXED + ECHO):
        f[u] = tanh(f[u])
    for u in range(ECHO):
        f[FIXED + u] = h[u] + leak[u] * (f[FIXED + u] - h[u])


@inner
def say(inputs, x, network, target, past, h, W, F, z, said):
    """What each member and the last value say (4,) of the row x (n,)."""
    drive, bias, echo, back, leak = network
    n = z.shape[0]
    plain, change, all_ = F
    first = 1 + PAST
    units(inputs, x, drive, bias, echo, back, leak, past, h, all_[first:], z)
    plain[0] = change[0] = all_[0] = 1.0
    for p in range(PAST):
        all_[1 + p] = past[p]
        change[1 + p] = past[p] - past[0]
    change[1] = past[0]
    change[3] = past[2] - past[1]
    for i in range(n):
        plain[1 + i] = all_[first + FIXED + ECHO + i] = z[i, 0]
        change[first + 2 * i], change[first + 2 * i + 1] = z[i, 0], z[i, 1]
    for m in range(STAYED):
        said[m] = 0.0
        for i in range(F[m].size):
            said[m] += W[m][i] * F[m][i]
    said[CHANGE] += target[VALUE]
    said[STAYED] = target[VALUE]


@inner
def mean(said, miss):
    """One prediction of what the members said, which have been off by `miss` (4,)."""
    best = miss[0]
    for m in range(miss.size):
        best = min(best, miss[m])
    total = sum_ = 0.0
    for m in range(miss.size):
        weight = 1.0 if miss[m] == best else (best / miss[m]) ** 8
        total += weight
        sum_ += weight * said[m]
    return sum_ / total


@jit
def predict(inputs, x, network, target, past, h, miss, W, F, z, said):
    """The target of row x (n,); changes nothing but the last three, which are for working in."""
    say(inputs, x, network, target, past, h, W, F, z, said)
    return mean(said, miss)


@jit
def learn(inputs, x, y, network, target, past, h, miss, W, P, K, F, z, said):
    """The target of row x (n,) is y."""
    say(inputs, x, network, target, past, h, W, F, z, said)
    rows = target[SEEN]
    limit = 1e300
    if rows > 0.0:
        for m in range(miss.size):
            error = abs(y - said[m])
            if error > 0.0:
                miss[m] = running_size(miss[m], error, rows, RATE)
        if rows > UNSURE:
            least = miss[0]
            for m in range(miss.size):
                least = min(least, miss[m])
            limit = OUTLIER * max(least, 1e-9 * target[SPREAD])
    for m in range(STAYED):
        memory = min(FORGETTING[m], 1.0 - 1.0 / (BEGIN + GROW * rows))
        if not rls.gain(P[m], F[m], memory, TRACE, K[m]):
            rls.restart(P[m], VARIANCE, K[m])
        error = y - (said[m] if rows > 0.0 or m != CHANGE else y)
        for i in range(F[m].size):
            W[m][i] += K[m][i] * clip(error, limit)
    for i in range(x.size):
        if not missing(x[i]):
            observe(inputs[i], x[i])
    first = 1 + PAST + FIXED
    for u in range(ECHO):
        h[u] = F[UNITS][first + u]
    observe(target, y)
    if target[SEEN] < rows:  # its units are of another age: so are the weights
        miss[:] = 0.0
        for m in range(STAYED):
            W[m][:] = 0.0
            rls.restart(P[m], VARIANCE, K[m])
    past[2], past[1] = past[1], past[0]
    if target[SPREAD] > 0.0:
        past[0] = clip((y - target[LEVEL]) / target[SPREAD], LIMIT)
    for p in range(3):
        past[3 + p] += MEANS[p] * (past[0] - past[3 + p])
