"""What goes first when the journal is too large, and what no gap in it may do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from streamrnn_server import compaction, recorder
from streamrnn_server.database import JournalError
from streamrnn_server.journal import chunks
from streamrnn_server.snapshots import Writer

from streamrnn.streams import Rule
from tests.leaky import Leaky
from tests.server.test_compaction import drop, rows, turn
from tests.server.test_journal import Run, drawn


def test_samples_that_came_too_late_go_before_those_that_were_used(tmp_path):
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(1), lateness=10.0))
    for n in range(200):
        run.pipeline.take("a", [1.0], 1e6 + n)
    run.pipeline.flush()
    for n in range(3000):
        run.pipeline.take("a", [1.0], float(n))
    run.pipeline.flush()
    turn(run)
    with closing(run.journal.read()) as db:
        size, kept = compaction.used_bytes(db), rows(db, "chunks")
        assert rows(db, "late") == 3000 and kept > 0
    drop(run, 1.0, size - 100_000)
    with closing(run.journal.read()) as db:
        assert 0 < rows(db, "late") <= 1000
        assert rows(db, "chunks") == kept
    run.die()


def test_chunks_with_a_gap_between_them_are_not_joined(tmp_path, monkeypatch):
    """As a clock that was wrong for a while leaves them: the oldest are not always the first."""
    monkeypatch.setattr(compaction, "PART_BYTES", 1)
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(1)))
    for count in (8, 4, 2):
        run.take([("a", [float(count)])] * count)
        for change in compaction.turn(run.journal, run.journal.last, Event()):
            run.journal.in_thread(change).result()
    with closing(run.journal.read()) as db:
        spans = db.execute("SELECT rowid, first, n FROM chunks ORDER BY first").fetchall()
    assert len(spans) > 1
    middle = spans[len(spans) // 2][0]
    run.journal.in_thread(lambda db: db.execute("DELETE FROM chunks WHERE rowid = ?", (middle,)))
    run.take([("a", [0.5])] * 30)
    turn(run)
    with closing(run.journal.read()) as db:
        (end,) = db.execute("SELECT left_log FROM streams").fetchone()
        parts = [(first, len(part.t)) for first, _, part in chunks(db, run.journal.kinds, 0)]
    assert end == run.journal.counts[0] == 44
    assert parts[-1][0] + parts[-1][1] == 44
    numbers = np.concatenate([first + np.arange(n) for first, n in parts])
    assert len(np.unique(numbers)) == len(numbers) == 44 - spans[len(spans) // 2][2]
    run.die()


def test_a_journal_whose_making_was_killed_is_made(tmp_path):
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as db:  # as far as it gets before its tables are there
        db.execute("PRAGMA page_size = 8192")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
    assert path.stat().st_size > 0
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(1)))
    run.take([("a", [1.0])] * 3)
    run.die()
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(1)))
    assert run.journal.counts.tolist() == [3]
    run.die()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_snapshot_that_is_given_up_on_a_full_disk_leaves_nothing_there(tmp_path):
    writer = Writer(tmp_path, "journal")
    writer._file.close()
    writer._file = open("/dev/full", "wb", buffering=1 << 16)  # noqa: SIM115
    writer.write(b"some")
    with pytest.raises(OSError, match="No space left"):
        writer.abandon()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_journal_is_told_or_read(tmp_path, seed):
    run = Run(tmp_path)
    run.take(drawn(300))
    run.recorder.snapshot()
    run.recorder._written.result()
    turn(run)
    run.take(drawn(200, seed=1))
    run.die()
    for path in tmp_path.glob("snapshot-*" if seed % 2 else "none"):
        path.unlink()
    path, draw = tmp_path / "journal.sqlite", np.random.default_rng(seed)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    for at in draw.integers(8192, len(content) - 2000, 3):
        content[at : at + 2000] = draw.integers(0, 256, 2000)
    path.write_bytes(content.tobytes())
    try:
        run = Run(tmp_path)
    except JournalError as error:
        told = f"{path} cannot be read: "
        assert str(error).startswith(told) or str(error).startswith(f"{path}: ")
    else:
        run.die()
    Path(tmp_path / "lock").unlink()  # whatever happened, nobody holds it any more


def test_commits_wait_the_longer_the_log_is(tmp_path, monkeypatch):
    """Else it would grow for ever where more comes than can be turned over."""
    monkeypatch.setattr(recorder, "LOG_BYTES", 2_000)
    monkeypatch.setattr(recorder, "BRAKED_BYTES_S", 1e9)
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(1)))
    waits = []
    run.recorder._closing.wait = waits.append
    samples = [("a", [0.5])]
    while run.journal.written < 2_000:
        run.take(samples)
    assert not waits
    for _ in range(50):
        run.take(samples)
    assert waits == sorted(waits) and 0 < waits[0] < waits[-1] < recorder.BRAKED_S
    count = len(waits)
    turn(run)
    run.recorder._age()
    run.take(samples)
    assert len(waits) == count
    assert run.journal.counts.tolist() == [run.pipeline.samples]
    run.stop()


def test_a_commit_that_waited_and_cannot_be_written_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "LOG_BYTES", 1)
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(1)))
    run.take([("a", [0.5])] * 50)
    before = run.journal.counts.tolist()
    with monkeypatch.context() as patch:
        patch.setattr(run.journal, "_append", lambda *arguments: 1 / 0)
        run.pipeline.take("a", [1.0])
        run.pipeline.flush()
    assert "division" in run.pipeline.halted
    run.pipeline.resume()
    assert run.take([("a", [0.5])])
    assert run.journal.counts[0] == before[0] + 1
    run.stop()


def test_a_snapshot_follows_what_was_written_too(tmp_path, monkeypatch):
    """A start reads all that came after it, however quickly that was predicted."""
    monkeypatch.setattr(recorder, "LOG_BYTES", 4000)
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(1)))
    run.take([("a", [0.5])] * 200)
    run.take([("a", [0.5])] * 20)
    assert [*tmp_path.glob("snapshot-*")]
    run.stop()
