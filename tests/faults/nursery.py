"""Servers to kill: a process that has everything imported and compiled forks one for each request.

    python -m tests.faults.nursery     reads "FOLDER" from standard input, a line each, and prints
                                       "PID URL" of a server whose journal is there

So a server is up in a tenth of a second and can be killed often. It follows one file and plays
another over and over. It makes snapshots and compacts
its journal as often as it can, that kills may hit that, and has a third of its states in memory.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import traceback
from functools import partial
from pathlib import Path

from streamrnn_server import app, recorder
from streamrnn_server.app import Server, Settings
from streamrnn_server.journal import Journal

import streamrnn as srnn
from streamrnn.streams import Pipeline, Rule, follow, replay

CHANNELS = ("temp", "load")
KINDS = ("gru", "learn", "order", "every")
LATENESS_S = 900.0
FOLLOWED, PLAYED = "followed.csv", "played.csv"  # beside the journal


def rules() -> list[Rule]:
    """Streams as they come, with late labels, out of order, and as rows of a grid."""
    gru, detector = srnn.GRU(2, 16, 1, seed=3), srnn.Detector(2, 0, 3)
    grid = {"lateness": LATENESS_S, "every": 300.0, "how": "mean"}
    return [
        Rule("gru/*", lambda channels: gru, CHANNELS),
        Rule("learn/*", lambda channels: detector, CHANNELS),
        Rule("order/*", lambda channels: gru, CHANNELS, lateness=LATENESS_S),
        Rule("every/*", lambda channels: detector, CHANNELS, **grid),
        Rule("file/*", lambda channels: gru, CHANNELS),
    ]


def quiet() -> None:
    """Say nothing of what is refused: labels that teach nothing are meant to be."""
    logging.getLogger("streamrnn.streams").setLevel(logging.ERROR)


async def serve(folder: str) -> None:
    recorder.SNAPSHOT_S = app.SURVEY_S = 0.02
    pipeline = Pipeline(rules(), state_bytes=400_000, folder=Path(folder))
    path = Path(folder)
    sources = [
        partial(follow, path / FOLLOWED, key="file/followed", poll_s=0.01, asynchronous=True),
        partial(
            replay, path / PLAYED, key="file/played", rate_hz=2000, loop=True, asynchronous=True
        ),
    ]
    server = Server(pipeline, sources, settings=Settings(port=0), journal=Journal(path))
    await server.run(lambda server: print(os.getpid(), server.url, flush=True))


def main() -> None:
    quiet()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    warm = Pipeline(rules())
    for rule in warm.rules:
        warm.warm(rule)
    for line in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                asyncio.run(serve(line.strip()))
            except Exception:
                traceback.print_exc()
                os.kill(os.getppid(), signal.SIGTERM)  # lest somebody waits for its word
            finally:
                os._exit(0)


if __name__ == "__main__":
    main()
