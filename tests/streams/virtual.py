"""An event loop whose clock jumps to the next timer: an hour of replay is tested in no time."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class VirtualTime(asyncio.SelectorEventLoop):
    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0].when())
        super()._run_once()


def run(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(main)


class Started:
    """`async with Started(source) as batches`: what the source emits, in a queue."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.batches: asyncio.Queue[Any] = asyncio.Queue()

    async def __aenter__(self) -> asyncio.Queue[Any]:
        self.sink = self.source.sink(self.batches.put_nowait)
        self.source.start()
        return self.batches

    async def __aexit__(self, *_: object) -> None:
        self.source.stop()
        self.sink.destroy()


async def until(condition: Any) -> None:
    """Let the loop run until the condition holds."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


async def played(source, count=10**9):
    """The first batches of a source, with the times at which they came; all when it ends before."""
    clock, found = asyncio.get_running_loop().time, []
    sink = source.sink(lambda batch: found.append((clock(), batch)))
    source.start()
    await until(lambda: len(found) >= count or source.stopped)
    source.stop()
    sink.destroy()
    return found


def play(make, count=10**9):
    async def main():
        source = make(asynchronous=True)
        return source, await played(source, count)

    return run(main())
