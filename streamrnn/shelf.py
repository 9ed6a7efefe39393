"""States of streams that are idle, in a file that goes with the process."""

import tempfile
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class Shelf:
    """Places of `size` bytes, numbered from 0, in a temporary file in `folder`.

    >>> shelf = Shelf(4)
    >>> numbers = shelf.put(np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.uint8))
    >>> numbers, shelf.take(1), shelf.take(0)
    ([0, 1], array([5, 6, 7, 8], dtype=uint8), array([1, 2, 3, 4], dtype=uint8))
    """

    def __init__(self, size: int, folder: Path | None = None) -> None:
        self.size = size
        # Unbuffered: a failed write must not come back with a later one.
        self._file = tempfile.TemporaryFile("w+b", buffering=0, dir=folder, prefix=".states-")
        weakref.finalize(self, self._file.close)
        self._free: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        """How many places are taken."""
        return self._count - len(self._free)

    def put(self, rows: NDArray[np.uint8]) -> list[int]:
        """Lay down rows (n, size); where each is now. Raises OSError, and keeps none, if full."""
        numbers = [self._free.pop() if self._free else self._new() for _ in rows]
        try:
            for number, row in zip(numbers, rows, strict=True):
                self.write(number, row)
        except OSError:
            self._free += numbers
            raise
        return numbers

    def write(self, number: int, row: NDArray[np.uint8]) -> None:
        """Replace the row in a place."""
        self._file.seek(number * self.size)
        if (written := self._file.write(row.tobytes())) != self.size:
            raise OSError(f"only {written} of {self.size} bytes could be written")

    def read(self, number: int) -> NDArray[np.uint8]:
        """The row in a place (size,). Raises OSError."""
        self._file.seek(number * self.size)
        row = self._file.read(self.size)
        if len(row) != self.size:
            raise OSError(f"expected a state of {self.size} bytes, read {len(row)}")
        return np.frombuffer(row, np.uint8)

    def take(self, number: int) -> NDArray[np.uint8]:
        """The same, and the place is free again."""
        row = self.read(number)
        self.free(number)
        return row

    def free(self, number: int) -> None:
        self._free.append(number)

    def _new(self) -> int:
        self._count += 1
        return self._count - 1
