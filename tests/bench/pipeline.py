"""What a sample costs on its way from a source through a GRU(32) to a sink, in one process.

The issue's mark is 100 000 samples a second: 10 us each. A network's own step is part of it.
"""

import asyncio
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from streamrnn_server.journal import Journal
from streamrnn_server.recorder import Recorder
from streamz import Stream

import streamrnn as srnn
from streamrnn.streams import Batch, Pipeline, Rule, replay

CHANNELS = 4
SAMPLES = 200_000


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """The fastest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def gru() -> srnn.GRU:
    return srnn.GRU(CHANNELS, 32, 1)


def row(name: str, s: float, samples: int = SAMPLES) -> None:
    print(f"{name:58}{samples / s:12,.0f}{s / samples * 1e6:10.2f}")


def step_alone() -> None:
    model, X = gru(), np.zeros((SAMPLES, CHANNELS), np.float32)
    model.run(X[:10])
    row("GRU(32) alone, one call", seconds(lambda: model.run(X)))


def graph_of_rows() -> None:
    source, count = Stream(), 10_000
    sink = source.rnn(gru()).sink(lambda y: None)
    x = np.zeros(CHANNELS)
    source.emit(x)
    row(
        "streamz graph, a row an event",
        seconds(lambda: [source.emit(x) for _ in range(count)]),
        count,
    )
    sink.destroy()


def graph_of_batches() -> None:
    source, size = Stream(), 1000
    sink = source.rnn(gru()).sink(lambda y: None)
    keys = [f"s{n % 100}" for n in range(size)]
    batch = Batch(keys, np.zeros(size), np.zeros((size, CHANNELS)))
    source.emit(batch)
    events = SAMPLES // size
    row("streamz graph, 1000 samples of 100 streams an event",
        seconds(lambda: [source.emit(batch) for _ in range(events)]))  # fmt: skip
    sink.destroy()


def replayed(write: Callable[[Path], object], *, journal: bool = False) -> float:
    """Seconds from a file on disk to the last prediction at the sink."""

    async def main(path: Path) -> float:
        model = gru()
        pipeline = Pipeline([Rule("*", lambda channels: model)])
        pipeline.sink(lambda result: None)
        pipeline.warm(pipeline.rules[0])
        if journal:
            Recorder(pipeline, Journal(tempfile.mkdtemp(dir=path.parent)))
        source = replay(path, rate_hz=math.inf, asynchronous=True)
        sink = source.sink(pipeline.take_batch)
        start = time.perf_counter()
        source.start()
        while pipeline.samples < SAMPLES:
            await asyncio.sleep(0.005)
        sink.destroy()
        return time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples"
        write(path)
        return min(asyncio.run(main(path)) for _ in range(3))


def csv(path: Path) -> None:
    lines = (f"2026-01-01T00:{n // 60 % 60:02}:{n % 60:02}Z,1.5,2.5,,{n}" for n in range(SAMPLES))
    path.write_text("time,a,b,c,d\n" + "\n".join(lines))


def ndjson(path: Path) -> None:
    lines = (f'{{"stream":"s{n % 100}","t":{n},"x":[1.5,2.5,null,{n}]}}' for n in range(SAMPLES))
    path.write_text("\n".join(lines))


def single_samples() -> None:
    pipeline = Pipeline([Rule("*", lambda channels: gru())])
    pipeline.sink(lambda result: None)
    keys = [f"s{n}" for n in range(100)]
    x = [1.5, 2.5, 3.5, 4.5]

    def take() -> None:
        for n in range(SAMPLES):
            pipeline.take(keys[n % 100], x, 1000.0)
            if n % 1000 == 999:
                pipeline.flush()

    take()
    row("Pipeline.take, 100 streams, flushed every 1000", seconds(take))


def main() -> None:
    print(f"{'':58}{'samples/s':>12}{'us each':>10}")
    step_alone()
    graph_of_rows()
    graph_of_batches()
    single_samples()
    row("CSV file, replay, pipeline, GRU(32), sink; one stream", replayed(csv))
    row("NDJSON file, the same; 100 streams", replayed(ndjson))
    row("CSV file, with the journal", replayed(csv, journal=True))
    row("NDJSON file, with the journal", replayed(ndjson, journal=True))


if __name__ == "__main__":
    main()
