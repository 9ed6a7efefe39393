"""Sources of a server with a journal: each of their samples is in there once, whatever happens."""

from __future__ import annotations

import asyncio
import json
import math
import os
import threading
from functools import partial

import pytest
from streamrnn_server.app import Server, Settings
from streamrnn_server.journal import Journal

from streamrnn.streams import Pipeline, follow, replay, stdin
from tests.server.clients import leaky, run
from tests.server.test_compaction import recorded
from tests.server.test_journal import Run


def started(folder, *sources):
    """A server; its sources are functions that make them."""
    make = [partial(source, asynchronous=True) for source in sources]
    journal = Journal(folder / "journal")
    return Server(Pipeline([leaky()]), make, settings=Settings(port=0), journal=journal)


async def comes(s, count):
    """Wait until the journal has so many samples."""
    while s.recorder.journal.counts.sum() < count:
        s.recorder.beat()  # a second's wait would be too long here
        await asyncio.sleep(0.01)


def kept(folder):
    """The values of each stream that the journal has."""
    journal = Run(folder / "journal", leaky())
    found = {key: [x[0] for x, _ in samples] for key, samples in recorded(journal).items()}
    journal.die()
    return found


def breaks(monkeypatch, s, often, once):
    """Let commits fail, as on a full disk, after the first `once`."""
    journal, append, calls = s.recorder.journal, s.recorder.journal._append, []

    def full(*arguments):
        calls.append(arguments)
        if once < len(calls) <= once + often:
            raise OSError(28, "No space left on device")
        append(*arguments)

    monkeypatch.setattr(journal, "_append", full)
    monkeypatch.setattr("streamrnn.streams.pipeline.HALTED_S", 0.02)


@pytest.mark.parametrize("kind", [follow, replay])
def test_a_file_is_recorded_once_over_restarts_and_a_full_disk(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("streamrnn.streams.sources.BATCH_ROWS", 7)
    path = tmp_path / "pump.csv"
    lines = [f"{n},{n}\n" for n in range(100)]
    options = {"rate_hz": math.inf} if kind is replay else {"poll_s": 0.02}

    async def main():
        for end in (22, 53, 100):
            path.write_text("t,temp\n" + "".join(lines[:end]))
            async with started(tmp_path, partial(kind, path, **options)) as s:
                breaks(monkeypatch, s, often=2, once=end % 2)
                await comes(s, end)
                await asyncio.sleep(0.05)  # for what would come twice

    run(main())
    assert kept(tmp_path) == {"pump": [*range(100)]}


def test_what_was_read_from_standard_input_is_taken_once_there_is_room(tmp_path, monkeypatch):
    reads, writes = os.pipe()

    def write():
        with open(writes, "w") as file:
            for n in range(500):
                file.write(f"{n}\n")
                if n % 50 == 0:
                    file.flush()

    async def main():
        async with started(tmp_path, partial(stdin, fd=reads)) as s:
            breaks(monkeypatch, s, often=3, once=0)
            await s.ready()
            threading.Thread(target=write).start()
            await comes(s, 500)
            assert s.pipeline.halts >= 1

    run(main())
    os.close(reads)
    assert kept(tmp_path) == {"stdin": [*range(500)]}


def test_what_is_read_at_once_is_committed_at_once_whatever_its_channels(tmp_path, monkeypatch):
    path = tmp_path / "gateway.ndjson"
    rows = [("ab"[n % 2], n, ("temp", "load")[n % 2]) for n in range(400)]
    lines = [json.dumps({"stream": key, "t": t, name: t}) + "\n" for key, t, name in rows]
    path.write_text("".join(lines))

    async def main():
        async with started(tmp_path, partial(follow, path, poll_s=0.02)) as s:
            breaks(monkeypatch, s, often=1, once=0)
            writes, write = [], s.recorder.journal.write
            monkeypatch.setattr(s.recorder.journal, "write", lambda c: writes.append(c) or write(c))
            await comes(s, 400)
            await asyncio.sleep(0.05)
            return len(writes)

    assert run(main()) <= 4
    assert kept(tmp_path) == {"a": [*range(0, 400, 2)], "b": [*range(1, 400, 2)]}
