"""A whole recording at once: rows on the grid of their interval, and what was amiss with them.

>>> path = getfixture("tmp_path") / "pump.csv"
>>> size = path.write_text("t,temp\\n0,20\\n60,\\n60,21\\n120,\\n300,22\\n", "utf-8")
>>> table = read(path)
>>> table.at.tolist(), table.x.tolist(), table.lacking, table.duplicates
([0, 1, 2, 5], [[20.0], [21.0], [nan], [22.0]], 2, 1)
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamrnn.streams.batch import made_up
from streamrnn.streams.lines import Lines, Row
from streamrnn.streams.refused import Refused

Array = NDArray[np.float64]
ENDINGS = (".csv", ".tsv", ".txt", ".ndjson", ".jsonl", ".parquet")
PART = 1 << 16  # bytes that are read at a time
FAR = 0.1  # of an interval: a row so far from where the grid has it is irregular


class Table(NamedTuple):
    """A recording, oldest first.

    channels   names of the columns of x
    t (T,)     seconds since 1970, None: the file has no times
    at (T,)    which row of the grid each is; lacking rows leave numbers out
    x (T, C)   NaN: missing
    interval   seconds between rows, NaN without times
    lacking    rows that the times say never came, in `gaps` places, the longest of `longest` rows
    irregular  rows that are not near their place on the grid
    duplicates rows left out as a later one has the same time
    unordered  times that go back from one line to the next; rows were put in order
    refused    lines that could not be read; `example` says why of the first of them
    """

    channels: tuple[str, ...]
    t: Array | None
    at: NDArray[np.int64]
    x: Array
    interval: float
    lacking: int
    gaps: int
    longest: int
    irregular: int
    duplicates: int
    unordered: int
    refused: int
    example: str


def read(
    path: Path,
    *,
    time: str | None = None,
    channels: Sequence[str] | None = None,
    stream: str | None = None,
    progress: Callable[[float], object] = lambda share: None,
) -> Table:
    """The recording in a file of CSV, NDJSON (lines.py) or Parquet, told by its name's ending.

    time      the column of times; None: as a replay finds it
    channels  the columns to read; None: all but those of times and streams
    stream    whose rows, where the file is of several
    progress  is called with the share that has been read

    Raises Refused for a file that is no recording, OSError for one that cannot be opened.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise Refused("file", str(path), f"ends in {ending!r}, expected {', '.join(ENDINGS)}")
    refused: list[Refused] = []
    lines = Lines(str(path), "", time=time, channels=channels, refuse=refused.append)
    texts = _parquet(path) if ending == ".parquet" else parts(path)
    rows: list[Row] = []
    for share, part in texts:
        rows += lines.rows(part)
        progress(share)
    if not rows:
        error = "expected rows, found none that can be read"
        raise Refused("file", str(path), error + (f": {refused[0]}" if refused else ""))
    return _table(_of(rows, stream, str(path)), refused)


def parts(path: Path) -> Iterator[tuple[float, list[bytes]]]:
    """The lines of a file, some at a time, with the share of it that has been read then."""
    size = max(path.stat().st_size, 1)
    with path.open("rb") as file:
        while part := file.readlines(PART):
            yield file.tell() / size, part


def _parquet(path: Path) -> Iterator[tuple[float, list[bytes]]]:
    """Its rows as lines of JSON, so that all kinds of files are read by the same rules."""
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError:
        error = 'Parquet needs a package more: pip install "streamrnn[parquet]"'
        raise Refused("file", str(path), error) from None
    try:
        with parquet.ParquetFile(path) as file:
            count, size = 0, max(file.metadata.num_rows, 1)
            for batch in file.iter_batches():
                count += batch.num_rows
                # enc_hook: times finer than microseconds come as another class
                yield (
                    count / size,
                    [msgspec.json.encode(row, enc_hook=str) for row in batch.to_pylist()],
                )
    except ArrowInvalid as error:
        raise Refused("file", str(path), f"expected Parquet: {error}") from None


def _of(rows: list[Row], stream: str | None, path: str) -> list[Row]:
    """Those of one stream."""
    streams = list(dict.fromkeys(row.key for row in rows))
    names = ", ".join(streams[:8]) + (", ..." if len(streams) > 8 else "")
    if stream is None and len(streams) > 1:
        raise Refused("file", path, f"has {len(streams)} streams, choose one of {names}")
    if stream is not None and stream not in streams:
        raise Refused("file", path, f"has no stream {stream}, expected one of {names}")
    return [row for row in rows if stream is None or row.key == stream]


def _table(rows: list[Row], refused: list[Refused]) -> Table:
    named = [(row.channels or made_up(len(row.x)), row) for row in rows]
    channels = tuple(dict.fromkeys(name for names, _ in named for name in names))
    x = np.full((len(rows), len(channels)), np.nan)
    n = 0
    for names, same in groupby(named, lambda one: one[0]):
        part = np.array([row.x for _, row in same])
        x[n : n + len(part), [channels.index(name) for name in names]] = part
        n += len(part)
    times = np.array([np.nan if row.t is None else row.t for row in rows])
    example = str(refused[0]) if refused else ""
    if np.isnan(times).all():
        at = np.arange(len(x))
        return Table(channels, None, at, x, np.nan, 0, 0, 0, 0, 0, 0, len(refused), example)
    known = np.flatnonzero(~np.isnan(times))  # lines without a time have no place among the others
    unordered = int((np.diff(times[known]) < 0).sum())
    order = known[np.argsort(times[known], kind="stable")]
    t = times[order]
    last = np.append(np.diff(t) > 0, True)  # of rows of one time the last counts
    t, x = t[last], x[order][last]
    passed = np.diff(t)
    interval = float(np.median(passed)) if len(passed) else np.nan
    steps = np.maximum(np.round(passed / interval), 1).astype(np.int64)
    return Table(
        channels,
        t,
        np.append(0, np.cumsum(steps)),
        x,
        interval,
        lacking=int((steps - 1).sum()),
        gaps=int((steps > 1).sum()),
        longest=int((steps - 1).max(initial=0)),
        irregular=int((np.abs(passed / interval - steps) > FAR).sum()),
        duplicates=int((~last).sum()),
        unordered=unordered,
        refused=len(refused) + len(rows) - len(known),
        example=example,
    )
