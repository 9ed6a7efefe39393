"""Whether anything grows: memory, file handles, latency, error, the disk.

python -m tests.bench.soak month [--days 3] [--step gru]       300 sensors, a sample a minute each,
                                                               as fast as it goes
python -m tests.bench.soak steady [--seconds 120]              10 000 samples a second, by sockets
python -m tests.bench.soak full                                as many as come, until long after the
                                                               journal has all that it may keep
python -m tests.bench.soak backlog                             as many as come for two minutes, then
                                                               a kill and a start
python -m tests.bench.soak idle                                10 000 streams, most of them idle

The sensors of a month have a daily cycle, a drift and noise, each its own. --write puts the tables
of `month --days 30 --step detect`, `steady`, `full` and `backlog` into docs/journal.md, and that of
`idle` into docs/serve.md.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
from streamrnn_server.compaction import used_bytes
from streamrnn_server.database import opened_to_read
from streamrnn_server.journal import FILE, Journal
from streamrnn_server.recorder import Recorder

import streamrnn as srnn
from streamrnn.keys import Keys
from streamrnn.streams import Batch, Pipeline, Result, Rule
from tests.bench import into_docs, table
from tests.bench.load import process, send, serve, server_process, watch

SENSORS = 300
MINUTES = 10  # in one batch
DAY = 24 * 60
KEPT_BYTES = 400e6  # of a journal that is full
RINGS = 3_000_000  # samples of 1000 streams with a GRU of 32 units fill 64 MB
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
        sensors = Keys.of(batch.keys).each(lambda key: int(key.rpartition("/")[2]))
        order = np.argsort(sensors, kind="stable")
        sensors = sensors[order]
        x, forecast = batch.x[order, 0], batch.y[order, names["forecast"]]
        first = np.r_[True, np.diff(sensors) > 0]  # of its sensor
        before = np.roll(np.column_stack([forecast, x]), 1, axis=0)
        before[first] = self._last[sensors[first]]
        self._sums += np.nansum(abs(before - x[:, np.newaxis]), axis=0)
        last = np.roll(first, -1)
        self._last[sensors[last]] = np.column_stack([forecast, x])[last]

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
    return Batch(keys, t.ravel().astype(np.float64), np.round(x, 2).reshape(-1, 1))


def month(days: float, step: str) -> tuple[list[str], str]:
    """The table, and how a start after it went."""
    draw, errors, own = np.random.default_rng(0), Errors(), psutil.Process()
    names = ("days", "samples/s", "memory, MB", "error", "on disk, bytes a sample")
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline([Rule("*", STEPS[step], ("value",))])
        pipeline.sink(errors)
        kept = Recorder(pipeline, Journal(Path(folder)))

        def measured() -> Iterator[tuple[str, ...]]:
            begin = beat = time.perf_counter()
            batches, before = round(days * DAY / MINUTES), 0
            for n in range(batches):
                pipeline.take_batch(rows_of(n * MINUTES, draw))
                pipeline.flush()
                if time.perf_counter() > beat + 1:
                    kept.beat()
                    beat = time.perf_counter()
                if (n + 1) % max(1, batches // 10) == 0:
                    gc.collect()
                    memory = own.memory_info().rss / 1e6
                    rate = (pipeline.samples - before) / (time.perf_counter() - begin)
                    begin, before = time.perf_counter(), pipeline.samples
                    disk = _disk(kept, pipeline.samples)
                    done = (n + 1) * MINUTES / DAY
                    yield (
                        f"{done:.1f}", f"{rate:,.0f}", f"{memory:.0f}", f"{errors.look():.3f}",
                        f"{disk:.0f}",
                    )  # fmt: skip

        lines = printed(table(names, measured()))
        kept.close()
        kept = Recorder(Pipeline([Rule("*", STEPS[step], ("value",))]), Journal(Path(folder)))
        recovered = kept.recover()
        kept.close()
    again = f"Started again in {recovered.seconds:.1f} s, {recovered.folded} samples folded."
    print(again)
    return lines, again


def printed(lines: Iterable[str]) -> list[str]:
    """The lines, each printed as soon as it is there."""
    kept = []
    for line in lines:
        print(line, flush=True)
        kept.append(line)
    return kept


def _disk(kept: Recorder, samples: int) -> float:
    db = kept.journal.read()
    try:
        return used_bytes(db) / samples
    finally:
        db.close()


def steady(seconds: float) -> list[str]:
    """The table."""
    names = ("s", "samples/s", "memory, MB", "handles", "p50, ms", "p99, ms")
    with tempfile.TemporaryDirectory() as folder:
        with process(serve, "GRU(32)", folder, np.inf, np.inf) as server:
            url = server.recv()
            child = server_process(url)
            _filled(server, url)
            with (
                process(send, url, 10_000, 200, 1000),
                process(watch, url, 10, 1000, 10) as late,
            ):
                late.recv()

                def measured() -> Iterator[tuple[str, ...]]:
                    begin, before = time.perf_counter(), _count(server)
                    for part in range(1, 9):
                        late.send("begin")
                        time.sleep(max(0.0, begin + part * seconds / 8 - time.perf_counter()))
                        count = _count(server)
                        late.send("told")
                        *_, (p50, p99) = late.recv()
                        memory, handles = child.memory_info().rss / 1e6, child.num_fds()
                        rate = (count - before) / (seconds / 8)
                        before = count
                        yield (
                            f"{part * seconds / 8:.0f}", f"{rate:,.0f}", f"{memory:.0f}",
                            f"{handles}", f"{1e3 * p50:.0f}", f"{1e3 * p99:.0f}",
                        )  # fmt: skip

                return printed(table(names, measured()))


def full() -> list[str]:
    """The table: 40 000 samples a second for forecasters, then all they take."""
    names = ("s", "samples/s", "memory, MB", "journal, MB", "files, MB")
    with (
        tempfile.TemporaryDirectory() as folder,
        process(serve, "Forecaster, 12 ahead", folder, np.inf, KEPT_BYTES) as server,
    ):
        url = server.recv()
        child = server_process(url)

        def measured() -> Iterator[tuple[str, ...]]:
            begin, part_s, before = time.perf_counter(), 15, 0
            for rate_hz, parts in ((40_000.0, range(1, 7)), (float("inf"), range(7, 13))):
                with process(send, url, rate_hz, 1000, 1000):
                    for part in parts:
                        time.sleep(max(0.0, begin + part * part_s - time.perf_counter()))
                        count = _count(server)
                        with closing(opened_to_read(Path(folder, FILE))) as db:
                            journal = used_bytes(db) / 1e6
                        files = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
                        memory = child.memory_info().rss / 1e6
                        rate, before = (count - before) / part_s, count
                        yield (
                            f"{part * part_s}", f"{rate:,.0f}", f"{memory:.0f}",
                            f"{journal:.0f}", f"{files:.0f}",
                        )  # fmt: skip

        return printed(table(names, measured()))


def backlog() -> list[str]:
    """The table: more than can be turned over, and how long a start takes after it."""
    names = (
        *("step", "samples/s at first", "for good", "log, MB"),
        *("killed, started again in s", "memory then, MB"),
    )  # fmt: skip

    def measured() -> Iterator[tuple[str, ...]]:
        for step in ("GRU(32)", "Forecaster, 12 ahead"):
            with tempfile.TemporaryDirectory() as folder:
                with process(serve, step, folder, np.inf, np.inf) as server:
                    url = server.recv()
                    child = server_process(url)
                    with process(send, url, float("inf"), 1000, 1000):
                        counts = [_count(server)]
                        for seconds in (10, 80, 30):
                            time.sleep(seconds)
                            counts.append(_count(server))
                        child.kill()
                with closing(opened_to_read(Path(folder, FILE))) as db:
                    (log,) = db.execute("SELECT sum(length(body)) FROM log").fetchone()
                begin = time.perf_counter()
                with process(serve, step, folder, np.inf, np.inf) as server:
                    url = server.recv()
                    took = time.perf_counter() - begin
                    memory = server_process(url).memory_info().rss / 1e6
            first, last = (counts[1] - counts[0]) / 10, (counts[3] - counts[2]) / 30
            yield (
                step, f"{first:,.0f}", f"{last:,.0f}", f"{log / 1e6:.0f}", f"{took:.1f}",
                f"{memory:.0f}",
            )  # fmt: skip

    return printed(table(names, measured()))


def _filled(server: Connection, url: str) -> None:
    """As many samples as the rings hold: after that memory has no reason to grow."""
    with process(send, url, float("inf"), 4096, 1000):
        while _count(server) < RINGS:
            time.sleep(0.5)


def _count(server: Connection) -> int:
    server.send("samples")
    count: int = server.recv()[0]
    return count


def idle() -> list[str]:
    """The table: every stream has 5 samples, then 100 of them go on."""
    streams, rounds = 10_000, 5
    names = ("states in memory", "memory, MB", "kB a stream", "samples/s")

    def measured() -> Iterator[tuple[str, ...]]:
        for name, state_bytes in (("all", float("inf")), ("64 MB", 64 << 20)):
            with (
                tempfile.TemporaryDirectory() as folder,
                process(serve, "Forecaster, 12 ahead", folder, state_bytes, np.inf) as server,
            ):
                url = server.recv()
                child = server_process(url)
                before, begin = child.memory_info().rss, time.perf_counter()
                with process(send, url, float("inf"), 5000, streams):
                    while (count := _count(server)) < rounds * streams:
                        time.sleep(0.2)
                rate = count / (time.perf_counter() - begin)
                with process(send, url, 2000, 20, 100):
                    time.sleep(15)
                memory = child.memory_info().rss - before
                each = memory / streams / 1e3
                yield name, f"{memory / 1e6:.0f}", f"{each:.0f}", f"{rate:,.0f}"

    return printed(table(names, measured()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("case", nargs="?", choices=("month", "steady", "full", "backlog", "idle"))
    parser.add_argument("--days", type=float, default=3.0)
    parser.add_argument("--step", choices=list(STEPS), default="gru")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--write", action="store_true", help="into docs/journal.md")
    given = parser.parse_args()
    command = "python -m tests.bench.soak"
    if given.case in (None, "month"):
        lines, again = month(given.days, given.step)
        if given.write:
            lines += ["", again]
            into_docs(
                "journal.md",
                f"{command} month --days 30 --step {given.step} --write",
                "\n".join(lines),
            )
    if given.case in (None, "steady"):
        lines = steady(given.seconds)
        if given.write:
            into_docs("journal.md", f"{command} steady --write", "\n".join(lines))
    if given.case in (None, "full"):
        lines = full()
        if given.write:
            into_docs("journal.md", f"{command} full --write", "\n".join(lines))
    if given.case in (None, "backlog"):
        lines = backlog()
        if given.write:
            into_docs("journal.md", f"{command} backlog --write", "\n".join(lines))
    if given.case in (None, "idle"):
        lines = idle()
        if given.write:
            into_docs("serve.md", f"{command} idle --write", "\n".join(lines))


if __name__ == "__main__":
    main()
