"""The recorded past through other steps: as a source for a page, or folded, for a table."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.streams import Batch, Group, Pipeline, Refused, Source
from streamrnn.streams.batch import made_up
from streamrnn.streams.labels import Label
from streamrnn_server.columns import Columns
from streamrnn_server.database import JournalError
from streamrnn_server.history import History, Past, between
from streamrnn_server.journal import Kind


class Played(Source):
    """A source that emits what a journal holds as fast as it is taken, all streams in turn.

    Its `taker`, a Pipeline, learns labels and resets streams where that was done.
    """

    def __init__(self, past: History, **kwargs: Any) -> None:
        self._past = past
        self._happened = _Happened(past)
        super().__init__("journal", **kwargs)

    async def batches(self) -> AsyncGenerator[Batch, None]:
        try:
            async for batch in self._batches():
                yield batch
        except JournalError as error:  # which the next look would find as well
            raise Refused("journal", "journal", str(error)) from None

    async def _batches(self) -> AsyncGenerator[Batch, None]:
        waiting = list(self._past.by_stream())
        while waiting:
            parts = [next(stream, None) for stream in waiting]
            waiting = [s for s, part in zip(waiting, parts, strict=True) if part is not None]
            for part in parts:
                if part is None:
                    continue
                for what, rows in self._happened.before(part):
                    self._happen(part, what)
                    yield _batch(part, rows)
                await asyncio.sleep(0)

    def _happen(self, part: Past, what: Sequence[Label | None]) -> None:
        pipeline = self.taker
        assert isinstance(pipeline, Pipeline)
        group = pipeline.group_of(part.key)
        for label in what:
            if group is None:
                return
            if label is None:
                pipeline.reset(part.key)
            elif _teaches(part.kind, group):
                with suppress(Refused):  # counted
                    pipeline.learn(*label[:3])


class _Happened:
    """What happened to streams between the samples that have not been given yet."""

    def __init__(self, past: History) -> None:
        self._past = past
        self._of: dict[str, deque[tuple[int, Label | None]]] = {}

    def before(self, part: Past) -> Iterator[tuple[list[Label | None], slice]]:
        """The rows of a part, and what comes before them."""
        if part.key not in self._of:
            self._of[part.key] = deque(self._past.between_samples(part.key))
        of_one = np.zeros(len(part.numbers), np.int64)
        return between(of_one, part.numbers, {0: self._of[part.key]})


def groups_of(pipeline: Pipeline, past: History) -> tuple[dict[str, Group], list[Refused]]:
    """The group that serves each stream of the past now, and why some are served by none."""
    groups, refused = {}, []
    for key, kind in past.kinds_now().items():
        try:
            group = pipeline.admit(key, kind.channels)
            if _order(kind, group) is None:
                recorded, wanted = ", ".join(kind.channels), ", ".join(group.channels)
                raise Refused(
                    "channels", key, f"expected channels {wanted}, recorded are {recorded}"
                )
            groups[key] = group
        except Refused as error:
            refused.append(error)
    return groups, refused


def folded(
    pipeline: Pipeline, past: History, groups: dict[str, Group]
) -> Iterator[tuple[Past, Past]]:
    """Samples with the predictions that were recorded, and with those of now.

    Labels are learned, and streams reset, where that was done. Samples of a time when their stream
    had other channels are left out.
    """
    happened = _Happened(past)
    for part in past.samples():
        group = groups.get(part.key)
        order = None if group is None else _order(part.kind, group)
        y = []
        for what, rows in happened.before(part):
            if group is None or order is None:
                continue
            for label in what:
                if label is None:
                    for bank in group.banks:
                        if part.key in bank:  # else what it had is not kept any more
                            bank.reset([part.key])
                elif _teaches(part.kind, group):
                    group.learn([label])
            t, x = part.samples.t[rows], part.samples.x[rows, order]
            y.append(pipeline.fold(group, Batch([part.key] * len(t), t, x)))
        if group is not None and order is not None:
            outputs = tuple(tuple(output) for output in group.outputs)
            samples = Columns(part.samples.t, part.samples.x[:, order], np.concatenate(y))
            now = Past(part.key, Kind(group.channels, outputs), samples, part.numbers)
            yield part, now


def _teaches(kind: Kind, group: Group) -> bool:
    """Whether labels of rows of such a kind are of the target of a group that learns."""
    order, found = _order(kind, group), _one_ahead(kind)
    if not group.learns or order is None:
        return False
    return found is None or order[group.target] == found[1]


def comparable(recorded: Past, replayed: Past) -> bool:
    """Whether the next value that the one forecast is of the channel that the other forecasts."""
    one, other = _one_ahead(recorded.kind), _one_ahead(replayed.kind)
    if one is None or other is None:
        return True
    channels = recorded.kind.channels
    if channels == made_up(len(channels)):
        return one[1] == other[1]
    return channels[one[1]] == replayed.kind.channels[other[1]]


def _order(kind: Kind, group: Group) -> list[int] | None:
    """Where the recorded columns have the group's channels: by name, unless they had none."""
    if sorted(kind.channels) == sorted(group.channels):
        return [kind.channels.index(name) for name in group.channels]
    if kind.channels == made_up(len(group.channels)):
        return list(range(len(group.channels)))
    return None


def _batch(past: Past, rows: slice) -> Batch:
    t, x = past.samples.t[rows], past.samples.x[rows]
    return Batch([past.key] * len(t), t, x, channels=past.kind.channels)


class Error(NamedTuple):
    """Mean absolute error of forecasts one sample ahead, and of persistence, by stream."""

    samples: int
    error: float
    persistence: float


class Errors:
    """Holds forecasts against the values that came, stream by stream."""

    def __init__(self) -> None:
        self._sums: dict[str, NDArray[np.float64]] = {}  # samples, pairs, errors, persistence's
        self._last: dict[str, tuple[Kind, float, float]] = {}  # kind, value, forecast

    def add(self, past: Past) -> None:
        """Further samples of a stream, with their predictions."""
        key, kind, samples, _ = past
        sums = self._sums.setdefault(key, np.zeros(4))
        sums[0] += len(samples.t)
        found = _one_ahead(kind)
        if found is None:
            return
        column, channel = found
        value, forecast = samples.x[:, channel], samples.y[:, column].astype(np.float64)
        before = self._last.get(key)
        if before is not None and before[0] == kind:
            value, forecast = np.r_[before[1], value], np.r_[before[2], forecast]
        self._last[key] = (kind, float(value[-1]), float(forecast[-1]))
        errors = np.stack([value[1:] - forecast[:-1], value[1:] - value[:-1]])
        known = ~np.isnan(errors).any(axis=0)
        sums[1:] += [known.sum(), *np.abs(errors[:, known]).sum(axis=1)]

    def of(self, key: str) -> Error:
        samples, pairs, error, persistence = self._sums.get(key, np.zeros(4)).tolist()
        if not pairs:
            return Error(int(samples), float("nan"), float("nan"))
        return Error(int(samples), error / pairs, persistence / pairs)


def _one_ahead(kind: Kind) -> tuple[int, int] | None:
    """Which column forecasts the next value of which channel."""
    for column, (_, what, channel, ahead) in enumerate(kind.outputs):
        if (what, ahead) == ("forecast", 1):
            return column, int(channel)
    return None
