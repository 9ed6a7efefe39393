"""What the cells' blocks share: sums over x and h for LANES units at a time, held in registers.

A block advances the same units of one stream or of a few: `streams` is the tuple ONE or TILE. Each
sum runs over bias, then x, then h, in the same order of k in both, so both give the same bits.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from streamrnn.kernels.jit import CFunction, inner
from streamrnn.kernels.simd import (
    LANES,
    add_all,
    broadcasts,
    fma_first,
    fma_last,
    loads,
    zeros,
)

ONE = (0,)  # the streams that a block advances at a time; each needs as many registers as sums
TILE = (0, 1, 2) if LANES == 16 else (0, 1)


class Cell(NamedTuple):
    """What the layers of a network are made of: the end of each cell's file.

    gates   rows of weights for each unit, for who counts products
    state   what a stream remembers: name -> numbers for each unit; h and at most one other part
    work    numbers for each unit that a step puts down on the way; 0 with another part of state
    shapes  (K, H) -> name -> shape of a layer's parameters
    pack    a layer's parameters by name -> passes over the blocks -> arrays for `packed.py` to cut
    steps   (w, first, last, K, H, begin, end, x, dx, h, c, y, d): steps begin .. end - 1 of one
            stream in one layer; x (T, dx), of which it reads columns first .. last - 1, and h (d,)
            -> y (T, d); c: the other part of the state, moved in place, or room for the work
    tile    (w, K, H, S, x, dx, h, c, y, d): one step of S streams, a multiple of TILE
    """

    gates: int
    state: Mapping[str, int]
    work: int
    shapes: Callable[[int, int], dict[str, tuple[int, ...]]]
    pack: Callable[[Mapping[str, Any]], list[list[Any]]]
    steps: CFunction
    tile: CFunction


@inner
def order(n, blocks, t):
    """The n-th block at step t: odd steps walk back, using again what the cache holds."""
    return n if t & 1 == 0 else blocks - 1 - n


@inner
def of_inputs(a, w, at, first, last, x, dx, streams, gates):
    """a plus w[k] x[k], k = first .. last - 1, in the first sums of each stream.

    w[at:] (K, gates, LANES); x of the next stream is dx floats on; `gates`: a tuple of as many
    """
    at += len(gates) * LANES * first
    for k in range(first, last):
        a = fma_first(broadcasts(x, k, dx, streams), loads(w, at, gates), a)
        at += len(gates) * LANES
    return a


@inner
def of_units(a, w, at, H, h, d, streams, gates):
    """a plus w[k] h[k], k = 0 .. H - 1, in the last sums of each stream; w[at:] (H, gates, LANES).

    Two sums, over even and odd k: each waits only for every other product.
    """
    odd, row = zeros(a), len(gates) * LANES
    for k in range(0, H - 1, 2):
        a = fma_last(broadcasts(h, k, d, streams), loads(w, at, gates), a)
        odd = fma_last(broadcasts(h, k + 1, d, streams), loads(w, at + row, gates), odd)
        at += 2 * row
    if H & 1:
        a = fma_last(broadcasts(h, H - 1, d, streams), loads(w, at, gates), a)
    return add_all(a, odd)
