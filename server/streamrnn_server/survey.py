"""What came while one watched: streams, their channels with ranges and rates, and where from."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from streamrnn.streams.batch import DAY_S, event_time
from streamrnn.streams.times import TIMES, is_time
from streamrnn.streams.topics import numbers

# What the end of a channel's name says of its unit; a name like "temperature" does not say it.
UNITS = {
    "c": "°C", "degc": "°C", "celsius": "°C", "f": "°F", "degf": "°F", "fahrenheit": "°F",
    "w": "W", "watt": "W", "watts": "W", "kw": "kW", "mw": "MW", "wh": "Wh", "kwh": "kWh",
    "v": "V", "volt": "V", "volts": "V", "mv": "mV", "a": "A", "amp": "A", "amps": "A", "ma": "mA",
    "hz": "Hz", "khz": "kHz", "rpm": "rpm", "pa": "Pa", "hpa": "hPa", "kpa": "kPa", "bar": "bar",
    "mbar": "mbar", "psi": "psi", "percent": "%", "pct": "%", "ppm": "ppm", "lux": "lx",
    "mm": "mm", "cm": "cm", "km": "km", "kg": "kg", "ms": "ms", "db": "dB", "dbm": "dBm",
}  # fmt: skip
_IDS = ("seq", "sequence", "counter", "frame_counter", "fcnt", "msg_id", "message_id")


def unit_of(channel: str) -> str:
    """The unit that a name says, or "".

    >>> unit_of("power_kW"), unit_of("outlet.temp_c"), unit_of("temperature"), unit_of("c")
    ('kW', '°C', '', '')
    """
    *before, last = re.split(r"[_.\- ]", channel)
    return UNITS.get(last.lower(), "") if any(before) else ""


@dataclass
class Seen:
    """Values of one field or channel."""

    count: int = 0
    least: float = math.inf
    most: float = -math.inf

    def add(self, value: float) -> None:
        if not math.isnan(value):
            self.count += 1
            self.least, self.most = min(self.least, value), max(self.most, value)

    @classmethod
    def joined(cls, parts: Iterable[Seen]) -> Seen:
        whole = cls()
        for part in parts:
            whole.count += part.count
            whole.least, whole.most = min(whole.least, part.least), max(whole.most, part.most)
        return whole

    @property
    def range(self) -> str:
        if not self.count:
            return "no values"
        return (
            f"{self.least:.4g}"
            if self.least == self.most
            else f"{self.least:.4g} .. {self.most:.4g}"
        )


@dataclass
class SeenTopic:
    """Messages of one topic.

    times  dotted paths that held a time in every message, with the unit; ids  that counted on
    """

    name: str
    live: int = 0  # messages that were not retained
    first: float = math.nan
    last: float = math.nan
    plain: Seen = field(default_factory=Seen)
    fields: dict[str, Seen] = field(default_factory=dict)
    objects: int = 0
    times: dict[str, str] = field(default_factory=dict)
    ids: dict[str, float] = field(default_factory=dict)
    unreadable: str = ""

    @property
    def every(self) -> float:
        """Seconds from message to message, NaN where there were less than two."""
        return (self.last - self.first) / (self.live - 1) if self.live > 1 else math.nan

    def add(self, record: Any, now: float, retained: bool) -> None:
        """`record` is what JSON made of a message."""
        if not retained:
            self.live += 1
            self.first = now if math.isnan(self.first) else self.first
            self.last = now
        if type(record) in (int, float):
            self.plain.add(float(record))
        elif isinstance(record, dict):
            self._object(record, now)
        else:
            self.unreadable = repr(record)[:60]

    def _object(self, record: dict[str, Any], now: float) -> None:
        times = {
            path: unit
            for path, value in _leaves(record)
            if (unit := _time_unit(path, value, now)) is not None
        }
        found = dict(numbers(record))
        whole = {path: n for path, n in found.items() if type(n) is int}
        ids = {path: float(n) for path, n in whole.items() if _last(path) in _IDS}
        if self.objects:
            times = {path: unit for path, unit in times.items() if self.times.get(path) == unit}
            ids = {path: n for path, n in ids.items() if n > self.ids.get(path, n)}
        self.objects += 1
        self.times, self.ids = times, ids
        for path, value in found.items():
            self.fields.setdefault(path, Seen()).add(float(value))

    @property
    def channels(self) -> tuple[str, ...]:
        """The fields that are measurements."""
        return tuple(
            path for path in self.fields if path not in self.times and path not in self.ids
        )


def _leaves(record: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in record.items():
        if isinstance(value, dict):
            found += _leaves(value, f"{before}{name}.")
        else:
            found.append((before + name, value))
    return found


def _time_unit(path: str, value: Any, now: float) -> str | None:
    """ "s" or "ms" if a field is a time of about now: by its name and its value."""
    name = _last(path)
    called = name in (*TIMES, "ts", "at", "last_seen") or "time" in name or "date" in name
    if not called and not (isinstance(value, str) and is_time(name, value, now)):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        t = event_time(value)
    except ValueError:
        return None
    # Within some years: a device's clock may be wrong, but then it is a time none the less.
    if abs(t - now) < 3650 * DAY_S:
        return "s"
    return "ms" if not isinstance(value, str) and abs(t / 1000 - now) < 3650 * DAY_S else None


def _last(path: str) -> str:
    return path.rpartition(".")[2].lower()
