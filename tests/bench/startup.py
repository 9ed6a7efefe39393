"""How long `streamrnn demo` takes to its first predictions, cold and warm, and to its end.

The marks: predictions on the page within 15 s when nothing was ever compiled, within 3 s later on;
under 400 MB; an end within 2 s.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

import psutil
from streamrnn_server import binary
from streamrnn_server import protocol as p
from websockets.asyncio.client import connect

COMMAND = "from streamrnn_server.cli import main; main()"
DEMOS = ("host", "weather", "office", "code")  # their streams are called host/cpu ...
RUN_S = 10.0


async def predictions(url: str) -> None:
    """Wait until a viewer has a prediction of every demo."""
    keys: dict[int, str] = {}
    waiting = set(DEMOS)
    frames = 0
    async with connect(url.replace("http", "ws") + "/live", compression=None, proxy=None) as live:
        while waiting:
            message = await live.recv()
            if isinstance(message, bytes):
                frames += 1
                await live.send(p.encode(p.Ack(frames)))
                decoded = binary.decode_binary(message)
                if isinstance(decoded, binary.Samples):
                    waiting -= {keys[chunk.stream].split("/")[0] for chunk in decoded.chunks}
                continue
            control = p.decode_control(message)
            if isinstance(control, p.Hello | p.Streams):
                keys |= {stream.id: stream.key for stream in control.streams}
                watch = p.Watch(streams=[p.WatchStream(id) for id in keys])
                await live.send(p.encode(watch))


def measure(name: str, cache: str) -> None:
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "demo", "--no-open", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"NUMBA_CACHE_DIR": cache},
    )
    assert process.stdout is not None
    url = process.stdout.readline().split()[0].rstrip("/")
    with urllib.request.urlopen(url, timeout=10) as answer:
        answer.read()
    page = time.perf_counter() - start
    asyncio.run(predictions(url))
    first = time.perf_counter() - start
    time.sleep(RUN_S)
    watched = psutil.Process(process.pid)
    memory, busy = watched.memory_info().rss, watched.cpu_times()
    begun = time.perf_counter()
    process.terminate()
    process.wait(timeout=60)
    end = time.perf_counter() - begun
    share = 100 * (busy.user + busy.system) / (time.perf_counter() - start)
    print(f"{name:8}{page:10.2f}{first:22.2f}{memory / 2**20:12.0f}{share:10.0f}{end:10.2f}")


def main() -> None:
    print("start      page, s  first predictions, s  memory, MB   core, %    end, s")
    with tempfile.TemporaryDirectory() as cache:
        measure("cold", cache)
        measure("warm", cache)


if __name__ == "__main__":
    main()
