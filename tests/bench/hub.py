"""What it costs to hand samples to viewers: the hub alone, then with real sockets.

A tick brings one sample of each watched stream to every viewer, with as much as a Detector says of
it: 40 outputs and 32 hidden units. The last column counts samples x viewers. Beside it, the plain
way: a JSON text for each sample and viewer.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import msgspec
import numpy as np
from streamrnn_server import binary
from streamrnn_server import protocol as p
from streamrnn_server.app import Server, Settings
from streamrnn_server.hub import Hub, Viewer
from websockets.asyncio.client import connect

from streamrnn.step import Output
from streamrnn.streams import Batch, Pipeline, Result
from tests.server.fakes import group

OUTPUTS = tuple(Output(f"y{n}") for n in range(40))
TICK_S = 1 / 30
TICKS = 50


class Feed:
    """Batches of one sample for each of so many streams."""

    def __init__(self, streams: int, rows: int = 1) -> None:
        self.group = group(outputs=OUTPUTS, channels=("x",), units=("",), U=32)
        self.keys = [f"s{n}" for n in range(streams) for _ in range(rows)]
        self.x = np.zeros((len(self.keys), 1))
        self.y = np.zeros((len(self.keys), len(OUTPUTS)), np.float32)
        self.h = np.zeros((len(self.keys), 32), np.int8)

    def batch(self) -> Result:
        now = time.time()
        t = np.full(len(self.keys), now)
        return Result(self.group, Batch(self.keys, t, self.x, self.y, now), self.h)


def hub() -> Hub:
    return Hub(epoch=1, name="", server="", started=0.0, ring_bytes=64 << 20)


def row(name: str, seconds: float, samples: float, frames: float = 0.0) -> None:
    per_frame = f"{seconds / frames * 1e6:10.1f}" if frames else " " * 10
    print(f"{name:52}{per_frame} us{samples / seconds:14,.0f} /s")


def publishing(streams: int, rows: int) -> None:
    h, feed = hub(), Feed(streams, rows)
    h.publish(feed.batch())
    ticks = 200
    start = time.perf_counter()
    for _ in range(ticks):
        h.publish(feed.batch())
    row(f"publish {streams} streams x {rows}", time.perf_counter() - start, ticks * streams * rows)


def handed(h: Hub, feed: Feed, viewers: list[Viewer]) -> tuple[float, int]:
    """Seconds that TICKS ticks took, and frames that the viewers got."""
    spent, frames = 0.0, 0
    for n in range(TICKS):
        h.publish(feed.batch())
        start = time.perf_counter()
        h.tick(float(n))
        for viewer in viewers:
            while h.take(viewer):
                frames += 1
            viewer.acked = viewer.sent
        spent += time.perf_counter() - start
    return spent, frames


def handing_out(viewers: int, streams: int, *, different: bool) -> None:
    """`different`: each viewer leaves out another stream, so that no two share a frame."""
    h, feed = hub(), Feed(streams)
    h.publish(feed.batch())
    made = [h.join() for _ in range(viewers)]
    for n, viewer in enumerate(made):
        ids = [i for i in range(streams) if not different or i != n % streams]
        h.receive(viewer, p.encode(p.Watch(streams=[p.WatchStream(i) for i in ids])))
        while h.take(viewer):
            pass
    spent, frames = handed(h, feed, made)
    kind = "each its own set" if different else "the same set"
    watched = streams - different
    row(f"{viewers} viewers of {streams} streams, {kind}", spent, TICKS * watched * viewers, frames)


def apart(viewers: int, streams: int, rows: int) -> None:
    """Each viewer has streams of its own, which got several samples since the last tick."""
    h, feed = hub(), Feed(viewers * streams, rows)
    h.publish(feed.batch())
    made = [h.join() for _ in range(viewers)]
    for n, viewer in enumerate(made):
        ids = range(n * streams, (n + 1) * streams)
        h.receive(viewer, p.encode(p.Watch(streams=[p.WatchStream(i) for i in ids])))
        while h.take(viewer):
            pass
    spent, frames = handed(h, feed, made)
    name = f"{viewers} viewers of {streams} streams x {rows}, none in common"
    row(name, spent, TICKS * streams * viewers * rows, frames)


def plain(viewers: int, streams: int) -> None:
    feed = Feed(streams)
    result = feed.batch()
    start = time.perf_counter()
    for _ in range(viewers):
        for n, key in enumerate(result.batch.keys):
            message = {
                "stream": key,
                "t": float(result.batch.t[n]),
                "x": result.batch.x[n].tolist(),
                "y": feed.y[n].tolist(),
                "h": feed.h[n].tolist(),
            }
            msgspec.json.encode(message)
    seconds = time.perf_counter() - start
    row(f"{viewers} viewers of {streams} streams, JSON a sample", seconds, viewers * streams)


# --- with sockets ---------------------------------------------------------------------------------


def watch(url: str, viewers: int, streams: int, pipe: Connection) -> None:
    """A process of viewers that read, decode and acknowledge."""

    async def one() -> None:
        async with connect(url, compression=None, max_size=None, proxy=None) as connection:
            ids = [p.WatchStream(n) for n in range(streams)]
            await connection.send(p.encode(p.Watch(streams=ids, history=0)))
            frames = 0
            async for message in connection:
                if isinstance(message, bytes):
                    frames += 1
                    decoded = binary.decode_binary(message)
                    if isinstance(decoded, binary.Samples):
                        late.append(time.time() - decoded.sent)
                    if frames % p.ACK_EVERY == 0:
                        await connection.send(p.encode(p.Ack(frames)))

    late: list[float] = []

    async def main() -> None:
        await asyncio.gather(*(one() for _ in range(viewers)), return_exceptions=True)

    asyncio.run(main())
    pipe.send(np.percentile(late, (50, 99)).tolist())


def sockets(viewers: int, streams: int, ticks: int = 150) -> None:
    async def main() -> None:
        server = Server(Pipeline([]), settings=Settings(port=0, viewers=viewers))
        feed = Feed(streams)
        async with server:
            server._publish(feed.batch())
            here, there = multiprocessing.Pipe()
            url = server.url.replace("http", "ws") + "/live"
            child = multiprocessing.get_context("spawn").Process(
                target=watch, args=(url, viewers, streams, there)
            )
            child.start()
            while sum(len(v.cursors) for v in server.hub.viewers) < viewers * streams:
                await asyncio.sleep(0.05)
            frames, cpu, start = server.hub.frames, time.process_time(), time.perf_counter()
            for n in range(ticks):
                server._publish(feed.batch())
                await asyncio.sleep(max(0.0, start + (n + 1) * TICK_S - time.perf_counter()))
            frames, cpu = server.hub.frames - frames, time.process_time() - cpu
            share = cpu / (time.perf_counter() - start)
        assert server.hub.gaps == 0  # a busy machine makes frames larger and fewer
        p50, p99 = await asyncio.to_thread(here.recv)
        await asyncio.to_thread(child.join)
        name = f"{viewers} viewers of {streams} streams, sockets, 30 Hz"
        row(name, cpu, ticks * streams * viewers, frames)
        ms = (share * 100, p50 * 1e3, p99 * 1e3)
        print("{:>52} {:.0f} % of a core, late p50 {:.1f} ms, p99 {:.1f} ms".format("", *ms))

    asyncio.run(main())


def main() -> None:
    print(f"{'':52}{'a frame':>10}   {'samples x viewers':>14}")
    publishing(1, 2000)
    publishing(1000, 1)
    cases: list[Callable[[], None]] = [
        lambda: handing_out(30, 20, different=False),
        lambda: handing_out(30, 20, different=True),
        lambda: handing_out(30, 1000, different=False),
        lambda: handing_out(300, 20, different=False),
        lambda: apart(100, 10, 3),
        lambda: plain(30, 20),
        lambda: sockets(30, 20),
        lambda: sockets(100, 20),
        lambda: sockets(10, 1000),
    ]
    for case in cases:
        case()


if __name__ == "__main__":
    main()
