"""Kills a server again and again while it is sent samples, and looks at what its journal holds.

python -m tests.faults.kills 50      as often as that; what went wrong raises
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from streamrnn_server.ingest_protocol import Columns, encode_columns
from streamrnn_server.journal import Journal, chunks, log
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from streamrnn.streams import Pipeline
from tests.faults.nursery import rules

ROOT = Path(__file__).parents[2]
STREAMS = [f"{kind}/{n}" for kind in ("gru", "learn") for n in range(10)]
WINDOW = 4

Sample = tuple[str, float, list[float]]


def samples_of(line: int) -> tuple[str, list[Sample]]:
    """Line number `line` of the sender, counted from 1, and its form: always the same."""
    draw = random.Random(line)
    form = draw.choice(("line", "line", "line", "batch", "array", "columns"))
    count = 1 if form == "line" else draw.randrange(1, 40)
    return form, [
        (draw.choice(STREAMS), line + n / 64, [draw.gauss(20, 5), draw.gauss(3, 1)])
        for n in range(count)
    ]


def messages(lines: Iterable[int]) -> Iterator[str | bytes]:
    """Lines of text go together; an array and columns are a message, and a line, each."""
    texts: list[str] = []
    for line in lines:
        form, samples = samples_of(line)
        keys, times, x = (list(column) for column in zip(*samples, strict=True))
        if form in ("array", "columns") and texts:
            yield "\n".join(texts)
            texts = []
        if form == "array":
            yield json.dumps([record(*sample) for sample in samples])
        elif form == "columns":
            streams = list(dict.fromkeys(keys))
            of = np.array([streams.index(key) for key in keys], np.uint32)
            yield encode_columns(Columns(streams, None, np.array(times), np.array(x).T, of))
        elif form == "batch":
            texts.append(json.dumps({"stream": keys, "t": times, "x": x}))
        else:
            texts.append(json.dumps(record(*samples[0])))
    if texts:
        yield "\n".join(texts)


def record(key: str, t: float, x: list[float]) -> dict[str, object]:
    return {"stream": key, "t": t, "x": x}


class Sender:
    """Sends lines as fast as they are taken, and notes how far they were acknowledged."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self._progress = asyncio.Event()

    async def reaches(self, line: int) -> None:
        """Wait until so many lines are acknowledged."""
        while self.acknowledged < line:
            self._progress.clear()
            await self._progress.wait()

    async def send(self, url: str, least: int) -> None:
        """Until the server dies, but at least until `least` lines are acknowledged if it lives."""
        address = url.replace("http", "ws") + "/ingest?sender=plant"
        try:
            async with connect(address, compression=None, proxy=None) as connection:
                known = json.loads(await connection.recv())["line"]
                assert known >= self.acknowledged, "an acknowledged line is not known any more"
                await self._exchange(connection, known, least)
        except (ConnectionClosed, InvalidHandshake, OSError):
            pass

    async def _exchange(self, connection: ClientConnection, known: int, least: int) -> None:
        draw = random.Random(known)
        last, on_the_way = known, 0
        while self.acknowledged < least:
            while on_the_way < WINDOW:
                size = draw.choice((1, 7, 60))
                for message in messages(range(last + 1, last + size + 1)):
                    await connection.send(message)
                    on_the_way += 1
                last += size
            answer = json.loads(await connection.recv())
            assert answer["refused"] == [] and "repeated" not in answer
            self.acknowledged, on_the_way = answer["line"], on_the_way - 1
            self._progress.set()


async def torture(folder: Path, kills: int, seed: int) -> tuple[int, int]:
    """Kill a server `kills` times; how many lines were acknowledged, how many are recorded."""
    draw = random.Random(seed)
    sender = Sender()
    command = [sys.executable, "-m", "tests.faults.nursery"]
    nursery = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert nursery.stdin and nursery.stdout
    try:
        for kill in range(kills + 1):
            nursery.stdin.write(f"{folder}\n")
            nursery.stdin.flush()
            pid, url = (await asyncio.to_thread(nursery.stdout.readline)).split()
            if kill == kills:
                await sender.send(url, sender.acknowledged + 1000)
                os.kill(int(pid), signal.SIGTERM)
                break
            sending = asyncio.create_task(sender.send(url, sys.maxsize))
            # Some time after it got somewhere, lest a busy machine's servers die before they begin.
            line = sender.acknowledged + draw.choice((0, 1, 20, 200))
            reaching = asyncio.create_task(sender.reaches(line))
            await asyncio.wait({sending, reaching}, return_when=asyncio.FIRST_COMPLETED)
            reaching.cancel()
            await asyncio.wait({sending}, timeout=draw.uniform(0.0, 0.2))
            os.kill(int(pid), signal.SIGKILL)
            await sending
    finally:
        nursery.stdin.close()
        await asyncio.to_thread(nursery.stdout.read)  # to its end: when the last server is gone
        nursery.stdout.close()
        nursery.wait()
    return sender.acknowledged, verify(folder)


def verify(folder: Path) -> int:
    """Whether the journal holds lines 1, 2, ... and the predictions of an uninterrupted run.

    The last line that it knows of its sender: all of them and nothing else must be there.
    """
    recorded: dict[str, list[tuple[float, list[float], bytes]]] = {}
    for key, t, x, y in samples(folder):
        recorded.setdefault(key, []).append((t, x, y))
    journal = Journal(folder)
    last = journal.marks["sender plant"]
    journal.close()
    expected: dict[str, list[tuple[float, list[float], bytes]]] = {}
    pipeline = Pipeline(rules())

    def note(result: Any) -> None:
        batch = result.batch
        for key, t, x, y in zip(batch.keys, batch.t, batch.x, batch.y, strict=True):
            expected.setdefault(key, []).append((float(t), x.tolist(), y.tobytes()))

    pipeline.sink(note)
    for line in range(1, last + 1):
        for key, t, x in samples_of(line)[1]:
            pipeline.take(key, x, t)
    pipeline.flush()
    assert recorded.keys() == expected.keys()
    for key, want in expected.items():
        have = recorded[key]
        assert [t for t, _, _ in have] == [t for t, _, _ in want], f"{key}: lost, or twice"
        assert [x for _, x, _ in have] == [x for _, x, _ in want], f"{key}: other values"
        assert [y for _, _, y in have] == [y for _, _, y in want], f"{key}: other predictions"
    return last


def samples(folder: Path) -> Iterator[tuple[str, float, list[float], bytes]]:
    """All that a journal holds, of each stream in order."""
    journal = Journal(folder)
    keys = list(journal.streams)
    db = journal.read()
    for id, key in enumerate(keys):
        for _, _, part in chunks(db, journal.kinds, id):
            for t, x, y in zip(part.t, part.x, part.y, strict=True):
                yield key, float(t), x.tolist(), np.ascontiguousarray(y).tobytes()
    for _, part in log(db, journal.kinds):
        assert part.ids is not None
        for id, t, x, y in zip(part.ids, part.t, part.x, part.y, strict=True):
            yield keys[id], float(t), x.tolist(), np.ascontiguousarray(y).tobytes()
    db.close()
    journal.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        done = asyncio.run(torture(Path(folder), int(sys.argv[1]), seed=random.randrange(1 << 30)))
    print(f"{sys.argv[1]} kills: {done[0]} lines acknowledged, {done[1]} in the journal")
