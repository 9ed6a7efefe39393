"""Products of float32 matrices, in register tiles: C = start + A B and C += A^T B.

Own products, and not NumPy's: BLAS takes as many threads as it likes, and what it gives depends on
their number. Here an element is one sum in the order of k, cut into pieces of DEPTH, whatever
the tile, the width of a vector, or the thread that computes it.

Goto and van de Geijn 2008, with B alone packed: a panel of DEPTH rows stays in the first cache
while the rows of A pass by. Columns of B and C come in whole vectors of the widest CPU (`padded`).
"""

import numpy as np

from streamrnn.kernels.jit import CFunction, inner, jit
from streamrnn.kernels.simd import (
    LANES,
    broadcasts,
    call,
    fetch,
    fma_first,
    load_tile,
    store_tile,
)

ROWS = (0, 1, 2, 3, 4) if LANES == 16 else (0, 1)  # 5 x 4 sums, 4 weights: of 32 registers
COLUMNS = (0, 1, 2, 3)
ONE = (0,)
WIDE = len(COLUMNS) * LANES
DEPTH = 128  # x 64 floats of B: 32 KiB


@inner
def tile(a, dm, dk, K, w, start, ds, c, dc, rows, columns):
    """C = start + A B for one tile: A's element (m, k) at a[m dm + k dk], B's rows packed at w."""
    sums = load_tile(start, 0, ds, rows, columns)
    for k in range(K):
        sums = fma_first(
            broadcasts(a, k * dk, dm, rows),
            load_tile(w, k * len(columns) * LANES, 0, ONE, columns),
            sums,
        )
    store_tile(c, 0, dc, rows, sums)


@inner
def panel(a, dm, dk, M, K, w, start, ds, c, dc, columns, ahead, lines):
    """C = start + A B for one panel of B and all M rows of A; `lines` from `ahead` on are fetched.

    These are what is worked on after this: the product leaves the memory at rest.
    """
    whole = M - M % len(ROWS)
    for m in range(0, whole, len(ROWS)):
        for line in range(lines * m // whole, lines * (m + len(ROWS)) // whole):
            fetch(ahead + 64 * line)
        tile(
            a + 4 * m * dm, dm, dk, K, w, start + 4 * m * ds, ds, c + 4 * m * dc, dc, ROWS, columns
        )
    for m in range(whole, M):
        tile(a + 4 * m * dm, dm, dk, K, w, start + 4 * m * ds, ds, c + 4 * m * dc, dc, ONE, columns)


@CFunction
def multiply(a, da, M, K, w, N, start, ds, c, dc, ahead, size):
    """C (M, N) = start + A (M, K) B: rows da, dc and ds floats apart (ds = 0: one row for all).

    w: B as `pack` gives it.  N: a multiple of the widest vector.  C may be `start`.
    Meanwhile `size` floats from `ahead` on are fetched, which the caller works on next.
    """
    j = 0
    while j < N:
        wide = N - j >= WIDE
        width = WIDE if wide else LANES
        for k in range(0, K, DEPTH):
            depth = min(DEPTH, K - k)
            first, step = (start, ds) if k == 0 else (c, dc)
            lines = size * width // N * depth // K // 16
            if wide:
                panel(a + 4 * k, da, 1, M, depth, w, first, step, c, dc, COLUMNS, ahead, lines)
            else:
                panel(a + 4 * k, da, 1, M, depth, w, first, step, c, dc, ONE, ahead, lines)
            w, ahead = w + 4 * depth * width, ahead + 64 * lines
        start, c, j = start + 4 * width, c + 4 * width, j + width


@inner
def copy_panel(b, db, depth, columns, w):
    """`depth` rows of B, len(columns) vectors wide, one after another."""
    for k in range(depth):
        row = load_tile(b, k * db, 0, ONE, columns)
        store_tile(w, k * len(columns) * LANES, 0, ONE, row)


@CFunction
def multiply_transposed(a, da, M, b, db, N, K, c, dc, scratch):
    """C (M, N) += A^T B for A (K, M), B (K, N): rows da, db, dc floats apart.

    N: a multiple of the widest vector; scratch: DEPTH x WIDE floats
    """
    for k in range(0, K, DEPTH):
        depth = min(DEPTH, K - k)
        j = 0
        while j < N:
            o = c + 4 * j
            if N - j >= WIDE:
                copy_panel(b + 4 * j, db, depth, COLUMNS, scratch)
                panel(a, 1, da, M, depth, scratch, o, dc, o, dc, COLUMNS, 0, 0)
                j += WIDE
            else:
                copy_panel(b + 4 * j, db, depth, ONE, scratch)
                panel(a, 1, da, M, depth, scratch, o, dc, o, dc, ONE, 0, 0)
                j += LANES
        a, b = a + 4 * depth * da, b + 4 * depth * db


@jit
def pack(B, w):
    """B (K, N) of any strides -> w (K N,): panels of WIDE columns, the last ones of LANES."""
    K, N = B.shape
    at = j = 0
    while j < N:
        width = WIDE if N - j >= WIDE else LANES
        for k in range(K):
            for l in range(width):
                w[at + l] = B[k, j + l]
            at += width
        j += width


@jit
def product(multiply, A, K, w, start, C):
    """C (M, N) = start + A[:, :K] B; start (M, N), or (1, N) for all rows; w: packed B (K, N)."""
    call(
        multiply,
        (
            np.int64(A.ctypes.data),
            A.shape[1],
            A.shape[0],
            K,
            np.int64(w.ctypes.data),
            C.shape[1],
            np.int64(start.ctypes.data),
            start.shape[1] if start.shape[0] > 1 else 0,
            np.int64(C.ctypes.data),
            C.shape[1],
            0,
            0,
        ),
    )


@jit
def product_transposed(multiply_transposed, A, first, B, C, scratch):
    """C (M, N) += A[:, first : first + M]^T B for A (K, columns), B (K, N)."""
    call(
        multiply_transposed,
        (
            np.int64(A.ctypes.data) + 4 * first,
            A.shape[1],
            C.shape[0],
            np.int64(B.ctypes.data),
            B.shape[1],
            C.shape[1],
            A.shape[0],
            np.int64(C.ctypes.data),
            C.shape[1],
            np.int64(scratch.ctypes.data),
        ),
    )
