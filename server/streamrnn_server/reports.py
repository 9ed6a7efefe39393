"""What others are told of a batch: its alarms, or its predictions, as records for JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from streamrnn.streams.groups import Group, Result

Record = dict[str, Any]


class Alarm(NamedTuple):
    stream: str
    number: int  # of its sample in the stream, from 0
    record: Record


def alarms(
    result: Result, journal: str, wanted: Callable[[str], bool], last: Callable[[str], int]
) -> Iterator[Alarm]:
    """The alarms of a batch.

    journal  a name that goes with the numbers: both together make the id, the same for good
    last     the number of a stream's last sample in the batch
    """
    columns = [n for n, output in enumerate(result.group.outputs) if output.kind == "alarm"]
    y = result.batch.y
    if not columns or y is None:
        return
    rows = np.flatnonzero((y[:, columns] > 0.5).any(axis=1)).tolist()
    if not rows:
        return
    keys = [str(key) for key in result.batch.keys]
    for row in rows:
        key = keys[row]
        if wanted(key):
            number = last(key) - Counter(keys[row + 1 :])[key]
            yield Alarm(key, number, _alarm(result, row, f"{journal} {key} {number}"))


def predictions(result: Result, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Record]]:
    """Stream and record of each sample of a batch."""
    batch, group = result.batch, result.group
    assert batch.y is not None
    names = [output.name for output in group.outputs]
    for row, key in enumerate(map(str, batch.keys)):
        if wanted(key):
            record = _begin(key, float(batch.t[row]))
            record["x"] = dict(zip(group.channels, map(_number, batch.x[row]), strict=True))
            record["y"] = dict(zip(names, map(_number, batch.y[row]), strict=True))
            yield key, record


def _alarm(result: Result, row: int, id: str) -> Record:
    batch, group = result.batch, result.group
    assert batch.y is not None
    record: Record = {"id": id} | _begin(str(batch.keys[row]), float(batch.t[row]))
    blamed = _of_kind(group, batch.y[row], "channel")
    channel = group.target if blamed is None or blamed < 0 else int(blamed)
    record |= {"channel": group.channels[channel], "unit": group.units[channel]}
    record["value"] = _number(batch.x[row, channel])
    record["score"] = _of_kind(group, batch.y[row], "score")
    reason = _of_kind(group, batch.y[row], "reason")
    known = reason is not None and int(reason) < len(group.reasons)
    record["reason"] = group.reasons[int(reason)] if reason is not None and known else ""
    return record


def _begin(stream: str, t: float) -> Record:
    return {"stream": stream, "t": t, "time": _iso(t)}


def _iso(t: float) -> str | None:
    try:
        return datetime.fromtimestamp(t, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):  # before the year 1
        return None


def _of_kind(group: Group, y: Any, kind: str) -> float | None:
    for value, output in zip(y, group.outputs, strict=True):
        if output.kind == kind:
            return _number(value)
    return None


def _number(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)
