"""What is not taken: the error that says why, and the books that are kept of it.

A live stream goes on after a bad element, so its error cannot go to a caller alone: it is counted,
logged, and kept where a page can show it.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

log = logging.getLogger("streamrnn.streams")


class Refused(ValueError):
    """Input that is not taken.

    kind   one short word: "stream", "channels", "value", "time", "line", "file", "internal" ...
    where  a stream, or a file and its line
    count  how many samples it stands for

    The message is a whole sentence: where, what was expected, what came, what to do.
    """

    def __init__(self, kind: str, where: str, error: str, count: int = 1) -> None:
        super().__init__(f"{where}: {error}")
        self.kind = kind
        self.where = where
        self.count = count
        self.logged = False  # by the first of all that count it


def failed(where: str, error: Exception, count: int, what: str = "") -> Refused:
    """A refusal of kind "internal": `count` samples are lost, for a step, node or sink raised."""
    refused = Refused("internal", where, f"{what}{type(error).__name__}: {error}", count)
    refused.__cause__ = error  # for the log
    return refused


class LastRefused(NamedTuple):
    t: float  # seconds since 1970 UTC
    kind: str
    where: str
    error: str


class Refusals:
    """Counts what was refused by kind, keeps the last, logs some, tells whoever asked.

    >>> books = Refusals()
    >>> books.add(Refused("value", "stream boiler/7", "expected a number, got 'hot'"))
    >>> books.counts, books.last.error
    (Counter({'value': 1}), "stream boiler/7: expected a number, got 'hot'")
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.last: LastRefused | None = None
        self._callbacks: list[Callable[[Refused], object]] = []
        self._events: Counter[str] = Counter()

    def add(self, refused: Refused) -> None:
        self.counts[refused.kind] += refused.count
        self.last = LastRefused(time.time(), refused.kind, refused.where, str(refused))
        self._events[refused.kind] += 1
        events = self._events[refused.kind]
        # A broken sender causes thousands a second: the 1st, 10th, 100th ... tell enough.
        if str(events).strip("0") == "1" and not refused.logged:
            refused.logged = True
            text = "refused (%s, %d so far): %s"
            log.warning(text, refused.kind, events, refused, exc_info=refused.__cause__)
        for callback in self._callbacks:
            callback(refused)

    def on_refused(self, callback: Callable[[Refused], object]) -> None:
        """`callback(refused)` is called for every further refusal."""
        self._callbacks.append(callback)


def shown(value: object) -> str:
    """`value` as an error message shows it: at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
