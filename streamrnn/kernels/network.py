"""Whole networks: the way in, layer upon layer, the readout; for one stream or many.

A cell comes in by the addresses of its `steps` (one stream, T steps) and `tile` (many streams, one
step each). Which of the two a row of x goes through changes no bit of its result: a unit's sum runs
over bias, then x, then h, always in the order of k.

Rows of h, and everything between layers, are padded with zeros to whole vectors of the widest CPU:
D floats for H units. Padded units stay zero, and nothing reads them.
"""

import numpy as np
from numpy.typing import NDArray

from streamrnn.kernels.jit import inner, jit
from streamrnn.kernels.simd import (
    LANES,
    call,
    fma,
    integer,
    load,
    read,
    splat,
    store,
    write,
)

PAD = 16  # floats: the widest vector
CHUNK = 32  # steps of one stream at a time: its layers' outputs stay in the cache
GROUP = 48  # streams at a time: a block's weights are used again while they are in the cache
ONE = (0,)  # the streams that a block advances at a time; each needs as many registers as sums
TILE = (0, 1, 2) if LANES == 16 else (0, 1)
LIMIT = np.float32(1e18)  # keeps sums of weighted inputs finite
ZERO, UNIT = np.float32(0), np.float32(1)

# what a plan holds, int64: addresses of the cell, sizes, floats of a layer's weights
STEPS, TILES, PARTS, INPUTS, WIDE, H, D, LAYERS, OUTPUTS, TOKENS, FIRST_SIZE, SIZE = range(12)
PLAN = 12


def padded(count: int) -> int:
    """`count` floats in whole vectors of the widest CPU."""
    return -(-count // PAD) * PAD


def scratch_size(plan: NDArray[np.int64], N: int) -> int:
    """Floats that `advance` works in, for a call with N rows."""
    return int(PAD + min(N, GROUP) * (2 * plan[D] + 2 * max(plan[WIDE], plan[D])))


@inner
def order(n, blocks, t):
    """The n-th block at step t: odd steps walk back, using again what the cache holds."""
    return n if t & 1 == 0 else blocks - 1 - n


@inner
def copy(source, target, count):
    """`count` floats."""
    whole = count - count % LANES
    for i in range(0, whole, LANES):
        store(target, i, load(source, i))
    for i in range(whole, count):
        write(target, i, read(source, i))


@inner
def standardize(weights, I, wide, x, out):
    """out (I,) = (x - mean) / std; a missing value (NaN) counts as the mean."""
    for i in range(I):
        v = (read(x, i) - read(weights, i)) * read(weights, wide + i)
        v = LIMIT if v > LIMIT else v
        v = -LIMIT if v < -LIMIT else v
        write(out, i, v if v == v else ZERO)


@inner
def readout(w, H, O, h, y, spare):
    """y (O,) = (bias_o + W_ho h) std + mean, in four partial sums over k = 0 .. 3 mod 4."""
    for o in range(0, O, LANES):
        a0, a1, a2, a3 = load(w, 0), splat(ZERO), splat(ZERO), splat(ZERO)
        at = 3 * LANES
        for k in range(0, H - 3, 4):
            a0 = fma(splat(read(h, k)), load(w, at), a0)
            a1 = fma(splat(read(h, k + 1)), load(w, at + LANES), a1)
            a2 = fma(splat(read(h, k + 2)), load(w, at + 2 * LANES), a2)
            a3 = fma(splat(read(h, k + 3)), load(w, at + 3 * LANES), a3)
            at += 4 * LANES
        for k in range(H - H % 4, H):
            a0 = fma(splat(read(h, k)), load(w, at), a0)
            at += LANES
        sums = fma((a0 + a1) + (a2 + a3), load(w, LANES), load(w, 2 * LANES))
        if o + LANES <= O:
            store(y, o, sums)
        else:
            store(spare, 0, sums)
            for i in range(O - o):
                write(y, o + i, read(spare, i))
        w += 4 * at


@inner
def token_step(plan, w, t, x, h, c, y, spare):
    """One step of the first layer on a token: the weights of its one-hot vector's 1, no others."""
    I, d = integer(plan, INPUTS), integer(plan, D)
    token = read(x, 0)
    first = np.int64(token) if token >= 0 and token < I else I  # I: none, and nothing is added
    last = min(first + 1, I)
    write(spare, 0, UNIT)
    x = spare - 4 * first  # so that x[first] is 1
    call(integer(plan, STEPS), (w, first, last, I, integer(plan, H), t, t + 1, x, 0, h, c, y, d))


@inner
def part(plan, weights, states, stride, rows, S, T, t, x, dx, y, dy, scratch):
    """One stream's T <= CHUNK steps (S = 1), or one step (T = 1) of S <= GROUP different streams.

    t: the number of the first step, odd or even, for `order`
    """
    I, wide, units, d = (
        integer(plan, INPUTS),
        integer(plan, WIDE),
        integer(plan, H),
        integer(plan, D),
    )
    layers, tokens, has_c = integer(plan, LAYERS), integer(plan, TOKENS), integer(plan, PARTS) > 1
    spare, h = scratch, scratch + 4 * PAD
    c = h + 4 * S * d
    below = c + 4 * S * d
    out = below + 4 * S * T * max(wide, d)
    w = weights + 8 * wide
    K, wide_below = I, wide
    if not tokens:
        for n in range(S * T):
            standardize(weights, I, wide, x + 4 * n * dx, below + 4 * n * wide)
    for layer in range(layers):
        for s in range(S):
            state = states + 4 * (integer(rows, s) * stride + layer * d)
            copy(state, h + 4 * s * d, d)
            if has_c:
                copy(state + 4 * layers * d, c + 4 * s * d, d)
        if tokens and layer == 0:
            for n in range(S * T):
                o = 4 * n * d
                before, c_n = (out + o - 4 * d, c) if S == 1 and n > 0 else (h + o, c + o)
                token_step(plan, w, t + n, x + 4 * n * dx, before, c_n, out + o, spare)
        elif S == 1:
            call(
                integer(plan, STEPS), (w, 0, K, K, units, t, t + T, below, wide_below, h, c, out, d)
            )
        else:
            call(integer(plan, TILES), (w, K, units, S, below, wide_below, h, c, out, d))
        for s in range(S):
            state = states + 4 * (integer(rows, s) * stride + layer * d)
            copy(out + 4 * (s + T - 1) * d, state, d)
            if has_c:
                copy(c + 4 * s * d, state + 4 * layers * d, d)
        w += 4 * (integer(plan, SIZE) if layer else integer(plan, FIRST_SIZE))
        below, out = out, below
        K, wide_below = units, d
    for n in range(S * T):
        h_n, y_n = below + 4 * n * d, y + 4 * n * dy
        if integer(plan, OUTPUTS):
            readout(w, units, dy, h_n, y_n, spare)
        else:
            copy(h_n, y_n, units)


@inner
def run(plan, weights, states, stride, rows, N, x, dx, y, dy, scratch):
    """`advance` on addresses: cut into parts of one stream, or of streams all different."""
    n = 0
    while n < N:
        at, left = rows + 8 * n, N - n
        row = integer(at, 0)
        S, T = 1, 1
        while T < left and T < CHUNK and integer(at, T) == row:
            T += 1
        if T == 1 and integer(plan, TILES):
            while S < left and S < GROUP and integer(at, S) > integer(at, S - 1):
                S += 1
            S = max(S - S % len(TILE), 1)
        x_n, y_n = x + 4 * n * dx, y + 4 * n * dy
        part(plan, weights, states, stride, at, S, T, 0, x_n, dx, y_n, dy, scratch)
        n += S * T


@jit
def advance(plan, weights, states, rows, x, y, scratch):
    """Moves row rows[n] of `states` by x[n] and writes y[n], n = 0 .. N-1.

    plan, weights: model.py; states (S, row) float32: h (layers, D) and, if the cell has it, c;
    x (N, I) or tokens (N, 1); y (N, O or H); scratch (scratch_size,)

    Returns False, with nothing moved, for rows that are not among the states: what follows works on
    addresses, where no bounds are checked.
    """
    for n in range(rows.size):
        if rows[n] < 0 or rows[n] >= states.shape[0]:
            return False
    run(
        np.int64(plan.ctypes.data),
        np.int64(weights.ctypes.data),
        np.int64(states.ctypes.data),
        states.shape[1],
        np.int64(rows.ctypes.data),
        rows.size,
        np.int64(x.ctypes.data),
        x.shape[1],
        np.int64(y.ctypes.data),
        y.shape[1],
        np.int64(scratch.ctypes.data),
    )
    return True
