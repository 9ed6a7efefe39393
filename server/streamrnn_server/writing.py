"""A network that read a text writes on, from any place of it that is still kept.

    States   of each text stream a state now and then, to go back to
    Writing  from such a state over the tokens read since to the place asked for, and on from there

A state is kept every EVERY tokens; what lies between is read again, which gives the same bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.step import Step, allocate, scalar

EVERY = 256
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

    def due(self, stream: int, seq: int) -> bool:
        """Whether the state after sample `seq` is worth keeping."""
        kept = self._of.get(stream)
        return not kept or seq - kept[-1][0] >= EVERY

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
        step: Step,
        state: NDArray[Any],
        tokens: Sequence[float],
        *,
        stream: int,
        after: int,
        temperature: float,
        length: int,
        generator: np.random.Generator,
    ) -> None:
        self.stream = stream
        self.after = after
        self.left = length
        self._step = step
        self._states = allocate(step.layout, 1)
        self._states[0] = state
        self._tokens = tokens
        self._temperature = temperature
        self._generator = generator
        self._since: float | None = None

    def due(self, now: float) -> list[int]:
        """The tokens written since the last call, at WRITE_HZ."""
        if self._since is None:
            self._read(self._tokens)
            self._since = now
        count = min(int((now - self._since) * WRITE_HZ), self.left)
        if count > BURST:
            self._since, count = now, BURST
        elif count > 0:
            self._since += count / WRITE_HZ
        self.left -= count
        return [self._write() for _ in range(count)]

    def _write(self) -> int:
        token = draw(self._states["log_p"][0], self._temperature, self._generator)
        self._read([token])
        return token

    def _read(self, tokens: Sequence[float]) -> None:
        x = np.array(tokens, scalar(self._step.layout)).reshape(-1, 1)
        y = np.empty((len(x), self._step.outputs), x.dtype)
        self._step.advance(self._states, np.zeros(len(x), np.int64), x, y)


def draw(
    log_p: NDArray[np.floating[Any]], temperature: float, generator: np.random.Generator
) -> int:
    """The number of a token, by its log-probability divided by `temperature`; at 0 the likeliest.

    >>> draw(np.log([0.1, 0.7, 0.2]), 0.0, np.random.default_rng(0))
    1
    """
    if temperature == 0.0:
        return int(log_p.argmax())
    scaled = log_p.astype(np.float64) / temperature
    p = np.exp(scaled - scaled.max())
    total = np.cumsum(p)
    found = np.searchsorted(total, generator.random() * total[-1], side="right")
    return min(int(found), len(p) - 1)  # the product may be rounded up to the total
