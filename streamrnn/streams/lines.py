"""Lines of CSV or NDJSON as samples; a line that cannot be read is refused by file and number.

CSV: the first line names the columns, unless all its cells are numbers. Between cells is a comma,
semicolon or tab; an empty one is a missing value.
NDJSON: {"t": ..., "temp": 21.5, "load": null}, or the values as "x": [...] or "value": ...
In both a column "stream" names the stream, and times are seconds since 1970 or ISO 8601. Their
column is known by its name, or else by values (times.py).
"""

import csv
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
import numpy as np

from streamrnn.streams.batch import DAY_S, Batch, checked_row, checked_time, made_up, names_of
from streamrnn.streams.refused import Refused, shown
from streamrnn.streams.times import (
    MISSING,
    TimeByValue,
    is_missing,
    is_time,
    time_by_value,
    time_of,
    to_say,
)

STREAM = "stream"
_QUOTED = re.compile(r'"[^"]*"')

Parse = Callable[[str, str, float], "Row"]  # where, line, now


class Row(NamedTuple):
    key: str
    t: float | None  # None: the moment it is read
    x: Sequence[float]
    channels: tuple[str, ...] | None  # None: the file has no names for them


def batches(rows: Sequence[Row]) -> Iterator[Batch]:
    """Rows as batches, in order; a new one begins where the channels change."""
    arrived = time.time()
    for (channels, _), same in groupby(rows, lambda row: (row.channels, len(row.x))):
        part = list(same)
        yield Batch(
            [row.key for row in part],
            np.array([arrived if row.t is None else row.t for row in part]),
            np.array([row.x for row in part]),
            arrived=arrived,
            channels=channels,
        )


class Lines:
    """Reads the lines of a file.

    name      what errors call the file
    key       the stream of lines that name none
    time      the time column; None: one of TIMES, or Time and so on, if it is there, else one that
              holds dates, or is called like a time and holds seconds of our days; else none
    channels  the columns to read, in order; None: all with a name but time and stream
    refuse    is told what is wrong with a line
    future_s  a line whose time is so far ahead of now is refused

    >>> lines = Lines("pump.csv", "pump", refuse=print)
    >>> list(lines.rows([b"t,temp,load", b"10,21.5,", b"20,hot,1"]))
    pump.csv:3: channel temp: expected a number or nothing where missing, got 'hot'
    [Row(key='pump', t=10.0, x=[21.5, nan], channels=('temp', 'load'))]
    """

    def __init__(
        self,
        name: str,
        key: str,
        *,
        time: str | None = None,
        channels: Sequence[str] | None = None,
        refuse: Callable[[Refused], object],
        future_s: float = DAY_S,
    ) -> None:
        self.name = name
        self.key = key
        self.time = time
        self.channels = None if channels is None else tuple(channels)
        self.refuse = refuse
        self.future_s = future_s
        self.number = 0
        self._parse: Parse | None = None
        self._times = TimeByValue(channels or ())  # of records
        self._before: Parse | None = None

    @property
    def begun(self) -> bool:
        """Whether it is known how to read the file."""
        return self._parse is not None

    def restart(self) -> None:
        """The next line is the first of a file; one without header continues the file before."""
        self.number = 0
        self._times = TimeByValue(self.channels or ())
        self._before, self._parse = self._parse or self._before, None

    def rows(self, lines: Iterable[bytes]) -> Iterator[Row]:
        """The samples of the next lines. Raises Refused for a header that does not fit."""
        now = time.time()
        for line in lines:
            self.number += 1
            where = f"{self.name}:{self.number}"
            try:
                text = line.decode().strip("\r\n\ufeff")
                if not text or text.isspace():
                    continue
                if self._parse is None and not self._first(where, text, now):
                    continue
                assert self._parse is not None
                row = self._parse(where, text, now)
            except (Refused, UnicodeDecodeError, csv.Error, RecursionError) as error:
                refused = _refused(where, error)
                if self._parse is None and self._before != self._json:
                    # Without its header the rest means nothing.
                    raise refused from None
                self.refuse(refused)
            else:
                yield row

    def _first(self, where: str, text: str, now: float) -> bool:
        """Decide by the first line how to read the file; whether that line is a sample itself."""
        if self._before is not None:
            try:
                self._before(where, text, now)
            except Refused:
                pass
            else:
                self._parse = self._before
                return True
        # After a file of records comes another one, even if its first line is damaged.
        if text.lstrip().startswith("{") or self._before == self._json:
            self._parse = self._json
            return True
        delimiter = max(",;\t", key=_QUOTED.sub("", text).count)
        cells = [cell.strip() for cell in _cells(text, delimiter)]
        headless = all(_is_number(cell) for cell in cells)
        names = list(self.channels or made_up(len(cells))) if headless else cells
        if len(set(names)) != len(names):
            raise Refused("file", where, f"expected columns with different names, got {text}")
        named = not headless or self.channels is not None
        self._parse = _Columns(self, where, names, named, delimiter).row
        return headless

    def _json(self, where: str, text: str, now: float) -> Row:
        try:
            record = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:  # the latter: nested without end
            raise Refused("json", where, f"expected one JSON object: {error}") from None
        if not isinstance(record, dict):
            raise Refused("json", where, f"expected a JSON object, got {shown(record)}")
        key = record.pop(STREAM, self.key)
        if not isinstance(key, str):
            raise Refused("stream", where, f"expected a stream's name as text, got {shown(key)}")
        time = self.time or time_of(record)
        seconds: float | None = None
        if time is None:
            self._times.judge(where, record, now)
            time = self._times.name
            t = record.pop(time, None) if time else None
            seconds = None if t is None else self._times.seconds(where, t, now, self.future_s)
        elif (t := record.pop(time, None)) is not None:
            seconds = checked_time(where, t, now, self.future_s)
        if record.keys() == {"value"}:
            record["x"] = [record["value"]]
        if isinstance(record.get("x"), list):
            expected = self.channels or made_up(len(record["x"]))
            return Row(key, seconds, checked_row(where, record["x"], expected), self.channels)
        if self.channels is not None:
            record = {name: record[name] for name in self.channels if name in record}
        names = self.channels or names_of(where, record)
        return Row(key, seconds, _values(where, record, names, now), names)


class _Columns:
    """Where in a CSV line to find what."""

    def __init__(
        self, lines: Lines, where: str, names: list[str], named: bool, delimiter: str
    ) -> None:
        self.key = lines.key
        self.future_s = lines.future_s
        self.names = names
        self.named = named
        self.delimiter = delimiter
        self.stream = names.index(STREAM) if STREAM in names else None
        time = lines.time or time_of(names)
        self.times = TimeByValue(lines.channels or ()) if named and time is None else None
        wanted = [time] if lines.time else []
        for name in (*wanted, *(lines.channels or ())):
            if name not in names:
                found = ", ".join(names)
                raise Refused("file", where, f"expected a column {name}, got {found}")
        self.time = None if time is None else names.index(time)
        self.channels = lines.channels or tuple(n for n in names if n not in ("", STREAM, time))
        if not self.channels:
            raise Refused("file", where, f"expected columns of values, got {', '.join(names)}")
        self._judged = False  # all columns, whether they hold the times
        self.columns = [names.index(name) for name in self.channels]

    def row(self, where: str, text: str, now: float) -> Row:
        cells = _cells(text, self.delimiter)
        if len(cells) != len(self.names):
            expected = f"{len(self.names)} cells ({', '.join(self.names)})"
            raise Refused("line", where, f"expected {expected}, got {len(cells)}")
        if self.times is not None and not self._judged:
            self._judge(where, cells, now)
        try:
            x = [float(cells[n] or "nan") for n in self.columns]
        except ValueError:
            x = [_value(where, cells[n], self.names[n], now) for n in self.columns]
        t = None
        if self.time is not None:
            seconds = checked_time if self.times is None else self.times.seconds
            t = seconds(where, cells[self.time], now, self.future_s)
        key = self.key if self.stream is None else cells[self.stream].strip()
        values = checked_row(where, x, self.channels)
        return Row(key, t, values, self.channels if self.named else None)

    def _judge(self, where: str, cells: Sequence[str], now: float) -> None:
        """Look for the column of times."""
        assert self.times is not None
        named = zip(self.names, cells, strict=True)
        sample = {name: cell for name, cell in named if name not in ("", STREAM)}
        self.times.judge(where, sample, now)
        self._judged = self.times.settled
        if self.times.name is not None:
            self.time = self.names.index(self.times.name)
            self.channels = tuple(name for name in self.channels if name != self.times.name)
            self.columns = [self.names.index(name) for name in self.channels]


def _cells(text: str, delimiter: str) -> list[str]:
    if '"' in text:
        return next(csv.reader([text], delimiter=delimiter))
    return text.split(delimiter)


def _value(where: str, cell: str, channel: str, now: float) -> float:
    text = cell.strip()
    if is_missing(text):
        return float("nan")
    try:
        return float(text)
    except ValueError:
        error = f"channel {channel}: expected a number or nothing where missing, got {shown(cell)}"
        hint = f"; {to_say(channel)}" if is_time(channel, cell, now) else ""
        raise Refused("value", where, error + hint) from None


def _values(
    where: str, record: Mapping[str, Any], names: tuple[str, ...], now: float
) -> Sequence[float]:
    """Those of a record in the order of `names`."""
    try:
        return checked_row(where, record, names)
    except Refused as refused:
        name = time_by_value(record.items(), now) if refused.kind == "value" else None
        if name is None:
            raise
        error = str(refused).removeprefix(f"{where}: ")
        raise Refused("value", where, f"{error}; {to_say(name)}") from None


def _refused(
    where: str, error: Refused | UnicodeDecodeError | csv.Error | RecursionError
) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, RecursionError):  # of what looks into a value
        return Refused("json", where, "expected one JSON object, got one that is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return Refused("line", where, f"expected UTF-8 text: {error.reason}")
    return Refused("line", where, f"expected cells of CSV: {error}")


def _is_number(cell: str) -> bool:
    try:
        return cell.lower() not in MISSING and float(cell) is not None
    except ValueError:
        return False
