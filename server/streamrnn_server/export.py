"""Samples and predictions of the past as CSV, NDJSON or Parquet.

stream, t, then every channel, then every output: a column each. What a stream does not have is
empty, as is a missing value. Other programs, `replay` sources and `streamrnn send` read it.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal

from streamrnn_server.history import History, Past

Format = Literal["csv", "ndjson", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "ndjson", "parquet")


class ExportError(Exception):
    """An export that cannot be written; the text says why and what to do."""


def export(
    past: Iterable[Past],
    names: list[str],
    out: IO[bytes],
    format: Format,
    *,
    predictions: bool = True,
) -> int:
    """Write samples; how many. `names` of all columns after stream and t: `names_of`."""
    write: dict[Format, Callable[..., int]] = {
        "csv": _csv,
        "ndjson": _ndjson,
        "parquet": _parquet,
    }
    return write[format](past, names, out, predictions)


def names_of(history: History, *, predictions: bool = True) -> list[str]:
    """Channels and outputs of all groups, in order, each once."""
    channels = [name for kind in history.kinds.values() for name in kind.channels]
    outputs = [f"{output[0]}" for kind in history.kinds.values() for output in kind.outputs]
    return list(dict.fromkeys(channels + outputs * predictions))


def records(past: Past, predictions: bool) -> Iterator[tuple[float, dict[str, float | None]]]:
    """Event time and values by name of each sample; None where one is missing."""
    names = [*past.kind.channels]
    tables = [past.samples.x.tolist()]
    if predictions:
        names += [str(output[0]) for output in past.kind.outputs]
        # Through text: the shortest that float32 needs, 0.1 and not 0.10000000149011612.
        tables.append([[float(str(v)) for v in row] for row in past.samples.y])
    for n, t in enumerate(past.samples.t.tolist()):
        values = [value for table in tables for value in table[n]]
        yield t, dict(zip(names, [None if math.isnan(v) else v for v in values], strict=True))


def _csv(past: Iterable[Past], names: list[str], out: IO[bytes], predictions: bool) -> int:
    lines = csv.writer(_Text(out), lineterminator="\n")
    lines.writerow(["stream", "t", *names])
    count = 0
    for part in past:
        for t, values in records(part, predictions):
            lines.writerow([part.key, repr(t), *(values.get(name) for name in names)])
            count += 1
    return count


def _ndjson(past: Iterable[Past], names: list[str], out: IO[bytes], predictions: bool) -> int:
    count = 0
    for part in past:
        for t, values in records(part, predictions):
            line = json.dumps({"stream": part.key, "t": t} | values, ensure_ascii=False)
            out.write(line.encode() + b"\n")
            count += 1
    return count


def _parquet(past: Iterable[Past], names: list[str], out: IO[bytes], predictions: bool) -> int:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExportError(
            'parquet needs a package more: pip install "streamrnn[parquet]"; or take csv or ndjson'
        ) from None
    fields: list[tuple[str, Any]] = [("stream", pyarrow.string()), ("t", pyarrow.float64())]
    schema = pyarrow.schema(fields + [(name, pyarrow.float64()) for name in names])
    count = 0
    with pyarrow.parquet.ParquetWriter(out, schema) as writer:
        for part in past:
            rows = [
                {"stream": part.key, "t": t} | values for t, values in records(part, predictions)
            ]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))
            count += len(rows)
    return count


class _Text:
    """Bytes to write text to, which stay open."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, text: str) -> None:
        self._out.write(text.encode())


def opened(path: Path | None, standard: IO[bytes]) -> IO[bytes]:
    """The file to write to, or standard output."""
    return standard if path is None else path.open("wb")
