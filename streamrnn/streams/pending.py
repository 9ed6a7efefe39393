"""What one group has been given since the last tick."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from streamrnn.keys import Keys
from streamrnn.streams.batch import Batch
from streamrnn.streams.labels import Label


class Pending:
    """One group's samples since the last tick, and the labels between them."""

    def __init__(self) -> None:
        self._labels: list[tuple[int | None, Label]] = []  # after so many samples, None: all
        self._sealed = 0  # samples in _columns
        self._keys: list[str] = []
        self._t: list[float] = []
        self._x: list[float] = []  # flat: the caller may reuse its row
        self._columns: list[Batch] = []

    def add(self, key: str, t: float, row: Iterable[float]) -> None:
        self._keys.append(key)
        self._t.append(t)
        self._x.extend(row)

    def extend(self, columns: Batch) -> None:
        self._seal()
        self._columns.append(columns)
        self._sealed += len(columns.keys)

    def label(self, label: Label, *, last: bool = False) -> None:
        """last: after all samples, though some have still to be added."""
        self._labels.append((None if last else self._sealed + len(self._keys), label))

    def parts(
        self, arrived: float, channels: tuple[str, ...]
    ) -> Iterator[tuple[Sequence[Label], Batch | None]]:
        """Labels, and the samples that come after them, in order."""
        self._seal()
        cuts: dict[int, list[Label]] = {0: []}
        for at, label in self._labels:
            cuts.setdefault(self._sealed if at is None else at, []).append(label)
        batch = self._batch(arrived, channels) if self._columns else None
        for (begin, labels), end in zip(cuts.items(), [*cuts][1:] + [self._sealed], strict=True):
            if batch is None or begin == end:
                yield labels, None
            elif end - begin == self._sealed:
                yield labels, batch
            else:
                rows = slice(begin, end)
                keys = Keys.of(batch.keys).rows(rows)
                yield labels, batch._replace(keys=keys, t=batch.t[rows], x=batch.x[rows])

    def _batch(self, arrived: float, channels: tuple[str, ...]) -> Batch:
        return Batch(
            Keys.joined([Keys.of(part.keys) for part in self._columns]),
            np.concatenate([part.t for part in self._columns]),
            np.concatenate([part.x for part in self._columns]),
            arrived=arrived,
            channels=channels,
        )

    def _seal(self) -> None:
        if self._keys:
            x = np.array(self._x).reshape(len(self._keys), -1)
            self._columns.append(Batch(self._keys, np.array(self._t), x))
            self._sealed += len(x)
            self._keys, self._t, self._x = [], [], []
