"""The newest samples of every stream, with their predictions, within a fixed number of bytes.

A ring is the only place where samples wait for viewers: a slow viewer has a cursor into it and no
queue of its own, so that it can cost neither memory nor the others' time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST = 256  # samples a ring can always hold
MOST = 1 << 16  # samples beyond which no ring grows; at 20 a second, 54 minutes


def row_dtype(channels: int, outputs: int, units: int) -> np.dtype[Any]:
    """One sample as it is kept: event time, x, y, h."""
    return np.dtype(
        [
            ("t", "<f8"),
            ("x", "<f4", (channels,)),
            ("y", "<f4", (outputs,)),
            ("h", "i1", (units,)),
        ]
    )


class Ring:
    """Samples `first` <= seq < `count` of one stream; older ones were overwritten."""

    __slots__ = ("arrived", "count", "dtype", "first", "row_bytes", "sizes", "_rows")

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        C, O, U = (dtype[name].shape[0] for name in "xyh")  # noqa: E741
        self.sizes = C, O, U
        self.row_bytes = dtype.itemsize
        self.count = 0
        self.first = 0
        self.arrived = math.nan  # server's clock when the newest sample came in
        # Raw bytes: NumPy copies a structured row field by field, a row of bytes at once.
        self._rows = np.empty((0, dtype.itemsize), np.uint8)

    @property
    def capacity(self) -> int:
        return len(self._rows)

    def extend(self, rows: NDArray[np.uint8]) -> None:
        """Append rows (n, itemsize)."""
        n, size = len(rows), len(self._rows)
        start = self.count % size
        self.count += n
        if self.count - self.first > size:
            self.first = self.count - size
        if start + n <= size:  # mostly; done for each stream of a batch, so it counts
            self._rows[start : start + n] = rows
            return
        rows = rows[-size:]
        start = (self.count - len(rows)) % size
        head = min(len(rows), size - start)
        self._rows[start : start + head] = rows[:head]
        self._rows[: len(rows) - head] = rows[head:]

    def raw(self, first: int, stop: int) -> NDArray[np.uint8]:
        """Samples first <= seq < stop, which must be held, as bytes (n, itemsize)."""
        size = len(self._rows)
        a, b = first % size, (stop - 1) % size + 1
        if a < b:
            return self._rows[a:b]
        return np.concatenate([self._rows[a:], self._rows[:b]])

    def read(self, first: int, stop: int) -> NDArray[Any]:
        """The same as records of `dtype`."""
        return self.raw(first, stop).view(self.dtype)[:, 0]

    def resize(self, capacity: int) -> None:
        """Keep the newest samples in a ring of another size."""
        kept = min(self.count - self.first, capacity)
        rows = np.empty((capacity, self.dtype.itemsize), np.uint8)
        if kept:
            seq = np.arange(self.count - kept, self.count)
            rows[seq % capacity] = self._rows[seq % len(self._rows)]
        self.first = self.count - kept
        self._rows = rows


class Rings:
    """All rings, sharing `budget_bytes` evenly, but at least LEAST samples each.

    A ring begins small and doubles while its stream fills it, up to its share. Shares are of the
    number of streams rounded up to a power of two: rings are resized at doublings only.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.bytes = 0
        self._rings: list[Ring] = []

    def __len__(self) -> int:
        return len(self._rings)

    def __getitem__(self, stream: int) -> Ring:
        return self._rings[stream]

    def add(self, dtype: np.dtype[Any]) -> Ring:
        ring = Ring(dtype)
        self._rings.append(ring)
        before = len(self._rings) - 1
        if before & (before - 1) == 0:  # a power of two: one more has halved the shares
            for other in self._rings:
                if other.capacity > self._share(other):
                    self._resize(other, self._share(other))
        self._resize(ring, LEAST)
        return ring

    def extend(self, stream: int, rows: NDArray[np.uint8], arrived: float) -> None:
        """Append rows (n, itemsize) to the ring of `stream`; `arrived` of the newest."""
        ring = self._rings[stream]
        needed = ring.count - ring.first + len(rows)
        if needed > ring.capacity:
            capacity = min(1 << (needed - 1).bit_length(), self._share(ring))
            if capacity > ring.capacity:
                self._resize(ring, capacity)
        ring.extend(rows)
        ring.arrived = arrived

    def _share(self, ring: Ring) -> int:
        parts = 1 << (len(self._rings) - 1).bit_length()
        rows = self.budget_bytes // parts // ring.dtype.itemsize
        return min(max(LEAST, 1 << (max(rows, 1).bit_length() - 1)), MOST)

    def _resize(self, ring: Ring, capacity: int) -> None:
        self.bytes += (capacity - ring.capacity) * ring.dtype.itemsize
        ring.resize(capacity)
