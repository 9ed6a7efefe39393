"""From the log to chunks, and from chunks to nothing: what happens to samples as they age.

The log is in order of arrival, many streams in a row: quick to write. A chunk is of one stream, up
to CHUNK samples in a row: quick to find, and smaller. What the log holds is turned over bit by bit
by a thread of its own; the journal's thread has only to insert what that one has made: MOVED
streams at a time, since no commit gets through meanwhile.

Each row that SQLite gives or takes lets go of the interpreter, and the thread that is busy with
what comes in gives it back only after 5 ms. So statements here are for many rows at once.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from operator import itemgetter
from threading import Event
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.streams.marks import MOST, SENDER
from streamrnn_server import columns
from streamrnn_server.columns import Columns
from streamrnn_server.journal import CHUNK, TURNED, Journal, Kind, Logged, decoded, log

PART_BYTES = 12 << 20  # of the log that are turned over together
MOVED = 32  # streams of them in one transaction
LEFT_BYTES = 1 << 20  # of rows that leave the log in one
RESTED_S = 1e-3  # the shortest rest
PACKED = 512  # a chunk of fewer samples is about to grow, and not packed before
DROPPED = 8  # chunks that are deleted in one
LABELS = 1000  # that are deleted in one, or events
FREED = 128  # pages that are given back to the disk in one
SPARE = 1024  # free pages that are kept beside a quarter of all: some will be used again soon

Change = Callable[[sqlite3.Connection], None]

_COLUMNS = "stream, first, grp, n, arrived, t0, t1, width, packed, low, high, body"
_VALUES = f"({', '.join('?' * len(_COLUMNS.split()))})"

_DELETE = "DELETE FROM {} WHERE rowid IN (SELECT value FROM json_each(?))"

# Of some streams: how many of their samples left the log, and their last chunks.
_ENDS = """
SELECT json_group_array(json_array(id, left_log, json((
    SELECT json_group_array(json_array(first, chunk, grp, n, width, packed)) FROM (
        SELECT first, chunks.rowid AS chunk, grp, n, width, packed FROM chunks
        WHERE stream = streams.id ORDER BY first DESC LIMIT ?)))))
FROM streams WHERE id IN (SELECT value FROM json_each(?))
"""

_LEFT_LOG = """
UPDATE streams SET left_log = {} json_extract(moved.value, '$[1]') FROM json_each(?) AS moved
WHERE streams.id = json_extract(moved.value, '$[0]')
"""

# What was before the oldest sample of its stream that is still there.
_FORGOTTEN = """
SELECT rowid FROM {0} WHERE number < coalesce(
    (SELECT min(first) FROM chunks WHERE chunks.stream = {0}.stream),
    (SELECT left_log FROM streams WHERE streams.id = {0}.stream))
"""

_OLDEST_LATE = (
    "SELECT rowid, length(key) + length(channels) + length(x) + 32 FROM late ORDER BY rowid LIMIT ?"
)

# The names of all but the newest so many of a kind.
_SILENT = "SELECT name FROM marks WHERE {} ORDER BY used DESC LIMIT -1 OFFSET {}"
_KINDS = {
    SENDER: f"name GLOB '{SENDER}*'",
    "topic": "name GLOB 'mqtt * id *' OR name GLOB 'mqtt * kept *'",
}


class Part(NamedTuple):
    """Some rows of the log: number and bytes of each, and what they hold, in order of streams."""

    rows: list[tuple[int, int]]
    streams: list[Moving]


class Moving(NamedTuple):
    """What a part of the log holds of a stream."""

    stream: int
    group: int
    arrived: float
    samples: Columns


class Oldest(NamedTuple):
    """Rows of the log up to `last`: bytes, and samples by stream."""

    last: int
    size: int
    samples: Mapping[int, int]


class End(NamedTuple):
    """Where the next samples of a stream go, and its last chunks from the newest back, each as
    first, rowid, group, n, width, packed.
    """

    first: int
    chunks: list[list[int]]


class Moved(NamedTuple):
    """The same as rows of `chunks`, those they replace, and where they end."""

    stream: int
    chunks: list[tuple[object, ...]]
    replaced: list[int]
    end: int


def turn(
    journal: Journal,
    boundary: int,
    stop: Event,
    between: Callable[[], Iterable[Change]] = lambda: (),
) -> Iterator[Change]:
    """What moves the log, up to row `boundary`, to chunks: one after the other, each takes
    milliseconds, and after each the journal is whole. `between` its parts, what else is to be done.

    Reads only; may run in any thread. Once `stop` is set it gives up: the log still holds it all.
    """
    with closing(journal.read()) as db:
        parts = 0
        while (part := _part(db, journal.kinds, boundary)).rows:
            parts += 1
            last = part.rows[-1][0]
            begin = time.perf_counter()
            for at in range(0, len(part.streams), MOVED):
                some = part.streams[at : at + MOVED]
                ends = _ends(db, [moving.stream for moving in some])
                moved = []
                for moving in some:
                    # As much rest as work: else it would keep the interpreter from what comes in.
                    # Less the more there is, or the log would grow faster than it is turned over.
                    worked = time.perf_counter() - begin
                    if worked >= RESTED_S:
                        stop.wait(worked / parts)
                        begin = time.perf_counter()
                    if stop.is_set():
                        return
                    kind, end = journal.kinds[moving.group], ends[moving.stream]
                    moved.append(_moved(db, kind, moving, end))
                yield partial(_move, moved, last)
                begin = time.perf_counter()
            size = 0
            for seq, length in part.rows:
                size += length
                if size >= LEFT_BYTES or seq == last:
                    size = 0
                    yield partial(_leave, seq, seq == last)
            yield from between()


def drop(journal: Journal, boundary: int, limit: float, keep_bytes: float) -> Iterator[Change]:
    """What deletes chunks that arrived before `limit`, and the oldest as long as all is too large,
    with what is known of them; then gives free pages back to the disk. As `turn`, one by one.

    Of the log, up to row `boundary`, what is too large goes too, once there are no more chunks:
    more may come for long than can be turned over.
    """
    with closing(journal.read()) as db:
        excess, dropped = used_bytes(db) - keep_bytes, 0
        while excess > dropped and (rows := db.execute(_OLDEST_LATE, (LABELS,)).fetchall()):
            dropped += sum(size for _, size in rows)  # they are of no use to any stream
            yield partial(_delete, "late", [rowid for rowid, _ in rows])
        while gone := _oldest(db, limit, excess - dropped):
            dropped += sum(length for _, length in gone)
            yield partial(_delete, "chunks", [rowid for rowid, _ in gone])
        while excess > dropped and (size := (oldest := _oldest_of_log(db, journal, boundary)).size):
            dropped += size
            yield partial(_drop_log, oldest)
        for table in ("labels", "events") if dropped else ():
            rowids = [rowid for (rowid,) in db.execute(_FORGOTTEN.format(table))]
            for at in range(0, len(rowids), LABELS):
                yield partial(_delete, table, rowids[at : at + LABELS])
        late = db.execute("SELECT 1 FROM late WHERE arrived < ? LIMIT 1", (limit,)).fetchone()
        if late or any(db.execute(names).fetchone() for names in _silent()):
            yield partial(_forget, limit)
        while _has_spare_pages(db):
            yield _give_back


def _oldest(db: sqlite3.Connection, limit: float, excess: float) -> list[tuple[int, int]]:
    """The next chunks to delete, with their bytes."""
    oldest = db.execute(
        "SELECT rowid, length(body), arrived FROM chunks ORDER BY arrived LIMIT ?", (DROPPED,)
    )
    gone: list[tuple[int, int]] = []
    for rowid, length, arrived in oldest.fetchall():
        if arrived >= limit and excess <= 0:
            break
        gone.append((rowid, length))
        excess -= length
    return gone


def _oldest_of_log(db: sqlite3.Connection, journal: Journal, boundary: int) -> Oldest:
    """The first rows of the log, of LEFT_BYTES or a little more."""
    last = size = 0
    counts = Counter[int]()
    if _turned(db) is None:  # else some of their samples are chunks
        for batch in log(db, journal.kinds, boundary):
            counts.update(batch.ids.tolist())
            last, size = batch.seq, size + batch.length
            if size >= LEFT_BYTES:
                break
    return Oldest(last, size, counts)


def _drop_log(oldest: Oldest, db: sqlite3.Connection) -> None:
    counts = list(oldest.samples.items())
    db.execute(_LEFT_LOG.format("left_log +"), (json.dumps(counts),))
    db.execute("DELETE FROM log WHERE seq <= ?", (oldest.last,))


def _delete(table: str, rowids: list[int], db: sqlite3.Connection) -> None:
    db.execute(_DELETE.format(table), (json.dumps(rowids),))


def _forget(limit: float, db: sqlite3.Connection) -> None:
    """Samples that came too late, before `limit`, and who has been silent for long."""
    db.execute("DELETE FROM late WHERE arrived < ?", (limit,))
    for names in _silent():
        db.execute(f"DELETE FROM marks WHERE name IN ({names})")


def _silent() -> Iterator[str]:
    return (_SILENT.format(_KINDS[kind], most) for kind, most in MOST.items())


def _has_spare_pages(db: sqlite3.Connection) -> bool:
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    return bool(free >= SPARE + pages // 4)


def _give_back(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA incremental_vacuum({FREED})").fetchall()


def used_bytes(db: sqlite3.Connection) -> int:
    """What the journal needs on the disk, without pages that are free."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _part(db: sqlite3.Connection, kinds: Mapping[int, Kind], boundary: int) -> Part:
    """The oldest rows of the log, or those with which an earlier turn did not come to its end."""
    most: float = PART_BYTES
    if (turned := _turned(db)) is not None:
        boundary, most = turned, math.inf
    rows: list[tuple[int, int]] = []
    size = 0
    by_group: dict[int, list[Logged]] = {}
    (streams,) = db.execute("SELECT count(*) FROM streams").fetchone()
    group_of = np.full(streams, -1)
    for batch in log(db, kinds, boundary):
        before = group_of[batch.ids]
        if ((before != batch.group) & (before >= 0)).any():
            break  # here streams came to another group: that is for the next part, in order
        group_of[batch.ids] = batch.group
        rows.append((batch.seq, batch.length))
        if len(batch.ids):
            by_group.setdefault(batch.group, []).append(batch)
        size += batch.length
        if size >= most:
            break
    moving = []
    for group, batches in by_group.items():
        arrived = max(batch.arrived for batch in batches)
        joined = columns.joined([batch.read() for batch in batches])
        assert joined.ids is not None
        for id, own in columns.by_stream(joined.ids):
            moving.append(Moving(id, group, arrived, joined.rows(own)._replace(ids=None)))
    return Part(rows, sorted(moving, key=itemgetter(0)))


def _ends(db: sqlite3.Connection, streams: list[int]) -> dict[int, End]:
    # A chunk that is joined is no larger than all after it: there are no more of them than this.
    asked = (CHUNK.bit_length(), json.dumps(streams))
    (ends,) = db.execute(_ENDS, asked).fetchone()
    return {id: End(left, sorted(last, reverse=True)) for id, left, last in json.loads(ends)}


def _turned(db: sqlite3.Connection) -> int | None:
    """The row up to which a part of the log is turned over, if that has not come to its end."""
    turned = db.execute("SELECT value FROM facts WHERE name = ?", (TURNED,)).fetchone()
    return None if turned is None else int(json.loads(turned[0])[0])


def _moved(db: sqlite3.Connection, kind: Kind, moving: Moving, end: End) -> Moved:
    stream, group, arrived, own = moving
    first, replaced, old = _small_end(db, kind, group, len(own.t), end)
    own = columns.joined([*old, own])
    chunks = _chunks(stream, group, first, arrived, own)
    return Moved(stream, chunks, replaced, first + len(own.t))


def _move(moved: list[Moved], last: int, db: sqlite3.Connection) -> None:
    """Samples of these streams, in rows up to `last`, are in chunks and no more in the log."""
    _delete("chunks", [rowid for m in moved for rowid in m.replaced], db)
    chunks = [chunk for m in moved for chunk in m.chunks]
    for at in range(0, len(chunks), MOVED):
        some = chunks[at : at + MOVED]
        values = ", ".join([_VALUES] * len(some))
        db.execute(f"INSERT INTO chunks ({_COLUMNS}) VALUES {values}", sum(some, ()))
    db.execute(_LEFT_LOG.format(""), (json.dumps([(m.stream, m.end) for m in moved]),))
    turned = json.dumps([last, moved[-1].stream + 1])
    db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (TURNED, turned))


def _leave(last: int, whole: bool, db: sqlite3.Connection) -> None:
    """Rows up to `last`, of which everything is in chunks, leave the log; `whole`: all of them."""
    db.execute("DELETE FROM log WHERE seq <= ?", (last,))
    if whole:
        db.execute("DELETE FROM facts WHERE name = ?", (TURNED,))


def _small_end(
    db: sqlite3.Connection, kind: Kind, group: int, more: int, end: End
) -> tuple[int, list[int], list[Columns]]:
    """Where `more` samples of a stream go, and its last chunks that should join them, in order.

    A chunk is joined by as many as it has, or more, those that join it included: so a sample is
    moved only as often as its chunk doubles, and chunks grow however few samples come at once.
    """
    start = end.first
    rowids, joining = [], []
    for first, rowid, own, n, width, packed in end.chunks:
        if own != group or n > more or n + more > CHUNK or first + n != start:
            break
        (body,) = db.execute("SELECT body FROM chunks WHERE rowid = ?", (rowid,)).fetchone()
        joining.append(decoded(kind, n, width, body, packed))
        rowids.append(rowid)
        start, more = first, more + n
    return start, rowids, joining[::-1]


def _chunks(
    stream: int, group: int, first: int, arrived: float, own: Columns
) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for start in range(0, len(own.t), CHUNK):
        part = own.rows(slice(start, start + CHUNK))
        n, width = len(part.t), columns.width(part.x)
        packed = n >= PACKED
        body = columns.pack(part, width) if packed else columns.encode(part, width)
        values = np.concatenate([part.x.astype(np.float32), part.y], axis=1)
        low, high = _least(values), -_least(-values)
        span = (float(part.t.min()), float(part.t.max()))
        about = (stream, first + start, group, n, arrived, *span, width, packed)
        rows.append((*about, low.tobytes(), high.tobytes(), body))
    return rows


def _least(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The smallest of each column, NaN where all are missing."""
    least: NDArray[np.float32] = np.fmin.reduce(values, axis=0)
    return least
