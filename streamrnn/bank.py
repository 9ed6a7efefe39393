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
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn import threads as sharing
from streamrnn.keys import Keys
from streamrnn.shelf import Shelf
from streamrnn.step import Step, allocate, check_rows, flat, initial, scalar


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
        self._row_of: dict[Hashable, int] = {}  # ~n where the state is in place n of the shelf
        self._free: list[int] = []  # rows of streams that went, used again first
        self._count = 0  # rows that have been used
        self._states = allocate(step.layout, 16)
        self._used = np.zeros(16, np.int64)  # the turn in which a row was asked for last
        self._turn = 0
        self._shelf: Shelf | None = None
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

        Valid until `rows` is asked again: then they may move.
        """
        return self._states

    def step(
        self,
        keys: Sequence[Hashable],
        X: ArrayLike,
        t: ArrayLike | None = None,
        *,
        threads: int | None = None,
    ) -> NDArray[Any]:
        """Advance stream keys[n] by X[n], n = 0 .. N-1; X (N, inputs) -> Y (N, outputs).

        t (N,) may hold the rows' times in seconds, for a step that asks for them (`Step.timed`:
        Forecaster and Detector do).

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
        times = None if t is None else _times(t, len(x))
        self.advance(self.rows(keys), x, y, times, threads=count)
        return y

    def advance(
        self,
        rows: NDArray[np.int64],
        x: NDArray[Any],
        y: NDArray[Any],
        t: NDArray[np.float64] | None = None,
        *,
        threads: int | None = None,
        copies: sharing.Copies | None = None,
    ) -> None:
        """`step` without its checks, for rows that `rows` gave; `copies` are made on the way."""
        if t is not None and getattr(self.model, "timed", False):
            x = np.column_stack([x, t])
        count = sharing.count(self.model, len(rows), threads)
        sharing.advance(self.model, self._states, rows, x, y, count, copies)

    def learn(self, keys: Sequence[Hashable], y: ArrayLike, t: ArrayLike) -> NDArray[np.int64]:
        """Values y (N,) of targets that were missing when their rows came, at times t (N,).

        For a step that learns from them (Forecaster, Detector); see `Forecaster.learn`. Returns how
        many rows ago each of these rows was (N,), -1 for a value that cannot be learned.
        """
        values, times = _times(y, len(keys), "y"), _times(t, len(keys))
        if unknown := [key for key in keys if key not in self]:
            raise KeyError(unknown[0])
        learn = getattr(self.model, "learn_labels", None)
        if learn is None:
            raise TypeError(f"{self.model!r} does not learn from labels that come late")
        rows = self.rows(keys)  # first, since the states may move
        ago: NDArray[np.int64] = learn(self._states, rows, values, times)
        return ago

    def rows(self, keys: Iterable[Hashable]) -> NDArray[np.int64]:
        """The row of each key (N,), a new one in the initial state where a key is new."""
        if isinstance(keys, Keys):
            return self.rows(keys.names)[keys.numbers]
        keys = list(keys)
        row_of = self._row_of
        try:
            rows = np.array([row_of[key] for key in keys], np.int64)
        except KeyError:
            dict.fromkeys(keys)  # one that cannot be hashed raises before any key is new
            for key in keys:
                if key not in row_of:
                    row = self._new_row()
                    self._states[row] = self._initial
                    row_of[key] = row
            rows = np.array([row_of[key] for key in keys], np.int64)
        if self._shelf is not None:
            for n in np.flatnonzero(rows < 0).tolist():
                rows[n] = self._fetched(keys[n], self._shelf)
        if self._turn:  # else nobody has asked for `trim` so far
            self._used[rows] = self._turn
        return rows

    def _new_row(self) -> int:
        if self._free:
            return self._free.pop()
        if self._count == len(self._states):
            grown = allocate(self.model.layout, 2 * self._count)
            grown[: self._count] = self._states
            self._states = grown
            self._used = np.concatenate([self._used, np.zeros_like(self._used)])
        self._count += 1
        return self._count - 1

    def _fetched(self, key: Hashable, shelf: Shelf) -> int:
        """The row of a stream whose state was on the shelf when last looked at."""
        row = self._row_of[key]
        if row < 0:
            state = shelf.read(~row)
            shelf.free(~row)
            row = self._row_of[key] = self._new_row()
            flat(self._states)[row] = state.view(self._kind)
        return row

    def trim(self, most: int, folder: Path | None = None) -> None:
        """Keep at most `most` states in memory; those not asked for lately go to a file.

        `rows` brings them back, to the bit. The file is a temporary one in `folder`. Rows that were
        asked for before mean nothing after this. Raises OSError if the file cannot be written: then
        all stay.
        """
        busy = int((self._used == self._turn).sum()) if self._turn else 0
        self._turn += 1
        if (excess := self.resident - most) > 0:
            self._file_away(excess + most // 8, folder)  # it looks at all streams: not every time
        least = max(16, most, busy)
        if len(self._states) >= 4 * least:
            self._shrink(2 * least)

    def _file_away(self, count: int, folder: Path | None) -> None:
        """Put the states that have been idle the longest on the shelf."""
        if self._shelf is None:
            self._shelf = Shelf(self.model.layout.itemsize, folder)
        keys, rows = self._here()
        idle = np.argsort(self._used[rows], kind="stable")[:count]
        places = self._shelf.put(flat(self._states)[rows[idle]].view(np.uint8))
        for n, place in zip(idle.tolist(), places, strict=True):
            self._row_of[keys[n]] = ~place
        self._free += rows[idle].tolist()

    def _shrink(self, size: int) -> None:
        """Give memory back: move the states that are here to the first of `size` rows."""
        keys, rows = self._here()
        states, used = allocate(self.model.layout, size), np.zeros(size, np.int64)
        flat(states)[: len(rows)] = flat(self._states)[rows]
        used[: len(rows)] = self._used[rows]
        self._row_of.update(zip(keys, range(len(keys)), strict=True))
        self._states, self._used, self._count, self._free = states, used, len(keys), []

    def _here(self) -> tuple[list[Hashable], NDArray[np.int64]]:
        """Streams whose state is in memory, and their rows."""
        here = {key: row for key, row in self._row_of.items() if row >= 0}
        return list(here), np.array(list(here.values()), np.int64)

    @property
    def resident(self) -> int:
        """How many states are in memory; see `trim`."""
        return self._count - len(self._free)

    def copies(self, keys: Iterable[Hashable]) -> NDArray[Any]:
        """A copy of the state of each key (n,), wherever it is."""
        rows = np.array([self._row_of[key] for key in keys], np.int64)
        states = allocate(self.model.layout, len(rows))
        sharing.copied(self._states, np.maximum(rows, 0), flat(states))
        for n in np.flatnonzero(rows < 0).tolist():
            assert self._shelf is not None
            flat(states)[n] = self._shelf.read(~int(rows[n])).view(self._kind)
        return states

    def __getitem__(self, key: Hashable) -> NDArray[Any]:
        """A copy of the state of one stream, a 0-d array of the step's layout."""
        return self.copies([key]).reshape(())

    def __setitem__(self, key: Hashable, state: NDArray[Any]) -> None:
        if getattr(state, "dtype", None) != self.model.layout or np.shape(state) != ():
            raise ValueError(f"a state of {self.model!r} was expected, got {state!r}")
        row = self.rows([key])[0]  # first, since a new key may move the states
        self._states[row] = state

    def reset(self, keys: Iterable[Hashable] | None = None) -> None:
        """Put streams, all by default, back to the initial state; their keys stay."""
        chosen = list(self._row_of) if keys is None else list(keys)
        rows = [self._row_of[key] for key in chosen]
        self._states[[row for row in rows if row >= 0]] = self._initial
        for row in rows:
            if row < 0 and self._shelf is not None:
                initial = flat(self._initial.reshape(1)).view(np.uint8)
                self._shelf.write(~row, initial)

    def drop(self, keys: Iterable[Hashable]) -> None:
        """Forget streams and their keys.  Raises KeyError, and drops none, if one is not here."""
        chosen = {key: self._row_of[key] for key in keys}
        for key, row in chosen.items():
            del self._row_of[key]
            if row >= 0:
                self._free.append(row)
            elif self._shelf is not None:
                self._shelf.free(~row)

    def units(self, keys: Iterable[Hashable]) -> NDArray[np.float32]:
        """What the step shows of its hidden state for each key: (N, U); U = 0: nothing."""
        keys = list(keys)
        rows = [self._row_of[key] for key in keys]
        if min(rows, default=0) < 0:
            rows = self.rows(keys).tolist()
        units = getattr(self.model, "units", None)
        if units is None:
            return np.zeros((len(rows), 0), np.float32)
        low, high = min(rows, default=0), max(rows, default=-1) + 1
        if high - low > max(2, self.model.layout.itemsize >> 10) * len(rows):
            shown: NDArray[np.float32] = units(self._states[rows])
        else:  # to look at those between costs less than a copy of all that the step remembers
            shown = units(self._states[low:high])[np.array(rows, np.int64) - low]
        return shown

    def snapshot(self) -> Snapshot:
        """A copy of every stream."""
        return Snapshot(list(self._row_of), self.copies(self._row_of))

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
        self._row_of, self._free, self._count, self._shelf = {}, [], 0, None
        self._states = allocate(self.model.layout, max(16, len(keys)))
        self._used = np.zeros(len(self._states), np.int64)
        self._states[self.rows(keys)] = states


def _times(t: ArrayLike, count: int, name: str = "t") -> NDArray[np.float64]:
    times = np.array(t, np.float64)
    if times.shape != (count,):
        raise ValueError(f"{name} has shape {times.shape}, expected ({count},): one for each row")
    return times
