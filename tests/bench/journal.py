"""The journal: what it costs, what it takes on the disk, how long a start takes after a crash.

Samples come from 1000 sensors, each ten times a second; a start is measured at its worst, just
before the next snapshot was due. What they take on the disk is after 8192 samples of each of four.
--write puts the table into docs/journal.md.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import numpy as np
from streamrnn_server import recorder
from streamrnn_server.compaction import turn, used_bytes
from streamrnn_server.journal import Journal
from streamrnn_server.recorder import Recorder

import streamrnn as srnn
from streamrnn.streams import Batch, Pipeline, Rule
from tests.bench import into_docs, table

STREAMS = 1000
TICK = 200  # samples that share a commit at 10 000 a second
RATE_HZ = 10_000

gru = srnn.GRU(1, 32, 1)
STEPS: dict[str, Callable[[tuple[str, ...]], srnn.step.Step]] = {
    "GRU(32)": lambda channels: gru,
    "Forecaster, 12 ahead": lambda channels: srnn.Forecaster(1),
    "Detector, 12 ahead": lambda channels: srnn.Detector(1),
}


def opened(name: str, folder: Path) -> tuple[Pipeline, Recorder, float]:
    """A pipeline on the journal in `folder`, and how long that took."""
    pipeline = Pipeline([Rule("*", STEPS[name])])
    pipeline.warm(pipeline.rules[0])
    begin = time.perf_counter()
    kept = Recorder(pipeline, Journal(folder))
    kept.recover()
    return pipeline, kept, time.perf_counter() - begin


def feed(pipeline: Pipeline, count: int, first: int = 0, streams: int = STREAMS) -> None:
    draw = np.random.default_rng(first)
    for tick in range(first // TICK, (first + count) // TICK):
        n = tick * TICK + np.arange(TICK)
        t = 1.7e9 + n / RATE_HZ + draw.normal(0, 0.02, TICK)
        x = 20 + 5 * np.sin(n / 2e6) + draw.normal(0, 0.3, TICK)
        keys = [f"sensor/{k}" for k in (n % streams).tolist()]
        pipeline.take_batch(Batch(keys, t, np.round(x, 2).reshape(-1, 1)))
        pipeline.flush()


def measured(name: str, folder: Path) -> tuple[str, ...]:
    """A row of the table."""
    pipeline, kept, _ = opened(name, folder)
    plain = Pipeline([Rule("*", STEPS[name])])
    feed(pipeline, 10 * TICK)
    feed(plain, 10 * TICK)
    spent, fed, whole, without = pipeline.spent_s, 10 * TICK, np.inf, np.inf
    for _ in range(10):  # in turn, for others are busy meanwhile
        whole = min(whole, timed(pipeline, 10 * TICK, fed))
        without = min(without, timed(plain, 10 * TICK, fed))
        fed += 10 * TICK
    per_sample = (pipeline.spent_s - spent) / (fed - 10 * TICK)
    until_snapshot = int((recorder.SNAPSHOT_S - pipeline.spent_s) / per_sample * 0.9) // TICK * TICK
    feed(pipeline, until_snapshot, fed)
    fed += until_snapshot
    kept._thread.shutdown()
    kept.journal.close()  # as a crash leaves it
    pipeline, kept, restart = opened(name, folder)
    assert kept.recovered is not None and kept.recovered.folded

    kept.close()
    snapshot = sum(path.stat().st_size for path in folder.glob("snapshot-*")) / 1e6
    rate, slower = 10 * TICK / whole, whole / without
    return (
        name, f"{rate:,.0f}", f"{slower:.2f}", f"{kept.recovered.folded:,}", f"{restart:.1f}",
        f"{snapshot:.1f}", f"{disk(name):.0f}",
    )  # fmt: skip


def disk(name: str) -> float:
    """Bytes of a sample with its predictions, once it has left the log."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline, kept, _ = opened(name, Path(folder))
        feed(pipeline, count := 4 * 8192 // TICK * TICK, streams=4)
        for change in turn(kept.journal, kept.journal.last, Event()):
            kept.journal.in_thread(change).result()
        with kept.journal.read() as db:
            used = used_bytes(db)
        kept.close()
        return used / count


def timed(pipeline: Pipeline, count: int, first: int) -> float:
    """Seconds that `feed` takes."""
    begin = time.perf_counter()
    feed(pipeline, count, first)
    return time.perf_counter() - begin


def rows() -> Iterator[tuple[str, ...]]:
    for name in STEPS:
        with tempfile.TemporaryDirectory() as folder:
            yield measured(name, Path(folder))


def main() -> None:
    names = ("step", "samples/s", "times without a journal", "folded at start", "start, s")
    lines = []
    for line in table((*names, "snapshots, MB", "bytes a sample"), rows()):
        print(line, flush=True)
        lines.append(line)
    if "--write" in sys.argv[1:]:
        into_docs("journal.md", "python -m tests.bench.journal --write", "\n".join(lines))


if __name__ == "__main__":
    main()
