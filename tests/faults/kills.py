"""Kills a server again and again while it is sent samples and labels and reads files, and looks at
its journal.

Samples of some streams come out of order, some too late, and of others rows are made. A line is a
minute of the streams' time, so that whoever waits for earlier ones is let go by those, never by the
clock: what an uninterrupted run uses, and when, does not depend on how fast this one is.

python -m tests.faults.kills 50      as often as that; what went wrong raises
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from streamrnn_server.ingest_protocol import Columns, encode_columns
from streamrnn_server.journal import Journal, chunks, log
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from streamrnn.streams import Pipeline, Refused
from streamrnn.streams.commit import Commit
from streamrnn.streams.lateness import Held
from tests.faults.nursery import CHANNELS, FOLLOWED, KINDS, LATENESS_S, PLAYED, quiet, rules

ROOT = Path(__file__).parents[2]
STREAMS = [f"{kind}/{n}" for kind in KINDS for n in range(10)]
WINDOW = 4
LINE_S = 60.0
MISSING = 0.3  # of the targets of streams that learn, when their row comes
LATE = 8  # lines within which some of them come
DISORDER_S = LATENESS_S - 4 * LINE_S  # by so much samples come out of order
TOO_LATE = 500  # lines: more than may be on the way and wait together

HEADER = "t,temp,load\n"
PLAYED_ROWS = 100

Values = list[float] | float  # of a sample; of a label
Sample = tuple[float, bytes, bytes]  # t, x, y
Event = tuple[str, float, Values]  # stream, time, values


def events_of(line: int) -> tuple[str, list[Event]]:
    """Line number `line` of the sender, counted from 1, and its form: always the same."""
    draw = random.Random(line)
    form, samples = _samples_of(line, draw)
    if form != "labels":
        return form, samples
    missing = [
        (key, t)
        for earlier in range(max(1, line - LATE), line)
        for key, t, x in _samples_of(earlier, random.Random(earlier))[1]
        if key.startswith("learn") and isinstance(x, list) and math.isnan(x[0])
    ]
    if not missing:
        return form, [("learn/0", LINE_S * line, 20.0)]  # of a row that never was
    chosen = draw.choices(missing, k=draw.randrange(1, 4))  # one may come twice
    return form, [(key, t, draw.gauss(20, 5)) for key, t in chosen]


def _samples_of(line: int, draw: random.Random) -> tuple[str, list[Event]]:
    form = draw.choice(("line", "line", "line", "batch", "array", "columns", "labels"))
    if form == "labels":
        return form, []
    count = 1 if form == "line" else draw.randrange(1, 40)
    samples: list[Event] = []
    for n in range(count):
        key, x = draw.choice(STREAMS), [draw.gauss(20, 5), draw.gauss(3, 1)]
        t = LINE_S * line + n
        if key.startswith("learn") and draw.random() < MISSING:
            x[0] = math.nan
        elif key.startswith("every"):
            x[draw.randrange(2)] = math.nan  # it has one channel each
        if key.startswith(("order", "every")):
            too_late = line > TOO_LATE and draw.random() < 0.05
            t -= TOO_LATE * LINE_S if too_late else draw.uniform(0.0, DISORDER_S)
        samples.append((key, t, x))
    return form, samples


def messages(lines: Iterable[int]) -> Iterator[str | bytes]:
    """Lines of text go together; an array and columns are a message, and a line, each."""
    texts: list[str] = []
    for line in lines:
        form, events = events_of(line)
        keys, times, values = (list(column) for column in zip(*events, strict=True))
        if form in ("array", "columns", "labels") and texts:
            yield "\n".join(texts)
            texts = []
        if form in ("array", "labels"):
            yield json.dumps([record(*event) for event in events])
        elif form == "columns":
            streams = list(dict.fromkeys(keys))
            of = np.array([streams.index(key) for key in keys], np.uint32)
            yield encode_columns(Columns(streams, None, np.array(times), np.array(values).T, of))
        elif form == "batch":
            texts.append(json.dumps({"stream": keys, "t": times, "x": list(map(_sent, values))}))
        else:
            texts.append(json.dumps(record(*events[0])))
    if texts:
        yield "\n".join(texts)


def record(key: str, t: float, values: Values) -> dict[str, object]:
    sample: dict[str, object] = {"stream": key, "t": t}
    if not isinstance(values, list):
        return sample | {"label": values}
    if key.startswith("every"):
        named = zip(CHANNELS, values, strict=True)
        return sample | {name: value for name, value in named if not math.isnan(value)}
    return sample | {"x": _sent(values)}


def _sent(values: list[float]) -> list[float | None]:
    """As JSON has it."""
    return [None if math.isnan(value) else value for value in values]


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
            # Of labels some teach nothing, and those of a stream that has no row yet. Samples that
            # come too late are kept, so taken.
            assert {refused["kind"] for refused in answer["refused"]} <= {"label"}
            assert "repeated" not in answer
            self.acknowledged, on_the_way = answer["line"], on_the_way - 1
            self._progress.set()


async def torture(folder: Path, kills: int, seed: int) -> tuple[int, int]:
    """Kill a server `kills` times; how many lines were acknowledged, how many are recorded."""
    draw = random.Random(seed)
    sender = Sender()
    (folder / FOLLOWED).write_text(HEADER)
    (folder / PLAYED).write_text(HEADER + "".join(map(line_of, range(PLAYED_ROWS))))
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
            appending = asyncio.create_task(append(folder / FOLLOWED, random.Random(kill)))
            # Some time after it got somewhere, lest a busy machine's servers die before they begin.
            line = sender.acknowledged + draw.choice((0, 1, 20, 200))
            reaching = asyncio.create_task(sender.reaches(line))
            await asyncio.wait({sending, reaching}, return_when=asyncio.FIRST_COMPLETED)
            reaching.cancel()
            await asyncio.wait({sending}, timeout=draw.uniform(0.0, 0.2))
            os.kill(int(pid), signal.SIGKILL)
            await sending
            appending.cancel()
    finally:
        nursery.stdin.close()
        await asyncio.to_thread(nursery.stdout.read)  # to its end: when the last server is gone
        nursery.stdout.close()
        nursery.wait()
    # In a thread, where no event loop runs: there commits are done when `flush` returns.
    return sender.acknowledged, await asyncio.to_thread(verify, folder)


def line_of(row: int) -> str:
    return f"{row},{row},{row % 7}\n"


async def append(path: Path, draw: random.Random) -> None:
    """Go on with a file, also in the middle of a line."""
    with path.open("r+") as file:
        begun = file.read()
        row = begun.count("\n") - 1
        rest = begun.rpartition("\n")[2]
        text = line_of(row).removeprefix(rest)
        while True:
            for _ in range(draw.choice((1, 5, 40))):
                row += 1
                text += line_of(row)
            cut = len(text) - draw.randrange(4)
            file.write(text[:cut])
            file.flush()
            text = text[cut:]
            await asyncio.sleep(draw.uniform(0.0, 0.02))


def verify_files(folder: Path, recorded: dict[str, list[Sample]]) -> None:
    """Whether rows 0, 1, ... of both files are there once, with an uninterrupted run's predictions.

    As many of the followed file as it has; of the one that is played over and over, some.
    """
    whole = (folder / FOLLOWED).read_text().count("\n") - 1
    have = recorded.pop("file/followed")
    assert [t for t, _, _ in have] == [*range(whole)], "followed: lost, or twice"
    played = recorded.pop("file/played")
    assert [t for t, _, _ in played] == [*range(len(played))], "played: lost, or twice"
    assert len(played) > PLAYED_ROWS
    found: dict[str, list[bytes]] = {}
    pipeline = Pipeline(rules())

    def note(result: Any) -> None:
        for key, y in zip(result.batch.keys, result.batch.y, strict=True):
            found.setdefault(key, []).append(y.tobytes())

    pipeline.sink(note)
    for key, rows, length in (("file/1", have, whole), ("file/2", played, PLAYED_ROWS)):
        for n in range(len(rows)):
            pipeline.take(key, [n % length, n % length % 7], n)
        pipeline.flush()
        assert [y for _, _, y in rows] == found.pop(key), "other predictions of a file's rows"


def verify(folder: Path) -> int:
    """Whether the journal holds lines 1, 2, ... and the predictions of an uninterrupted run.

    The last line that it knows of its sender: all of them and nothing else must be there.
    """
    recorded: dict[str, list[Sample]] = {}
    for key, t, x, y in samples(folder):
        recorded.setdefault(key, []).append((t, np.array(x).tobytes(), y))
    verify_files(folder, recorded)
    journal = Journal(folder)
    last = journal.marks["sender plant"]
    with closing(journal.read()) as db:
        query = "SELECT key, number, t, value FROM labels JOIN streams ON streams.id = stream"
        learned = db.execute(f"{query} ORDER BY labels.id").fetchall()
        waiting = db.execute("SELECT key, t, x FROM waiting ORDER BY id").fetchall()
        late = db.execute("SELECT key, t, x FROM late ORDER BY rowid").fetchall()
    journal.close()
    expected: dict[str, list[Sample]] = {}
    labels: list[tuple[str, int, float, float]] = []
    wait: dict[int, Held] = {}
    too_late: list[Held] = []
    pipeline = Pipeline(rules())

    def note(result: Any) -> None:
        batch = result.batch
        for key, t, x, y in zip(batch.keys, batch.t, batch.x, batch.y, strict=True):
            expected.setdefault(key, []).append((float(t), x.tobytes(), y.tobytes()))

    def write(commit: Commit) -> Future[None]:
        wait.update(commit.waiting.new)
        for held in commit.waiting.freed:
            del wait[held.id]
        too_late.extend(commit.waiting.late)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    pipeline.sink(note)
    pipeline.commit_by(write)
    for line in range(1, last + 1):
        for key, t, values in events_of(line)[1]:
            if isinstance(values, list):
                pipeline.take(key, values, t)
                continue
            pipeline.flush()
            before = pipeline.refused["label"]
            with suppress(Refused):
                pipeline.learn(key, values, t)
            pipeline.flush()
            if pipeline.refused["label"] == before:
                labels.append((key, len(expected[key]), t, values))
        pipeline.flush()
    assert learned == labels, "labels are lost, twice, or at another place"
    assert by_stream(waiting) == by_stream(map(_row, wait.values())), "others wait"
    assert by_stream(late) == by_stream(map(_row, too_late)), "others came too late"
    assert recorded.keys() == expected.keys()
    for key, want in expected.items():
        have = recorded[key]
        assert [t for t, _, _ in have] == [t for t, _, _ in want], f"{key}: lost, or twice"
        assert [x for _, x, _ in have] == [x for _, x, _ in want], f"{key}: other values"
        assert [y for _, _, y in have] == [y for _, _, y in want], f"{key}: other predictions"
    return last


def by_stream(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Those of each stream in the order in which they came."""
    return sorted(rows, key=itemgetter(0))


def _row(held: Held) -> tuple[str, float, bytes]:
    return held.key, held.t, np.array(held.x).tobytes()


def samples(folder: Path) -> Iterator[tuple[str, float, list[float], bytes]]:
    """All that a journal holds, of each stream in order."""
    journal = Journal(folder)
    keys = list(journal.streams)
    db = journal.read()
    for id, key in enumerate(keys):
        for _, _, part in chunks(db, journal.kinds, id):
            for t, x, y in zip(part.t, part.x, part.y, strict=True):
                yield key, float(t), x.tolist(), np.ascontiguousarray(y).tobytes()
    for batch in log(db, journal.kinds):
        part = batch.read()
        for id, t, x, y in zip(batch.ids, part.t, part.x, part.y, strict=True):
            yield keys[id], float(t), x.tolist(), np.ascontiguousarray(y).tobytes()
    db.close()
    journal.close()


if __name__ == "__main__":
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        done = asyncio.run(torture(Path(folder), int(sys.argv[1]), seed=random.randrange(1 << 30)))
    print(f"{sys.argv[1]} kills: {done[0]} lines acknowledged, {done[1]} in the journal")
