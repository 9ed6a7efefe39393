"""Whole networks: the way in, layer upon layer, the readout; for one stream or many.

A layer comes in by the addresses of its cell's `steps` (one stream, T steps) and `tile` (many
streams, one step each). Which of the two a row of x goes through changes no bit of its result.

Rows of h, and everything between layers, are padded with zeros to whole vectors of the widest CPU:
D floats for H units. Padded units stay zero, and nothing reads them.
"""

import numpy as np
from numpy.typing import NDArray

from streamrnn.kernels.activations import LIMIT
from streamrnn.kernels.blocks import TILE
from streamrnn.kernels.jit import inner, jit
from streamrnn.kernels.masked import load_part, store_part
from streamrnn.kernels.scaling import known
from streamrnn.kernels.simd import (
    LANES,
    call,
    fma,
    integer,
    limit,
    load,
    read,
    splat,
    store,
    write,
)

PAD = 16  # floats: the widest vector
CHUNK = 32  # steps of one stream at a time: its layers' outputs stay in the cache
GROUP = 48  # streams at a time: a block's weights are used again while they are in the cache
RUN = 8  # samples of one stream in a row that are worth a chunk, though other streams follow
WINDOW = 512  # samples of streams in any order that are put into rounds (rounds.py) at a time
WORDS = 11  # int64 that this takes for each of them
ZERO, UNIT = np.float32(0), np.float32(1)

# what a plan holds, int64: first of the whole network,
INPUTS, WIDE, TOKENS, LAYERS, OUTPUTS, WIDEST, WORK, ROUNDS, LAYER = range(9)
# then of each layer, from LAYER + n RECORD on: addresses of its cell; columns of x, units, units
# padded; where a state keeps h (negative: nowhere, the layer remembers nothing) and the other part,
# and that part's floats; floats of the weights
STEPS, TILES, K, H, D, AT_H, AT_C, OTHER, SIZE, RECORD = range(10)


def padded(count: int) -> int:
    """`count` floats in whole vectors of the widest CPU."""
    return -(-count // PAD) * PAD


def scratch_size(plan: NDArray[np.int64], N: int) -> int:
    """Floats that `advance` works in, for a call with N rows."""
    taken = 0
    if N >= len(TILE) and plan[ROUNDS]:
        dx = 1 if plan[TOKENS] else plan[INPUTS]
        dy = plan[OUTPUTS] or plan[H - RECORD]
        taken = 2 * WORDS * min(N, WINDOW) + GROUP * (2 + dx + dy)
    return int(taken + PAD + min(N, GROUP) * (2 * plan[WIDEST] + plan[WORK]))


@inner
def copy(source, target, count):
    """`count` floats."""
    whole = count - count % LANES
    for i in range(0, whole, LANES):
        store(target, i, load(source, i))
    if whole < count:
        store_part(target, whole, count - whole, load_part(source, whole, count - whole))


@inner
def scaled(x, mean, factor):
    """(x - mean) factor; a missing value (NaN) counts as the mean."""
    v = limit((x - mean) * factor, splat(LIMIT))
    return known(v, splat(ZERO))


@inner
def standardize(weights, I, wide, x, N, out):
    """x (N, I) -> out (N, wide) = (x - mean) / std, or (N,) of one input; stores whole vectors."""
    if I == 1:
        mean, factor = splat(read(weights, 0)), splat(read(weights, wide))
        whole = N - N % LANES
        for n in range(0, whole, LANES):
            store(out, n, scaled(load(x, n), mean, factor))
        for n in range(whole, N):  # not as a part: what was just written would reach it late
            store(out, n, scaled(splat(read(x, n)), mean, factor))
    else:
        for n in range(N):
            for i in range(0, I, LANES):
                v = load_part(x, n * I + i, min(I - i, LANES))
                store(out, n * wide + i, scaled(v, load(weights, i), load(weights, wide + i)))


@inner
def readout(w, H, O, h, y):
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
        store_part(y, o, min(O - o, LANES), sums)
        w += 4 * at


@inner
def written(layer):
    """Floats of a row of y that a cell writes: whole vectors, of D."""
    return (integer(layer, H) + LANES - 1) & -LANES


@inner
def token_step(layer, w, t, x, h, c, y, spare):
    """One step of the first layer on a token: the weights of its one-hot vector's 1, no others."""
    I = integer(layer, K)
    token = read(x, 0)
    first = np.int64(token) if token >= 0 and token < I else I  # I: none, and nothing is added
    last = min(first + 1, I)
    write(spare, 0, UNIT)
    x = spare - 4 * first  # so that x[first] is 1
    call(
        integer(layer, STEPS),
        (w, first, last, I, integer(layer, H), t, t + 1, x, 0, h, c, y, integer(layer, D)),
    )


@inner
def alone(layer, w, state, tokens, T, t, x, dx, y, room, spare):
    """T steps of one stream in one layer: x (T, dx) -> y (T, D), and its state, moved in place."""
    d = integer(layer, D)
    h = state + 4 * integer(layer, AT_H)
    c = state + 4 * integer(layer, AT_C) if integer(layer, OTHER) else room
    if tokens:
        before = h
        for n in range(T):
            y_n = y + 4 * n * d
            token_step(layer, w, t + n, x + 4 * n * dx, before, c, y_n, spare)
            before = y_n
    else:
        columns, units = integer(layer, K), integer(layer, H)
        call(integer(layer, STEPS), (w, 0, columns, columns, units, t, t + T, x, dx, h, c, y, d))
    if integer(layer, AT_H) >= 0:
        copy(y + 4 * (T - 1) * d, h, written(layer))


@inner
def together(layer, w, states, stride, rows, S, x, dx, y, room):
    """One step of S different streams in one layer: x (S, dx) -> y (S, D), and their states."""
    d, other = integer(layer, D), integer(layer, OTHER)
    h, c = room, room + 4 * S * d
    remembers = integer(layer, AT_H) >= 0
    for s in range(S):
        state = states + 4 * integer(rows, s) * stride
        if remembers:
            copy(state + 4 * integer(layer, AT_H), h + 4 * s * d, d)
        copy(state + 4 * integer(layer, AT_C), c + 4 * s * other, other)
    columns, units = integer(layer, K), integer(layer, H)
    call(integer(layer, TILES), (w, columns, units, S, x, dx, h, c, y, d))
    for s in range(S):
        state = states + 4 * integer(rows, s) * stride
        if remembers:
            copy(y + 4 * s * d, state + 4 * integer(layer, AT_H), written(layer))
        copy(c + 4 * s * other, state + 4 * integer(layer, AT_C), other)


@inner
def part(plan, weights, states, stride, rows, S, T, t, x, dx, y, dy, scratch):
    """One stream's T <= CHUNK steps (S = 1), or one step (T = 1) of S <= GROUP different streams.

    t: the number of the first step, odd or even, for `order`
    """
    I, wide, widest = integer(plan, INPUTS), integer(plan, WIDE), integer(plan, WIDEST)
    tokens = integer(plan, TOKENS)
    N = S * T
    spare, below = scratch, scratch + 4 * PAD
    out = below + 4 * N * widest
    room = out + 4 * N * widest
    w = weights + 8 * wide
    if tokens:
        copied, columns = x, dx
    else:
        copied, columns = below, 1 if I == 1 else wide
        standardize(weights, I, wide, x, N, copied)
    layers, outputs = integer(plan, LAYERS), integer(plan, OUTPUTS)
    last = plan + 8 * (LAYER + (layers - 1) * RECORD)
    direct = outputs == 0 and dy == integer(last, D)
    for n in range(layers):
        layer = plan + 8 * (LAYER + n * RECORD)
        if direct and n == layers - 1:
            out = y
        here = copied if n == 0 else below
        token = tokens if n == 0 else 0
        if token and S > 1:
            for s in range(S):
                state = states + 4 * integer(rows, s) * stride
                y_s = out + 4 * s * integer(layer, D)
                alone(
                    layer, w, state, token, 1, t, here + 4 * s * columns, columns, y_s, room, spare
                )
        elif S == 1:
            state = states + 4 * integer(rows, 0) * stride
            alone(layer, w, state, token, T, t, here, columns, out, room, spare)
        else:
            together(layer, w, states, stride, rows, S, here, columns, out, room)
        w += 4 * integer(layer, SIZE)
        below, out = out, below
        columns = integer(layer, D)
    units = integer(last, H)
    if outputs:
        for n in range(N):
            readout(w, units, dy, below + 4 * n * columns, y + 4 * n * dy)
    elif not direct:
        for n in range(N):
            copy(below + 4 * n * columns, y + 4 * n * dy, units)


@inner
def run(plan, weights, states, stride, rows, N, x, dx, y, dy, scratch):
    """`advance` on addresses: cut into parts of one stream, or of streams all different."""
    tiles, in_rounds = integer(plan + 8 * LAYER, TILES), integer(plan, ROUNDS)
    n = 0
    while n < N:
        at, x_n, y_n, left = rows + 8 * n, x + 4 * n * dx, y + 4 * n * dy, N - n
        S, T = 1, 1
        while T < left and T < CHUNK and integer(at, T) == integer(at, 0):
            T += 1
        if tiles and T == 1:
            while S < left and S < GROUP and integer(at, S) > integer(at, S - 1):
                S += 1
        if in_rounds and T < RUN and S < GROUP and S * T < left and left >= len(TILE):
            count = min(left, WINDOW)
            call(in_rounds, (plan, weights, states, stride, at, count, x_n, dx, y_n, dy, scratch))
            n += count
        else:
            S = max(S - S % len(TILE), 1)
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
