"""The journal: what it costs, what it takes on the disk, how long a start takes after a crash.

Samples come from 1000 sensors, each ten times a second; a start is measured at its worst, just
before the next snapshot was due. What they take on the disk is after 8192 samples of each of four.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from streamrnn_server import recorder
from streamrnn_server.compaction import turn, used_bytes
from streamrnn_server.journal import Journal
from streamrnn_server.recorder import Recorder

import streamrnn as srnn
from streamrnn.streams import Batch, Pipeline, Rule

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


def measured(name: str, folder: Path) -> None:
    pipeline, kept, _ = opened(name, folder)
    feed(pipeline, 10 * TICK)
    spent, begin, count = pipeline.spent_s, time.perf_counter(), 100 * TICK
    feed(pipeline, count, 10 * TICK)
    whole, spent = time.perf_counter() - begin, pipeline.spent_s - spent
    plain = Pipeline([Rule("*", STEPS[name])])
    feed(plain, 10 * TICK)
    begin = time.perf_counter()
    feed(plain, count, 10 * TICK)
    without = time.perf_counter() - begin

    fed = 110 * TICK
    per_sample = spent / count
    until_snapshot = int((recorder.SNAPSHOT_S - pipeline.spent_s) / per_sample * 0.9) // TICK * TICK
    feed(pipeline, until_snapshot, fed)
    fed += until_snapshot
    kept._thread.shutdown()
    kept.journal.close()  # as a crash leaves it
    pipeline, kept, restart = opened(name, folder)
    assert kept.recovered is not None and kept.recovered.folded

    kept.close()
    snapshot = sum(path.stat().st_size for path in folder.glob("snapshot-*")) / 1e6
    rate, slower = count / whole, whole / without
    print(
        f"{name:22}{rate:10,.0f}{slower:10.2f}{kept.recovered.folded:10,}{restart:10.1f}"
        f"{snapshot:10.1f}{disk(name):10.0f}"
    )


def disk(name: str) -> float:
    """Bytes of a sample with its predictions, once it has left the log."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline, kept, _ = opened(name, Path(folder))
        feed(pipeline, count := 4 * 8192 // TICK * TICK, streams=4)
        while (change := turn(kept.journal, kept.journal.last)) is not None:
            kept.journal.in_thread(change).result()
        with kept.journal.read() as db:
            used = used_bytes(db)
        kept.close()
        return used / count


def main() -> None:
    names = ("samples/s", "without", "folded", "start, s", "snapshot", "bytes")
    units = ("", "= 1", "at start", "", "MB", "each")
    for line in (names, units):
        print(f"{'':22}" + "".join(f"{text:>10}" for text in line))
    for name in STEPS:
        with tempfile.TemporaryDirectory() as folder:
            measured(name, Path(folder))


if __name__ == "__main__":
    main()
