"""The whole way under load: senders ▶ /ingest ▶ journal ▶ prediction ▶ /live ▶ viewers, by sockets.

python -m tests.bench.load [--seconds 10] [--write] [flood] [half] [viewers] [restart]

The server is one process with a journal; senders and viewers are processes of their own, on the
same machine. Samples of 1000 streams come as binary columns.

flood     as many as are acknowledged, with 10 viewers of 10 streams each
half      at half of the marks: 50 000 samples a second for a GRU of 32 units, 20 000 for
          forecasters; from a sample's time until each viewer has its prediction
viewers   what 100 viewers, each of 10 streams at 20 Hz, cost beside the same without them
restart   at 10 000 samples a second the server is killed and started again; until it is ready,
          from the start of its process

CPU is the server's, all its threads: microseconds for a sample, or percent of a core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from streamrnn_server import binary
from streamrnn_server import ingest_protocol as i
from streamrnn_server import protocol as p
from streamrnn_server.app import Server, Settings
from streamrnn_server.journal import Journal
from websockets.asyncio.client import connect

import streamrnn as srnn
from streamrnn.streams import Pipeline, Rule
from tests.bench import into_docs, processor, table

STREAMS = 1000
WINDOW = 16  # messages that are not acknowledged
SETTLE_S = 2.0  # before anything is measured
MARKS = {"GRU(32)": 100_000, "Forecaster, 12 ahead": 40_000}  # samples a second
SPAWN = multiprocessing.get_context("spawn")
LOCAL: dict[str, Any] = {k: None for k in ("compression", "proxy", "max_size", "ping_interval")}
VIEWER = LOCAL | {"subprotocols": [p.SUBPROTOCOL]}

gru = srnn.GRU(1, 32, 1)
STEPS: dict[str, Callable[[tuple[str, ...]], srnn.step.Step]] = {
    "GRU(32)": lambda channels: gru,
    "Forecaster, 12 ahead": lambda channels: srnn.Forecaster(1),
}
KEYS = [f"sensor/{n}" for n in range(10_000)]


# --- processes ------------------------------------------------------------------------------------


def serve(name: str, folder: str, state_bytes: float, keep_bytes: float, pipe: Connection) -> None:
    async def main() -> None:
        rule = Rule("*", STEPS[name], ("value",))
        pipeline = Pipeline([rule], state_bytes=state_bytes, folder=Path(folder))
        settings = Settings(port=0, viewers=200, keep_bytes=keep_bytes)
        async with Server(pipeline, settings=settings, journal=Journal(folder)) as server:
            await server.ready()
            pipe.send(server.url.replace("http", "ws"))
            while (asked := await asyncio.to_thread(pipe.recv)) != "stop":
                assert asked == "samples"
                pipe.send((pipeline.samples, dict(pipeline.refused), server.hub.gaps))

    asyncio.run(main())


def send(url: str, rate_hz: float, rows: int, streams: int, pipe: Connection) -> None:
    """Messages of `rows` samples of the first `streams`, rate_hz samples a second or all it can."""

    async def main() -> None:
        draw = np.random.default_rng(0)
        async with connect(f"{url}/ingest", **LOCAL) as connection:
            room = asyncio.Semaphore(WINDOW)

            async def read() -> None:
                async for text in connection:
                    answer = json.loads(text)
                    assert answer["taken"] == rows, answer
                    room.release()

            reading = asyncio.create_task(read())
            start, n = time.perf_counter(), 0
            while not pipe.poll():
                of = (n * rows + np.arange(rows)) % streams
                x = np.sin(n / 300) + draw.normal(0, 0.1, (1, rows))
                now = np.full(rows, time.time())
                used, stream = np.unique(of, return_inverse=True)
                keys = [KEYS[n] for n in used.tolist()]
                columns = i.Columns(keys, None, now, x.astype(np.float32), stream.astype(np.uint32))
                await room.acquire()
                await connection.send(i.encode_columns(columns))
                n += 1
                await asyncio.sleep(max(0.0, start + n * rows / rate_hz - time.perf_counter()))
            reading.cancel()

    asyncio.run(main())


def watch(url: str, viewers: int, streams: int, apart: int, pipe: Connection) -> None:
    """Viewers of 10 streams each, `apart` from one to the next.

    Tells of all of them how many samples came, in how many messages, and how late: half, 99 %.
    """
    late: list[float] = []
    ready = messages = 0

    async def one(n: int) -> None:
        nonlocal ready, messages
        async with connect(f"{url}/live", **VIEWER) as connection:
            ids = [(n * apart + k) % streams for k in range(10)]
            watched = [p.WatchStream(id) for id in ids]
            await connection.send(p.encode(p.Watch(streams=watched, history=0)))
            ready += 1
            frames = 0
            async for message in connection:
                if isinstance(message, bytes):
                    frames += 1
                    if message[0] == binary.SAMPLES:
                        messages += 1
                        now = time.time()
                        for chunk in binary.decode_binary(message).chunks:  # type: ignore[union-attr]
                            late.extend((now - chunk.t).tolist())
                    if frames % p.ACK_EVERY == 0:
                        await connection.send(p.encode(p.Ack(frames)))

    async def main() -> None:
        nonlocal messages
        tasks = [asyncio.create_task(one(n)) for n in range(viewers)]
        while ready < viewers:
            await asyncio.sleep(0.05)
        pipe.send("ready")
        while (asked := await asyncio.to_thread(pipe.recv)) != "stop":
            if asked == "begin":
                late.clear()
                messages = 0
            else:
                quantiles = np.percentile(late, (50, 99)).tolist() if late else []
                pipe.send((len(late), messages, quantiles))
        for task in tasks:
            task.cancel()

    asyncio.run(main())


@contextmanager
def process(work: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """A process that runs work(*arguments, pipe) until it is told to stop."""
    here, there = SPAWN.Pipe()
    child = SPAWN.Process(target=work, args=(*arguments, there))
    child.start()
    try:
        yield here
    finally:
        with suppress(BrokenPipeError):  # it was killed
            here.send("stop")
        child.join(20)
        child.kill()


def server_process(url: str) -> psutil.Process:
    """The one of our processes that listens there."""
    port = int(url.rpartition(":")[2])
    for child in psutil.Process().children():
        for c in child.net_connections():
            if c.status == "LISTEN" and c.laddr.port == port:
                return child
    raise LookupError(url)


# --- what is measured -----------------------------------------------------------------------------


Row = tuple[str, str, str, str, str]


class Measured(NamedTuple):
    rate_hz: float  # samples a second
    cpu: float  # seconds of the server's a second
    late_ms: list[float]  # median and 99th percentile
    seen: int  # samples by all viewers
    frames_hz: float  # messages with samples a second, for each viewer
    gaps: int


def measure(
    name: str,
    seconds: float,
    *,
    rate_hz: float = float("inf"),
    rows: int,
    streams: int = STREAMS,
    viewers: int,
    apart: int = 10,
) -> Measured:
    with (
        tempfile.TemporaryDirectory() as folder,
        process(serve, name, folder, np.inf, np.inf) as server,
    ):
        url = server.recv()
        child = server_process(url)

        def figures() -> tuple[int, dict[str, int], int, float, float]:
            server.send("samples")
            used = child.cpu_times()
            return (*server.recv(), used.user + used.system, time.perf_counter())

        with process(send, url, rate_hz, rows, streams):
            while figures()[0] < streams:
                time.sleep(0.1)
            with process(watch, url, viewers, streams, apart) as watching:
                watching.recv()
                time.sleep(SETTLE_S)
                watching.send("begin")
                before = figures()
                time.sleep(seconds)
                after = figures()
                watching.send("told")
                seen, messages, late = watching.recv()
        assert not after[1], after[1]
        took = after[4] - before[4]
        rate, cpu = (after[0] - before[0]) / took, (after[3] - before[3]) / took
        frames_hz = messages / max(1, viewers) / took
        gaps = after[2] - before[2]
        return Measured(rate, cpu, [1e3 * s for s in late], seen, frames_hz, gaps)


def flood(seconds: float) -> Iterator[Row]:
    for name, mark in MARKS.items():
        m = measure(name, seconds, rows=4096, viewers=10)
        rate = f"{m.rate_hz:,.0f} ({m.rate_hz / mark:.2f} of {mark:,})"
        cpu = f"{1e6 * m.cpu / m.rate_hz:.1f} us a sample"
        yield f"as many as come, {name}", rate, "", f"{m.frames_hz:.0f}", cpu


def half(seconds: float) -> Iterator[Row]:
    for name, mark in MARKS.items():
        m = measure(name, seconds, rate_hz=mark / 2, rows=mark // 200, viewers=10)
        p50, p99 = m.late_ms
        late = f"{p50:.0f}, {p99:.0f} ms" + (f", {m.gaps} gaps" if m.gaps else "")
        of, rate = f"{mark // 2:,} a second, {name}", f"{m.rate_hz:,.0f}"
        yield of, rate, late, f"{m.frames_hz:.0f}", f"{100 * m.cpu:.0f} %"


def viewers(seconds: float) -> Iterator[Row]:
    for what, streams, apart in (("the same 10 streams", 10, 0), ("10 of 1000 streams", 1000, 10)):
        options = {"rate_hz": 20.0 * streams, "rows": streams, "streams": streams, "apart": apart}
        none = measure("GRU(32)", seconds, viewers=0, **options)  # type: ignore[arg-type]
        many = measure("GRU(32)", seconds, viewers=100, **options)  # type: ignore[arg-type]
        share = many.seen / (100 * 10 * many.rate_hz / streams * seconds)
        p50, p99 = many.late_ms
        late = f"{p50:.0f}, {p99:.0f} ms" + (f", {100 * share:.0f} % seen" if share < 0.97 else "")
        cpu = f"{100 * (many.cpu - none.cpu):.1f} % beside {100 * none.cpu:.1f} %"
        rate, frames = f"{many.rate_hz:,.0f}", f"{many.frames_hz:.0f}"
        yield f"100 viewers of {what} at 20 Hz", rate, late, frames, cpu


def restart(seconds: float) -> Iterator[Row]:
    for name in MARKS:
        with tempfile.TemporaryDirectory() as folder:
            with process(serve, name, folder, np.inf, np.inf) as server:
                url = server.recv()
                with process(send, url, 10_000.0, 200, STREAMS):
                    time.sleep(seconds)
                    server.send("samples")
                    server.recv()
                    server_process(url).kill()
            begin = time.perf_counter()
            with process(serve, name, folder, np.inf, np.inf) as server:
                server.recv()
                took = time.perf_counter() - begin
        yield f"10,000 a second, then killed, {name}", "", f"ready after {took:.1f} s", "", ""


def main() -> None:
    cases = {case.__name__: case for case in (flood, half, viewers, restart)}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", default=list(cases), metavar="case")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--write", action="store_true", help="all cases, into docs/serve.md")
    given = parser.parse_args()
    rows = (row for case in given.cases for row in cases[case](given.seconds))
    lines = []
    names = ("", "samples a second", "until seen: half, 99 %", "messages a second", "CPU")
    for line in table(names, rows):
        print(line, flush=True)
        lines.append(line)
    if given.write:
        about = f"Measured {date.today()} on {psutil.cpu_count()} cores of a {processor()}."
        text = "\n".join([*lines, "", about])
        into_docs("serve.md", "python -m tests.bench.load --write", text)


if __name__ == "__main__":
    main()
