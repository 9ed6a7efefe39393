"""Everything that changed a state, with its predictions, in SQLite: what a crash cannot take back.

    write(commit) ─▶ one transaction: a row of `log` for each batch, new streams, marks

A row of the log holds a batch as column blobs, in order of arrival: 0.06 us a sample, where a row
for each sample would cost 0.9. Compaction (compaction.py) turns rows of the log into `chunks`, each
of one stream, found by stream and time.

All that is written goes through one thread. Samples of a stream are numbered from 0 and for good;
a state is said to be "after n samples". `began` is the number at which a stream's state was new:
0, or where it was reset, or given to another step.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.keys import Keys
from streamrnn.streams.marks import Marks
from streamrnn_server import columns
from streamrnn_server.columns import Columns
from streamrnn_server.database import (
    JournalError,
    locked,
    opened,
    opened_to_read,
    told_if_damaged,
)

if TYPE_CHECKING:
    from streamrnn.streams.commit import Commit
    from streamrnn.streams.groups import Group, Result
    from streamrnn.streams.lateness import Held, Waiting

FILE = "journal.sqlite"
LOCK = "lock"
TURNED = "turned"  # a fact, [row, stream]: see log
CHUNK = 4096  # samples that one has at the most
RESET = "reset"  # an event: somebody put the state of a stream back
WAL_PAGES = 4096  # the write-ahead log is copied into the file when it has so many, at the latest
WAL_BYTES = 1 << 26  # the file that it is in keeps, once it needed more
CHECKPOINT_BYTES = 1 << 20  # of batches, after which `checkpoint` copies it
_PROBE_BYTES = 1 << 16


class Kind(NamedTuple):
    """What the columns of a group's rows mean."""

    channels: tuple[str, ...]
    outputs: tuple[tuple[Any, ...], ...]  # each streamrnn.step.Output


class StreamRecord(NamedTuple):
    id: int
    group: int
    began: int


class Journal:
    """The journal in `folder`, made if there is none. Raises JournalError.

    durability  "process": what is written outlives this process; "power": also the machine's power

    name       of this journal and no other
    group_ids  by identity; kinds  by id; streams  by key; counts (streams,) samples of each;
    marks      by name; last  row of the log; labelled  id of the last label: all as of the last
               commit. To be read while no commit is on its way.
    written    bytes of batches since it was opened
    """

    def __init__(
        self, folder: str | Path, *, durability: Literal["process", "power"] = "process"
    ) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        self._lock = locked(self.folder / LOCK)
        try:
            self._db = opened(self.path)
        except JournalError:
            self._lock.close()
            raise
        try:
            with told_if_damaged(self.path):
                self._begin(durability)
        except JournalError:
            self._db.close()
            self._lock.close()
            raise

    def _begin(self, durability: str) -> None:
        """Read what is known of streams, groups and marks."""
        # In WAL mode NORMAL syncs when the log is copied into the file, FULL at every commit.
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
        self._db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        self._db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        self._last = 0  # row of the log, of the commit that is being written
        self.written = self._checkpointed = 0
        self._thread = ThreadPoolExecutor(1, "journal")
        self.group_ids: dict[str, int] = dict(self._db.execute("SELECT identity, id FROM groups"))
        self.kinds = kinds_of(self._db)
        self.streams = {
            key: StreamRecord(id, group, began)
            for key, id, group, began in self._db.execute(
                "SELECT key, id, grp, began FROM streams ORDER BY id"
            )
        }
        self.marks = Marks()
        self.marks.note(dict(self._db.execute("SELECT name, number FROM marks ORDER BY used")))
        (self.name,) = self._db.execute("SELECT value FROM facts WHERE name = 'name'").fetchone()
        self.counts = self._counted()
        (self.last,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM log").fetchone()
        self.labelled: int = self._db.execute(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'labels'"
        ).fetchone()[0]  # not the last that is there: they are dropped by age

    def close(self) -> None:
        """Write what is on its way and close."""
        self._thread.shutdown()
        self._db.close()
        self._lock.close()

    # --- what happens -----------------------------------------------------------------------------

    def write(self, commit: Commit) -> Future[None]:
        """Make a commit durable. Raises JournalError in the future: then nothing of it is there."""
        return self._thread.submit(self._write, commit)

    def begin_anew(self, keys: Iterable[str], group: Group | None, t: float, what: str) -> None:
        """States of streams are new after the samples there are, from now on perhaps in a group."""
        self._thread.submit(self._begin_anew, tuple(keys), group, t, what).result()

    def probe(self) -> Future[None]:
        """Whether it can be written again. Raises, in the future, what prevents it."""
        return self._thread.submit(self._probe)

    def sync(self) -> Future[None]:
        """Make what was written so far outlive the machine's power, too."""
        return self._thread.submit(self._sync)

    def checkpoint(self) -> None:
        """Copy the write-ahead log into the file, if much has been written; may take a while.

        Commits go on meanwhile. What they have added is copied between two of them, which takes a
        millisecond; left to SQLite, one commit in many would wait a tenth of a second for it all.
        """
        written = self.written
        if written - self._checkpointed < CHECKPOINT_BYTES:
            return
        self._checkpointed = written
        with closing(sqlite3.connect(self.path, timeout=60)) as db:
            _checkpoint(db)
        self._thread.submit(_checkpoint, self._db).result()

    def read(self) -> sqlite3.Connection:
        """A connection that sees what is committed and can write nothing; the caller closes it."""
        return opened_to_read(self.path)

    def in_thread(self, change: Callable[[sqlite3.Connection], object]) -> Future[None]:
        """Let `change(db)` be one transaction, between two commits."""
        return self._thread.submit(self._change, change)

    # --- in the thread ----------------------------------------------------------------------------

    def _write(self, commit: Commit) -> None:
        new: dict[str, StreamRecord] = {}
        groups: dict[str, tuple[int, Kind]] = {}
        added: list[NDArray[np.int32]] = []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for result in commit.results:
                group = self._group(result.group, groups)
                ids = self._ids(result.batch.keys, group, new)
                self._append(result, group, ids)
                added.append(ids)
            self._label(commit, added, new)
            if commit.marks:
                now = time.time()
                marks = [(name, number, now) for name, number in commit.marks.items()]
                self._db.executemany("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", marks)
            self._wait(commit.waiting)
            self._db.execute("COMMIT")
        except BaseException as error:
            self._roll_back(error)
        self.streams |= new
        self.group_ids |= {identity: id for identity, (id, _) in groups.items()}
        self.kinds |= dict(groups.values())
        self.marks.note(commit.marks)
        self.last = self._last
        self.labelled += len(commit.labels)
        self.counts = np.concatenate([self.counts, np.zeros(len(new), np.int64)])
        for ids in added:
            self.counts += np.bincount(ids, minlength=len(self.counts))

    def _append(self, result: Result, group: int, ids: NDArray[np.int32]) -> None:
        batch = result.batch
        assert batch.y is not None
        width = columns.width(batch.x)
        body = columns.encode(Columns(batch.t, batch.x, batch.y, ids), width)
        row = self._db.execute(
            "INSERT INTO log (grp, n, arrived, width, body) VALUES (?, ?, ?, ?, ?)",
            (group, len(ids), batch.arrived, width, body),
        )
        self._last = row.lastrowid or 0
        self.written += len(body)

    def _label(
        self, commit: Commit, added: Sequence[NDArray[np.int32]], new: Mapping[str, StreamRecord]
    ) -> None:
        """What was learned late, each after so many samples of its stream."""
        if not commit.labels:
            return
        counts = np.concatenate([self.counts, np.zeros(len(new), np.int64)])
        rows, counted = [], 0
        for n, (before, label) in enumerate(commit.labels, self.labelled + 1):
            for ids in added[counted:before]:
                counts += np.bincount(ids, minlength=len(counts))
            counted = before
            id = (self.streams.get(label.key) or new[label.key]).id
            rows.append((n, id, int(counts[id]), label.t, label.value))
        self._db.executemany("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", rows)

    def _wait(self, waiting: Waiting) -> None:
        freed = [(held.id,) for held in waiting.freed]
        new = [(held.id, *_held(held)) for held in waiting.new.values()]
        self._db.executemany("DELETE FROM waiting WHERE id = ?", freed)
        self._db.executemany(
            "INSERT INTO waiting (id, key, channels, t, x, arrived) VALUES (?, ?, ?, ?, ?, ?)", new
        )
        self._db.executemany(
            "INSERT INTO late (key, channels, t, x, arrived) VALUES (?, ?, ?, ?, ?)",
            map(_held, waiting.late),
        )

    def _group(self, group: Group, new: dict[str, tuple[int, Kind]]) -> int:
        id = self.group_ids.get(group.identity)
        if id is None and group.identity in new:
            id = new[group.identity][0]
        if id is None:
            id = len(self.kinds) + len(new)
            kind = Kind(group.channels, tuple(map(tuple, group.outputs)))
            texts = (json.dumps(kind.channels), json.dumps(kind.outputs))
            self._db.execute("INSERT INTO groups VALUES (?, ?, ?, ?)", (id, group.identity, *texts))
            new[group.identity] = (id, kind)
        return id

    def _ids(
        self, keys: Sequence[str], group: int, new: dict[str, StreamRecord]
    ) -> NDArray[np.int32]:
        def id_of(key: str) -> int:
            record = self.streams.get(key) or new.get(key)
            if record is None:
                record = new[key] = StreamRecord(len(self.streams) + len(new), group, 0)
                row = (record.id, key, group)
                self._db.execute("INSERT INTO streams (id, key, grp) VALUES (?, ?, ?)", row)
            return record.id

        return Keys.of(keys).each(id_of).astype(np.int32)

    def _begin_anew(self, keys: tuple[str, ...], group: Group | None, t: float, what: str) -> None:
        groups: dict[str, tuple[int, Kind]] = {}
        records = {}
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for key in keys:
                id, before, _ = self.streams[key]
                number = int(self.counts[id])
                into = before if group is None else self._group(group, groups)
                records[key] = StreamRecord(id, into, number)
                self._db.execute(
                    "UPDATE streams SET grp = ?, began = ? WHERE id = ?", (into, number, id)
                )
                self._db.execute("INSERT INTO events VALUES (?, ?, ?, ?)", (id, number, t, what))
            self._db.execute("COMMIT")
        except BaseException as error:
            self._roll_back(error)
        self.streams |= records
        self.group_ids |= {identity: id for identity, (id, _) in groups.items()}
        self.kinds |= dict(groups.values())

    def _change(self, change: Callable[[sqlite3.Connection], object]) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            change(self._db)
            self._db.execute("COMMIT")
        except BaseException as error:
            self._roll_back(error)

    def _probe(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            row = ("probe", "x" * _PROBE_BYTES)
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", row)
            self._db.execute("COMMIT")
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM facts WHERE name = 'probe'")
            self._db.execute("COMMIT")
        except BaseException as error:
            self._roll_back(error)

    def _sync(self) -> None:
        with open(f"{self.path}-wal", "rb") as wal:
            os.fsync(wal.fileno())

    def _roll_back(self, error: BaseException) -> None:
        """Undo the transaction and raise why, in words."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            free = shutil.disk_usage(self.folder).free
            raise JournalError(f"{self.path}: {error}; {free >> 20} MB are free there") from error
        raise error

    def _counted(self) -> NDArray[np.int64]:
        """Samples of each stream (streams,): those that left the log, and those in it."""
        left = self._db.execute("SELECT left_log FROM streams ORDER BY id").fetchall()
        counts = np.array(left, np.int64).reshape(-1)
        for batch in log(self._db, self.kinds):
            counts += np.bincount(batch.ids, minlength=len(counts))
        return counts


def _checkpoint(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _held(held: Held) -> tuple[object, ...]:
    x = np.array(held.x, "<f8").tobytes()
    return held.key, json.dumps(held.group.channels), held.t, x, held.arrived


class Logged(NamedTuple):
    """A row of the log, without what is in chunks already.

    ids    (n,) of which stream each sample is
    read   gives the samples, which costs more than to know whose they are
    """

    seq: int
    group: int
    arrived: float
    length: int  # bytes
    ids: NDArray[np.int32]
    read: Callable[[], Columns]


def log(
    db: sqlite3.Connection,
    kinds: Mapping[int, Kind],
    until: int = sys.maxsize,
    *,
    newest_first: bool = False,
) -> Iterator[Logged]:
    """Batches of the log in order of arrival, those of rows up to `until`."""
    rows = db.execute(
        "SELECT seq, grp, arrived, n, width, body, (SELECT value FROM facts WHERE name = ?) "
        f"FROM log WHERE seq <= ? ORDER BY seq {'DESC' if newest_first else ''}",
        (TURNED, until),
    )
    for seq, group, arrived, n, width, body, turned in rows:
        ids: NDArray[np.int32] = np.frombuffer(body, "<i4", n, len(body) - 4 * n)
        read = partial(decoded, kinds[group], n, width, body)
        last, stream = (0, 0) if turned is None else json.loads(turned)
        if seq <= last:
            left = ids >= stream
            ids, read = ids[left], partial(_rows, read, left)
        yield Logged(seq, group, arrived, len(body), ids, read)


def _rows(read: Callable[[], Columns], chosen: NDArray[np.bool_]) -> Columns:
    return read().rows(chosen)


def chunks(
    db: sqlite3.Connection, kinds: Mapping[int, Kind], stream: int, start: int = 0
) -> Iterator[tuple[int, int, Columns]]:
    """Chunks of a stream in order, from the one on that holds sample `start`: first, group."""
    rows = db.execute(
        "SELECT first, grp, n, width, body, packed FROM chunks "
        "WHERE stream = ? AND first + n > ? ORDER BY first",
        (stream, start),
    )
    for first, group, *row in rows:
        yield first, group, decoded(kinds[group], *row)


def decoded(kind: Kind, n: int, width: int, body: bytes, packed: int = 0) -> Columns:
    decode = columns.unpack if packed else columns.decode
    return decode(body, n, len(kind.channels), len(kind.outputs), width)


def kinds_of(db: sqlite3.Connection) -> dict[int, Kind]:
    """What the groups of a journal are, by their number."""
    return {
        id: Kind(tuple(json.loads(channels)), tuple(map(tuple, json.loads(outputs))))
        for id, channels, outputs in db.execute("SELECT id, channels, outputs FROM groups")
    }
