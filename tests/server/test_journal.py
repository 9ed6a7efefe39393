"""The journal: what is in it when, who may open it, and what comes back after a restart."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future
from contextlib import closing

import numpy as np
import pytest
from streamrnn_server.database import JournalError
from streamrnn_server.journal import Journal, log
from streamrnn_server.recorder import Recorder

import streamrnn as srnn
from streamrnn import threads
from streamrnn.kernels import cycle
from streamrnn.streams import Pipeline, Rule
from tests.leaky import Leaky
from tests.streams.test_lateness import clock  # noqa: F401

GRU = srnn.GRU(2, 8, 1, seed=5)


def rules():
    return [
        Rule("gru/*", lambda channels: GRU, ("temp", "load")),
        Rule("learn/*", lambda channels: srnn.Forecaster(len(channels), 0, 2)),
    ]


class Run:
    """A pipeline with its journal in `folder`, as a server has it, without an event loop."""

    def __init__(self, folder, *own, **limits):
        self.journal = Journal(folder)
        self.pipeline = Pipeline(own or rules(), folder=self.journal.folder, **limits)
        self.recorder = Recorder(self.pipeline, self.journal)
        self.recovered = self.recorder.recover()
        self.told = []
        self.pipeline.sink(self._note)

    def _note(self, result):
        b = result.batch
        self.told += [
            (k, x.tolist(), y.tobytes()) for k, x, y in zip(b.keys, b.x, b.y, strict=True)
        ]

    def take(self, samples):
        """Samples, flushed now and then; what was told of them."""
        before = len(self.told)
        for n, (key, x) in enumerate(samples):
            self.pipeline.take(key, x, moment(key, x, n))
            if n % 7 == 0:
                self.pipeline.flush()
        self.pipeline.flush()
        return self.told[before:]

    def die(self):
        """Leave all as a crash does: nothing is written after the last commit."""
        self.recorder._thread.shutdown()
        self.journal.close()

    def stop(self):
        self.recorder.close()


def moment(key, x, n=0):
    """The time of a sample; where it matters to the step, the same in every run."""
    return 1e3 * x[0] if key.startswith("learn/") else float(n)


def drawn(count, seed=0, keys=("gru/1", "gru/2", "learn/1", "learn/2")):
    draw = np.random.default_rng(seed)
    return [(str(draw.choice(keys)), draw.normal(20, 3, 2).tolist()) for _ in range(count)]


def uninterrupted(samples, *own):
    pipeline, told = Pipeline(own or rules()), {}

    def note(result):
        b = result.batch
        for key, x, y in zip(b.keys, b.x, b.y, strict=True):
            told.setdefault(key, []).append((key, x.tolist(), y.tobytes()))

    pipeline.sink(note)
    for key, x in samples:
        pipeline.take(key, x, moment(key, x))
    pipeline.flush()
    return told


def by_key(told):
    found = {}
    for sample in told:
        found.setdefault(sample[0], []).append(sample)
    return found


@pytest.mark.parametrize("end", [Run.die, Run.stop])
def test_predictions_after_a_restart_are_those_of_an_uninterrupted_run(tmp_path, end):
    samples = drawn(300)
    told = []
    for part in (samples[:100], samples[100:180], samples[180:]):
        run = Run(tmp_path)
        told += run.take(part)
        end(run)
    assert by_key(told) == uninterrupted(samples)


@pytest.mark.parametrize("end", [Run.die, Run.stop])
def test_states_that_are_not_in_memory_come_back_after_a_restart(tmp_path, end):
    keys = [f"{kind}/{n}" for kind in ("gru", "learn") for n in range(6)]
    samples, told = drawn(400, keys=keys), []
    for part in (samples[:150], samples[150:230], samples[230:]):
        run = Run(tmp_path, state_bytes=130_000)
        told += run.take(part)
        (learning,) = (g.bank for g in run.pipeline.groups if g.rule.match == "learn/*")
        assert len(learning) == 6 and 0 < learning.resident < 6
        end(run)
        assert [path.name for path in tmp_path.glob(".*")] == []
    assert by_key(told) == uninterrupted(samples)


def test_many_streams_are_folded_to_what_was_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "PORTION_BYTES", 1000)  # so that a flush goes in parts
    keys = [f"{kind}/{n}" for kind in ("gru", "learn") for n in range(20)]
    run = Run(tmp_path)
    run.take(drawn(300, keys=keys))
    run.die()
    run = Run(tmp_path)
    assert (run.recovered.folded, run.recovered.differing) == (300, 0)
    run.die()


def test_a_restart_after_a_stop_folds_nothing_and_after_a_crash_what_came_last(tmp_path):
    run = Run(tmp_path)
    run.take(drawn(50))
    run.stop()
    run = Run(tmp_path)
    assert (run.recovered.streams, run.recovered.folded) == (4, 0)
    run.take(drawn(30))
    run.die()
    run = Run(tmp_path)
    assert (run.recovered.streams, run.recovered.folded, run.recovered.differing) == (4, 30, 0)
    run.die()


def test_the_journal_holds_samples_and_predictions_in_order_of_arrival(tmp_path):
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(2), ("temp", "load")))
    run.take([("a", [4.0, float("nan")]), ("b", [8.0, 0.1])])
    run.take([("a", [8.0, 4.0])])
    with closing(run.journal.read()) as db:
        parts = [batch.read() for batch in log(db, run.journal.kinds)]
    keys = list(run.journal.streams)
    assert [[keys[id] for id in part.ids] for part in parts] == [["a"], ["b"], ["a"]]
    assert np.concatenate([part.t for part in parts]).tolist() == [0.0, 1.0, 0.0]
    x = np.concatenate([part.x for part in parts])
    assert np.array_equal(x, [[4.0, np.nan], [8.0, 0.1], [8.0, 4.0]], equal_nan=True)
    # h' = h + (x - h) / 4 from 0
    assert np.concatenate([part.y for part in parts])[:, 0].tolist() == [1.0, 2.0, 2.75]
    assert run.journal.counts.tolist() == [2, 1]
    run.stop()


def test_marks_come_back(tmp_path):
    run = Run(tmp_path)
    run.pipeline.mark("sender plant", 17)
    run.take(drawn(3))
    run.die()
    run = Run(tmp_path)
    assert run.pipeline.marked("sender plant") == 17
    run.die()


def test_a_commit_that_fails_leaves_nothing_and_the_next_one_is_whole(tmp_path):
    run = Run(tmp_path)
    told = run.take(drawn(20))
    run.journal._db.execute("PRAGMA query_only = ON")  # as good as a disk that cannot be written
    run.pipeline.take("gru/new", [1.0, 2.0])
    run.pipeline.flush()
    halted = "nothing is taken, for the journal cannot be written: "
    assert run.pipeline.halted.startswith(
        f"{halted}{run.journal.path}: attempt to write a readonly"
    )
    assert "MB are free there" in run.pipeline.halted
    run.recorder.beat()
    with pytest.raises(JournalError):
        run.recorder._probe.result(timeout=20)
    run.recorder.beat()
    assert run.pipeline.halted
    run.recorder._probe.exception(timeout=20)
    run.journal._db.execute("PRAGMA query_only = OFF")
    while run.pipeline.halted:
        run.recorder.beat()
        if run.recorder._probe is not None:
            run.recorder._probe.exception(timeout=20)
    told += run.take(drawn(20, seed=1))
    assert by_key(told) == uninterrupted(drawn(20) + drawn(20, seed=1))
    assert "gru/new" not in run.journal.streams
    run.die()
    run = Run(tmp_path)
    assert run.recovered.folded == 40
    run.die()


def test_streams_of_another_step_begin_anew_and_the_journal_says_so(tmp_path):
    run = Run(tmp_path)
    run.take(drawn(40))
    run.stop()
    other = srnn.GRU(2, 8, 1, seed=6)
    changed = [Rule("gru/*", lambda channels: other, ("temp", "load")), rules()[1]]
    run = Run(tmp_path, *changed)
    assert (run.recovered.anew, run.recovered.folded) == (2, 0)
    samples = drawn(40, seed=1)
    told = run.take(samples[:20])
    run.die()
    run = Run(tmp_path, *changed)
    told += run.take(samples[20:])
    assert run.recovered.anew == 0
    want = uninterrupted(samples, *changed)
    for key in ("gru/1", "gru/2"):
        assert by_key(told)[key] == want[key]
    assert by_key(told)["learn/1"] != want["learn/1"]  # that one goes on
    with closing(run.journal.read()) as db:
        query = "SELECT key, number, what FROM events JOIN streams ON id = stream ORDER BY key"
        events = db.execute(query).fetchall()
    before = uninterrupted(drawn(40))
    what = "another step: GRU of rule gru/*"
    assert events == [(key, len(before[key]), what) for key in ("gru/1", "gru/2")]
    run.die()


def test_a_reset_is_part_of_the_past(tmp_path):
    run = Run(tmp_path)
    run.take(drawn(40))
    told: list[str] = []
    run.pipeline.on_reset(told.append)
    run.pipeline.take("gru/1", [7.0, 7.0])  # pending: it comes before the reset
    run.pipeline.reset("gru/1")
    assert told == ["gru/1"]
    samples = drawn(40, seed=1)
    after = run.take(samples[:20])
    run.die()
    run = Run(tmp_path)
    assert run.recovered.differing == 0
    after += run.take(samples[20:])
    assert by_key(after)["gru/1"] == uninterrupted(samples).get("gru/1")
    with closing(run.journal.read()) as db:
        query = "SELECT key, what FROM events JOIN streams ON id = stream"
        assert db.execute(query).fetchall() == [("gru/1", "reset")]
    run.die()


def test_a_reset_that_the_journal_cannot_keep_does_not_happen(tmp_path):
    run = Run(tmp_path)
    run.take(drawn(40))
    group = run.pipeline.group_of("gru/1")
    before = group.bank["gru/1"].tobytes()
    run.journal._db.execute("PRAGMA query_only = ON")
    told: list[str] = []
    run.pipeline.on_reset(told.append)
    run.pipeline.reset("gru/1")
    assert told == [] and group.bank["gru/1"].tobytes() == before
    assert "gru/1: cannot be reset, with JournalError" in str(run.pipeline.last_refused)
    run.die()


def test_streams_that_no_rule_serves_are_left_out_and_come_back(tmp_path):
    samples = drawn(60)
    run = Run(tmp_path)
    told = run.take(samples[:30])
    run.die()
    run = Run(tmp_path, rules()[1])
    assert (run.recovered.streams, run.recovered.left_out) == (2, 2)
    run.stop()
    run = Run(tmp_path)
    told += run.take(samples[30:])
    assert by_key(told) == uninterrupted(samples)
    run.die()


def test_samples_that_waited_for_earlier_ones_wait_on_after_a_crash(tmp_path):
    rule = Rule("*", lambda channels: Leaky(1), lateness=1000.0)
    run = Run(tmp_path, rule)
    for t in (5100.0, 5050.0, 5080.0):
        run.pipeline.take("a", [t], t)
        run.pipeline.flush()
    assert run.told == [] and run.journal.last == 0
    run.die()
    run = Run(tmp_path, rule)
    run.pipeline.take("a", [6085.0], 6085.0)
    run.pipeline.flush()
    assert [x for _, x, _ in run.told] == [[5050.0], [5080.0]]
    run.die()
    run = Run(tmp_path, rule)
    run.pipeline.take("a", [5060.0], 5060.0)  # before 5080, which was used before the crash
    run.pipeline.take("a", [6300.0], 6300.0)
    run.pipeline.flush()
    assert [x for _, x, _ in run.told] == [[5100.0]]
    assert run.pipeline.refused == {"late": 1}
    with closing(run.journal.read()) as db:
        ((key, t, x),) = db.execute("SELECT key, t, x FROM late").fetchall()
        waiting = [t for (t,) in db.execute("SELECT t FROM waiting ORDER BY t")]
    assert (key, t, np.frombuffer(x).tolist()) == ("a", 5060.0, [5060.0])
    assert waiting == [6085.0, 6300.0]
    run.die()


def test_what_waited_is_used_after_a_crash_though_nothing_more_comes(tmp_path, clock):  # noqa: F811
    rule = Rule("*", lambda channels: Leaky(1), every=60.0)
    run = Run(tmp_path, rule)
    run.pipeline.take("a", [4.0])
    run.pipeline.flush()
    run.die()
    clock.now += 3600.0
    run = Run(tmp_path, rule)
    run.pipeline.flush()
    assert not run.pipeline.halted
    assert [x for _, x, _ in run.told] == [[4.0]]
    run.die()


def test_a_sample_that_waited_and_fits_no_more_is_left_out(tmp_path, caplog):
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(1), lateness=1000.0))
    run.take([("a", [1.0])])
    run.die()
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(2), ("temp", "load")))
    assert "a: expected 2 channels, recorded are 1" in caplog.text
    assert run.take([("a", [1.0, 2.0])])
    run.die()


def test_a_journal_has_one_server_at_a_time(tmp_path):
    run = Run(tmp_path)
    with pytest.raises(JournalError) as error:
        Journal(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} is in use by another streamrnn; stop that one, or give this one another path "
        "under [journal]"
    )
    run.die()
    Journal(tmp_path).close()


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("PRAGMA application_id = 7", "{} is not a journal of streamrnn"),
        (
            "PRAGMA user_version = 99",
            "{} is written in version 99, this streamrnn reads up to 6; install a newer one",
        ),
    ],
)
def test_what_is_no_journal_of_this_version_is_refused(tmp_path, statement, error):
    Journal(tmp_path).close()
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
    with pytest.raises(JournalError) as raised:
        Journal(tmp_path)
    assert str(raised.value) == error.format(path)


def test_what_is_no_database_is_refused(tmp_path):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"hello, I am a text\n" * 100)
    with pytest.raises(JournalError, match="file is not a database"):
        Journal(tmp_path)


def test_power_syncs_every_commit(tmp_path):
    for durability, synchronous in (("process", 1), ("power", 2)):  # NORMAL, FULL
        journal = Journal(tmp_path, durability=durability)
        assert journal._db.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert isinstance(journal.sync(), Future)
        journal.close()


@pytest.mark.parametrize("regular", [True, False])
def test_samples_without_times_have_those_of_their_arrival(tmp_path, clock, regular):  # noqa: F811
    """Also for what is lacking: of a stream that keeps an interval, not of one that pleases."""
    draw = np.random.default_rng(0)
    waits = np.full(400, 60.0) if regular else draw.exponential(60.0, 400)
    waits[300] = 3600.0
    arrivals = clock.now + np.cumsum(waits)
    run = Run(tmp_path, Rule("*", lambda channels: srnn.Forecaster()))
    alone = srnn.Forecaster()
    for n, arrival in enumerate(arrivals):
        clock.now = float(arrival)
        run.pipeline.take("a", [np.sin(n / 5)])
        alone.step(np.sin(n / 5), t=arrival)
        if n == 350:  # with the gap behind it
            run.pipeline.flush()
            run.die()
            run = Run(tmp_path, Rule("*", lambda channels: srnn.Forecaster()))
    run.pipeline.flush()
    state = run.pipeline.group_of("a").bank["a"]
    assert state.tobytes() == alone.state.tobytes()
    assert (state["cycle"][cycle.ROWS] == 400 + 59) == regular
    assert regular or state["cycle"][cycle.ROWS] < 420
    run.die()
