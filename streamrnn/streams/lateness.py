"""Samples that may come out of order: each waits for those before it, but no longer than it may.

A sample is used when one of its stream has come that is `lateness` seconds newer, or when it has
waited so long itself. One that comes after a newer one was used is late: it is kept, never used.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streamrnn.streams.groups import Group


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
                stream.until = max(stream.until, held.t)
                self._touched.add(held.key)
        for key in sorted(self._touched):
            yield from self._due(key, self._streams[key])
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
        stream.newest = max(stream.newest, held.t)
        heapq.heappush(stream.heap, (held.t, held.id))
        heapq.heappush(self._deadlines, (held.arrived + held.group.rule.lateness, held.id))
        self._held[held.id] = held
        self._touched.add(held.key)

    def _due(self, key: str, stream: _Stream) -> Iterator[Held]:
        while stream.heap:
            t, id = stream.heap[0]
            held = self._held.get(id)
            if held is not None and t > max(stream.newest - held.group.rule.lateness, stream.until):
                return
            heapq.heappop(stream.heap)
            if held is None:  # it was given up
                continue
            del self._held[id]
            self._now.used.append((key, stream.used))
            stream.used = t
            # Of one that came and went since the last commit no file needs to know that it waited.
            if self._now.new.pop(id, None) is None:
                self._now.freed.append(held)
            yield held
