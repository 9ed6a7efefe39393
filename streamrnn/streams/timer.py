"""A call that is due at some time, where an event loop runs."""

import asyncio
from collections.abc import Callable


class Timer:
    """Calls `call()` once a time that was asked for has come; one at a time."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._handle: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """In so many seconds, unless it is set already; never where no event loop runs."""
        if self._handle is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._handle = loop.call_later(seconds, self._due)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _due(self) -> None:
        self._handle = None
        self._call()
