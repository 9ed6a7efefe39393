"""What a process needs that asyncio does not have: a thread to leave behind, signals everywhere."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping


async def in_thread(function: Callable[[], object]) -> None:
    """Run `function` in a thread that nobody waits for at the end: compiling cannot be interrupted.

    asyncio.to_thread would make asyncio.run wait for it, far longer than a stop may take.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            function()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=run, name=function.__name__, daemon=True).start()
    await done


@contextlib.contextmanager
def on_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop` at the first SIGINT or SIGTERM; a second one ends the process as usual."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore(handlers: Mapping[signal.Signals, object]) -> None:
        for number, handler in handlers.items():
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler or signal.SIG_DFL)  # type: ignore[arg-type]

    def first(*_: object) -> None:
        restore(dict.fromkeys(before, signal.SIG_DFL))
        loop.call_soon_threadsafe(stop)

    for number in before:
        try:
            loop.add_signal_handler(number, first)
        except NotImplementedError:  # Windows; there it runs when the loop wakes up, at a beat
            signal.signal(number, first)
    try:
        yield
    finally:
        restore(before)
