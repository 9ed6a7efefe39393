"""Whether anything grows: memory, file handles, latency, error, the disk.

python -m tests.bench.soak month [--days 3] [--step detect]    300 sensors, a sample a minute each,
                                                               as fast as it goes (a month: 30)
python -m tests.bench.soak steady [--seconds 120]              10 000 samples a second, by sockets
python -m tests.bench.soak idle                                10 000 streams, most of them idle

The sensors of a month have a daily cycle, a drift and noise, each its own.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from streamrnn_server.compaction import used_bytes
from streamrnn_server.journal import Journal
from streamrnn_server.recorder import Recorder

import streamrnn as srnn
from streamrnn.streams import Batch, Pipeline, Result, Rule
from tests.bench.load import process, send, serve, server_process, watch

SENSORS = 300
MINUTES = 10  # in one batch
DAY = 24 * 60
gru = srnn.GRU(1, 32, 1)
STEPS: dict[str, Callable[[tuple[str, ...]], srnn.step.Step]] = {
    "gru": lambda channels: gru,
    "forecast": lambda channels: srnn.Forecaster(1),
    "detect": lambda channels: srnn.Detector(1),
}


class Errors:
    """Mean absolute errors one row ahead since the last look, of the forecasts and persistence."""

    def __init__(self) -> None:
        self._last = np.full((SENSORS, 2), np.nan)  # forecast, value
        self._sums = np.zeros(2)

    def __call__(self, result: Result) -> None:
        names = {output.kind: n for n, output in reversed([*enumerate(result.group.outputs)])}
        batch = result.batch
        if "forecast" not in names or batch.y is None:
            return
        for key, x, y in zip(batch.keys, batch.x[:, 0], batch.y, strict=True):
            n = int(key.rpartition("/")[2])
            self._sums += np.nan_to_num(abs(self._last[n] - x))
            self._last[n] = y[names["forecast"]], x

    def look(self) -> float:
        """Forecast over persistence; NaN for a step that does not forecast."""
        (error, stayed), self._sums = self._sums, np.zeros(2)
        return float(error / stayed) if stayed else float("nan")


def rows_of(minute: int, draw: np.random.Generator) -> Batch:
    """The samples of all sensors in MINUTES minutes."""
    n = np.arange(SENSORS)
    minutes = minute + np.arange(MINUTES)[:, np.newaxis]
    daily = (3 + n % 5) * np.sin(2 * np.pi * (minutes / DAY + n / SENSORS))
    drift = 0.5 * np.sin(2 * np.pi * minutes / (9.7 * DAY) + n)
    x = 20 + daily + drift + draw.normal(0, 0.1, (MINUTES, SENSORS))
    t = 1.7e9 + 60.0 * np.broadcast_to(minutes, x.shape)
    keys = [f"sensor/{k}" for k in n] * MINUTES
    return Batch(keys, t.ravel(), np.round(x, 2).reshape(-1, 1))


def month(days: float, step: str) -> None:
    draw, errors, own = np.random.default_rng(0), Errors(), psutil.Process()
    print(
        f"{'days':>6}{'samples/s':>12}{'memory, MB':>12}{'error':>8}{'on disk, bytes a sample':>26}"
    )
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline([Rule("*", STEPS[step], ("value",))])
        pipeline.sink(errors)
        kept = Recorder(pipeline, Journal(Path(folder)))
        begin = beat = time.perf_counter()
        batches = round(days * DAY / MINUTES)
        for n in range(batches):
            pipeline.take_batch(rows_of(n * MINUTES, draw))
            pipeline.flush()
            if time.perf_counter() > beat + 1:
                kept.beat()
                beat = time.perf_counter()
            if (n + 1) % max(1, batches // 10) == 0:
                gc.collect()
                memory = own.memory_info().rss / 1e6
                rate = pipeline.samples / (time.perf_counter() - begin)
                disk = _disk(kept, pipeline.samples)
                done = (n + 1) * MINUTES / DAY
                print(f"{done:6.1f}{rate:12,.0f}{memory:12.0f}{errors.look():8.3f}{disk:26.0f}")
        kept.close()
        kept = Recorder(Pipeline([Rule("*", STEPS[step], ("value",))]), Journal(Path(folder)))
        recovered = kept.recover()
        print(f"started again in {recovered.seconds:.1f} s, {recovered.folded} samples folded")
        kept.close()


def _disk(kept: Recorder, samples: int) -> float:
    db = kept.journal.read()
    try:
        return used_bytes(db) / samples
    finally:
        db.close()


def steady(seconds: float) -> None:
    rate_hz = 10_000
    print(f"{'s':>6}{'samples/s':>12}{'memory, MB':>12}{'handles':>9}{'p50, ms':>9}{'p99, ms':>9}")
    with tempfile.TemporaryDirectory() as folder:
        with process(serve, "GRU(32)", folder, np.inf) as server:
            url = server.recv()
            child = server_process(url)
            with process(send, url, rate_hz, 200, 1000), process(watch, url, 10, 1000, 10) as late:
                late.recv()
                begin, before = time.perf_counter(), 0
                for part in range(1, 9):
                    late.send("begin")
                    time.sleep(max(0.0, begin + part * seconds / 8 - time.perf_counter()))
                    server.send("samples")
                    count = server.recv()[0]
                    late.send("told")
                    _, (p50, p99) = late.recv()
                    memory, handles = child.memory_info().rss / 1e6, child.num_fds()
                    rate = (count - before) / (seconds / 8)
                    print(
                        f"{part * seconds / 8:6.0f}{rate:12,.0f}{memory:12.0f}{handles:9}"
                        f"{1e3 * p50:9.0f}{1e3 * p99:9.0f}"
                    )
                    before = count


def idle() -> None:
    """Every stream has 5 samples, then 100 of them go on."""
    streams, rounds = 10_000, 5
    print(f"{'states in memory':>18}{'memory, MB':>12}{'kB a stream':>13}{'samples/s':>12}")
    for name, state_bytes in (("all", float("inf")), ("64 MB", 64 << 20)):
        with (
            tempfile.TemporaryDirectory() as folder,
            process(serve, "Forecaster, 12 ahead", folder, state_bytes) as server,
        ):
            url = server.recv()
            child = server_process(url)
            before, begin = child.memory_info().rss, time.perf_counter()
            with process(send, url, float("inf"), 5000, streams):
                count = 0
                while count < rounds * streams:
                    time.sleep(0.2)
                    server.send("samples")
                    count = server.recv()[0]
            took = time.perf_counter() - begin
            with process(send, url, 2000, 20, 100):
                time.sleep(15)
            memory = child.memory_info().rss - before
            print(
                f"{name:>18}{memory / 1e6:12.0f}{memory / streams / 1e3:13.1f}{count / took:12,.0f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("case", nargs="?", choices=("month", "steady", "idle"))
    parser.add_argument("--days", type=float, default=3.0)
    parser.add_argument("--step", choices=list(STEPS), default="gru")
    parser.add_argument("--seconds", type=float, default=120.0)
    given = parser.parse_args()
    if given.case in (None, "month"):
        month(given.days, given.step)
    if given.case in (None, "steady"):
        steady(given.seconds)
    if given.case in (None, "idle"):
        idle()


if __name__ == "__main__":
    main()
