"""A long stretch of the past at a glance: the smallest and largest value in each pixel of a chart.

Chunks that fall into one pixel are not read: each says its smallest and largest itself. So a year
takes hardly longer than an hour.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn_server.history import History, Piece

MOST_PIXELS = 4096


class Glance(NamedTuple):
    """Columns (pixels,) over begin <= t < end; NaN where a pixel has no sample.

    first, last   event times of the oldest and newest sample there are
    values        by the name of a channel or output: smallest and largest
    """

    first: float
    last: float
    begin: float
    end: float
    samples: int
    values: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


def glance(past: History, key: str, begin: float | None, end: float | None, pixels: int) -> Glance:
    """All channels and outputs of one stream; None: from its oldest, to its newest sample.

    Raises KeyError for a stream that the journal does not know.
    """
    id = past.streams[key]
    kind = past.kinds_now()[key]
    first, last = past.extent(id)
    t0 = first if begin is None else begin
    t1 = math.nextafter(last, math.inf) if end is None else end
    names = [*kind.channels, *(str(output[0]) for output in kind.outputs)]
    low = np.full((pixels, len(names)), np.nan, np.float32)
    high = low.copy()
    samples = 0
    if t0 < t1:
        for part in past.pieces(id, t0, t1):
            if part.kind == kind:  # of another time with other columns nothing can be drawn here
                samples += _into(low, high, part, (t0, t1))
    columns = {name: (low[:, n], high[:, n]) for n, name in enumerate(names)}
    return Glance(first, last, t0, t1, samples, columns)


def _into(
    low: NDArray[np.float32], high: NDArray[np.float32], piece: Piece, span: tuple[float, float]
) -> int:
    t0, t1 = span
    scale = len(low) / (t1 - t0)
    pixel = int((piece.t0 - t0) * scale)
    whole = piece.t0 >= t0 and piece.t1 < t1
    if whole and len(piece.low) and pixel == int((piece.t1 - t0) * scale) < len(low):
        low[pixel] = np.fmin(low[pixel], piece.low)
        high[pixel] = np.fmax(high[pixel], piece.high)
        return piece.n
    samples = piece.read()
    own = (samples.t >= t0) & (samples.t < t1)
    samples = samples.rows(own)
    at = np.minimum(((samples.t - t0) * scale).astype(np.int64), len(low) - 1)
    values = np.concatenate([samples.x.astype(np.float32), samples.y], axis=1)
    np.fmin.at(low, at, values)
    np.fmax.at(high, at, values)
    return len(at)
