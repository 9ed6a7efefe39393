"""What flows: columns of whatever has arrived since the last tick, checked on the way in."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from numbers import Real
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.streams.refused import Refused, shown

LARGEST = 1e30  # further out a float32 network overflows, and its state is NaN for good
LATEST = 8.64e12  # the last second that a browser's Date can show (ECMAScript, time values)
DAY_S = 86_400.0
Y2K = 946_684_800.0

Sample = Sequence[float | None] | Mapping[str, float | None] | NDArray[Any]


class Batch(NamedTuple):
    """N samples of one or many streams, oldest first; all have the same channels."""

    keys: Sequence[str]  # (N,) whose sample it is; Keys where there are many
    t: NDArray[np.float64]  # (N,) event time, seconds since 1970 UTC
    x: NDArray[Any]  # (N, C); NaN = missing
    y: NDArray[Any] | None = None  # (N, O) once a node has filled it
    arrived: float = math.nan  # this machine's clock when the newest sample came in
    channels: tuple[str, ...] | None = None  # names of x's columns, where the source knows them
    marks: Mapping[str, int] = MappingProxyType({})  # how far its source has been read, by name


def event_time(value: float | str) -> float:
    """Seconds since 1970 UTC, from a number of them or an ISO 8601 text (without zone: UTC).

    >>> event_time("2013-01-01T06:00:00Z"), event_time("2013-01-01 07:00+01:00"), event_time("1e9")
    (1357020000.0, 1357020000.0, 1000000000.0)
    """
    if isinstance(value, str):
        text = value.strip()
        # By the first dash, as fromisoformat takes some whole numbers for dates without dashes.
        try:
            if text[4:5] != "-":
                return float(text)
            parsed = datetime.fromisoformat(text)
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            pass
    elif is_number(value):
        try:
            return float(value)
        except OverflowError:
            pass
    raise ValueError(f"expected seconds since 1970 or an ISO 8601 time, got {shown(value)}")


def checked_time(where: str, value: float | str, now: float, future_s: float = DAY_S) -> float:
    """`event_time(value)`; refused unless finite and at most `future_s` ahead of `now`.

    A clock may be hours off; more than a day ahead is another unit or a mistake, and would push
    whatever comes later off the page.
    """
    try:
        t = event_time(value)
    except ValueError as error:
        raise Refused("time", where, str(error)) from None
    if -LATEST <= t <= now + future_s:
        return t
    raise too_far_ahead(where, value, t, now, future_s)


def too_far_ahead(where: str, value: object, t: float, now: float, future_s: float) -> Refused:
    """Why a sample's time `t`, given as `value`, is refused."""
    span = "one day" if future_s == DAY_S else f"{future_s:g} s"
    milliseconds = "; milliseconds? send seconds" if Y2K <= t / 1000.0 <= now + future_s else ""
    error = f"expected a time at most {span} after now, got {shown(value)}{milliseconds}"
    return Refused("time", where, error)


def checked_row(where: str, x: Any, channels: tuple[str, ...]) -> Sequence[float]:
    """The values of one sample in the order of `channels`, as floats; None becomes NaN."""
    if type(x) is not list and type(x) is not tuple:
        x = _sequence(where, x, channels)
    if len(x) != len(channels):
        raise Refused("channels", where, f"expected {_list(channels)}, got {len(x)}")
    for value in x:
        if value.__class__ is not float or not (-LARGEST < value < LARGEST or value != value):
            return [_number(where, v, c) for v, c in zip(x, channels, strict=True)]
    return x  # type: ignore[no-any-return]


def checked_columns(batch: Batch) -> NDArray[np.bool]:
    """Which rows can be taken (N,). Raises ValueError for columns that do not fit together."""
    t, x = np.asarray(batch.t), np.asarray(batch.x)
    N, C = len(batch.keys), len(batch.channels or x[:1].T)
    if (
        t.shape != (N,)
        or x.shape != (N, C)
        or t.dtype.kind not in "iuf"
        or x.dtype.kind not in "iuf"
    ):
        raise ValueError(
            f"expected a batch of numbers t ({N},) and x ({N}, C) for its keys and channels, "
            f"got t {t.shape} {t.dtype}, x {x.shape} {x.dtype}"
        )
    good: NDArray[np.bool] = (np.abs(t) <= LATEST) & ~(np.abs(x) >= LARGEST).any(axis=1)
    return good


def names_of(where: str, x: Any, max_channels: float = math.inf) -> tuple[str, ...]:
    """Channel names by a stream's first sample, for a rule without: its keys, or made-up ones."""
    if not isinstance(x, Mapping):
        x = _sequence(where, x, ())
    if not len(x):
        raise Refused("channels", where, "expected at least one channel, got none")
    if len(x) > max_channels:
        error = f"expected at most max_channels = {max_channels}, got {len(x)}"
        raise Refused("channels", where, error)
    if not isinstance(x, Mapping):
        return made_up(len(x))
    if not all(isinstance(name, str) and 0 < len(name) <= 100 for name in x):
        raise Refused("channels", where, "expected channel names of 1 to 100 characters")
    return tuple(x)


@lru_cache(maxsize=64)
def made_up(count: int) -> tuple[str, ...]:
    """Names for channels that have none."""
    return ("value",) if count == 1 else tuple(f"x{n}" for n in range(count))


def _sequence(where: str, x: Any, channels: tuple[str, ...]) -> Sequence[Any]:
    if isinstance(x, Mapping):
        if unknown := [name for name in x if name not in channels]:
            error = f"unknown channel {shown(unknown[0])}; expected {_list(channels)}"
            raise Refused("channels", where, error)
        if absent := [name for name in channels if name not in x]:
            error = f"no value for channel {absent[0]}; send null where it is missing"
            raise Refused("channels", where, error)
        return [x[name] for name in channels]
    if isinstance(x, np.ndarray) and x.ndim == 1:
        return x.tolist()  # type: ignore[no-any-return]
    if isinstance(x, list | tuple):
        return x
    raise Refused(
        "value", where, f"expected a list of numbers or an object of channels, got {shown(x)}"
    )


def _number(where: str, value: Any, channel: str) -> float:
    if value is None:
        return math.nan
    if is_number(value):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not abs(number) >= LARGEST:  # NaN passes: missing
            return number
        error = f"channel {channel}: expected a number within ±1e30, got {shown(value)}"
    else:
        error = f"channel {channel}: expected a number or null where missing, got {shown(value)}"
    raise Refused("value", where, error)


def is_number(value: object) -> bool:
    """Whether a value is a real number, NaN included; True and False are none."""
    if value.__class__ in (float, int):  # isinstance of Real takes half a microsecond
        return True
    return isinstance(value, Real) and not isinstance(value, bool)


def _list(channels: tuple[str, ...]) -> str:
    names = ", ".join(channels[:8]) + (", ..." if len(channels) > 8 else "")
    return f"{len(channels)} channel{'s' if len(channels) > 1 else ''} ({names})"
