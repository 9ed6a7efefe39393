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
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
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


class Publisher(Protocol):
    """Where predictions go: at once, or nowhere."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def put(self, stream: str, body: bytes) -> bool:
        """Whether it is on its way."""
        ...


class Predictions:
    """Tells of every sample, and drops what cannot be told at once.

    delivered, failed, dropped   so many
    """

    def __init__(self, name: str, match: str, to: Publisher) -> None:
        self.name = name
        self.match = match
        self.to = to
        self.delivered = self.failed = self.dropped = 0
        self.waiting: Sequence[Alarm] = ()
        self.problem = ""

    @property
    def detail(self) -> str:
        return _detail(self, "predictions")

    def publish(self, result: Result) -> None:
        for stream, record in predictions(result, lambda stream: fnmatchcase(stream, self.match)):
            on_its_way = self.to.put(stream, msgspec.json.encode(record))
            self.delivered += on_its_way
            self.failed += not on_its_way
            self.dropped += not on_its_way
            self.problem = "" if on_its_way else "the broker is not there, or not for this topic"

    async def close(self) -> None:
        self.to.stop()


class Alarms:
    """Tells of every alarm, one after the other, again and again.

    delivered, failed (attempts), dropped   so many
    """

    def __init__(self, name: str, match: str, to: Outlet) -> None:
        self.name = name
        self.match = match
        self.to = to
        self.delivered = self.failed = self.dropped = 0
        self.waiting: deque[Alarm] = deque()
        self.problem = ""
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._mark: Callable[[str, int], object] = lambda name, number: None

    @property
    def detail(self) -> str:
        return _detail(self, "alarms")

    def wants(self, stream: str) -> bool:
        return fnmatchcase(stream, self.match)

    def start(self, mark: Callable[[str, int], object]) -> None:
        """`mark(stream, number)` is told how far they have arrived."""
        self._mark = mark
        self.to.start()
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
            try:
                body = msgspec.json.encode(alarm.record)
                await self.to.send(alarm.record["id"], alarm.stream, body)
                self.delivered, failures, self.problem = self.delivered + 1, 0, ""
            except Exception as error:  # whatever it is, the stream goes on and it is counted
                self.failed, failures = self.failed + 1, failures + 1
                self.problem = str(error) or type(error).__name__
                log.warning("sink %s: %s", self.name, self.problem)
                if isinstance(error, NotDelivered) and error.again:
                    wait_s = RETRY_S[min(failures, len(RETRY_S)) - 1] * random.uniform(0.5, 1.5)
                    await asyncio.sleep(wait_s)
                    continue
                self.dropped += 1
            if self.waiting and self.waiting[0] is alarm:  # else it was dropped meanwhile
                self.waiting.popleft()
            self._mark(alarm.stream, alarm.number + 1)


Sink = Alarms | Predictions


def _detail(sink: Sink, what: str) -> str:
    parts = [sink.problem, f"{sink.delivered} {what} delivered"]
    parts += [f"{len(sink.waiting)} waiting"] if sink.waiting else []
    parts += [f"{sink.dropped} dropped"] if sink.dropped else []
    return ", ".join(filter(None, parts))


class Sinks:
    """All sinks of a server. `last` gives the number of a stream's newest sample."""

    def __init__(self, pipeline: Pipeline, last: Callable[[str], int]) -> None:
        self.all: tuple[Sink, ...] = ()
        self._journal = ""
        self._pipeline = pipeline
        self._last = last

    def begin(self, sinks: Iterable[Sink], journal: str, counts: Mapping[str, int]) -> None:
        """Start; alarms of a sink that was not there before begin after the samples that there are.

        journal  names the numbers of samples: the journal's name, or a new one at each start
        counts   samples of each stream
        """
        self._journal = journal
        self.all = tuple(sinks)
        for sink in self.all:
            if isinstance(sink, Predictions):
                sink.to.start()
                continue
            if not self._pipeline.marked(f"sink {sink.name}"):
                self._pipeline.mark(f"sink {sink.name}", 1)
                for stream, count in counts.items():
                    self._pipeline.mark(_mark(sink, stream), count)
            sink.start(partial(self._arrived, sink))

    def remember(self, before: int, result: Result) -> None:
        """Samples of one stream from before the start: their alarms may not have been delivered."""
        last = before + len(result.batch.keys) - 1
        for sink in self.all:
            if isinstance(sink, Alarms):
                for alarm in alarms(result, self._journal, sink.wants, lambda key: last):
                    if alarm.number >= self._pipeline.marked(_mark(sink, alarm.stream)):
                        sink.put(alarm)

    def publish(self, result: Result) -> None:
        """A batch that is durable."""
        for sink in self.all:
            if isinstance(sink, Predictions):
                sink.publish(result)
                continue
            for alarm in alarms(result, self._journal, sink.wants, self._last):
                sink.put(alarm)

    async def close(self) -> None:
        await asyncio.gather(*(sink.close() for sink in self.all))

    def _arrived(self, sink: Alarms, stream: str, number: int) -> None:
        self._pipeline.mark(_mark(sink, stream), number)


def _mark(sink: Alarms, stream: str) -> str:
    return f"sink {sink.name} {stream}"
