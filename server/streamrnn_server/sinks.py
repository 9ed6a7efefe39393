"""Delivers what is known for good: alarms one after the other, each until it has arrived.

    hub ─▶ Sinks ─▶ queue of each sink ─▶ send, again and again ─▶ mark

A sink that fails or is slow holds nobody else up. With a journal, how far each stream's alarms have
been delivered is marked there, so that those of the last moments before a crash come after it: at
least once, with the same id.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

import msgspec

from streamrnn_server.reports import Alarm, alarms, predictions

if TYPE_CHECKING:
    from streamrnn.streams.groups import Result
    from streamrnn.streams.pipeline import Pipeline

log = logging.getLogger(__name__)

QUEUED = 1000  # alarms that wait for one sink; then the oldest are dropped
RETRY_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)  # each times a half to three halves, by chance
CLOSE_S = 0.5  # for what waits when the server stops


class NotDelivered(Exception):
    """Why; `again` says whether another attempt may help."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


class Outlet(Protocol):
    """Where alarms go."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    async def send(self, id: str, stream: str, body: bytes) -> None:
        """Returns when it has arrived. Raises NotDelivered."""
        ...


class Stream(Protocol):
    """Where predictions go: at once, or nowhere."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def put(self, stream: str, body: bytes) -> bool:
        """Whether it is on its way."""
        ...


class Sink:
    """What one table of [[sinks]] asks for.

    delivered, failed (attempts), dropped  so many
    """

    def __init__(self, name: str, match: str, to: Outlet | Stream, what: str = "alarms") -> None:
        self.name = name
        self.match = match
        self.to = to
        self.what = what
        self.delivered = self.failed = self.dropped = 0
        self.problem = ""
        self.waiting: deque[Alarm] = deque()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._mark: Callable[[str, int], object] = lambda name, number: None

    @property
    def detail(self) -> str:
        parts = [self.problem, f"{self.delivered} {self.what} delivered"]
        parts += [f"{len(self.waiting)} waiting"] if self.waiting else []
        parts += [f"{self.dropped} dropped"] if self.dropped else []
        return ", ".join(filter(None, parts))

    def wants(self, stream: str) -> bool:
        return fnmatchcase(stream, self.match)

    def start(self, mark: Callable[[str, int], object]) -> None:
        self._mark = mark
        self.to.start()
        if self.what == "alarms":
            self._task = asyncio.create_task(self._deliver())

    async def close(self) -> None:
        if self._task is not None:
            if self.waiting:
                await asyncio.wait({self._task}, timeout=CLOSE_S)
            self._task.cancel()
        self.to.stop()

    def put(self, alarm: Alarm) -> None:
        self.waiting.append(alarm)
        if len(self.waiting) > QUEUED:
            self.waiting.popleft()
            self.dropped += 1
        self._news.set()

    async def _deliver(self) -> None:
        failures = 0
        while True:
            while not self.waiting:
                self._news.clear()
                await self._news.wait()
            alarm = self.waiting[0]
            again = False
            try:
                body = msgspec.json.encode(alarm.record)
                await self.to.send(alarm.record["id"], alarm.stream, body)  # type: ignore[union-attr]
                self.delivered, failures, self.problem = self.delivered + 1, 0, ""
            except Exception as error:  # whatever it is, the stream goes on and it is counted
                again = isinstance(error, NotDelivered) and error.again
                self.failed, failures = self.failed + 1, failures + 1
                self.problem = str(error) or type(error).__name__
                log.warning("sink %s: %s", self.name, self.problem)
            if again:
                wait_s = RETRY_S[min(failures, len(RETRY_S)) - 1] * random.uniform(0.5, 1.5)
                await asyncio.sleep(wait_s)
                continue
            if self.problem:
                self.dropped += 1
            if self.waiting and self.waiting[0] is alarm:  # else it was dropped meanwhile
                self.waiting.popleft()
            self._mark(f"{self.name} {alarm.stream}", alarm.number + 1)


class Sinks:
    """All sinks of a server. `last` gives the number of a stream's newest sample."""

    def __init__(self, pipeline: Pipeline, last: Callable[[str], int]) -> None:
        self.all: tuple[Sink, ...] = ()
        self._journal = ""
        self._new: set[Sink] = set()
        self._pipeline = pipeline
        self._last = last

    def begin(self, sinks: Iterable[Sink], journal: str, counts: Mapping[str, int]) -> None:
        """Start; a sink that was not there before begins after the samples that there are.

        journal  names the numbers of samples: the journal's name, or a new one at each start
        counts   samples of each stream
        """
        self._journal = journal
        self.all = tuple(sinks)
        self._new = {sink for sink in self.all if not self._pipeline.marked(f"sink {sink.name}")}
        for sink in self._new:
            self._pipeline.mark(f"sink {sink.name}", 1)
            for stream, count in counts.items():
                self._mark(f"{sink.name} {stream}", count)
        for sink in self.all:
            sink.start(self._mark)

    def remember(self, before: int, result: Result) -> None:
        """Samples of one stream from before the start: their alarms may not have been delivered."""
        last = before + len(result.batch.keys) - 1
        for sink in self.all:
            if sink in self._new or sink.what != "alarms":
                continue
            for alarm in alarms(result, self._journal, sink.wants, lambda key: last):
                if alarm.number >= self._pipeline.marked(f"sink {sink.name} {alarm.stream}"):
                    sink.put(alarm)

    def publish(self, result: Result) -> None:
        """A batch that is durable."""
        for sink in self.all:
            if sink.what == "alarms":
                for alarm in alarms(result, self._journal, sink.wants, self._last):
                    sink.put(alarm)
                continue
            for stream, record in predictions(result, sink.wants):
                on_its_way = sink.to.put(stream, msgspec.json.encode(record))  # type: ignore[union-attr]
                sink.delivered += on_its_way
                sink.failed += not on_its_way
                sink.dropped += not on_its_way

    async def close(self) -> None:
        await asyncio.gather(*(sink.close() for sink in self.all))

    def _mark(self, name: str, number: int) -> None:
        self._pipeline.mark(f"sink {name}", number)
