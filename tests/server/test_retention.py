"""What goes first when the journal is too large, and what no gap in it may do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pytest
from streamrnn_server import compaction, recorder
from streamrnn_server.database import JournalError
from streamrnn_server.decimate import glance
from streamrnn_server.history import History
from streamrnn_server.journal import chunks
from streamrnn_server.snapshots import Writer

from streamrnn.streams import Rule, marks
from streamrnn.streams.batch import DAY_S
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


OLD = """
INSERT INTO chunks (stream, first, grp, n, arrived, t0, t1, width, packed, low, high, body)
VALUES (0, 0, 0, 0, ?, 0, 0, 4, 0, x'', x'', x'')
"""


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
    for read in (Run, whole, newest, at_a_glance):
        try:
            with np.errstate(all="ignore"):  # of numbers that nobody has written
                run = read(tmp_path)
        except JournalError as error:
            told = f"{path} cannot be read: "
            assert str(error).startswith(told) or str(error).startswith(f"{path}: ")
        else:
            if isinstance(run, Run):
                run.die()
    Path(tmp_path / "lock").unlink()  # whatever happened, nobody holds it any more


def whole(folder):
    with History(folder) as past:
        for key in past.streams:
            assert isinstance([*past.between_samples(key)], list)
        return [*past.samples()]


def newest(folder):
    with History(folder) as past:
        return [past.kinds_now(), *past.newest(50)]


def at_a_glance(folder):
    with History(folder) as past:
        return [glance(past, key, None, None, 50) for key in past.streams]


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


def test_a_commit_waits_once_it_is_written_for_its_size_and_not_for_a_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "LOG_BYTES", 2_000)
    monkeypatch.setattr(recorder, "BRAKED_S", 1e9)
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(1)))
    waits = []
    with monkeypatch.context() as patch:
        counts = run.recorder.journal
        patch.setattr(
            run.recorder._closing, "wait", lambda s: waits.append((s, int(counts.counts.sum())))
        )
        while not waits:
            run.take([("a", [0.5])])
        before = run.pipeline.samples
        for n in range(100):
            run.pipeline.take("a", [0.5], n)
        run.pipeline.flush()
    (small, first), *_, (large, last) = waits
    assert first < last == before + 100 and large > 50 * small
    monkeypatch.setattr(recorder, "BRAKED_BYTES_S", 1e-9)
    run.pipeline.take("a", [0.5])
    waiting = Thread(target=run.pipeline.flush)
    waiting.start()
    run.recorder._closing.set()  # what close() does first
    waiting.join(20)
    assert not waiting.is_alive()
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


def test_a_clock_that_jumps_does_not_take_what_is_kept(tmp_path, monkeypatch):
    clock = {"time": 1e9, "monotonic": 0.0}
    monkeypatch.setattr(
        recorder,
        "time",
        SimpleNamespace(time=lambda: clock["time"], monotonic=lambda: clock["monotonic"]),
    )
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(1)))
    run.recorder.keep_days = 10

    def later(days, wall=None):
        clock["monotonic"] += days * DAY_S
        clock["time"] += (days if wall is None else wall) * DAY_S
        return (clock["time"] - run.recorder._limit()) / DAY_S

    run.journal.in_thread(lambda db: db.execute(OLD, (1e9 - 20 * DAY_S,))).result()
    assert later(0) == 20  # what has been there for so long stays for the moment
    assert later(0.05) == pytest.approx(15.05)
    assert later(1) == later(1) == 10
    assert later(0, wall=365) == 375
    assert later(0.01) == pytest.approx(374.01)
    assert later(0, wall=-365) == pytest.approx(10)
    later(0, wall=-11_000)  # as a machine without a battery begins
    later(0.001, wall=11_000)
    run.journal.in_thread(lambda db: db.execute("UPDATE chunks SET arrived = 1e9")).result()
    assert later(1) == pytest.approx(10)
    run.die()


def test_a_reset_of_a_new_state_is_no_event_and_events_go_with_their_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "CHUNK", 5)
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(1)))
    for _ in range(3):
        run.take([("a", [1.0])] * 5)
        for _ in range(4):
            run.pipeline.reset("a")
    run.take([("a", [1.0])] * 5)

    def resets():
        with closing(run.journal.read()) as db:
            return [number for (number,) in db.execute("SELECT number FROM events ORDER BY number")]

    assert resets() == [5, 10, 15]
    turn(run)
    age = "UPDATE chunks SET arrived = first / 5"
    run.journal.in_thread(lambda db: db.execute(age)).result()
    for kept, limit in (([5, 10, 15], 0.5), ([10, 15], 1.5), ([15], 2.5), ([], 4)):
        for drop_ in compaction.drop(run.journal, 0, limit, 1e9):
            run.journal.in_thread(drop_).result()
        assert resets() == kept
    run.die()


def test_names_that_were_not_heard_of_for_the_longest_are_forgotten(tmp_path, monkeypatch):
    for kind in marks.MOST:
        monkeypatch.setitem(marks.MOST, kind, 3)
    run = Run(tmp_path)
    for number, name in enumerate("abcda"):
        run.pipeline.mark(f"sender {name}", 10 + number)
        run.pipeline.mark(f"mqtt plant {'id' if number % 2 else 'kept'} {name}/x", number)
        run.pipeline.mark("mqtt plant session", 1)
        run.pipeline.mark("mqtt plant 4095", 1)
        run.pipeline.flush()
    expected = {"mqtt plant session": 1, "mqtt plant 4095": 1}
    expected |= {"sender c": 12, "sender d": 13, "sender a": 14}
    expected |= {"mqtt plant kept c/x": 2, "mqtt plant id d/x": 3, "mqtt plant kept a/x": 4}
    assert run.pipeline.marks == run.journal.marks == expected
    assert run.pipeline.marked("sender b") == 0
    assert drop(run, 1.0, 1e9) == 1
    with closing(run.journal.read()) as db:
        assert dict(db.execute("SELECT name, number FROM marks")) == expected
    assert drop(run, 1.0, 1e9) == 0
    run.die()
    run = Run(tmp_path)
    assert run.pipeline.marks == expected
    run.pipeline.mark("sender new", 1)
    run.pipeline.flush()
    assert "sender c" not in run.pipeline.marks  # in the order of before the restart
    run.die()
