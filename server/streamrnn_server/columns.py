"""Columns of samples as bytes, for the journal: little-endian, NaN = missing, nothing else in them.

t  f64[n]     event time
x  f64[C][n]  or f32[C][n], when that loses nothing: one channel after the other
y  f32[O][n]  the predictions, one output after the other
id i32[n]     the streams, in the log only
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Columns(NamedTuple):
    t: NDArray[np.float64]  # (n,)
    x: NDArray[np.float64]  # (n, C)
    y: NDArray[np.float32]  # (n, O)
    ids: NDArray[np.int32] | None = None  # (n,)

    def rows(self, chosen: Any) -> Columns:
        """Some of the samples, by a slice, a mask or their numbers."""
        ids = None if self.ids is None else self.ids[chosen]
        return Columns(self.t[chosen], self.x[chosen], self.y[chosen], ids)


def joined(parts: list[Columns]) -> Columns:
    """One after the other; with their streams if all have them."""
    if len(parts) == 1:
        return parts[0]
    t, x, y = (np.concatenate([part[n] for part in parts]) for n in range(3))
    ids = [part.ids for part in parts if part.ids is not None]
    return Columns(t, x, y, np.concatenate(ids) if len(ids) == len(parts) else None)


def by_stream(ids: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each stream, and which samples are its, in their order."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    bounds = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(ids)]
    for a, b in pairwise(bounds):
        if a < b:
            yield int(ordered[a]), order[a:b]


def width(x: NDArray[np.float64]) -> int:
    """Bytes that a value of x needs: 4 if float32 holds all of them exactly, else 8."""
    with np.errstate(over="ignore"):
        narrow = x.astype(np.float32)
    return 4 if ((narrow == x) | (x != x)).all() else 8


def encode(columns: Columns, width: int) -> bytes:
    parts = _parts(columns, width)
    if columns.ids is not None:
        parts.append(columns.ids.astype("<i4", copy=False))
    return b"".join([part.tobytes() for part in parts])


def pack(columns: Columns, width: int) -> bytes:
    planes = [
        part.reshape(-1, part.shape[-1], 1).view(np.uint8).transpose(0, 2, 1).tobytes()
        for part in _parts(columns, width)
    ]
    return zlib.compress(b"".join(planes), 1)  # level 6 takes twice as long for 3 % more


def _parts(columns: Columns, width: int) -> list[NDArray[Any]]:
    return [
        columns.t.astype("<f8", copy=False),
        columns.x.T.astype(f"<f{width}", order="C"),
        columns.y.T.astype("<f4", order="C"),
    ]


def decode(body: bytes, n: int, channels: int, outputs: int, width: int) -> Columns:
    """The inverse; bytes that are left over are streams. Raises ValueError for bytes that lack."""
    t = np.frombuffer(body, "<f8", n)
    at = t.nbytes
    x = np.frombuffer(body, f"<f{width}", channels * n, at).reshape(channels, n)
    at += x.nbytes
    y = np.frombuffer(body, "<f4", outputs * n, at).reshape(outputs, n)
    at += y.nbytes
    ids = np.frombuffer(body, "<i4", n, at) if at < len(body) else None
    return Columns(t, x.T.astype(np.float64), y.T, ids)


def unpack(body: bytes, n: int, channels: int, outputs: int, width: int) -> Columns:
    planes = np.frombuffer(zlib.decompress(body), np.uint8)
    at, parts = 0, []
    for count, bytes_each in ((1, 8), (channels, width), (outputs, 4)):
        size = count * n * bytes_each
        part = planes[at : at + size].reshape(count, bytes_each, n).transpose(0, 2, 1)
        parts.append(part.tobytes())
        at += size
    return decode(b"".join(parts), n, channels, outputs, width)
