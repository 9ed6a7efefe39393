"""Nothing is told before it is durable: what a flush predicted waits here for its commit.

advance ─▶ held results ─▶ write (in its own thread) ─▶ acknowledged, then published
                                   └▶ failed: rows put back, nothing is taken until `resume`
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any, NamedTuple

from streamz import Stream

from streamrnn.streams.groups import Group, Result
from streamrnn.streams.labels import Label
from streamrnn.streams.lateness import Waiting
from streamrnn.streams.refused import Refusals, failed


class Commit(NamedTuple):
    """All that one flush brought: to be made durable as a whole or not at all.

    results  in order
    marks    by name, how far a sender or source had been read when this was flushed
    waiting  what changed of samples that wait for earlier ones
    labels   in order, those that taught something, and how many of the results came before each
    """

    results: Sequence[Result]
    marks: Mapping[str, int]
    waiting: Waiting = Waiting({}, (), ())
    labels: Sequence[tuple[int, Label]] = ()


Write = Callable[[Commit], "Future[None]"]


class Commits:
    """At most one commit at a time; who waits for which.

    done     called with every commit that is durable
    failed   called with the commit, or what was in it, and why it is not
    """

    def __init__(
        self, done: Callable[[Commit], object], failed: Callable[[Commit, str], object]
    ) -> None:
        self.write: Write | None = None
        self.busy = False
        self.marks: Mapping[str, int] = {}  # of the commit that is being written
        self._done = done
        self._failed = failed
        self._next: list[asyncio.Future[str]] = []  # wait for what is pending
        self._waiting: list[asyncio.Future[str]] = []  # wait for the commit that is being written

    def settled(self, pending: bool) -> "asyncio.Future[str]":
        """Done when all that was taken is durable: "", or why it is not and was given up.

        pending   whether anything has been taken since the last `begin`
        """
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if self.write is None or not (pending or self.busy):
            future.set_result("")
        else:
            (self._next if pending else self._waiting).append(future)
        return future

    def begin(self, commit: Commit, groups: Iterable[Group]) -> None:
        """Write; in an event loop without waiting for it, elsewhere it is done on return."""
        assert self.write is not None and not self.busy
        self.busy, self.marks = True, commit.marks
        touched = tuple(groups)
        self._waiting, self._next = self._next, []
        try:
            written = self.write(commit)
        except Exception as error:
            written = Future()
            written.set_exception(error)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            wait([written])
            return self._settle(commit, touched, written.exception())
        # Never at once, even if it is done: who has just been taken from asks for `settled` next.
        written.add_done_callback(
            lambda future: loop.call_soon_threadsafe(
                self._settle, commit, touched, future.exception()
            )
        )

    def _settle(
        self, commit: Commit, groups: tuple[Group, ...], error: BaseException | None
    ) -> None:
        self.busy, self.marks = False, {}
        why = "" if error is None else str(error) or type(error).__name__
        for group in groups:
            group.keep() if error is None else group.put_back()
        waiting, self._waiting = self._waiting, []
        if error is not None:  # what is pending is given up with it, lest its order be another
            waiting, self._next = waiting + self._next, []
        for future in waiting:
            if not future.done():
                future.set_result(why)
        if error is None:
            self._done(commit)
        else:
            self._failed(commit, why)


class Results(Stream):  # type: ignore[misc]  # streamz has no types
    """The end of every group's graph.

    Not a streamz sink: those are kept in a global set for good, and one that raises would undo the
    states of a batch that another has shown already.
    """

    def __init__(self, refusals: Refusals) -> None:
        self.callbacks: list[Callable[[Result], object]] = []
        self.held: list[Result] | None = None  # instead of being published
        self.samples = 0
        self._refusals = refusals
        super().__init__()

    def update(self, x: Result, who: Any = None, metadata: Any = None) -> list[Any]:
        if self.held is None:
            self.publish(x)
        else:
            self.held.append(x)
        return []

    def publish(self, x: Result) -> None:
        self.samples += len(x.batch.keys)
        for callback in self.callbacks:
            try:
                callback(x)
            except Exception as error:
                self._refusals.add(failed(x.group.rule.match, error, 0, "a sink failed with "))
