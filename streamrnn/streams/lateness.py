"""Samples that may come out of order: each waits for those before it, but no longer than it may.

A sample is used when one of its stream has come that is `lateness` seconds newer, or when it has
waited so long itself. One that comes after a newer one was used is late: it is kept, never used.
Where rows are on a grid (grid.py), so it is for each row, whose samples are used together.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streamrnn.streams.grid import joined, row_time
from streamrnn.streams.groups import Group

AHEAD_S = 300.0  # clocks differ by minutes: a time so far ahead is as good as now


class Held(NamedTuple):
    """A sample that waits, or is late."""

    id: int
    group: Group
    key: str
    t: float
    x: Sequence[float]
    arrived: float


class Waiting(NamedTuple):
    """What a commit makes durable of samples that wait: by id the new ones, and who waits no more.

    late   came too late, to be kept apart
    """

    new: Mapping[int, Held]
    freed: Sequence[Held]
    late: Sequence[Held]


@dataclass
class _Stream:
    newest: float = float("-inf")
    used: float = float("-inf")  # the last that was used; what is older comes too late
    until: float = float("-inf")  # who is not newer has waited long enough
    heap: list[tuple[float, int]] = field(default_factory=list)


@dataclass
class _Change:
    """What happened since a commit began; `used` is of each stream before, newest last."""

    new: dict[int, Held] = field(default_factory=dict)
    freed: list[Held] = field(default_factory=list)
    late: list[Held] = field(default_factory=list)
    used: list[tuple[str, float]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.freed or self.late or self.used)


class Reorder:
    """All samples that wait."""

    def __init__(self) -> None:
        self._ids = 0
        self._held: dict[int, Held] = {}
        self._streams: dict[str, _Stream] = {}
        self._touched: set[str] = set()
        self._deadlines: list[tuple[float, int]] = []
        self._now = _Change()
        self._committing = _Change()

    def __bool__(self) -> bool:
        """Whether there is something to commit."""
        return bool(self._now)

    def take(self, group: Group, key: str, t: float, x: Sequence[float], arrived: float) -> bool:
        """Let a sample wait; False if it is late."""
        self._ids += 1
        held = Held(self._ids, group, key, t, tuple(x), arrived)
        if t < self._streams.setdefault(key, _Stream()).used:
            self._now.late.append(held)
            return False
        self._now.new[held.id] = held
        self._hold(held)
        return True

    def go_on(self, held: Held) -> None:
        """Let a sample wait on that waited before a restart."""
        self._ids = max(self._ids, held.id)
        self._hold(held)

    def was_used(self, key: str, t: float) -> None:
        """The last that was used of a stream before a restart."""
        self._streams.setdefault(key, _Stream()).used = t

    def used_before(self, key: str) -> float:
        """Samples of this stream from before that come too late."""
        return self._streams[key].used

    def release(self, now: float) -> Iterator[Held]:
        """Samples that need not wait any more, each stream's in order of time."""
        while self._deadlines and self._deadlines[0][0] <= now:
            _, id = heapq.heappop(self._deadlines)
            if id in self._held:
                held = self._held[id]
                stream = self._streams[held.key]
                stream.until = max(stream.until, _due(held))
                self._touched.add(held.key)
        for key in sorted(self._touched):
            yield from self._used(key, self._streams[key])
        self._touched.clear()

    @property
    def deadline(self) -> float | None:
        """When the next one has waited long enough."""
        while self._deadlines and self._deadlines[0][1] not in self._held:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def begin(self) -> Waiting:
        """What happened since the last time, for a commit."""
        self._committing, self._now = self._now, _Change()
        change = self._committing
        return Waiting(change.new, change.freed, change.late)

    def done(self) -> None:
        """The commit is durable."""
        self._committing = _Change()

    def give_up(self) -> None:
        """The commit failed: what came since has not come, and who was freed waits again."""
        for change in (self._now, self._committing):
            for key, used in reversed(change.used):
                self._streams[key].used = used
            for id in change.new:
                self._held.pop(id, None)
            for held in change.freed:
                self._hold(held)
        self._now, self._committing = _Change(), _Change()

    def _hold(self, held: Held) -> None:
        stream = self._streams.setdefault(held.key, _Stream())
        # Of a time that is long to come it waits for that: used at once, it would make all late
        # that comes until then.
        if held.t <= held.arrived + AHEAD_S:
            stream.newest = max(stream.newest, held.t)
        heapq.heappush(stream.heap, (held.t, held.id))
        wait_s = _due(held) - held.t + held.group.rule.lateness
        heapq.heappush(self._deadlines, (max(held.arrived, held.t - AHEAD_S) + wait_s, held.id))
        self._held[held.id] = held
        self._touched.add(held.key)

    def _used(self, key: str, stream: _Stream) -> Iterator[Held]:
        while stream.heap:
            held = self._held.get(stream.heap[0][1])
            if held is None:  # it was given up
                heapq.heappop(stream.heap)
                continue
            rule, due = held.group.rule, _due(held)
            if due > max(stream.newest - rule.lateness, stream.until):
                return
            self._now.used.append((key, stream.used))
            stream.used = due
            if rule.every:
                together = list(self._together(stream, due))
                x = joined([part.x for part in together], rule.how)
                yield held._replace(t=due, x=x)
            else:
                yield self._freed(stream)

    def _together(self, stream: _Stream, due: float) -> Iterator[Held]:
        """The samples of a row."""
        while stream.heap:
            held = self._held.get(stream.heap[0][1])
            if held is None:
                heapq.heappop(stream.heap)
            elif _due(held) == due:
                yield self._freed(stream)
            else:
                return

    def _freed(self, stream: _Stream) -> Held:
        """The oldest sample of a stream, which waits no more."""
        _, id = heapq.heappop(stream.heap)
        held = self._held.pop(id)
        # Of one that came and went since the last commit no file needs to know that it waited.
        if self._now.new.pop(id, None) is None:
            self._now.freed.append(held)
        return held


def _due(held: Held) -> float:
    """The time of its row, from which on it is used."""
    return row_time(held.t, held.group.rule.every)
