"""Which column of a file holds its times: by its name, or else by values.

By values each column is judged by the first that it has: a file may begin before a clock was set.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from streamrnn.streams.batch import DAY_S, Y2K, checked_time, event_time
from streamrnn.streams.refused import Refused, shown

TIMES = ("t", "time", "timestamp", "datetime", "date")  # looked for when nobody names the column
MISSING = ("", "na", "n/a", "nan", "null", "none")
PATIENCE = 100  # samples for which a column that is called like a time may have nothing
_CALLED = re.compile("time|date", re.IGNORECASE)


class TimeByValue:
    """Looks for the column in the samples of a file.

    name   None: none so far, so the moment of reading counts

    >>> times = TimeByValue()
    >>> times.judge("f:1", {"valid_time": "2013-01-01", "temp": 21.5}, now=1.8e9)
    >>> times.name
    'valid_time'
    """

    def __init__(self, channels: Collection[str] = ()) -> None:
        """`channels` are known to be none."""
        self.name: str | None = None
        self._only = not channels
        self._judged = set(channels)
        self._called: list[str] = []  # like a time, of those that were judged to be none
        self._empty = 0

    @property
    def settled(self) -> bool:
        """Whether further samples of the same columns change nothing."""
        return self.name is not None or not self._called

    def judge(self, where: str, sample: Mapping[str, object], now: float) -> None:
        """Look at the columns that are new.

        Raises Refused for a sample with nothing where its time may be, or with a time where there
        was none.
        """
        if self.name is not None:
            return
        for name in self._called:
            if is_time(name, sample.get(name), now):
                error = f"{name} holds a time, {shown(sample[name])}, but its first value was none"
                raise Refused("time", where, f"{error}; {to_say(name)}")
        if sample.keys() <= self._judged or (self._only and len(sample) == 1):
            return
        new = {name: value for name, value in sample.items() if name not in self._judged}
        self.name = time_by_value(new.items(), now)
        if self.name is not None:
            return
        called = [name for name in new if _CALLED.search(name)]
        empty = next((name for name in called if is_missing(new[name])), None)
        if empty is not None and self._empty < PATIENCE:
            self._empty += 1
            error = f"expected a time in {empty}, which is called like one, got nothing"
            raise Refused("time", where, f"{error}; {to_say(empty)}, or name all channels")
        self._called += called
        self._judged |= new.keys()

    def seconds(self, where: str, value: object, now: float, future_s: float) -> float:
        """The time of a sample. Raises Refused."""
        try:
            return checked_time(where, value, now, future_s)  # type: ignore[arg-type]  # it looks itself
        except Refused as refused:
            why = f"{self.name} is taken for the time, as its first value was one"
            error = str(refused).removeprefix(f"{where}: ")
            raise Refused("time", where, f'{error}; {why}: time = "..." names another') from None


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


def is_missing(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in MISSING)


def to_say(name: str) -> str:
    """What to do with a column that may hold the times."""
    return f'if it holds the times, say time = "{name}"'
