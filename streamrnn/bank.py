"""Many keyed streams over one step: a state row each, the parameters shared by all.

>>> from streamrnn.model import GRU
>>> bank = Bank(GRU(input_size=1, hidden_size=8, output_size=1))
>>> bank.step(["pump", "fan", "pump"], [[1.0], [2.0], [3.0]]).shape
(3, 1)
>>> len(bank), "fan" in bank
(2, True)
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn import threads as sharing
from streamrnn.keys import Keys
from streamrnn.step import Step, allocate, check_rows, initial, scalar


class Snapshot(NamedTuple):
    """The streams of a bank at one moment: keys, and their states (len(keys),) in that order."""

    keys: list[Hashable]
    states: NDArray[Any]


class Bank:
    """The states of any number of streams, by key.

    The state, not the model, belongs to a stream: so one set of parameters serves all of them, and
    copying a row copies all that is known about a stream.
    """

    def __init__(self, step: Step) -> None:
        self.model = step
        self._initial = initial(step)
        self._row_of: dict[Hashable, int] = {}
        self._free: list[int] = []  # rows of dropped streams, used again first
        self._states = allocate(step.layout, 16)
        self._kind = scalar(step.layout)

    def __len__(self) -> int:
        return len(self._row_of)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._row_of)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._row_of

    @property
    def states(self) -> NDArray[Any]:
        """All rows (S,), those of no stream included; `rows` says whose is whose.

        Valid until the next new key: then the rows may move.
        """
        return self._states

    def step(
        self, keys: Sequence[Hashable], X: ArrayLike, *, threads: int | None = None
    ) -> NDArray[Any]:
        """Advance stream keys[n] by X[n], n = 0 .. N-1; X (N, inputs) -> Y (N, outputs).

        New keys start from the step's initial state. A key that occurs several times advances in
        order. Raises ValueError or TypeError for X of another shape or kind; no state has moved.

        threads   among which the streams are shared out, for the same bits, if the step can be
                  (`Step.parallel`: networks, Forecaster and Detector can); by default as many as
                  the process has cores and the call is large enough for
        """
        if isinstance(keys, str | bytes):
            raise TypeError(f"keys is the string {keys!r}, expected a list with a key for each row")
        x = check_rows(X, self.model, len(keys))
        count = sharing.count(self.model, len(x), threads)
        y = np.empty((len(x), self.model.outputs), self._kind)
        self.advance(self.rows(keys), x, y, threads=count)
        return y

    def advance(
        self,
        rows: NDArray[np.int64],
        x: NDArray[Any],
        y: NDArray[Any],
        *,
        threads: int | None = None,
    ) -> None:
        """`step` without its checks, for rows that `rows` gave."""
        count = sharing.count(self.model, len(rows), threads)
        sharing.advance(self.model, self._states, rows, x, y, count)

    def rows(self, keys: Iterable[Hashable]) -> NDArray[np.int64]:
        """The row of each key (N,), a new one in the initial state where a key is new."""
        if isinstance(keys, Keys):
            return self.rows(keys.names)[keys.numbers]
        keys = list(keys)
        row_of = self._row_of
        try:
            return np.array([row_of[key] for key in keys], np.int64)
        except KeyError:
            dict.fromkeys(keys)  # one that cannot be hashed raises before any key is new
            for key in keys:
                if key not in row_of:
                    row_of[key] = self._new_row()
            return np.array([row_of[key] for key in keys], np.int64)

    def _new_row(self) -> int:
        if self._free:
            row = self._free.pop()
        else:
            row = len(self._row_of)
            if row == len(self._states):
                grown = allocate(self.model.layout, 2 * row)
                grown[:row] = self._states
                self._states = grown
        self._states[row] = self._initial
        return row

    def __getitem__(self, key: Hashable) -> NDArray[Any]:
        """A copy of the state of one stream, a 0-d array of the step's layout."""
        row = self._row_of[key]
        return self._states[row : row + 1].copy().reshape(())

    def __setitem__(self, key: Hashable, state: NDArray[Any]) -> None:
        if getattr(state, "dtype", None) != self.model.layout or np.shape(state) != ():
            raise ValueError(f"a state of {self.model!r} was expected, got {state!r}")
        row = self.rows([key])[0]  # first, since a new key may move the states
        self._states[row] = state

    def reset(self, keys: Iterable[Hashable] | None = None) -> None:
        """Put streams, all by default, back to the initial state; their keys stay."""
        chosen = list(self._row_of) if keys is None else list(keys)
        rows = [self._row_of[key] for key in chosen]
        self._states[rows] = self._initial

    def drop(self, keys: Iterable[Hashable]) -> None:
        """Forget streams and their keys.  Raises KeyError, and drops none, if one is not here."""
        chosen = {key: self._row_of[key] for key in keys}
        for key, row in chosen.items():
            del self._row_of[key]
            self._free.append(row)

    def units(self, keys: Iterable[Hashable]) -> NDArray[np.float32]:
        """What the step shows of its hidden state for each key: (N, U); U = 0: nothing."""
        rows = [self._row_of[key] for key in keys]
        units = getattr(self.model, "units", None)
        if units is None:
            return np.zeros((len(rows), 0), np.float32)
        low, high = min(rows, default=0), max(rows, default=-1) + 1
        if high - low > 2 * len(rows):
            shown: NDArray[np.float32] = units(self._states[rows])
        else:  # close together: without a copy of all that the step remembers
            shown = units(self._states[low:high])[np.array(rows, np.int64) - low]
        return shown

    def snapshot(self) -> Snapshot:
        """A copy of every stream."""
        rows = list(self._row_of.values())
        return Snapshot(list(self._row_of), self._states[rows].copy())

    def restore(self, snapshot: Snapshot) -> None:
        """Make the streams those of `snapshot` and no others."""
        keys, states = snapshot
        if states.dtype != self.model.layout or states.shape != (len(keys),):
            raise ValueError(
                f"the snapshot holds {states.shape} states of {states.dtype}, expected "
                f"({len(keys)},) of {self.model.layout}"
            )
        for key, count in Counter(keys).items():
            if count > 1:
                raise ValueError(
                    f"the snapshot holds the key {key!r} twice, expected one state for each key"
                )
        self._row_of, self._free = {}, []
        self._states = allocate(self.model.layout, max(16, len(keys)))
        self._states[self.rows(keys)] = states
