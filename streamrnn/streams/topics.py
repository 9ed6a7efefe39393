"""What an MQTT message means: whose sample it is, of which channels, and when it was taken."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from streamrnn.streams.batch import DAY_S, checked_row, checked_time
from streamrnn.streams.lines import Row
from streamrnn.streams.refused import Refused, shown

LEVEL = re.compile(r"\{(\d+|topic)\}")


@dataclass(frozen=True)
class Topic:
    """Messages of topics that match `pattern`: `+` stands for one level, `#` for all that follow.

    key       the stream, with {0}, {1} for the topic's levels, {topic} for all of them; default:
              the topic, without the level that names the channel
    channel   each topic brings one channel, called so: "{2}". Its message is a number, or an object
              with the one field of `fields`, "value" by default
    fields    what to read from an object: names of channels with dotted paths; None: all numbers
    time      dotted path of the time; None: the moment it arrives
    unit      in which it is a number, "s" or "ms" since 1970
    id        dotted path of a number that grows from message to message of a topic
    qos       0, or 1: the broker is told of each message that it was taken
    retained  take what the broker keeps of a topic, too, and not only what is said from now on

    >>> topic = Topic("plant/+/env", key="{1}", fields={"temp": "data.t", "battery": "battery"})
    >>> topic.read("plant/boiler7/env", b'{"data": {"t": 71.5}, "rssi": -60}', now=0.0)
    (Row(key='boiler7', t=None, x=[71.5, nan], channels=('temp', 'battery')), None)
    """

    pattern: str
    key: str | None = None
    channel: str | None = None
    fields: Mapping[str, str] | None = None
    time: str | None = None
    unit: Literal["s", "ms"] = "s"
    id: str | None = None
    qos: int = 1
    retained: bool = False

    def read(
        self, topic: str, payload: bytes, now: float, future_s: float = DAY_S
    ) -> tuple[Row, int | None]:
        """The sample of a message, and its id. Raises Refused."""
        try:
            return self._read(topic, payload, now, future_s)
        except RecursionError:  # of what looks into what could just be decoded
            text = "expected a number or a JSON object, got one that is nested too deeply"
            raise Refused("json", f"mqtt {topic}", text) from None

    def _read(
        self, topic: str, payload: bytes, now: float, future_s: float
    ) -> tuple[Row, int | None]:
        where = f"mqtt {topic}"
        try:
            record = msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            text = f"expected a number or a JSON object, got {shown(payload)}: {error}"
            raise Refused("json", where, text) from None
        levels = topic.split("/")
        if self.channel is None:
            key, values = self._filled(self.key or "{topic}", topic, levels), record
            channels, x = self._fields(where, values)
        else:
            key = self._filled(self.key or self._rest(levels), topic, levels)
            channels = (self._filled(self.channel, topic, levels),)
            x = [record]
            if isinstance(record, dict):
                (path,) = (self.fields or {"": "value"}).values()
                x = [self._needed(where, "value", record, path)]
        row = Row(
            key, self._time(where, record, now, future_s), checked_row(where, x, channels), channels
        )
        return row, self._id(where, record)

    def _fields(self, where: str, record: Any) -> tuple[tuple[str, ...], list[Any]]:
        """Names of channels and their values, of any type yet."""
        if not isinstance(record, dict):
            if self.fields is None:
                return ("value",), [record]
            names = ", ".join(self.fields.values())
            raise Refused("json", where, f"expected an object with {names}, got {shown(record)}")
        if self.fields is None:
            own = (self.time, self.id)
            found = {path: value for path, value in numbers(record) if path not in own}
            if not found:
                raise Refused("fields", where, f"expected numbers, got {shown(record)}")
            return tuple(found), list(found.values())
        values = [at(record, path) for path in self.fields.values()]
        if all(value is None for value in values):
            names, got = ", ".join(self.fields.values()), ", ".join(map(str, record)) or "none"
            raise Refused("fields", where, f"expected one of {names}, got {got:.200}")
        return tuple(self.fields), values

    def _time(self, where: str, record: Any, now: float, future_s: float) -> float | None:
        if self.time is None:
            return None
        value = self._needed(where, "time", record, self.time)
        if self.unit == "ms" and type(value) in (int, float):
            value = value / 1000.0
        return checked_time(where, value, now, future_s)

    def _id(self, where: str, record: Any) -> int | None:
        if self.id is None:
            return None
        value = self._needed(where, "id", record, self.id)
        if type(value) is not int or not 0 <= value < 1 << 62:
            text = f"field {self.id}: expected a whole number of at least 0, got {shown(value)}"
            raise Refused("id", where, text)
        return value

    def _needed(self, where: str, kind: str, record: Any, path: str) -> Any:
        value = at(record, path)
        if value is None:
            raise Refused(kind, where, f"expected a field {path}, got {shown(record)}")
        return value

    def _rest(self, levels: Sequence[str]) -> str:
        """The key of a topic whose channel is one of its levels: the others."""
        used = {n for n in LEVEL.findall(self.channel or "") if n != "topic"}
        return "/".join(f"{{{n}}}" for n in range(len(levels)) if str(n) not in used)

    def _filled(self, template: str, topic: str, levels: Sequence[str]) -> str:
        def level(match: re.Match[str]) -> str:
            if match[1] == "topic":
                return topic
            if int(match[1]) < len(levels):
                return levels[int(match[1])]
            text = f"expected a topic with a level {match[1]} for {template}, counted from 0"
            raise Refused("topic", f"mqtt {topic}", text)

        return LEVEL.sub(level, template)


def at(record: Any, path: str) -> Any:
    """What is at a dotted path, or under that very name; None where nothing is.

    >>> at({"data": [{"t": 21.5}]}, "data.0.t")
    21.5
    """
    if isinstance(record, dict) and path in record:
        return record[path]
    for name in path.split("."):
        if isinstance(record, dict):
            record = record.get(name)
        elif isinstance(record, list) and name.isdecimal() and int(name) < len(record):
            record = record[int(name)]
        else:
            return None
    return record


def numbers(record: Mapping[str, Any], before: str = "") -> list[tuple[str, float]]:
    """All numbers in an object with their dotted paths, in order.

    >>> numbers({"a": 1, "b": {"c": 2.5, "d": "on"}, "e": True})
    [('a', 1), ('b.c', 2.5)]
    """
    found: list[tuple[str, float]] = []
    for name, value in record.items():
        if type(value) in (int, float):
            found.append((before + name, value))
        elif isinstance(value, dict):
            found += numbers(value, f"{before}{name}.")
    return found
