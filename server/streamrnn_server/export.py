"""Samples and predictions of the past as CSV, NDJSON or Parquet.

stream, t, then every channel, then every output: a column each. What a stream does not have is
empty, as is a missing value. Other programs, `replay` sources and `streamrnn send` read it.

Samples that came too late have no outputs, but a column that says when they arrived.
"""

from __future__ import annotations

import csv
import json
import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from streamrnn_server.history import Past
from streamrnn_server.journal import Kind, kinds_of

Format = Literal["csv", "ndjson", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "ndjson", "parquet")

ROWS = 4096  # that are in memory at once
Record = dict[str, Any]  # what a row has, by column; None where a value is missing


class ExportError(Exception):
    """An export that cannot be written; the text says why and what to do."""


class Names(NamedTuple):
    """Which column holds what; none holds two things.

    own       columns that say whose a row is and when
    channels  the column of each channel
    outputs   the column of each output, by its name and how many of that name its group has before
    """

    own: tuple[str, ...]
    channels: dict[str, str]
    outputs: dict[tuple[str, int], str]

    @property
    def columns(self) -> list[str]:
        return [*self.own, *self.channels.values(), *self.outputs.values()]


def names_of(
    kinds: Iterable[Kind], *, own: tuple[str, ...] = ("stream", "t"), predictions: bool = True
) -> Names:
    """Columns for channels and outputs of all groups, in order, called as they are.

    Where a name is another's already, a channel's is that of `own`, an output's also that of a
    channel, it says what it is:

    >>> names_of([Kind(("temp", "t"), (("temp",), ("score",)))]).columns
    ['stream', 't', 'temp', 't (channel)', 'temp (predicted)', 'score']
    """
    kinds = list(kinds)
    channels = dict.fromkeys(name for kind in kinds for name in kind.channels)
    outputs = dict.fromkeys(output for kind in kinds for output in _outputs(kind))
    # With and without predictions a channel has the same column.
    taken = {*own, *channels, *(name for name, _ in outputs)}

    def column(name: str, clashes: bool, what: str) -> str:
        number = 1
        free = name
        while clashes and free in taken:
            free = f"{name} ({what})" if number == 1 else f"{name} ({what} {number})"
            number += 1
        taken.add(free)
        return free

    return Names(
        own,
        {name: column(name, name in own, "channel") for name in channels},
        {
            (name, before): column(name, before > 0 or name in own or name in channels, "predicted")
            for name, before in outputs
            if predictions
        },
    )


def export(
    parts: Iterable[list[Record]], columns: list[str], out: IO[bytes], format: Format
) -> int:
    """Write rows, some at a time; how many. Columns are those of `names_of`.

    Raises ExportError where a package lacks.
    """
    write: dict[Format, Callable[..., int]] = {
        "csv": _csv,
        "ndjson": _ndjson,
        "parquet": _parquet,
    }
    return write[format](parts, columns, out)


def records(past: Iterable[Past], names: Names) -> Iterator[list[Record]]:
    """The rows of samples, some at a time."""
    for key, kind, samples, _ in past:
        columns = [names.channels[name] for name in kind.channels]
        if names.outputs:
            columns += [names.outputs[output] for output in _outputs(kind)]
        for begin in range(0, len(samples.t), ROWS):
            part = samples.rows(slice(begin, begin + ROWS))
            values = part.x.tolist()
            if names.outputs:
                # Through text: the shortest that float32 needs, 0.1 and not 0.10000000149011612.
                y = [[float(str(v)) for v in row] for row in part.y]
                values = [x + predicted for x, predicted in zip(values, y, strict=True)]
            yield [
                {"stream": key, "t": t} | _named(columns, row)
                for t, row in zip(part.t.tolist(), values, strict=True)
            ]


def late_names(db: sqlite3.Connection) -> Names:
    """The columns of the samples that came too late, which the journal keeps apart."""
    kinds = list(kinds_of(db).values())
    # Of a stream none of whose samples could be used the journal knows no group.
    found = {channels for part in _late_parts(db) for _, _, channels, *_ in part}
    kinds += [Kind(tuple(json.loads(channels)), ()) for channels in sorted(found)]
    return names_of(kinds, own=("stream", "t", "arrived"), predictions=False)


def late(
    db: sqlite3.Connection, names: Names, t0: float, t1: float, patterns: Sequence[str] = ()
) -> Iterator[list[Record]]:
    """Those with t0 <= t < t1, of streams that match a pattern, or of all, as they came."""
    for part in _late_parts(db):
        rows = [
            {"stream": key, "t": t, "arrived": arrived}
            | _named(
                [names.channels[name] for name in json.loads(channels)],
                np.frombuffer(x, "<f8").tolist(),
            )
            for _, key, channels, t, x, arrived in part
            if t0 <= t < t1 and any(fnmatchcase(key, pattern) for pattern in patterns or ("*",))
        ]
        if rows:
            yield rows


def _late_parts(db: sqlite3.Connection) -> Iterator[list[Any]]:
    """Those that there are now, some at a time.

    Each is a read of its own, since while one lasts the server's write-ahead log grows. They need
    not be of one moment: nobody changes a sample that came too late, it is only dropped some day.
    """
    (last,) = db.execute("SELECT coalesce(max(rowid), 0) FROM late").fetchone()
    query = (
        "SELECT rowid, key, channels, t, x, arrived FROM late "
        "WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?"
    )
    done = 0
    while part := db.execute(query, (done, last, ROWS)).fetchall():
        yield part
        done = part[-1][0]


def _named(columns: list[str], values: list[float]) -> Record:
    return dict(zip(columns, [None if math.isnan(v) else v for v in values], strict=True))


def _outputs(kind: Kind) -> Iterator[tuple[str, int]]:
    """The name of each output, and how many of that name come before it."""
    before = Counter[str]()
    for name in (str(output[0]) for output in kind.outputs):
        yield name, before[name]
        before[name] += 1


def _csv(parts: Iterable[list[Record]], columns: list[str], out: IO[bytes]) -> int:
    lines = csv.writer(_Text(out), lineterminator="\n")
    lines.writerow(columns)
    count = 0
    for part in parts:
        lines.writerows([row.get(column) for column in columns] for row in part)
        count += len(part)
    return count


def _ndjson(parts: Iterable[list[Record]], columns: list[str], out: IO[bytes]) -> int:
    count = 0
    for part in parts:
        for row in part:
            out.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        count += len(part)
    return count


def _parquet(parts: Iterable[list[Record]], columns: list[str], out: IO[bytes]) -> int:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExportError(
            'parquet needs a package more: pip install "streamrnn[parquet]"; or take csv or ndjson'
        ) from None
    types = [pyarrow.string() if name == "stream" else pyarrow.float64() for name in columns]
    schema = pyarrow.schema(list(zip(columns, types, strict=True)))
    count = 0
    with pyarrow.parquet.ParquetWriter(out, schema) as writer:
        for part in parts:
            writer.write_table(pyarrow.Table.from_pylist(part, schema))
            count += len(part)
    return count


class _Text:
    """Bytes to write text to, which stay open."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, text: str) -> None:
        self._out.write(text.encode())
