"""Keeps a pipeline's journal: commits, snapshots between commits, and what happens by the clock.

Nothing here blocks the event loop: commits are written by the journal's thread, snapshots copied
slice by slice between commits and written by another one, and a third one lets samples age.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from itertools import chain
from threading import Event
from typing import Any

import numpy as np

from streamrnn.step import flat
from streamrnn.streams import Batch, Pipeline, Result
from streamrnn.streams.batch import DAY_S
from streamrnn.streams.commit import Commit
from streamrnn_server import snapshots
from streamrnn_server.compaction import Change, drop, turn, used_bytes
from streamrnn_server.history import History
from streamrnn_server.journal import RESET, Journal
from streamrnn_server.recovery import Recovered, recover

log = logging.getLogger(__name__)

# A start must not take longer than 10 s. Folding the journal costs at most what the predictions
# cost when they were made, and the rest goes to imports, the snapshot, and a slower hour.
SNAPSHOT_S = 3.0
LOG_BYTES = 256 << 20  # more is turned over before as much comes: a start reads all of it
BRAKED_BYTES_S = 1e6  # that are taken at twice as many
BRAKED_S = 1.0  # a commit waits at the most
SLICE_BYTES = 8 << 20
DROP_S = 10.0  # between looks for what is too old or too much
AGEING = 100.0  # seconds of the past that may grow too old in one


class Recorder:
    """Everything that `pipeline` takes from now on goes through `journal`.

    Samples older than `keep_days` are dropped, and the oldest as soon as there are `keep_bytes`.

    bytes        what the journal takes on the disk, without snapshots and free space, as of the
                 last second or two
    log_bytes    of these, batches that are no chunks yet
    ahead_bytes  the write-ahead log
    """

    def __init__(
        self,
        pipeline: Pipeline,
        journal: Journal,
        *,
        keep_days: float = math.inf,
        keep_bytes: float = math.inf,
    ) -> None:
        self.pipeline = pipeline
        self.journal = journal
        self.keep_days = keep_days
        self.keep_bytes = keep_bytes
        self.recovered: Recovered | None = None
        self.bytes = self.log_bytes = self.ahead_bytes = 0
        self._snapshot: Iterator[snapshots.Slice] | None = None
        self._writer: snapshots.Writer | None = None
        self._thread = ThreadPoolExecutor(1, "snapshot")
        self._written: Future[Any] | None = None
        self._spent_s = 0.0  # of the pipeline's, at the last snapshot
        self._snapshot_at = 0  # bytes that were written then
        self._brake = ThreadPoolExecutor(1, "brake")
        self._written_at = 0  # bytes that were written when it was last looked how long the log is
        self._covered = 0  # row of the log: the newest snapshot knows of all up to it
        self._probe: Future[None] | None = None
        self._aging_thread = ThreadPoolExecutor(1, "aging")
        self._aging: Future[None] | None = None
        self._dropped = -math.inf  # when it was last looked for, on time.monotonic()
        self._aged = self._aged_at = math.nan  # see _limit
        self._problem = ""  # why the journal is not compacted
        self._closing = Event()
        pipeline.commit_by(self._write, self.between, self._begin_anew)

    def recover(self) -> Recovered:
        """Bring the past back, before anything is taken; may run in another thread."""
        self.recovered = recover(self.pipeline, self.journal)
        self._look()
        self.pipeline.marks.note(self.journal.marks)
        if self.recovered.folded or self.recovered.anew:
            self.snapshot()
        else:
            self._covered = self.journal.last
        return self.recovered

    def newest(self, most: int) -> Iterator[tuple[int, Result]]:
        """Of each stream its newest samples, `most` of them, and how many were before these."""
        if not self.journal.streams:
            return
        with History(self.journal.folder) as past:
            for key, parts in past.newest(most):
                group = self.pipeline.group_of(key)
                for part in parts:
                    outputs = 0 if group is None else len(group.outputs)
                    if group is None or part.samples.y.shape[1] != outputs:
                        continue  # of a time when its step was another one
                    t, x, y, _ = part.samples
                    batch = Batch([key] * len(t), t, x, np.ascontiguousarray(y), float(t[-1]))
                    yield int(part.numbers[0]), Result(group, batch, None)

    def between(self) -> None:
        """Between two commits: copy a slice of a snapshot, if one is due."""
        if self._written is not None and not self._written.done():
            return
        if self._writer is not None:
            self._next_slice()
        elif (
            self.pipeline.spent_s - self._spent_s > SNAPSHOT_S
            or self.journal.written - self._snapshot_at > LOG_BYTES // 2
        ):
            self._begin_snapshot()

    def beat(self) -> None:
        """Once a second."""
        if self._probe is not None and self._probe.done():
            if self._probe.exception() is None:
                log.warning("the journal can be written again")
                self.pipeline.resume()
            self._probe = None
        if self.pipeline.halted and self._probe is None:
            self._probe = self.journal.probe()
        if not self.pipeline.busy:
            self.between()
        if self._aging is None or self._aging.done():
            self._aging = self._aging_thread.submit(self._age)

    def _write(self, commit: Commit) -> Future[None]:
        """Write; the longer the log is, the longer it takes, so that it cannot grow for ever."""
        excess = (self.log_bytes + self.journal.written - self._written_at) / LOG_BYTES - 1
        if excess <= 0:
            return self.journal.write(commit)
        return self._brake.submit(self._write_slowly, commit, excess)

    def _write_slowly(self, commit: Commit, excess: float) -> None:
        before = self.journal.written
        self.journal.write(commit).result()
        size = self.journal.written - before
        self._closing.wait(min(BRAKED_S, excess * size / BRAKED_BYTES_S))

    def _age(self) -> None:
        """What no start needs to fold any more becomes chunks; what is too old or too much goes."""
        try:
            turned = turn(self.journal, self._covered, self._closing, self._drop)
            for change in chain(turned, self._drop()):
                self.journal.in_thread(change).result()
                if self._closing.is_set():
                    return
                self.journal.checkpoint()
            self.journal.checkpoint()
            self._problem = ""
        except Exception as error:  # it is tried again: the log holds it all
            if str(error) != self._problem:  # each second, as long as the disk is full
                log.error("the journal is not compacted: %s", error)
            self._problem = str(error)

    def _drop(self) -> Iterator[Change]:
        self._look()
        if time.monotonic() - self._dropped > DROP_S:
            yield from drop(self.journal, self._covered, self._limit(), self.keep_bytes)
            self._dropped = time.monotonic()

    def _limit(self) -> float:
        """What arrived before it is too old.

        It moves on from the oldest chunk that there was at the start, and not faster than the
        uptime: a clock that is a year ahead for a minute must not take all there is.
        """
        uptime = time.monotonic()
        with closing(self.journal.read()) as db:
            (oldest,) = db.execute("SELECT min(arrived) FROM chunks").fetchone()
        oldest = math.inf if oldest is None else oldest
        # Much further back is nothing: there the clock was wrong, as at the start of a machine.
        if math.isnan(self._aged) or oldest - self._aged > self.keep_days * DAY_S:
            self._aged, self._aged_at = oldest, uptime
        self._aged += AGEING * (uptime - self._aged_at)
        self._aged = min(self._aged, time.time() - self.keep_days * DAY_S)
        self._aged_at = uptime
        return self._aged

    def _look(self) -> None:
        self._written_at = self.journal.written
        with closing(self.journal.read()) as db:
            self.bytes = used_bytes(db)
            query = "SELECT coalesce(sum(length(body)), 0) FROM log"
            (self.log_bytes,) = db.execute(query).fetchone()
        written_ahead = self.journal.path.with_name(f"{self.journal.path.name}-wal")
        self.ahead_bytes = written_ahead.stat().st_size

    def snapshot(self) -> None:
        """Write a whole snapshot now, while nothing is taken."""
        self._abandon()
        if self._written is not None:
            wait([self._written])
        self._begin_snapshot()
        while self._writer is not None:
            self._next_slice()

    def compact(self) -> None:
        """Let all of the log become chunks, while nothing is taken; may take long."""
        self.snapshot()
        wait([future for future in (self._written, self._aging) if future is not None])
        self._dropped = -math.inf
        self._age()

    def close(self) -> None:
        """Leave a snapshot for a quick start, unless nothing came since the last; close all."""
        self._closing.set()
        if self.journal.last > self._covered:
            self.snapshot()
        self._abandon()
        for thread in (self._thread, self._aging_thread, self._brake):
            thread.shutdown()
        self.journal.close()

    def _begin_anew(self, key: str) -> None:
        record = self.journal.streams.get(key)
        if record and record.began < self.journal.counts[record.id]:  # else it has begun just now
            self.journal.begin_anew([key], None, time.time(), RESET)

    # --- snapshots --------------------------------------------------------------------------------

    def _begin_snapshot(self) -> None:
        self._spent_s, self._snapshot_at = self.pipeline.spent_s, self.journal.written
        try:
            self._writer = snapshots.Writer(self.journal.folder, self.journal.name)
        except OSError as error:
            log.error("no snapshot: %s", error)
            return
        self._snapshot = self._slices()
        self._covers = self.journal.last

    def _slices(self) -> Iterator[snapshots.Slice]:
        for group in list(self.pipeline.groups):
            keys = [str(key) for key in group.banks[0] if key in self.journal.streams]
            size = sum(bank.model.layout.itemsize for bank in group.banks)
            step = max(1, SLICE_BYTES // size)
            for start in range(0, len(keys), step):
                part = keys[start : start + step]
                ids = np.array([self.journal.streams[key].id for key in part], np.int64)
                states = [flat(bank.copies(part)) for bank in group.banks]
                counts, labels = self.journal.counts[ids], self.journal.labelled
                yield snapshots.Slice(group.identity, ids, counts, states, labels)

    def _next_slice(self) -> None:
        assert self._writer is not None and self._snapshot is not None
        if self._failed():
            return
        part = next(self._snapshot, None)
        if part is None:
            self._written = self._thread.submit(self._finish, self._writer, self._covers)
            self._writer = self._snapshot = None
        else:
            self._written = self._thread.submit(self._writer.add, part)

    def _finish(self, writer: snapshots.Writer, covers: int) -> None:
        try:
            # A snapshot must not know of samples that a loss of power takes from the journal.
            self.journal.sync().result()
            writer.finish()
            self._covered = covers
        except Exception as error:
            log.error("no snapshot: %s", error)
            with suppress(OSError):
                writer.abandon()

    def _failed(self) -> bool:
        """Whether the last slice could not be written; the snapshot is given up then."""
        if self._written is None or (error := self._written.exception()) is None:
            return False
        log.error("no snapshot: %s", error)
        self._written = None
        self._abandon()
        return True

    def _abandon(self) -> None:
        if self._writer is not None:
            writer, self._writer, self._snapshot = self._writer, None, None
            with suppress(OSError):
                self._thread.submit(writer.abandon).result()
