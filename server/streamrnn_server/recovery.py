"""The states as they were: the newest good snapshot, and what the journal holds after it, folded.

One sample at a time, in batches or among other streams gives the same bits, so the past is folded
in batches as large as can be, and the states are those that the samples would have left one by one.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.kernels.jit import fingerprint
from streamrnn.keys import Keys, repeats
from streamrnn.step import flat
from streamrnn.streams import Batch, Group, Pipeline, Refused
from streamrnn.streams.labels import Label
from streamrnn.streams.lateness import Held
from streamrnn_server import columns, snapshots
from streamrnn_server.columns import Columns
from streamrnn_server.database import told_if_damaged
from streamrnn_server.history import History, between, each
from streamrnn_server.journal import Journal, chunks, log

logger = logging.getLogger(__name__)

FOLD_ROWS = 8192


class Recovered(NamedTuple):
    """What a recovery did.

    streams   whose state was brought back
    folded    samples that came after the snapshot
    differing of these, whose prediction is not the recorded one to the bit
    anew      streams that begin anew, as another step serves them now
    left_out  streams that no rule serves any more
    """

    streams: int
    folded: int
    differing: int
    anew: int
    left_out: int
    seconds: float


def recover(pipeline: Pipeline, journal: Journal) -> Recovered:
    """Bring the streams of the journal back into a pipeline that has taken nothing yet."""
    begin = time.perf_counter()
    path = journal.path
    groups = _admitted(pipeline, journal)
    anew = _exchanged(groups, journal)
    start = np.array([record.began for record in journal.streams.values()], np.int64)
    labelled = _restore(pipeline, journal, groups, start)
    with told_if_damaged(path):
        _tell_what_lacks(groups, journal, start)
        late = _late(groups, journal, labelled)
    keys = list(journal.streams)
    folded = differing = 0
    for group, whole, numbers in each(path, _after(groups, journal, start)):
        assert whole.ids is not None
        for labels, rows in between(whole.ids, numbers, late):
            if labels:
                group.learn(labels)
            part = whole.rows(rows)
            ids, index = np.unique(whole.ids[rows], return_inverse=True)
            batch = Batch(Keys([keys[id] for id in ids.tolist()], index), part.t, part.x)
            y = pipeline.fold(group, batch)
            same = (y.view(np.uint32) == part.y.view(np.uint32)) | (np.isnan(y) & np.isnan(part.y))
            folded += len(y)
            differing += int((~same.all(axis=1)).sum())
    for id, rest in late.items():  # after all samples
        groups[id].learn([label for _, label in rest])
    with told_if_damaged(path):
        _wait_on(pipeline, journal, groups)
    if differing:
        logger.warning("%d of %d folded predictions are not as recorded", differing, folded)
    left_out = len(keys) - len(groups)
    seconds = time.perf_counter() - begin
    return Recovered(len(groups), folded, differing, len(anew), left_out, seconds)


def _wait_on(pipeline: Pipeline, journal: Journal, groups: dict[int, Group]) -> None:
    """Samples that waited for earlier ones wait on."""
    ordered = [key for key, r in journal.streams.items() if r.id in groups]
    if any(groups[journal.streams[key].id].rule.waits for key in ordered):
        with History(journal.folder) as past:
            for key, parts in past.newest(1):
                for part in parts:
                    pipeline.reorder.was_used(key, float(part.samples.t[-1]))
    with closing(journal.read()) as db:
        query = "SELECT id, key, channels, t, x, arrived FROM waiting ORDER BY id"
        for id, key, channels, t, x, arrived in db.execute(query):
            try:
                group = pipeline.admit(key, tuple(json.loads(channels)))
                if 8 * len(group.channels) != len(x):
                    error = f"expected {len(group.channels)} channels, recorded are {len(x) // 8}"
                    raise Refused("channels", key, error)
            except Refused as refused:
                logger.warning("a sample that waited is left out: %s", refused)
                continue
            values = np.frombuffer(x, "<f8").tolist()
            pipeline.reorder.go_on(Held(id, group, key, t, values, arrived))


def _admitted(pipeline: Pipeline, journal: Journal) -> dict[int, Group]:
    """The group that serves each stream now, by the stream's id."""
    groups = {}
    for key, record in journal.streams.items():
        try:
            groups[record.id] = pipeline.admit(key, journal.kinds[record.group].channels)
        except Refused as refused:
            logger.warning("a stream of the journal is left out: %s", refused)
    return groups


def _exchanged(groups: dict[int, Group], journal: Journal) -> list[str]:
    """Streams whose step is another one than before begin anew, and the journal says so."""
    identities = {id: identity for identity, id in journal.group_ids.items()}
    anew: dict[Group, list[str]] = {}
    for key, record in journal.streams.items():
        group = groups.get(record.id)
        if group is not None and group.identity != identities[record.group]:
            anew.setdefault(group, []).append(key)
    for group, keys in anew.items():
        what = f"another step: {type(group.step).__name__} of rule {group.rule.match}"
        journal.begin_anew(keys, group, time.time(), what)
        logger.warning("%d streams begin anew, such as %s: %s", len(keys), keys[0], what)
    return [key for keys in anew.values() for key in keys]


def _restore(
    pipeline: Pipeline, journal: Journal, groups: dict[int, Group], start: NDArray[np.int64]
) -> NDArray[np.int64]:
    """States from the newest good snapshot; start[id] becomes how many samples they have seen.

    Returns the last label that each knows of (streams,).
    """
    keys = list(journal.streams)
    labelled = np.zeros(len(keys), np.int64)
    for path in snapshots.found(journal.folder):
        try:
            made_by, parts = snapshots.read(path, journal.name)
            for ids, counts, labels in snapshots.counted(path):
                if (counts > journal.counts[ids]).any() or labels > journal.labelled:
                    raise snapshots.SnapshotError(
                        f"{path} knows of samples that the journal has not"
                    )
        except snapshots.SnapshotError as error:
            logger.warning("%s; the one before it is tried", error)
            continue
        if made_by != fingerprint():
            logger.warning(
                "the snapshot was made on another machine or version (%s, this one is %s): states "
                "go on, but predictions may differ from those of then in their last bits",
                *(made_by, fingerprint()),
            )
        for part in parts:
            for group in dict.fromkeys(groups.values()):
                if group.identity != part.identity:
                    continue
                own = np.array(
                    [
                        groups.get(id) is group and count > start[id]
                        for id, count in zip(part.ids.tolist(), part.counts.tolist(), strict=True)
                    ]
                )
                ids = part.ids[own]
                for bank, states in zip(group.banks, part.states, strict=True):
                    rows = bank.rows([keys[id] for id in ids.tolist()])
                    flat(bank.states)[rows] = states[own]
                start[ids] = part.counts[own]
                labelled[ids] = part.labels
            pipeline.trim()
        break
    return labelled


def _tell_what_lacks(groups: dict[int, Group], journal: Journal, start: NDArray[np.int64]) -> None:
    """Samples from number start[id] on that were dropped: only where a snapshot is damaged."""
    with closing(journal.read()) as db:
        oldest = db.execute(  # by its index: there may be a million chunks
            "SELECT id, coalesce("
            "(SELECT min(first) FROM chunks WHERE stream = streams.id), left_log) FROM streams"
        )
        lacking = [first - int(start[id]) for id, first in oldest.fetchall() if id in groups]
    lacking = [count for count in lacking if count > 0]
    if lacking:
        logger.warning(
            "%d streams go on without %d samples that no snapshot knows of and that are not kept "
            "any more: their predictions are others than without the damage",
            *(len(lacking), sum(lacking)),
        )


def _late(
    groups: dict[int, Group], journal: Journal, labelled: NDArray[np.int64]
) -> dict[int, deque[tuple[int, Label]]]:
    """By stream the labels that its state does not know of, each after how many samples."""
    records = list(journal.streams.items())
    late: dict[int, deque[tuple[int, Label]]] = {}
    with closing(journal.read()) as db:
        query = "SELECT id, stream, number, t, value FROM labels WHERE id > ? ORDER BY id"
        for n, id, number, t, value in db.execute(query, (int(labelled.min(initial=0)),)):
            key, record = records[id]
            if id in groups and n > labelled[id] and number > record.began:
                late.setdefault(id, deque()).append((number, Label(key, value, t)))
    return late


def _after(
    groups: dict[int, Group], journal: Journal, start: NDArray[np.int64]
) -> Iterator[tuple[Group, Columns, NDArray[np.int64]]]:
    """Samples of each stream from number start[id] on, in batches, and their numbers.

    Their ids say whose they are.
    """
    db = journal.read()
    try:
        ends = np.zeros(len(start), np.int64)  # samples that left the log
        for id, end in db.execute("SELECT id, left_log FROM streams").fetchall():
            ends[id] = end
            if id in groups and start[id] < end:
                yield from _of_chunks(db, journal, groups[id], id, int(start[id]))
        distinct = list(dict.fromkeys(groups.values()))
        number_of = {group: n for n, group in enumerate(distinct)}
        served_by = np.full(len(start), -1)
        for id, group in groups.items():
            served_by[id] = number_of[group]
        gathered: dict[Group, list[tuple[Columns, NDArray[np.int64]]]] = {}
        for batch in log(db, journal.kinds):
            ids = batch.ids
            ends_before, ends = ends, ends + np.bincount(ids, minlength=len(ends))
            if (ends <= start)[ids].all():
                continue
            numbers = ends_before[ids] + repeats(ids)
            by = served_by[ids]
            new = numbers >= start[ids]
            part = batch.read()
            for n in np.unique(by[new & (by >= 0)]).tolist():
                parts = gathered.setdefault(distinct[n], [])
                own = new & (by == n)
                parts.append((part.rows(own), numbers[own]))
                if sum(len(which) for _, which in parts) >= FOLD_ROWS:
                    yield distinct[n], *_joined(gathered.pop(distinct[n]))
        for group, parts in gathered.items():
            yield group, *_joined(parts)
    finally:
        db.close()


def _joined(
    parts: list[tuple[Columns, NDArray[np.int64]]],
) -> tuple[Columns, NDArray[np.int64]]:
    samples = columns.joined([part for part, _ in parts])
    return samples, np.concatenate([numbers for _, numbers in parts])


def _of_chunks(
    db: Any, journal: Journal, group: Group, id: int, start: int
) -> Iterator[tuple[Group, Columns, NDArray[np.int64]]]:
    for first, _, part in chunks(db, journal.kinds, id, start):
        skipped = max(0, start - first)
        part = part.rows(slice(skipped, None))
        numbers = first + skipped + np.arange(len(part.t))
        yield group, part._replace(ids=np.full(len(part.t), id, np.int32)), numbers
