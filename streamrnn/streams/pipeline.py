"""From samples to predictions: what arrived since the last tick goes through its graph at once.

    take, take_batch ─▶ pending, by group ─▶ (tick) ─▶ Group's streamz graph ─▶ (commit) ─▶ sinks

At low rates a sample is predicted within a tick; at high rates many share one graph event.
Everything happens in the calling thread, normally that of one event loop: a Pipeline has no locks.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamrnn.streams.admission import Admission, Channels
from streamrnn.streams.batch import DAY_S, Batch, Sample, checked_row, checked_time
from streamrnn.streams.commit import Commit, Commits, Results, Write
from streamrnn.streams.events import events
from streamrnn.streams.groups import Group, Result, Rule
from streamrnn.streams.intake import by_group
from streamrnn.streams.labels import Label, checked_label, learn
from streamrnn.streams.lateness import Reorder
from streamrnn.streams.marks import Marks
from streamrnn.streams.pending import Pending
from streamrnn.streams.refused import LastRefused, Refusals, Refused, failed
from streamrnn.streams.resets import Resets
from streamrnn.streams.timer import Timer

HALTED_S = 0.25  # between looks whether it is taken again
FLUSH_ROWS = 4096  # so many pending samples don't wait for the tick


class Pipeline:
    """Streams in, predictions out.

    >>> import streamrnn as srnn
    >>> from streamrnn.streams import Pipeline, Rule
    >>> gru = srnn.GRU(input_size=2, hidden_size=8, output_size=1)
    >>> pipeline = Pipeline([Rule("boiler/*", lambda channels: gru, channels=("temp", "load"))])
    >>> results = []
    >>> pipeline.sink(results.append)
    >>> pipeline.take("boiler/7", [71.5, 3.2])
    >>> pipeline.take("boiler/8", {"load": 3.1, "temp": None}, "2026-01-01T12:00:00Z")
    >>> pipeline.flush()
    >>> results[0].batch.keys, results[0].batch.y.shape
    (['boiler/7', 'boiler/8'], (2, 1))
    >>> pipeline.take("boiler/7", [71.5])
    Traceback (most recent call last):
    streamrnn.streams.refused.Refused: boiler/7: expected 2 channels (temp, load), got 1

    rules    the first whose pattern matches a stream's key serves it
    tick_s   how long a sample waits for company; where no event loop runs, until flush()
    max_streams, max_channels, future_s   what goes beyond is refused; future_s: seconds for which
            the time of a sample may be ahead of now

    state_bytes   states of all streams that may be in memory; those of streams that have been idle
            the longest wait in a temporary file in `folder`

    groups   in order of their ids
    watched  keys of streams that somebody looks at: their hidden units come with every sample
    marks    by name, as of the last flush that is done
    reorder  samples that wait for earlier ones
    halted   why nothing is taken at present; "" as long as it is
    halts    how often that has been so
    samples  how many were predicted
    spent_s  how long their predictions took
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        *,
        tick_s: float = 0.02,
        max_streams: int = 10_000,
        max_channels: int = 256,
        future_s: float = DAY_S,
        state_bytes: float = math.inf,
        folder: Path | None = None,
    ) -> None:
        self.tick_s = tick_s
        self.future_s = future_s
        self.state_bytes = state_bytes
        self.folder = folder
        self.watched: set[str] = set()
        self.marks = Marks()
        self.halted = ""
        self.halts = 0
        self.spent_s = 0.0
        self._refusals = Refusals()
        self._results = Results(self._refusals)
        self.admission = Admission(rules, self._results, self.refuse, max_streams, max_channels)
        self._commits = Commits(self._committed, self._halt)
        self._then: Callable[[], object] = lambda: None
        self._resets = Resets(self.refuse)
        self._learned: list[tuple[int, Label]] = []  # in the flush that is being done
        self._marks: dict[str, int] = {}
        self.reorder = Reorder()
        self._pending: dict[Group, Pending] = {}
        self._waiting = 0  # rows in all of _pending
        self._together = False  # no flush before all of it is taken
        self._due = False  # they are to be flushed as soon as the commit before them is done
        self._arrived = math.nan
        self._tick = Timer(self.flush)
        self._alarm = Timer(self.flush)  # when a sample has waited long enough for earlier ones

    # in

    def take(self, key: str, x: Sample, t: float | str | None = None) -> None:
        """Take one sample: x in the order of the channels or by their names; None, NaN: missing.

        t: event time, seconds since 1970 or ISO 8601; None: now. Raises Refused, and counts it.
        """
        now = time.time()
        try:
            if self.halted:
                raise Refused("journal", key, self.halted)
            group, rule, channels = self.admission.known(key, x)
            if rule.every and isinstance(x, Mapping):
                x = {**dict.fromkeys(channels), **x}
            row = checked_row(key, x, channels)
            when = now if t is None else checked_time(key, t, now, self.future_s)
            if group is None:
                group = self.admission.admit(key, rule, channels)
            if group.vocabulary:
                group.check_token(key, row[0])
        except Refused as refused:
            self.refuse(refused)
            raise
        if group.rule.waits:
            self._hold(group, key, when, row, now)
        else:
            self._pending_of(group).add(key, when, row)
        self._wake(1, now)

    def take_batch(
        self,
        batch: Batch,
        told: Callable[[Refused], object] = lambda refused: None,
        *,
        recorded: bool = True,
    ) -> int:
        """Take columns of samples; returns how many were taken, the others are counted as refused.

        `told(refused)` is called for what is refused. Raises ValueError for columns that are no
        numbers or do not fit together. Its marks are as by `mark`.

        recorded   event times may lie in the future: a recording keeps its own time
        """

        def refuse(refused: Refused) -> None:
            self.refuse(refused)
            told(refused)

        taken, now = 0, time.time()
        future_s = math.inf if recorded else self.future_s
        for group, part in by_group(batch, self.admission, refuse, self.halted, now, future_s):
            if group.rule.waits:
                columns = (part.keys, part.t.tolist(), part.x.tolist())
                for key, when, row in zip(*columns, strict=True):
                    self._hold(group, key, when, row, now)
            else:
                self._pending_of(group).extend(part)
            taken += len(part.keys)
        if batch.marks and not self.halted:
            self._marks |= batch.marks
        if taken or self._marks:
            self._wake(taken, now)
        return taken

    def learn(
        self,
        key: str,
        value: float,
        t: float | str | None,
        refused: Callable[[Refused], object] = lambda refused: None,
    ) -> None:
        """Take the target of a row of time t that came without it, after all taken before.

        Raises Refused, and counts it, for what is no label of a stream that learns. One that turns
        out to teach nothing, for there is no such row, it is too old, or its target is known, is
        counted as well and `refused(why)` called. Where rows wait for earlier ones, a label is for
        those that have been used.
        """
        now = time.time()
        try:
            if self.halted:
                raise Refused("journal", key, self.halted)
            group = self.admission.opened(key)
            group.check_learns(key)
            label = checked_label(key, value, t, now, self.future_s)._replace(refused=refused)
        except Refused as error:
            self.refuse(error)
            raise
        self._pending_of(group).label(label, last=group.rule.waits)
        self._wake(1, now)

    def mark(self, name: str, number: int) -> None:
        """What was taken so far is all of `name` up to `number`; committed together with it."""
        self._marks[name] = number
        self._tick.set(self.tick_s)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is taken within, marks included, goes into one commit, however much it is.

        >>> pipeline = Pipeline([])
        >>> with pipeline.together():
        ...     pipeline.mark("plant", 1)
        """
        self._together = True
        try:
            yield
        finally:
            self._together = False
            if self.full:
                self.flush()

    def marked(self, name: str) -> int:
        """The last mark of `name`, 0 if there is none; one that was given up has never been."""
        for marks in (self._marks, self._commits.marks):
            if name in marks:
                return marks[name]
        return self.marks.get(name, 0)

    def reset(self, key: str) -> None:
        """Put a stream back to the initial state, after all that was taken before.

        Where commits are written, that is once they are; `on_reset` tells. Given up with a commit
        that fails. Raises KeyError for a stream that has not been seen.
        """
        self._resets.ask(key, self.admission[key])
        self.flush()

    def refuse(self, refused: Refused) -> None:
        """Count what was refused elsewhere, such as a line that a source could not read."""
        self._refusals.add(refused)

    # out

    def sink(self, callback: Callable[[Result], object]) -> None:
        """`callback(result)` gets every batch with its predictions, in order of arrival.

        A callback that raises is counted and logged; what others have seen stays true.
        """
        self._results.callbacks.append(callback)

    def on_reset(self, callback: Callable[[str], object]) -> None:
        """`callback(key)` is called when a stream was reset; its next sample is its first."""
        self._resets.callbacks.append(callback)

    def commit_by(
        self,
        write: Write,
        then: Callable[[], object] = lambda: None,
        anew: Callable[[str], object] = lambda key: None,
    ) -> None:
        """Publish nothing before `write(commit)` has made it durable, in whatever thread.

        If it fails, the states are as they were before, and everything is refused until `resume`.
        `then()` is called after each commit, while no other is on its way: what the banks hold at
        that moment is what was committed. `anew(key)` makes durable that a stream begins anew,
        before it does; if it raises, the stream goes on.
        """
        self._commits.write = write
        self._then, self._resets.durable = then, anew
        self._results.held = []

    async def room(self) -> None:
        """Wait until more can be taken: for who can, as a file; a sender is told why not."""
        while self.halted or self.full:
            if self.halted:
                await asyncio.sleep(HALTED_S)
            else:
                await self.settled()

    def settled(self) -> "asyncio.Future[str]":
        """Done when what has been taken is durable: "", or why it is not, and was given up."""
        return self._commits.settled(bool(self._waiting or self._marks))

    @property
    def busy(self) -> bool:
        """Whether a commit is on its way: the banks are ahead of what is durable."""
        return self._commits.busy

    @property
    def full(self) -> bool:
        """Whether more is pending than one flush should take: who can wait should."""
        return self._waiting >= FLUSH_ROWS

    def resume(self) -> None:
        """Take samples again after a commit that failed."""
        self.halted = ""

    def flush(self) -> None:
        """Predict what is pending now, without waiting for the tick.

        While a commit is being written, it is done right after that.
        """
        self._tick.cancel()
        self._due = self._commits.busy
        if self._due:
            return
        now = time.time()
        for sample in self.reorder.release(now):
            self._pending_of(sample.group).add(sample.key, sample.t, sample.x)
        if math.isnan(self._arrived):  # nothing has since the start, after which others wait on
            self._arrived = now
        pending, self._pending, self._waiting = self._pending, {}, 0
        held = self._results.held
        begin = time.perf_counter()
        for group, samples in pending.items():
            if held is not None:
                group.hold()
            for labels, batch in samples.parts(self._arrived, group.channels):
                for label in learn(group.learn, group.rule.match, labels, self.refuse):
                    if held is not None:
                        self._learned.append((len(held), label))
                if batch is not None:
                    self._emit(group, batch)
        self.spent_s += time.perf_counter() - begin
        marks, self._marks = self._marks, {}
        self._resets.begin()
        if held is not None and (pending or marks or self.reorder):
            self._results.held = []
            learned, self._learned = self._learned, []
            self._commits.begin(Commit(held, marks, self.reorder.begin(), learned), pending)
        else:
            self.marks.note(marks)
            self.reorder.begin()
            self._resets.finish()
            self.trim()
        self._alarm.cancel()
        if (deadline := self.reorder.deadline) is not None:
            self._alarm.set(max(0.0, deadline - time.time()) + self.tick_s)

    def stop(self) -> None:
        """Flush no more by the clock."""
        self._tick.cancel()
        self._alarm.cancel()

    def fold(self, group: Group, batch: Batch) -> NDArray[np.float32]:
        """Advance by samples of the past; y (N, O), NaN where the step failed.

        Nobody else hears of these predictions.
        """
        before, self._results.held = self._results.held, []
        y = np.full((len(batch.keys), len(group.outputs)), np.nan, np.float32)
        try:
            for rows, part in events(group, batch, self.watched):
                group.source.emit(part)
                for result in self._results.held:
                    y[rows] = result.batch.y
                self._results.held.clear()
            return y
        finally:
            self._results.held = before
            self.trim()

    def trim(self) -> None:
        """Let no more states be in memory than may be; no batch may be taken back any more."""
        share = self.state_bytes / max(self.admission.state_bytes, 1)
        if share >= 1:
            return
        for bank in (bank for group in self.groups for bank in group.banks):
            try:
                bank.trim(int(share * len(bank)), self.folder)
            except OSError as error:
                what = f"states of idle streams stay in memory, they cannot be written: {error}"
                self.refuse(Refused("states", "pipeline", what, 0))

    def _emit(self, group: Group, batch: Batch) -> None:
        for _, part in events(group, batch, self.watched):
            try:
                group.source.emit(part)
            except Exception as error:  # the graph has put its states back
                self.refuse(failed(group.rule.match, error, len(part.keys)))

    def _committed(self, commit: Commit) -> None:
        self.marks.note(commit.marks)
        self.reorder.done()
        for result in commit.results:
            self._results.publish(result)
        self._resets.finish()
        self._then()
        self.trim()
        if self._due:
            self.flush()

    def _halt(self, commit: Commit, why: str) -> None:
        given_up = sum(len(result.batch.keys) for result in commit.results)
        given_up += len(commit.labels) + self._waiting
        self._pending, self._waiting, self._due, self._marks = {}, 0, False, {}
        self._resets.give_up()
        self.reorder.give_up()
        self.halts += 1
        self.halted = f"nothing is taken, for the journal cannot be written: {why}"
        self.refuse(Refused("journal", "journal", f"cannot be written: {why}", given_up))

    # what is known

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self.admission.rules

    @property
    def groups(self) -> list[Group]:
        return self.admission.groups

    @property
    def samples(self) -> int:
        return self._results.samples

    @property
    def refused(self) -> Counter[str]:
        """How many samples were refused, by kind."""
        return self._refusals.counts

    @property
    def last_refused(self) -> LastRefused | None:
        return self._refusals.last

    def group_of(self, key: str) -> Group | None:
        """The group of a stream that has been seen."""
        return self.admission.get(key)

    def admit(self, key: str, channels: Channels) -> Group:
        """The group of a stream that had these channels in the past. Raises Refused."""
        group, rule, channels = self.admission.known(key, dict.fromkeys(channels, 0.0))
        return group or self.admission.admit(key, rule, channels)

    def warm(self, rule: Rule) -> None:
        """Make the step of `rule` and compile it on a throw-away stream; may run in another thread.

        Raises what the step raises: a rule that cannot work is known before any sample comes.
        """
        self.admission.warm(rule)

    # inside

    def _pending_of(self, group: Group) -> Pending:
        pending = self._pending.get(group)
        if pending is None:
            pending = self._pending[group] = Pending()
        return pending

    def _wake(self, rows: int, now: float) -> None:
        self._arrived = now
        self._waiting += rows
        if self.full and not self._together:
            self.flush()
        else:
            self._tick.set(self.tick_s)

    def _hold(self, group: Group, key: str, t: float, row: Sequence[float], arrived: float) -> None:
        if not self.reorder.take(group, key, t, row, arrived):
            used = self.reorder.used_before(key)
            error = (
                f"its time {t:.15g} is before {used:.15g}, which has been used; it is kept apart"
            )
            self.refuse(Refused("late", key, error))
