"""What all sources share: start and stop, a state that a page can show, errors that are counted.

    source = Stream.replay("weather.csv", speed=3600)
    source.rnn(model).sink(print)
    source.start()

A source is a streamz source that emits Batches. Made with asynchronous=True it runs in the running
event loop, otherwise in streamz's own thread, and so do the nodes and sinks after it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import Any, Literal, Protocol, TypeVar

import streamz
from tornado.ioloop import IOLoop

from streamrnn.streams.batch import Batch
from streamrnn.streams.lines import Row, batches
from streamrnn.streams.refused import Refusals, Refused, failed

log = logging.getLogger(__name__)

BATCH_ROWS = 4096
TICK_S = 0.01  # rows that are due within it leave together
RESTART_S = (1.0, 5.0, 30.0, 60.0)  # after an error that nobody expected; then the last again

P = TypeVar("P")
Marks = Mapping[str, int]
Emitted = Batch | list[Batch]  # a list: what goes together
Timed = tuple[float, Row, P]  # seconds after the start, when a row is due; where it is


class Taker(Protocol):
    """Where samples go for good, such as a Pipeline.

    halts   how often something that was taken was given up
    """

    halts: int

    async def room(self) -> None:
        """Wait until more can be taken."""

    def together(self) -> AbstractContextManager[None]:
        """What is taken within is made durable as a whole or not at all."""
        ...

    def marked(self, name: str) -> int:
        """The last mark of that name that came with a batch, 0 if there is none."""
        ...

    def settled(self) -> "asyncio.Future[str]":
        """Done when what has been taken is durable: "", or why it is not, and was given up."""
        ...


class Source(streamz.Source):  # type: ignore[misc]  # streamz has no types
    """A source says in `batches` what to emit.

    name    for people
    state   "waiting" for its data, "running", "ended", or "failed"
    detail  why, in words; "" when there is nothing to say
    taker   where its batches end, for a source that has to know what became of them
    again   what was taken and given up comes again, from where it comes from
    figures of its own, by name
    """

    state: Literal["waiting", "running", "ended", "failed"] = "waiting"
    detail = ""
    stopped: bool
    taker: Taker | None = None
    again = False

    def __init__(self, name: str, *, start: bool = False, **kwargs: Any) -> None:
        self._refusals = Refusals()
        self._marks: dict[str, int] = {}  # since the start, of what no taker has heard of
        self._task: asyncio.Task[Any] | None = None
        if kwargs.get("asynchronous"):
            # Without it streamz 0.6.6 takes a thread all the same (Stream.__init__, at its end).
            kwargs.setdefault("loop", IOLoop.current())
        super().__init__(start=start, **{"stream_name": name} | kwargs)

    @property
    def figures(self) -> Mapping[str, float]:
        return {}

    @property
    def refused(self) -> Counter[str]:
        """How many lines and batches were refused, by kind."""
        return self._refusals.counts

    def on_refused(self, callback: Callable[[Refused], object]) -> None:
        """`callback(refused)` is called for everything that could not be read."""
        self._refusals.on_refused(callback)

    def batches(self) -> AsyncGenerator[Emitted, None]:
        """What to emit, and when; begun again after an error that nobody expected."""
        raise NotImplementedError

    def marked(self, name: str) -> int:
        """The last mark of that name that came with a batch, 0 if there is none.

        With a taker that makes things durable, over restarts of the program too.
        """
        known = 0 if self.taker is None else self.taker.marked(name)
        return known or self._marks.get(name, 0)

    def start(self) -> None:
        """Begin, or begin anew; does nothing while running."""
        if self.stopped:
            self.state, self.detail = "waiting", ""
            self._marks.clear()
        super().start()

    def stop(self) -> None:
        """End without waiting for what is due next."""
        if not self.stopped:
            self.stopped = True
            self.loop.add_callback(self._cancel, self._task)

    def _cancel(self, task: asyncio.Task[Any] | None) -> None:
        if task is not None:
            task.cancel()

    async def run(self) -> None:
        if self.stopped:  # before the loop came to it
            self.state, self.detail = "ended", "stopped"
            return
        self._task = asyncio.current_task()
        try:
            clock, fails = asyncio.get_running_loop().time, 0
            while True:
                self.state, self.detail = "running", ""
                begun = clock()
                if await self._whole():
                    break
                fails = 0 if clock() - begun > RESTART_S[-1] else fails  # it went well for long
                wait_s = RESTART_S[min(fails, len(RESTART_S) - 1)]
                fails += 1
                self.detail += f"; begins again in {wait_s:g} s"
                await asyncio.sleep(wait_s)
        except asyncio.CancelledError:
            # The end of the task, so nobody else needs to hear of it; start() may have come since.
            self.state, self.detail = "ended", "stopped"
            return
        self.stopped = True

    async def _whole(self) -> bool:
        """Emit all there is; False if an error ended it that may not come again."""
        try:
            async with aclosing(self.batches()) as batches:
                async for part in batches:
                    await self._send([part] if isinstance(part, Batch) else part)
        except Refused as error:
            self._fail(str(error))
        except Exception as error:
            log.exception("source %s", self.name)
            own = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
            self._fail(f"{own}{error}")
            return False
        else:
            self.state = "ended"
        return True

    def _fail(self, why: str) -> None:
        self.state, self.detail = "failed", why
        log.error("source %s failed: %s", self.name, why)

    async def _send(self, part: Sequence[Batch]) -> None:
        """Emit what goes together, and where there is a taker wait until all of it is durable; what
        was given up is emitted once more, unless it comes again by itself.
        """
        if self.taker is None:
            for batch in part:
                self._marks |= batch.marks
                await self._emitted(batch)
            return
        while True:
            await self.taker.room()
            with self.taker.together():
                for batch in part:
                    await self._emitted(batch)
            if self.again or not await self.taker.settled():
                return

    async def _emitted(self, batch: Batch) -> None:
        try:
            await asyncio.gather(*self._emit(batch))
        except Exception as error:
            # Raised by a node downstream. Left alone it would end this task without a word.
            where, count = str(self.name), len(batch.keys)
            self._refusals.add(failed(where, error, count, "a node failed with "))


async def paced(
    rows: Iterable[Timed[P] | None], marks: Callable[[P], Marks] = lambda place: {}
) -> AsyncGenerator[Emitted, None]:
    """Rows as batches when they are due, in order.

    Who is more than a second late, because the machine slept or cannot keep up, goes on from there.
    None among the rows: others may have their turn. With rows that leave together go the marks of
    the last one's place.
    """
    async for bunch in _bunches(rows):
        yield marked([row for row, _ in bunch], marks(bunch[-1][1]))


def marked(rows: Sequence[Row], marks: Marks) -> list[Batch]:
    """Rows as batches that go together, and marks that go with them."""
    *part, last = batches(rows)
    return [*part, last._replace(marks=marks)]


async def _bunches(rows: Iterable[Timed[P] | None]) -> AsyncIterator[list[tuple[Row, P]]]:
    clock = asyncio.get_running_loop().time
    start = clock()
    bunch: list[tuple[Row, P]] = []
    for timed in rows:
        if timed is None:
            await asyncio.sleep(0)
            continue
        due, row, place = timed
        wait = start + due - clock()
        if wait > 0.0 and bunch:
            yield bunch
            bunch = []
            wait = start + due - clock()
        if wait > 0.0:
            await asyncio.sleep(max(wait, TICK_S))
        elif wait < -1.0:
            start -= wait
        bunch.append((row, place))
        if len(bunch) == BATCH_ROWS:
            yield bunch
            bunch = []
            await asyncio.sleep(0)
    if bunch:
        yield bunch
