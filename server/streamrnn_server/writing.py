"""A network that read a text writes on, from any place of it that is still kept.

    States   of each text stream a state now and then, to go back to
    Writing  from such a state over the tokens read since to the place asked for, and on from there

What lies between a state and a place is read again, which gives the same bits. Of a network that
learns as it reads, the parameters are those of the state, and it learns neither from that nor from
what it writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.learner import Learner
from streamrnn.step import allocate
from streamrnn.text import Reader, sample

STATES_BYTES = 32 << 20
WRITE_HZ = 60.0  # tokens a second: one sees them come
BURST = 16  # tokens at once, when nobody fetched them for a while


class States:
    """States by stream and sequence number, the oldest given up when they take too many bytes."""

    def __init__(self, budget_bytes: int = STATES_BYTES) -> None:
        self.budget_bytes = budget_bytes
        self.bytes = 0
        self._of: dict[int, deque[tuple[int, NDArray[Any]]]] = {}
        self._ages: deque[int] = deque()  # streams, in the order in which states came

    def keep(self, stream: int, seq: int, state: NDArray[Any]) -> None:
        """Keep `state`, that of the stream after sample `seq`; instead of another of that place."""
        kept = self._of.setdefault(stream, deque())
        if kept and kept[-1][0] == seq:
            kept[-1] = (seq, state)
            return
        kept.append((seq, state))
        self._ages.append(stream)
        self.bytes += state.nbytes
        while self.bytes > self.budget_bytes and len(self._ages) > 1:
            self.bytes -= self._of[self._ages.popleft()].popleft()[1].nbytes

    def forget(self, stream: int) -> None:
        """Give up all states of a stream."""
        self.bytes -= sum(state.nbytes for _, state in self._of.pop(stream, ()))
        self._ages = deque(other for other in self._ages if other != stream)

    def before(self, stream: int, seq: int) -> tuple[int, NDArray[Any]] | None:
        """The newest state at or before sample `seq` with its own number, if one is kept."""
        kept = self._of.get(stream, ())
        return next((state for state in reversed(kept) if state[0] <= seq), None)

    def oldest(self, stream: int, first: int) -> int | None:
        """The first place that can be gone back to, where tokens are kept from `first` on."""
        return next((seq for seq, _ in self._of.get(stream, ()) if seq >= first - 1), None)


class Writing:
    """What one viewer has the network write.

    state, tokens  where to begin, and what was read from there up to the place asked for
    """

    def __init__(
        self,
        step: Reader | Learner,
        state: NDArray[Any],
        tokens: Sequence[float],
        *,
        stream: int,
        after: int,
        temperature: float,
        length: int,
    ) -> None:
        self.stream = stream
        self.after = after
        self.left = length
        self._begin = (step, state, tokens, temperature)
        self._written: Iterator[int] | None = None
        self._since = 0.0

    def due(self, now: float) -> list[int]:
        """The tokens written since the last call, at WRITE_HZ."""
        if self._written is None:  # not before a tick: who asks often has it done once
            self._written = _writer(*self._begin)
            self._since = now
        count = min(int((now - self._since) * WRITE_HZ), self.left)
        if count > BURST:
            self._since, count = now, BURST
        elif count > 0:
            self._since += count / WRITE_HZ
        self.left -= count
        return [next(self._written) for _ in range(count)]


def _writer(
    step: Reader | Learner, state: NDArray[Any], tokens: Sequence[float], temperature: float
) -> Iterator[int]:
    reader = step.reader(state) if isinstance(step, Learner) else step
    states = allocate(reader.layout, 1)
    for name, _ in reader.fields:  # a learner has more
        states[name] = state[name]
    x = np.array(tokens, np.float32).reshape(-1, 1)
    y = np.empty((len(x), reader.outputs), np.float32)
    reader.advance(states, np.zeros(len(x), np.int64), x, y)
    return sample(reader, states[0:1].reshape(()), temperature=temperature)
