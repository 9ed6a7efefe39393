"""Samples of streams in any order, stepped in rounds: in each a stream occurs at most once.

The streams of a round go side by side and share every load of the weights. A stream's first sample
is in the first round, its second in the second, and so on, so its own order is kept.
"""

import numpy as np

from streamrnn.kernels.blocks import TILE
from streamrnn.kernels.jit import CFunction, inner
from streamrnn.kernels.network import CHUNK, GROUP, WORDS, copy, part
from streamrnn.kernels.simd import integer, set_integer

MIX = np.int64(0x9E3779B97F4A7C15 - 2**64)  # Fibonacci hashing: Knuth, volume 3, section 6.4
NOBODY = -1


@inner
def sort(rows, N, order, ends, room):
    """Puts the numbers 0 .. N-1, round by round, at `order`, and where each round ends at `ends`.

    room: words for the round of each sample, and for a table of pairs: row, how often it occurred
    """
    slots = 2
    while slots < 2 * N:  # at least half of them stay empty; fewer than 4 N
        slots *= 2
    table = room + 8 * N
    for i in range(slots):
        set_integer(table, 2 * i, NOBODY)
    for k in range(N + 1):
        set_integer(ends, k, 0)
    for n in range(N):
        row = integer(rows, n)
        slot = ((row * MIX) >> 32) & (slots - 1)
        while integer(table, 2 * slot) != row:
            if integer(table, 2 * slot) == NOBODY:
                set_integer(table, 2 * slot, row)
                set_integer(table, 2 * slot + 1, 0)
            else:
                slot = (slot + 1) & (slots - 1)
        k = integer(table, 2 * slot + 1)
        set_integer(table, 2 * slot + 1, k + 1)
        set_integer(room, n, k)
        set_integer(ends, k + 1, integer(ends, k + 1) + 1)
    for k in range(N):
        set_integer(ends, k + 1, integer(ends, k + 1) + integer(ends, k))
    for n in range(N):  # ends[k], where round k begins, moves on to its end
        k = integer(room, n)
        at = integer(ends, k)
        set_integer(order, at, n)
        set_integer(ends, k, at + 1)


@inner
def gather_stream(rows, order, count, room):
    """Moves the numbers of one stream, that of order[0], to the front of order (count,).

    The others follow; all stay in their order. Returns how many they are; room: (count,) words
    """
    row = integer(rows, integer(order, 0))
    own = others = 0
    for i in range(count):
        n = integer(order, i)
        if integer(rows, n) == row:
            set_integer(order, own, n)
            own += 1
        else:
            set_integer(room, others, n)
            others += 1
    for i in range(others):
        set_integer(order, own + i, integer(room, i))
    return own


@CFunction
def in_rounds(plan, weights, states, stride, rows, N, x, dx, y, dy, scratch):
    """As `network.run`, for N samples of streams in any order."""
    order = scratch
    ends = order + 8 * N
    room = ends + 8 * (N + 1)
    sort(rows, N, order, ends, room)
    wide = k = 0
    while wide < N and integer(ends, k) - wide >= len(TILE):
        wide = integer(ends, k)
        k += 1
    n = wide
    while n < N:  # of fewer streams than a tile has: one stream after the other
        n += gather_stream(rows, order + 8 * n, N - n, room)
    rows_taken = scratch + 8 * WORDS * N
    x_taken = rows_taken + 8 * GROUP
    y_taken = x_taken + 4 * GROUP * dx
    scratch = y_taken + 4 * GROUP * dy
    n = k = 0
    while n < N:
        S, T = 1, 1
        if n < wide:
            k += n == integer(ends, k)
            S = min(integer(ends, k) - n, GROUP)
            S = max(S - S % len(TILE), 1)
        else:
            row = integer(rows, integer(order, n))
            while n + T < N and T < CHUNK and integer(rows, integer(order, n + T)) == row:
                T += 1
        for i in range(S * T):
            at = integer(order, n + i)
            set_integer(rows_taken, i, integer(rows, at))
            copy(x + 4 * at * dx, x_taken + 4 * i * dx, dx)
        part(plan, weights, states, stride, rows_taken, S, T, 0, x_taken, dx, y_taken, dy, scratch)
        for i in range(S * T):
            copy(y_taken + 4 * i * dy, y + 4 * integer(order, n + i) * dy, dy)
        n += S * T
