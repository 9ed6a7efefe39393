"""Sequences played to the page: a row at a time, with their marks, over and over."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.bank import Bank
from streamrnn.sequences import END, START, WRITE
from streamrnn.step import Step
from streamrnn.streams import Source
from streamrnn.streams.lines import Row
from streamrnn.streams.sources import Emitted, Timed, paced

Rows = NDArray[np.float64]


class Play(Source):
    """Sequences in order, rate_hz rows a second, and from the first again after the last.

    keys       the streams
    channels   names of the columns
    sequences  (T, C), each row for all of the streams, or (T, len(keys), C)
    pause      so many rows' time between sequences, to look at the answer
    """

    def __init__(
        self,
        keys: Sequence[str],
        channels: tuple[str, ...],
        sequences: Sequence[Rows],
        *,
        rate_hz: float,
        pause: int = 0,
        **kwargs: Any,
    ) -> None:
        self.keys, self.channels, self.sequences = keys, channels, sequences
        self.rate_hz, self.pause = rate_hz, pause
        super().__init__(f"play {keys[0]}", **kwargs)

    def batches(self) -> AsyncGenerator[Emitted, None]:
        return paced(self._timed())

    def _timed(self) -> Iterator[Timed[None]]:
        count = 0
        while True:
            for sequence in self.sequences:
                for rows in sequence:
                    each = np.broadcast_to(rows, (len(self.keys), len(self.channels))).tolist()
                    for key, x in zip(self.keys, each, strict=True):
                        yield count / self.rate_hz, Row(key, None, x, self.channels), None
                    count += 1
                count += self.pause


def marked(x: ArrayLike, write: int = 0) -> Rows:
    """Rows x (T, C) as a sequence of its own: with a column of marks, and rows to write in."""
    rows = np.asarray(x, np.float64)
    whole = np.full((len(rows) + write, rows.shape[1] + 1), np.nan)
    whole[: len(rows), :-1], whole[: len(rows), -1] = rows, 0
    whole[0, -1] += START
    whole[len(rows) - 1, -1] += END
    whole[len(rows) :, -1] = WRITE
    return whole


class Place(NamedTuple):
    """Where a row is: in which sequence since the start of the program, and at which step of it."""

    nth: int
    step: int
    reads: bool


class Places:
    """Follows the rows of one stream that `Play` plays."""

    def __init__(self) -> None:
        self._nth, self._step = -1, -1

    def of(self, row: NDArray[Any]) -> Place:
        """The place of the next row (C,), by its mark."""
        mark = row[-1]
        writes = mark == WRITE
        if not writes and int(mark) & START:
            self._nth, self._step = self._nth + 1, -1
        self._step += 1
        return Place(max(self._nth, 0), self._step, not writes)


def likely(logits: NDArray[Any], names: Sequence[str], count: int = 5) -> list[tuple[str, float]]:
    """The likeliest of the classes that `names` name, each with its probability."""
    p = np.exp(logits - logits.max())
    p /= p.sum()
    return [(names[k], float(p[k])) for k in np.argsort(-p)[:count]]


def answers(step: Step, sequences: Sequence[Rows]) -> list[NDArray[Any]]:
    """What a step puts out at every row of sequences of their own: (T, outputs) each."""
    lengths = [len(sequence) for sequence in sequences]
    keys = np.repeat(np.arange(len(sequences)), lengths)
    y = Bank(step).step(keys.tolist(), np.concatenate(sequences))
    return np.split(y, np.cumsum(lengths)[:-1])
