"""What a journal holds, read by stream and time while its server may go on writing."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamrnn.keys import repeats
from streamrnn.streams.labels import Label
from streamrnn_server import columns
from streamrnn_server.columns import Columns
from streamrnn_server.database import JournalError, opened_to_read, told_if_damaged
from streamrnn_server.journal import CHUNK, FILE, RESET, Kind, decoded, kinds_of, log

T = TypeVar("T")

SLICE_BYTES = 64 << 20  # of the log that are sorted by stream together
PAGE = 16  # chunks that are read together


class Past(NamedTuple):
    """Consecutive samples of one stream; numbers (n,) of them, as they are counted there."""

    key: str
    kind: Kind
    samples: Columns
    numbers: NDArray[np.int64]


_Part = tuple[int, Columns, NDArray[np.int64]]  # group, samples, numbers
_Parts = dict[int, list[_Part]]  # by stream


class Piece(NamedTuple):
    """Some samples of a stream: what they are, and how to read them.

    low, high  the smallest and largest of each column of x and y; empty where nobody has looked
    """

    kind: Kind
    n: int
    t0: float
    t1: float
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    read: Callable[[], Columns]


class History:
    """The journal in `folder` as it is at this moment, whatever is written meanwhile.

    Only `samples` and `by_stream` may be read for long; they leave out what is dropped meanwhile.

    streams  by key, their number: those whose key matches one of `patterns`, or all; or `stream`
             alone, and none if it is not known

    Raises JournalError if there is none, or if no stream matches.
    """

    def __init__(
        self, folder: str | Path, patterns: Iterable[str] = (), stream: str | None = None
    ) -> None:
        self._path = path = Path(folder) / FILE
        self._db = opened_to_read(path)
        one, own = ("", ()) if stream is None else ("WHERE key = ?", (stream,))
        try:
            with told_if_damaged(path):
                self._db.execute("BEGIN")  # one moment for all that is read
                self.kinds = kinds_of(self._db)
                query = f"SELECT key, id FROM streams {one} ORDER BY id"
                keys = self._db.execute(query, own).fetchall()
        except JournalError:
            self._db.close()
            raise
        self.streams: dict[str, int] = dict(keys)
        if stream is not None:
            return
        wanted = tuple(patterns) or ("*",)
        self.streams = {
            key: id for key, id in keys if any(fnmatchcase(key, pattern) for pattern in wanted)
        }
        if keys and not self.streams:
            self._db.close()
            names = ", ".join(key for key, _ in keys[:10]) + (", ..." if len(keys) > 10 else "")
            raise JournalError(
                f"no stream in {path} matches {' or '.join(wanted)}; there are {names}"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    def kinds_now(self) -> dict[str, Kind]:
        """What the columns of each stream mean at present; in the past it may have been other."""
        with told_if_damaged(self._path):
            rows = self._db.execute("SELECT key, grp FROM streams ORDER BY id").fetchall()
            return {key: self.kinds[group] for key, group in rows if key in self.streams}

    def samples(self, t0: float = -math.inf, t1: float = math.inf) -> Iterator[Past]:
        """All with t0 <= t < t1: stream by stream, each in the order in which they came.

        Who writes may do so for as long as this is read, as nothing is kept from being overwritten.
        """
        for parts in self.by_stream(t0, t1):
            yield from parts

    def by_stream(self, t0: float = -math.inf, t1: float = math.inf) -> Iterator[Iterator[Past]]:
        """The same, an iterator for each stream."""
        with told_if_damaged(self._path):
            self._let_go()
        for key, id in self.streams.items():
            yield each(self._path, self._of_stream(key, id, t0, t1))

    def between_samples(self, key: str) -> Iterator[tuple[int, Label | None]]:
        """What else happened to a stream, in order, after how many samples: a label, or a reset."""
        query = """
            SELECT number, 0, id, t, value FROM labels WHERE stream = :id UNION ALL
            SELECT number, 1, 0, 0, 0 FROM events WHERE stream = :id AND what = :reset
            ORDER BY 1, 2, 3"""
        with told_if_damaged(self._path):
            rows = self._db.execute(query, {"id": self.streams[key], "reset": RESET}).fetchall()
        for number, reset, _, t, value in rows:
            yield number, None if reset else Label(key, value, t)

    def extent(self, id: int) -> tuple[float, float]:
        """Event times of the oldest and the newest sample of a stream; NaN if there are none."""
        query = "SELECT min(t0), max(t1) FROM chunks WHERE stream = ?"
        with told_if_damaged(self._path):
            spans = [self._db.execute(query, (id,)).fetchone()]
            spans += [(part.t.min(), part.t.max()) for _, part, _ in self._logged.get(id, [])]
        known = [span for span in spans if span[0] is not None]
        if not known:
            return math.nan, math.nan
        return float(min(t0 for t0, _ in known)), float(max(t1 for _, t1 in known))

    def pieces(self, id: int, t0: float, t1: float) -> Iterator[Piece]:
        """What a stream has between t0 and t1, unread."""
        return each(self._path, self._pieces(id, t0, t1))

    def _pieces(self, id: int, t0: float, t1: float) -> Iterator[Piece]:
        rows = self._db.execute(
            "SELECT grp, n, t0, t1, low, high, rowid FROM chunks "
            "WHERE stream = ? AND t1 >= ? AND t0 < ? ORDER BY first",
            (id, t0, t1),
        )
        for group, n, first, last, low, high, rowid in rows:
            bounds = np.frombuffer(low, "<f4"), np.frombuffer(high, "<f4")
            yield Piece(self.kinds[group], n, first, last, *bounds, partial(self._read, rowid))
        none = np.zeros(0, np.float32)
        for group, part, _ in self._logged.get(id, []):
            span = float(part.t.min()), float(part.t.max())
            read = partial(part.rows, slice(None))
            yield Piece(self.kinds[group], len(part.t), *span, none, none, read)

    def _read(self, rowid: int) -> Columns:
        with told_if_damaged(self._path):
            group, *row = self._db.execute(
                "SELECT grp, n, width, body, packed FROM chunks WHERE rowid = ?", (rowid,)
            ).fetchone()
            return decoded(self.kinds[group], *row)

    def newest(self, most: int) -> Iterator[tuple[str, list[Past]]]:
        """Of each stream its newest samples, `most` of them, in order."""
        return each(self._path, self._newest(most))

    def _newest(self, most: int) -> Iterator[tuple[str, list[Past]]]:
        logged = self._newest_of_log(most)
        for key, id in self.streams.items():
            parts: list[Past] = []
            missing = most
            for group, part, numbers in chain(reversed(logged.get(id, [])), self._back(id)):
                if missing <= 0:
                    break
                own = slice(-missing, None)
                parts.insert(0, Past(key, self.kinds[group], part.rows(own), numbers[own]))
                missing -= len(part.t)
            yield key, parts

    def _back(self, id: int) -> Iterator[_Part]:
        rows = self._db.execute(
            "SELECT first, grp, n, width, body, packed FROM chunks WHERE stream = ? "
            "ORDER BY first DESC",
            (id,),
        )
        return map(self._part, rows)

    def _of_stream(self, key: str, id: int, t0: float, t1: float) -> Iterator[Past]:
        for group, part, numbers in chain(self._pages(id, t0, t1), self._logged.get(id, [])):
            chosen = (part.t >= t0) & (part.t < t1)
            if chosen.any():
                yield Past(key, self.kinds[group], part.rows(chosen), numbers[chosen])

    def _pages(self, id: int, t0: float, t1: float) -> Iterator[_Part]:
        """What was in chunks of a stream when the log was read; by now they may be other chunks."""
        start, end = 0, int(self._left[id])
        while True:
            rows = self._db.execute(
                "SELECT first, grp, n, width, body, packed FROM chunks WHERE stream = ? "
                "AND first > ? AND first + n > ? AND first < ? AND t1 >= ? AND t0 < ? "
                "ORDER BY first LIMIT ?",
                (id, start - CHUNK, start, end, t0, t1, PAGE),
            ).fetchall()
            if not rows:
                return
            for row in rows:
                group, part, numbers = self._part(row)
                own = slice(max(0, start - row[0]), max(0, end - row[0]))
                yield group, part.rows(own), numbers[own]
                start = row[0] + row[2]

    def _let_go(self) -> None:
        """Read the log and end the transaction, for the length of which the journal only grows.

        From here on, what came later is known by its numbers.
        """
        if self._db.in_transaction:
            _ = self._left, self._logged
            self._db.execute("COMMIT")

    def _part(self, row: tuple[Any, ...]) -> _Part:
        first, group, n, *rest = row
        return group, decoded(self.kinds[group], n, *rest), first + np.arange(n)

    @cached_property
    def _left(self) -> NDArray[np.int64]:
        """So many samples of each stream are no more in the log."""
        left = self._db.execute("SELECT left_log FROM streams ORDER BY id").fetchall()
        return np.array(left, np.int64).reshape(-1)

    @cached_property
    def _logged(self) -> _Parts:
        """What the log has of each stream."""
        counts, wanted = self._left.copy(), self._wanted()
        parts: _Parts = {}
        slice_: list[_Part] = []
        size = 0
        for batch in log(self._db, self.kinds):
            own = wanted[batch.ids]
            if not own.any():
                continue
            ids = batch.ids[own]
            slice_.append((batch.group, batch.read().rows(own), counts[ids] + repeats(ids)))
            counts += np.bincount(ids, minlength=len(counts))
            size += batch.length
            if size >= SLICE_BYTES:
                _sort(slice_, parts)
                slice_, size = [], 0
        _sort(slice_, parts)
        return parts

    def _newest_of_log(self, most: int) -> _Parts:
        """Of what the log has of each stream the newest, `most` of them; no others are read."""
        ends = self._left.copy()
        for batch in log(self._db, self.kinds):
            ends += np.bincount(batch.ids, minlength=len(ends))
        missing = np.where(self._wanted(), most, 0)
        newest: list[_Part] = []
        for batch in log(self._db, self.kinds, newest_first=True):
            ids = batch.ids
            if (missing[ids] <= 0).all():
                continue
            after = repeats(ids[::-1])[::-1]  # how many of the same stream
            own = after < missing[ids]
            newest.append((batch.group, batch.read().rows(own), (ends[ids] - 1 - after)[own]))
            count = np.bincount(ids, minlength=len(ends))
            ends -= count
            missing -= count
        parts: _Parts = {}
        _sort(newest[::-1], parts)
        return parts

    def _wanted(self) -> NDArray[np.bool_]:
        """(streams,): whether each is one of `streams`."""
        wanted = np.zeros(len(self._left), np.bool_)
        wanted[list(self.streams.values())] = True
        return wanted


def _sort(batches: list[_Part], parts: _Parts) -> None:
    """Add to the parts of each stream what consecutive batches hold of it."""
    for group in dict.fromkeys(group for group, _, _ in batches):
        own = [(samples, numbers) for of, samples, numbers in batches if of == group]
        samples = columns.joined([samples for samples, _ in own])
        numbers = np.concatenate([numbers for _, numbers in own])
        assert samples.ids is not None
        for id, rows in columns.by_stream(samples.ids):
            part = samples.rows(rows)._replace(ids=None)
            parts.setdefault(id, []).append((group, part, numbers[rows]))
    for of_stream in parts.values():  # which may have come to another group
        of_stream.sort(key=lambda part: int(part[2][0]))


def each(path: Path, read: Iterable[T]) -> Iterator[T]:
    """What is read of the journal at `path`. Raises JournalError where that is damaged."""
    with told_if_damaged(path):
        yield from read


def between(
    ids: NDArray[Any], numbers: NDArray[np.int64], happened: dict[int, deque[tuple[int, T]]]
) -> Iterator[tuple[list[T], slice]]:
    """Rows of a batch, sample numbers[n] of stream ids[n], and what happened before them.

    happened   by stream, in order, each after how many samples; what is given here leaves it
    """
    cuts: dict[int, list[T]] = {0: []}
    for id in happened.keys() & set(np.unique(ids).tolist()):
        rows, own = np.flatnonzero(ids == id), happened[id]
        while own and own[0][0] <= numbers[rows[-1]]:
            number, what = own.popleft()
            at = int(rows[np.searchsorted(numbers[rows], number)])
            cuts.setdefault(at, []).append(what)
    begins = sorted(cuts)
    for begin, end in zip(begins, [*begins[1:], len(ids)], strict=True):
        yield cuts[begin], slice(begin, end)
