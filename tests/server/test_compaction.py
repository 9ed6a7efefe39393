"""Samples as they age: chunks hold what the log held, snapshots may be damaged, the oldest go."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamrnn_server import columns, compaction, snapshots
from streamrnn_server.backup import backup, restore
from streamrnn_server.columns import Columns
from streamrnn_server.database import JournalError
from streamrnn_server.history import History
from streamrnn_server.journal import Journal, chunks, log

from streamrnn.streams import Rule
from streamrnn.streams.batch import DAY_S
from tests.leaky import Leaky
from tests.server.test_journal import Run, by_key, drawn, rules, uninterrupted


def turn(run):
    """Let all of the log become chunks."""
    for change in compaction.turn(run.journal, run.journal.last, Event()):
        run.journal.in_thread(change).result()


def drop(run, days, size, boundary=0):
    """Delete what is too old or too much; in how many transactions."""
    changes = compaction.drop(run.journal, boundary, time.time() - days * DAY_S, size)
    return len([run.journal.in_thread(change).result() for change in changes])


def rows(db, table):
    return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def recorded(run):
    """By key, (x, y) of all samples in order."""
    found = {}
    with closing(run.journal.read()) as db:
        for key, record in run.journal.streams.items():
            for _, _, part in chunks(db, run.journal.kinds, record.id):
                found.setdefault(key, []).extend(both(part))
        keys = list(run.journal.streams)
        for batch in log(db, run.journal.kinds):
            for id, sample in zip(batch.ids, both(batch.read()), strict=True):
                found.setdefault(keys[id], []).append(sample)
    return found


def both(part):
    return [
        (x.tolist(), np.ascontiguousarray(y).tobytes()) for x, y in zip(part.x, part.y, strict=True)
    ]


def told(samples, *own):
    return {key: [t[1:] for t in all] for key, all in uninterrupted(samples, *own).items()}


@given(
    n=st.integers(1, 9),
    C=st.integers(1, 3),
    O=st.integers(0, 3),
    draw=st.randoms(),
    wide=st.booleans(),
)
def test_columns_come_back_to_the_bit(n, C, O, draw, wide):
    values = [float("nan"), 0.0, -0.0, 0.5] + [0.1, 1e-40, -1e30] * wide

    def some(*shape):
        return np.array([draw.choice(values) for _ in range(int(np.prod(shape)))]).reshape(shape)

    whole = Columns(
        some(n), some(n, C), some(n, O).astype(np.float32), np.arange(n, dtype=np.int32)
    )
    width = columns.width(whole.x)
    if not wide:
        assert width == 4
    for back in (
        columns.decode(columns.encode(whole, width), n, C, O, width),
        columns.unpack(columns.pack(whole, width), n, C, O, width),
    ):
        for part, want in zip(back[:3], whole[:3], strict=True):
            assert np.ascontiguousarray(part).tobytes() == want.tobytes()
    assert columns.decode(columns.encode(whole, width), n, C, O, width).ids.tolist() == [*range(n)]


def test_chunks_hold_what_the_log_held_and_numbers_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "CHUNK", 40)
    monkeypatch.setattr(compaction, "PACKED", 16)
    monkeypatch.setattr(compaction, "PART_BYTES", 1000)
    samples = drawn(400)
    run = Run(tmp_path)
    for start in range(0, 400, 80):
        run.take(samples[start : start + 80])
        if start < 320:
            turn(run)
    with closing(run.journal.read()) as db:
        sizes = [n for (n,) in db.execute("SELECT n FROM chunks")]
        assert sum(sizes) == 320 and max(sizes) <= 40
        spans = db.execute("SELECT stream, first, n FROM chunks ORDER BY stream, first").fetchall()
        assert {packed for (packed,) in db.execute("SELECT packed FROM chunks")} == {0, 1}
    for (stream, first, n), (after, later, _) in zip(spans, spans[1:], strict=False):
        assert (first + n == later) if stream == after else later == 0
    assert recorded(run) == told(samples)
    run.die()
    run = Run(tmp_path)
    assert run.journal.counts.tolist() == [len(recorded(run)[key]) for key in run.journal.streams]
    run.die()


def test_compaction_that_is_interrupted_anywhere_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "MOVED", 1)
    monkeypatch.setattr(compaction, "LEFT_BYTES", 1000)
    samples = drawn(300)
    run = Run(tmp_path)
    for start in range(0, 200, 20):
        run.take(samples[start : start + 20])
    begun = 0
    while changes := [
        *islice(compaction.turn(run.journal, run.journal.last - 1, Event()), begun % 3 + 1)
    ]:
        begun += 1
        for change in changes:
            run.journal.in_thread(change).result()
        want = told(samples[:200])
        assert recorded(run) == want
        with History(tmp_path) as past:
            for part in past.samples():
                want[part.key] = want[part.key][len(part.numbers) :]
                assert int(part.numbers[-1]) + 1 + len(want[part.key]) == len(
                    recorded(run)[part.key]
                )
        assert not any(want.values())
        run.die()
        run = Run(tmp_path)
        assert run.recovered.differing == 0
    with closing(run.journal.read()) as db:
        assert begun > 5 and rows(db, "log") == 1
        assert db.execute("SELECT name FROM facts").fetchall() == [("name",)]
    run.take(samples[200:])
    turn(run)
    assert recorded(run) == told(samples)
    run.die()


def test_the_write_ahead_log_is_copied_once_much_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr("streamrnn_server.journal.CHECKPOINT_BYTES", 4000)
    run = Run(tmp_path)
    file = tmp_path / "journal.sqlite"
    run.take(drawn(20))
    run.journal.checkpoint()
    small = file.stat().st_size
    run.take(drawn(400))
    run.journal.checkpoint()
    copied = file.stat().st_size
    assert copied > small + 4000
    log = file.with_name("journal.sqlite-wal")
    before = log.stat().st_size
    for _ in range(20):
        run.take(drawn(400))
        run.journal.checkpoint()
    assert log.stat().st_size <= 2 * before  # it begins anew
    run.die()


def test_chunks_grow_however_few_samples_leave_the_log_at_once(tmp_path):
    """Of many streams each has few in a part of the log; small chunks are not packed."""
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(2), ("temp", "load")))
    samples = [("a", [float(n), 0.5]) for n in range(63)]
    told_of = []
    for sample in samples:
        told_of += run.take([sample])
        turn(run)
    with closing(run.journal.read()) as db:
        sizes = [n for (n,) in db.execute("SELECT n FROM chunks ORDER BY first")]
    assert sizes == [32, 16, 8, 4, 2, 1]
    assert recorded(run) == {"a": [sample[1:] for sample in told_of]}
    run.die()


def test_a_stop_does_not_wait_until_the_log_is_turned_over(tmp_path, monkeypatch):
    run = Run(tmp_path)
    samples = drawn(100)
    run.take(samples)
    run.recorder.snapshot()
    run.recorder._written.result()
    begun, turned, moved = Event(), [], compaction._moved

    def stopped_meanwhile(db, kind, moving, end):
        turned.append(moving.stream)
        begun.set()
        run.recorder._closing.wait(60)
        return moved(db, kind, moving, end)

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "_moved", stopped_meanwhile)
        run.recorder.beat()
        assert begun.wait(60)
        run.stop()
    assert len(turned) == 1  # of four streams
    run = Run(tmp_path)
    turn(run)
    assert recorded(run) == told(samples)
    run.die()


def test_a_chunk_says_the_smallest_and_largest_of_its_columns(tmp_path):
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(2), ("temp", "load")))
    run.take([("a", [4.0, float("nan")]), ("a", [-8.0, float("nan")])])
    turn(run)
    with closing(run.journal.read()) as db:
        (low, high, t0, t1) = db.execute("SELECT low, high, t0, t1 FROM chunks").fetchone()
    # h' = h + (x - h) / 4: 1, then 1 - 9/4
    assert np.array_equal(np.frombuffer(low, "f4"), [-8, np.nan, -1.25, 0], equal_nan=True)
    assert np.array_equal(np.frombuffer(high, "f4"), [4, np.nan, 1, 0], equal_nan=True)
    assert (t0, t1) == (0.0, 1.0)
    run.die()


@pytest.mark.parametrize("kept", [0, 1])
def test_without_a_good_snapshot_more_is_folded_to_the_same_bits(tmp_path, kept):
    """Two snapshots, both or the newer one damaged."""
    samples = drawn(300)
    run = Run(tmp_path)
    before = run.take(samples[:100])
    run.recorder.snapshot()
    before += run.take(samples[100:200])
    run.stop()
    newest, older = snapshots.found(tmp_path)
    for path in (newest, older)[: 2 - kept]:
        content = bytearray(path.read_bytes())
        content[random.Random(0).randrange(len(content))] ^= 1
        path.write_bytes(content)
    run = Run(tmp_path)
    assert run.recovered.folded == (100 if kept else 200)
    turn(run)
    assert by_key(before + run.take(samples[200:])) == uninterrupted(samples)
    run.die()
    for path in snapshots.found(tmp_path):
        path.unlink()
    run = Run(tmp_path)  # from chunks and log
    assert (run.recovered.folded, run.recovered.differing) == (300, 0)
    run.die()


def test_a_start_says_what_neither_snapshots_nor_the_journal_have(tmp_path, caplog):
    run = Run(tmp_path)
    run.take(drawn(100, keys=("gru/1", "learn/1")))
    run.recorder.snapshot()
    run.recorder._written.result()
    turn(run)
    drop(run, 0.0, 1e9)
    run.take(drawn(50, seed=1, keys=("gru/1", "gru/2")))
    run.die()
    for damaged in (False, True):
        for path in snapshots.found(tmp_path) if damaged else ():
            path.unlink()
        caplog.clear()
        run = Run(tmp_path)
        assert run.recovered.folded == 50
        assert ("2 streams go on without 100 samples that no" in caplog.text) == damaged
        run.die()


def test_a_snapshot_that_is_cut_off_or_of_another_journal_is_not_used(tmp_path, caplog):
    run = Run(tmp_path)
    run.take(drawn(20))
    run.stop()
    (path,) = snapshots.found(tmp_path)
    with pytest.raises(snapshots.SnapshotError, match="belongs to another journal"):
        snapshots.read(path, "another")
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(snapshots.SnapshotError, match="is damaged: its content is not what its"):
        snapshots.read(path, run.journal.name)
    run = Run(tmp_path)
    assert run.recovered.folded == 20
    assert "is damaged" in caplog.text
    run.die()


def test_a_stream_that_changed_its_group_has_chunks_of_both(tmp_path):
    first = drawn(30)
    run = Run(tmp_path)
    run.take(first)
    run.die()
    changed = [rules()[0], Rule("learn/*", lambda channels: Leaky(2))]
    run = Run(tmp_path, *changed)
    second = drawn(30, seed=1)
    run.take(second)
    turn(run)
    want = told(first)
    for key, all in told(second, *changed).items():
        if key.startswith("learn"):
            want[key] = want[key] + all
    found = recorded(run)
    assert {key: all for key, all in found.items() if key.startswith("learn")} == {
        key: all for key, all in want.items() if key.startswith("learn")
    }
    with closing(run.journal.read()) as db:
        groups = (
            "SELECT count(DISTINCT chunks.grp) FROM chunks JOIN streams ON id = stream "
            "WHERE key = ?"
        )
        assert db.execute(groups, ("learn/1",)).fetchone() == (2,)
        assert db.execute(groups, ("gru/1",)).fetchone() == (1,)
    run.die()


def test_the_oldest_samples_are_dropped_by_age_and_by_size(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "CHUNK", 10)
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(2), ("temp", "load")))
    run.take(drawn(400, keys=("a", "b")))
    turn(run)
    assert drop(run, 1.0, 1e9) == 0
    with closing(run.journal.read()) as db:
        before = rows(db, "chunks")
        size = compaction.used_bytes(db)
    assert drop(run, 1.0, size - 500) == 1
    with closing(run.journal.read()) as db:
        assert 0 < before - rows(db, "chunks") < 5  # 10 samples take 268 bytes
    assert drop(run, 0.0, 1e9) >= 39 / compaction.DROPPED  # few at a time, but all of them
    with closing(run.journal.read()) as db:
        assert rows(db, "chunks") == 0
    more = run.take(drawn(10, seed=1, keys=("a", "b")))
    run.die()
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(2), ("temp", "load")))
    assert run.journal.counts.sum() == 410  # numbers are for good
    assert recorded(run) == {key: [t[1:] for t in all] for key, all in by_key(more).items()}
    run.die()


def test_what_comes_faster_than_it_is_turned_over_is_dropped_from_the_log(tmp_path, monkeypatch):
    for name, least in (("LEFT_BYTES", 1000), ("PART_BYTES", 1000), ("MOVED", 1)):
        monkeypatch.setattr(compaction, name, least)
    samples, run = drawn(400), Run(tmp_path)
    told_before = run.take(samples[:200])
    run.recorder.snapshot()
    run.recorder._written.result()
    covered = run.journal.last
    told_before += run.take(samples[200:300])
    turns = compaction.turn(run.journal, covered, Event())
    run.journal.in_thread(next(turns)).result()
    turns.close()
    drop(run, 1.0, 0.0, covered)
    with closing(run.journal.read()) as db:
        assert rows(db, "chunks") == 0
        assert next(log(db, run.journal.kinds)).seq == 1  # half turned over: it waits for the rest
    for change in compaction.turn(run.journal, 10, Event()):
        run.journal.in_thread(change).result()
    with closing(run.journal.read()) as db:
        size = compaction.used_bytes(db)
        chunks_bytes = db.execute("SELECT sum(length(body)) FROM chunks").fetchone()[0]
    drop(run, 1.0, size - chunks_bytes - 1500, covered)
    with closing(run.journal.read()) as db:
        assert rows(db, "chunks") == 0
        assert 10 < next(log(db, run.journal.kinds)).seq < covered  # some went
    drop(run, 1.0, 0.0, covered)
    with closing(run.journal.read()) as db:
        left = [*log(db, run.journal.kinds)]
    assert left[0].seq == covered + 1  # a start needs the others
    kept = sum(len(batch.ids) for batch in left)
    run.die()
    run = Run(tmp_path)
    assert (run.recovered.folded, run.recovered.differing) == (kept, 0)
    assert run.journal.counts.sum() == 300
    told_before += run.take(samples[300:])
    assert by_key(told_before) == uninterrupted(samples)
    turn(run)
    found, whole = recorded(run), told(samples)
    assert found == {key: all[len(all) - len(found[key]) :] for key, all in whole.items()}
    assert sum(map(len, found.values())) == kept + 100
    run.die()


def test_what_is_too_much_goes_between_the_parts_of_a_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "PART_BYTES", 1000)
    run = Run(tmp_path)
    run.take(drawn(200))
    done = []

    def between():
        with closing(run.journal.read()) as db:
            done.append(rows(db, "log"))
        return compaction.drop(run.journal, run.journal.last, 0.0, 0.0)

    for change in compaction.turn(run.journal, run.journal.last, Event(), between):
        run.journal.in_thread(change).result()
    with closing(run.journal.read()) as db:
        assert rows(db, "log") == rows(db, "chunks") == 0
    assert len(done) == 1 and done[0] > 1  # the first part alone was turned over
    run.die()


def test_samples_that_came_too_late_are_dropped_by_age(tmp_path):
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(1), lateness=10.0))
    for t in (100.0, 120.0, 90.0):
        run.pipeline.take("a", [1.0], t)
        run.pipeline.flush()
    assert drop(run, 1.0, 1e9) == 0
    assert drop(run, 0.0, 1e9) == 1
    with closing(run.journal.read()) as db:
        assert rows(db, "late") == 0 and rows(db, "log") == 1
    run.die()


VERSION_1 = """
PRAGMA journal_mode = WAL;
CREATE TABLE groups (
    id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE,
    channels TEXT NOT NULL, outputs TEXT NOT NULL);
CREATE TABLE streams (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, grp INTEGER NOT NULL,
    began INTEGER NOT NULL DEFAULT 0);
CREATE TABLE events (
    stream INTEGER NOT NULL, number INTEGER NOT NULL, t REAL NOT NULL, what TEXT NOT NULL);
CREATE TABLE log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, grp INTEGER NOT NULL, n INTEGER NOT NULL,
    arrived REAL NOT NULL, width INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE chunks (
    stream INTEGER NOT NULL, first INTEGER NOT NULL, grp INTEGER NOT NULL, n INTEGER NOT NULL,
    arrived REAL NOT NULL, t0 REAL NOT NULL, t1 REAL NOT NULL, width INTEGER NOT NULL,
    packed INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX chunks_of_stream ON chunks (stream, first, n, t0, t1);
CREATE INDEX chunks_by_age ON chunks (arrived);
CREATE TABLE marks (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO facts VALUES ('name', 'old');
INSERT INTO marks VALUES ('sender plant', 7);
PRAGMA application_id = 1936879214;
PRAGMA user_version = 1;
"""


def test_a_journal_of_version_1_is_migrated(tmp_path):
    """With what was in it; the schema above is that of the first version, as it was."""
    run = Run(tmp_path / "new")
    samples = drawn(50)
    before = run.take(samples[:30])
    run.die()
    old = tmp_path / "old" / "journal.sqlite"
    old.parent.mkdir()
    with closing(sqlite3.connect(old)) as db:
        db.executescript(VERSION_1)
        db.execute("ATTACH ? AS new", (str(tmp_path / "new" / "journal.sqlite"),))
        for table, names in (("groups", "*"), ("streams", "id, key, grp, began"), ("log", "*")):
            db.execute(f"INSERT INTO {table} SELECT {names} FROM new.{table}")
        db.commit()
    with pytest.raises(JournalError, match="version 1; start its server once, which brings it to"):
        History(old.parent)
    backup(old.parent, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "restored")
    run = Run(tmp_path / "restored")
    assert (run.recovered.folded, run.recovered.differing) == (30, 0)
    run.die()
    run = Run(old.parent)
    assert (run.recovered.folded, run.recovered.differing) == (30, 0)
    assert run.pipeline.marks == {"sender plant": 7}
    assert by_key(before + run.take(samples[30:])) == uninterrupted(samples)
    turn(run)
    assert recorded(run) == told(samples)
    run.stop()
    assert Path(old).exists() and Journal(old.parent).name == "old"
