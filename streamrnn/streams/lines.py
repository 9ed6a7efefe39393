"""Lines of CSV or NDJSON as samples; a line that cannot be read is refused by file and number.

CSV: the first line names the columns, unless all its cells are numbers. Between cells is a comma,
semicolon or tab; an empty one is a missing value.
NDJSON: {"t": ..., "temp": 21.5, "load": null}, or the values as "x": [...] or "value": ...
In both a column "stream" names the stream, and times are seconds since 1970 or ISO 8601. Their
column is known by its name, or else by the values of the first sample.
"""

import csv
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec
import numpy as np

from streamrnn.streams.batch import (
    DAY_S,
    Y2K,
    Batch,
    checked_row,
    checked_time,
    event_time,
    made_up,
    names_of,
)
from streamrnn.streams.refused import Refused, shown

STREAM = "stream"
TIMES = ("t", "time", "timestamp", "datetime", "date")  # looked for when nobody names the column
MISSING = ("", "na", "n/a", "nan", "null", "none")
_CALLED = re.compile("time|date", re.IGNORECASE)
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
    ) -> None:
        self.name = name
        self.key = key
        self.time = time
        self.channels = None if channels is None else tuple(channels)
        self.refuse = refuse
        self.number = 0
        self._parse: Parse | None = None
        self._guessed: str | None = ""  # the time column of records by their values; "": not yet
        self._before: Parse | None = None

    def restart(self) -> None:
        """The next line is the first of a file; one without header continues the file before."""
        self.number = 0
        self._guessed = ""
        self._before, self._parse = self._parse, None

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
            except (Refused, UnicodeDecodeError, csv.Error) as error:
                refused = _refused(where, error)
                if self._parse is None:  # without its header the rest means nothing
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
        if text.lstrip().startswith("{"):
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
        time = self.time or time_of(record) or self._guess(record, now)
        t = record.pop(time, None) if time else None
        seconds = None if t is None else checked_time(where, t, now)
        if record.keys() == {"value"}:
            record["x"] = [record["value"]]
        if isinstance(record.get("x"), list):
            expected = self.channels or made_up(len(record["x"]))
            return Row(key, seconds, checked_row(where, record["x"], expected), self.channels)
        if self.channels is not None:
            record = {name: record[name] for name in self.channels if name in record}
        names = self.channels or names_of(where, record)
        return Row(key, seconds, checked_row(where, record, names), names)

    def _guess(self, record: Mapping[str, object], now: float) -> str | None:
        if self._guessed == "":
            self._guessed = time_by_value(record.items(), now)
        return self._guessed


class _Columns:
    """Where in a CSV line to find what."""

    def __init__(
        self, lines: Lines, where: str, names: list[str], named: bool, delimiter: str
    ) -> None:
        self.key = lines.key
        self.names = names
        self.named = named
        self.delimiter = delimiter
        self.stream = names.index(STREAM) if STREAM in names else None
        time = lines.time or time_of(names)
        self.guesses = named and time is None  # by the first line
        wanted = [time] if lines.time else []
        for name in (*wanted, *(lines.channels or ())):
            if name not in names:
                found = ", ".join(names)
                raise Refused("file", where, f"expected a column {name}, got {found}")
        self.time = None if time is None else names.index(time)
        self.channels = lines.channels or tuple(n for n in names if n not in ("", STREAM, time))
        if not self.channels:
            raise Refused("file", where, f"expected columns of values, got {', '.join(names)}")
        self.chosen = lines.channels is not None
        self.columns = [names.index(name) for name in self.channels]

    def row(self, where: str, text: str, now: float) -> Row:
        cells = _cells(text, self.delimiter)
        if len(cells) != len(self.names):
            expected = f"{len(self.names)} cells ({', '.join(self.names)})"
            raise Refused("line", where, f"expected {expected}, got {len(cells)}")
        if self.guesses:
            self._guess(cells, now)
        try:
            x = [float(cells[n] or "nan") for n in self.columns]
        except ValueError:
            x = [_value(where, cells[n], self.names[n]) for n in self.columns]
        t = None if self.time is None else checked_time(where, cells[self.time], now)
        key = self.key if self.stream is None else cells[self.stream].strip()
        values = checked_row(where, x, self.channels)
        return Row(key, t, values, self.channels if self.named else None)

    def _guess(self, cells: Sequence[str], now: float) -> None:
        """Look for the column of times in the first line."""
        self.guesses = False
        time = time_by_value(zip(self.names, cells, strict=True), now)
        left = tuple(name for name in self.channels if name != time)
        if time is None or not left or (self.chosen and left != self.channels):
            return
        self.time, self.channels = self.names.index(time), left
        self.columns = [self.names.index(name) for name in left]


def time_of(names: Collection[str]) -> str | None:
    """Which of the names is the time's: one of TIMES, or else one that is so but for capitals."""
    exact = next((name for name in TIMES if name in names), None)
    if exact is not None:
        return exact
    # T is rather a temperature.
    return next((name for name in names if name != "T" and name.lower() in TIMES), None)


def time_by_value(sample: Iterable[tuple[str, object]], now: float) -> str | None:
    """Which value of a sample, given with their names, is its time: the first that `is_time`.

    >>> time_by_value([("flight", "1545"), ("time_hour", "2013-01-01T10:00:00Z")], now=1.8e9)
    'time_hour'
    """
    return next((name for name, value in sample if is_time(name, value, now)), None)


def is_time(name: str, value: object, now: float) -> bool:
    """Whether it is a date as ISO 8601 has it, or called like a time and in seconds of our days.

    >>> is_time("when", "2013-01-01", 1.8e9), is_time("valid_time", 1357020000, 1.8e9)
    (True, True)
    >>> is_time("uptime", 1200.0, 1.8e9), is_time("serial", 1357020000, 1.8e9)
    (False, False)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    try:
        t = event_time(value)
    except ValueError:
        return False
    if isinstance(value, str) and value.strip()[4:5] == "-":
        return True
    return _CALLED.search(name) is not None and Y2K <= t <= now + DAY_S


def _cells(text: str, delimiter: str) -> list[str]:
    if '"' in text:
        return next(csv.reader([text], delimiter=delimiter))
    return text.split(delimiter)


def _value(where: str, cell: str, channel: str) -> float:
    text = cell.strip()
    if text.lower() in MISSING:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        error = f"channel {channel}: expected a number or nothing where missing, got {shown(cell)}"
        raise Refused("value", where, error) from None


def _refused(where: str, error: Refused | UnicodeDecodeError | csv.Error) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, UnicodeDecodeError):
        return Refused("line", where, f"expected UTF-8 text: {error.reason}")
    return Refused("line", where, f"expected cells of CSV: {error}")


def _is_number(cell: str) -> bool:
    try:
        return cell.lower() not in MISSING and float(cell) is not None
    except ValueError:
        return False
