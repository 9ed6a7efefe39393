"""Where what a forecaster said in its last H rows is kept until it is needed.

A row has a place, 0 .. H - 1, and the row H later has the same: what is needed for H rows lies
there, as `kept` says.  A forecast of the row h + 1 after is needed for h + 1 rows only, and `waits`
keeps what is said at all H horizons in little more than half as much.
"""

from numba.extending import register_jitable

from streamrnn.kernels.jit import inner


@inner
def kept(h, place, H):
    """The place of the row h + 1 rows before the one at `place`."""
    at = place - 1 - h
    return at if at >= 0 else at + H


@register_jitable
def waiting(H: int) -> int:
    """Columns of the ring in which forecasts wait."""
    return H // 2 + 1


@inner
def waits(h, place, H):
    """Where in a ring (H, waiting(H)) the row at `place` leaves its forecast, h + 1 rows ahead.

    A far forecast waits at the place of the row that made it, a near one at that of the row that it
    is of.  So horizons of H rows together share a column: what either leaves the other takes.
    """
    far = h - (H - waiting(H))
    if far >= 0:
        return place * waiting(H) + far
    of = place + 1 + h
    return (of if of < H else of - H) * waiting(H) + waiting(H) - 2 - h
