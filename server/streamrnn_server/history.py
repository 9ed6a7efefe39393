"""What a journal holds, read by stream and time while its server may go on writing."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from streamrnn_server import columns
from streamrnn_server.columns import Columns
from streamrnn_server.database import JournalError, opened_to_read
from streamrnn_server.journal import FILE, Kind, decoded, kinds_of, log


class Past(NamedTuple):
    """Consecutive samples of one stream."""

    key: str
    kind: Kind
    samples: Columns


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

    streams  by key, their number: those whose key matches one of `patterns`, or all

    Raises JournalError if there is none, or if no stream matches.
    """

    def __init__(self, folder: str | Path, patterns: Iterable[str] = ()) -> None:
        path = Path(folder) / FILE
        self._db = opened_to_read(path)
        self._db.execute("BEGIN")  # one moment for all that is read
        self.kinds = kinds_of(self._db)
        wanted = tuple(patterns) or ("*",)
        keys = self._db.execute("SELECT key, id FROM streams ORDER BY id").fetchall()
        self.streams: dict[str, int] = {
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
        rows = self._db.execute("SELECT key, grp FROM streams ORDER BY id").fetchall()
        return {key: self.kinds[group] for key, group in rows if key in self.streams}

    def samples(self, t0: float = -math.inf, t1: float = math.inf) -> Iterator[Past]:
        """All with t0 <= t < t1: stream by stream, each in the order in which they came."""
        for parts in self.by_stream(t0, t1):
            yield from parts

    def by_stream(self, t0: float = -math.inf, t1: float = math.inf) -> Iterator[Iterator[Past]]:
        """The same, an iterator for each stream."""
        for key, id in self.streams.items():
            yield self._of_stream(key, id, self._newest.get(id, []), t0, t1)

    def extent(self, id: int) -> tuple[float, float]:
        """Event times of the oldest and the newest sample of a stream; NaN if there are none."""
        query = "SELECT min(t0), max(t1) FROM chunks WHERE stream = ?"
        spans = [self._db.execute(query, (id,)).fetchone()]
        spans += [(part.t.min(), part.t.max()) for _, part in self._newest.get(id, [])]
        known = [span for span in spans if span[0] is not None]
        if not known:
            return math.nan, math.nan
        return float(min(t0 for t0, _ in known)), float(max(t1 for _, t1 in known))

    def pieces(self, id: int, t0: float, t1: float) -> Iterator[Piece]:
        """What a stream has between t0 and t1, unread."""
        rows = self._db.execute(
            "SELECT grp, n, t0, t1, low, high, rowid FROM chunks "
            "WHERE stream = ? AND t1 >= ? AND t0 < ? ORDER BY first",
            (id, t0, t1),
        )
        for group, n, first, last, low, high, rowid in rows:
            bounds = np.frombuffer(low, "<f4"), np.frombuffer(high, "<f4")
            yield Piece(self.kinds[group], n, first, last, *bounds, partial(self._read, rowid))
        none = np.zeros(0, np.float32)
        for group, part in self._newest.get(id, []):
            span = float(part.t.min()), float(part.t.max())
            read = partial(part.rows, slice(None))
            yield Piece(self.kinds[group], len(part.t), *span, none, none, read)

    def _read(self, rowid: int) -> Columns:
        group, *row = self._db.execute(
            "SELECT grp, n, width, body, packed FROM chunks WHERE rowid = ?", (rowid,)
        ).fetchone()
        return decoded(self.kinds[group], *row)

    def newest(self, most: int) -> Iterator[tuple[str, list[Past]]]:
        """Of each stream its newest samples, `most` of them, in order."""
        for key, id in self.streams.items():
            parts: list[Past] = []
            missing = most
            for group, part in chain(reversed(self._newest.get(id, [])), self._back(id)):
                if missing <= 0:
                    break
                parts.insert(0, Past(key, self.kinds[group], part.rows(slice(-missing, None))))
                missing -= len(part.t)
            yield key, parts

    def _back(self, id: int) -> Iterator[tuple[int, Columns]]:
        rows = self._db.execute(
            "SELECT grp, n, width, body, packed FROM chunks WHERE stream = ? ORDER BY first DESC",
            (id,),
        )
        for group, *row in rows:
            yield group, decoded(self.kinds[group], *row)

    def _of_stream(
        self, key: str, id: int, newest: list[tuple[int, Columns]], t0: float, t1: float
    ) -> Iterator[Past]:
        for group, part in chain(_chunks(self._db, self.kinds, id, t0, t1), newest):
            chosen = (part.t >= t0) & (part.t < t1)
            if chosen.any():
                yield Past(key, self.kinds[group], part.rows(chosen))

    @cached_property
    def _newest(self) -> dict[int, list[tuple[int, Columns]]]:
        """What the log has of each stream: group and samples."""
        ids = np.array(sorted(self.streams.values()), np.int32)
        gathered: dict[tuple[int, int], list[Columns]] = {}
        for group, part in log(self._db, self.kinds):
            assert part.ids is not None
            own = part.rows(np.isin(part.ids, ids))
            assert own.ids is not None
            for id in dict.fromkeys(own.ids.tolist()):
                rows = own.rows(own.ids == id)._replace(ids=None)
                gathered.setdefault((id, group), []).append(rows)
        newest: dict[int, list[tuple[int, Columns]]] = {}
        for (id, group), parts in gathered.items():
            newest.setdefault(id, []).append((group, columns.joined(parts)))
        return newest


def _chunks(
    db: sqlite3.Connection, kinds: dict[int, Kind], id: int, t0: float, t1: float
) -> Iterator[tuple[int, Columns]]:
    rows = db.execute(
        "SELECT grp, n, width, body, packed FROM chunks "
        "WHERE stream = ? AND t1 >= ? AND t0 < ? ORDER BY first",
        (id, t0, t1),
    )
    for group, *row in rows:
        yield group, decoded(kinds[group], *row)
