"""The way back: copies of a bank's rows as they were before some samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.bank import Bank
from streamrnn.step import flat
from streamrnn.threads import copied

SPARED = 100  # uses that need less than a quarter of the memory, until it is given back ...
KEPT_BYTES = 16 << 20  # ... if it is more than this


class Undo:
    """Copies of rows, taken one after the other; `len` counts them.

    >>> import streamrnn as srnn
    >>> bank = srnn.Bank(srnn.Forecaster())
    >>> undo, rows = Undo(bank), bank.rows(["pump"])
    >>> new = bank["pump"].tobytes()
    >>> undo.copy(rows)
    >>> _ = bank.step(["pump"], [20.5])
    >>> bank["pump"].tobytes() == new
    False
    >>> undo.put_back()
    >>> bank["pump"].tobytes() == new
    True
    """

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._rows: list[NDArray[np.int64]] = []
        # Kept from use to use: memory fresh from the system costs as much again as the copy.
        self._copies = flat(bank.states)[:0].copy()
        self._count = 0
        self._spared = 0  # uses in a row that have needed little of it

    def __len__(self) -> int:
        return self._count

    def room(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Where copies of these rows, each of them once, are to be put right now: `flat`."""
        start, stop = self._count, self._count + len(rows)
        if stop > len(self._copies):
            grown = np.empty((max(stop, 2 * start), self._copies.shape[1]), self._copies.dtype)
            grown[:start] = self._copies[:start]
            self._copies = grown
        self._rows.append(rows)
        self._count = stop
        return self._copies[start:stop]

    def copy(self, rows: NDArray[np.int64]) -> None:
        """Copy rows, each of them once."""
        copied(self._bank.states, rows, self.room(rows))

    def put_back(self, since: int = 0) -> None:
        """Put back all copies but the first `since`, the newest first, and let them go."""
        states: NDArray[Any] = flat(self._bank.states)
        while self._count > since:
            rows = self._rows.pop()
            self._count -= len(rows)
            states[rows] = self._copies[self._count : self._count + len(rows)]

    def clear(self) -> None:
        """Let all copies go."""
        self._spared = 0 if 4 * self._count > len(self._copies) else self._spared + 1
        if self._spared == SPARED and self._copies.nbytes > KEPT_BYTES:
            self._copies = self._copies[:0].copy()
        self._rows.clear()
        self._count = 0
