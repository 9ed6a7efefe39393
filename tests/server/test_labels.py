"""Labels that come after their rows, from the wire into the journal and back after a crash."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from streamrnn_server import compaction, recovery
from streamrnn_server.build import build
from streamrnn_server.history import History
from streamrnn_server.journal import Journal
from streamrnn_server.played import folded, groups_of

from streamrnn.forecast import Forecaster
from streamrnn.streams import Pipeline, Rule
from tests.leaky import Leaky
from tests.server.clients import leaky, run, send, sender, server
from tests.server.test_compaction import drop, rows, turn
from tests.server.test_journal import Run
from tests.server.test_restart import started
from tests.streams.test_labels import STEP, alone, forecaster, missing_at_times

KEYS = ("a", "b", "c")


class Added(Leaky):
    """Adds each label to its state as often as it comes, so that twice is seen, and the order."""

    def learn_labels(self, states, rows, y, t):
        for row, value in zip(rows, y, strict=True):
            states["h"][row] += np.float32(value)
        return np.zeros(len(rows), np.int64)


def added():
    return Rule("*", lambda channels: Added())


def drawn(T, seed=0):
    """What happens to three streams, in order: (key, what, value, t)."""
    events = {key: iter(missing_at_times(T, seed + n)) for n, key in enumerate(KEYS)}
    order = [key for n, key in enumerate(KEYS) for _ in missing_at_times(T, seed + n)]
    np.random.default_rng(seed).shuffle(order)
    return [(key, *next(events[key])) for key in order]


def take(at, happened, every=7):
    for n, (key, what, value, t) in enumerate(happened):
        if what == "label":
            at.pipeline.learn(key, value, t)
        else:
            at.pipeline.take(key, [value], t)
        if n % every == 0:
            at.pipeline.flush()
    at.pipeline.flush()
    assert not at.pipeline.refused


def states(at):
    return {key: at.pipeline.group_of(key).bank[key].tobytes() for key in KEYS}


def uninterrupted(happened):
    return {key: alone([event[1:] for event in happened if event[0] == key]) for key in KEYS}


def added_up(happened):
    state = {key: np.zeros((), Added().layout) for key in KEYS}
    for key, what, value, _ in happened:
        h, value = state[key]["h"], np.float32(value)
        h += value if what == "label" else np.where(np.isnan(value), 0, (value - h) / 4)
    return {key: value.tobytes() for key, value in state.items()}


def labels(at):
    with closing(at.journal.read()) as db:
        query = "SELECT key, number, t, value FROM labels JOIN streams ON streams.id = stream"
        return db.execute(query + " ORDER BY labels.id").fetchall()


@pytest.mark.parametrize("end", [Run.die, Run.stop])
@pytest.mark.parametrize("fold", [5, 8192])
@pytest.mark.parametrize(("rule", "every"), [(forecaster, 1), (forecaster, 7), (added, 7)])
def test_labels_are_learned_again_after_a_restart_where_they_were_learned(
    tmp_path, monkeypatch, end, fold, rule, every
):
    """Wherever it ends: among rows and labels, in a snapshot, in the log or in chunks."""
    monkeypatch.setattr(recovery, "FOLD_ROWS", fold)
    happened = drawn(100)
    expected = uninterrupted if rule is forecaster else added_up
    for begin in range(0, len(happened), 53):
        run = Run(tmp_path, rule())
        assert run.recovered.differing == 0
        take(run, happened[begin : begin + 20], every)
        if begin % 2:
            run.recorder.snapshot()
        take(run, happened[begin + 20 : begin + 40], every)
        if begin % 3 == 1:
            turn(run)
        take(run, happened[begin + 40 : begin + 53], every)
        assert states(run) == expected(happened[: begin + 53])
        end(run)
    run = Run(tmp_path, rule())
    assert states(run) == expected(happened)
    run.die()


def test_a_label_has_its_place_among_the_samples_of_its_stream(tmp_path):
    run = Run(tmp_path, forecaster())
    for key, x, t in (("b", 1.0, 0), ("a", 1.0, 0), ("a", None, 60), ("b", 2.0, 60)):
        run.pipeline.take(key, [x], t)
    run.pipeline.learn("a", 1.5, 60)
    run.pipeline.take("b", [None], 120)
    run.pipeline.flush()
    run.pipeline.take("a", [None], 120)
    run.pipeline.learn("a", 2.5, "1970-01-01T00:02:00Z")
    run.pipeline.take("a", [3.0], 180)
    run.pipeline.learn("b", 2.5, 120)
    run.pipeline.learn("b", 9.0, 0)  # known: it is no event
    run.pipeline.flush()
    assert labels(run) == [("a", 2, 60, 1.5), ("a", 3, 120, 2.5), ("b", 3, 120, 2.5)]
    assert run.journal.labelled == 3
    run.die()
    journal = Journal(tmp_path)
    assert journal.labelled == 3
    journal.close()


def test_what_the_journal_cannot_keep_is_not_learned(tmp_path):
    run = Run(tmp_path, forecaster())
    for n, x in enumerate((1.0, 2.0, None)):
        run.pipeline.take("a", [x], 60 * n)
    run.pipeline.flush()
    before = run.pipeline.group_of("a").bank["a"].tobytes()
    run.journal._db.execute("PRAGMA query_only = ON")  # as good as a disk that cannot be written
    run.pipeline.learn("a", 2.5, 120)
    run.pipeline.flush()
    assert run.pipeline.halted and run.journal.labelled == 0
    assert run.pipeline.group_of("a").bank["a"].tobytes() == before
    run.journal._db.execute("PRAGMA query_only = OFF")
    run.pipeline.resume()
    run.pipeline.learn("a", 2.5, 120)
    run.pipeline.flush()
    assert labels(run) == [("a", 3, 120, 2.5)]
    run.die()


def test_labels_before_a_reset_or_another_step_are_past(tmp_path):
    first, second, third = drawn(40), drawn(30, 1), drawn(30, 2)
    run = Run(tmp_path, forecaster())
    take(run, first)
    for key in KEYS:
        run.pipeline.reset(key)
    take(run, second)
    run.die()
    run = Run(tmp_path, forecaster())
    assert states(run) == uninterrupted(second)
    run.die()
    run = Run(tmp_path, Rule("*", lambda channels: Leaky()))
    assert run.recovered.anew == 3
    run.die()
    run = Run(tmp_path, forecaster())
    take(run, third)
    run.die()
    run = Run(tmp_path, forecaster())
    assert states(run) == uninterrupted(third)
    run.die()


def test_labels_go_with_the_samples_they_came_after(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "CHUNK", 10)
    run = Run(tmp_path, forecaster())
    happened = drawn(60)
    take(run, happened)
    run.recorder.snapshot()
    turn(run)
    before = len(labels(run))
    drop(run, 0.0, np.inf)
    with closing(run.journal.read()) as db:
        assert rows(db, "chunks") == 0
    left = labels(run)  # those after the newest sample may be needed to go on
    assert len(left) < before and all(number == 60 for _, number, _, _ in left)
    run.die()
    run = Run(tmp_path, forecaster())
    assert states(run) == uninterrupted(happened)
    more = [(key, "row", np.nan, 3600) for key in KEYS] + [
        (key, "label", 0.5, 3600) for key in KEYS
    ]
    numbered = run.journal.labelled
    take(run, more)
    assert run.journal.labelled == numbered + 3 == before + 3  # numbers are for good
    run.die()


def test_a_journal_of_version_3_learns_labels_from_now_on(tmp_path):
    happened = drawn(40)
    rows_only = [event for event in happened[:60] if event[1] == "row"]
    run = Run(tmp_path, forecaster())
    take(run, rows_only)
    run.die()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db:
        db.execute("DROP TABLE labels")
        db.execute("ALTER TABLE marks DROP COLUMN used")
        db.execute("PRAGMA user_version = 3")
    more = [(key, "row", np.nan, 36000) for key in KEYS] + [
        (key, "label", 0.5, 36000) for key in KEYS
    ]
    run = Run(tmp_path, forecaster())
    assert states(run) == uninterrupted(rows_only)
    take(run, more)
    run.die()
    run = Run(tmp_path, forecaster())
    assert states(run) == uninterrupted(rows_only + more)
    run.die()


# --- replayed ---------------------------------------------------------------------------------


CONFIG = '[server]\nport = 0\n[[streams]]\nmatch = "*"\nforecast = true\nhorizon = 5\n[journal]\n'


def lived(folder, resets):
    """A journal of labels, and perhaps resets, in chunks and in the log; its predictions."""
    run, whole = Run(folder, forecaster()), drawn(150)
    for n, part in enumerate((whole[:200], whole[200:400], whole[400:])):
        take(run, drawn(50, n) if resets else part)
        if n == 1:
            turn(run)
        if resets and n < 2:
            for key in KEYS:
                run.pipeline.reset(key)
    assert len(labels(run)) > 60
    run.die()
    with History(folder) as past:
        return predictions(past.samples())


def predictions(parts):
    found = {}
    for part in parts:
        found.setdefault(part.key, []).extend(np.ascontiguousarray(y).tobytes() for y in part[2].y)
    return found


def replayed(folder, rule):
    with History(folder) as past:
        pipeline = Pipeline([rule])
        groups, refused = groups_of(pipeline, past)
        assert not refused
        return predictions(now for _, now in folded(pipeline, past, groups))


@pytest.mark.parametrize("resets", [False, True])
def test_a_replay_learns_labels_where_they_were_learned(tmp_path, monkeypatch, resets):
    monkeypatch.setattr(compaction, "CHUNK", 32)
    recorded = lived(tmp_path, resets)
    assert replayed(tmp_path, forecaster()) == recorded
    monkeypatch.setattr(History, "between_samples", lambda past, key: iter(()))
    without = replayed(tmp_path, forecaster())
    assert all(without[key] != recorded[key] for key in KEYS)  # so it matters


def test_a_replay_on_a_page_learns_labels_too(tmp_path):
    (tmp_path / "plant.toml").write_text(CONFIG)
    recorded = lived(tmp_path / "journal", False)
    found = {key: [] for key in KEYS}

    def note(result):
        for key, y in zip(result.batch.keys, result.batch.y, strict=True):
            found[key].append(y.tobytes())

    async def main():
        with History(tmp_path / "journal") as past:
            server = build(tmp_path / "plant.toml", past=past)
            server.pipeline.sink(note)
            async with server:
                await server.ready()
                while server.sources[0].state != "ended":
                    await asyncio.sleep(0.01)
                server.pipeline.flush()
                assert not server.pipeline.refused

    run(main())
    assert found == recorded


def test_a_replay_resets_streams_on_a_page_too(tmp_path):
    (tmp_path / "plant.toml").write_text(CONFIG)
    lived(tmp_path / "journal", True)

    async def main():
        with History(tmp_path / "journal") as past:
            server, told = build(tmp_path / "plant.toml", past=past), []
            server.pipeline.on_reset(told.append)
            async with server:
                await server.ready()
                while server.sources[0].state != "ended":
                    await asyncio.sleep(0.01)
                server.pipeline.flush()
        return told

    assert sorted(run(main())) == [*"aabbcc"]


def test_a_replay_of_another_target_learns_no_labels_and_neither_does_a_network(tmp_path):
    two = {"channels": ("temp", "load")}
    run = Run(tmp_path, Rule("*", lambda channels: Forecaster(2, 0, 5), **two))
    for n in range(40):
        run.pipeline.take("a", [None if n % 4 == 3 else np.sin(n), np.cos(n)], STEP * n)
        if n % 4 == 3:
            run.pipeline.learn("a", float(np.sin(n)), STEP * n)
    run.pipeline.flush()
    assert len(labels(run)) == 10
    run.die()
    alone = Forecaster(2, 1, 5)
    for n in range(40):
        alone.step([np.nan if n % 4 == 3 else np.sin(n), np.cos(n)], STEP * n)
    other = Rule("*", lambda channels: Forecaster(2, 1, 5), target=1, **two)
    with History(tmp_path) as past:
        pipeline = Pipeline([other])
        groups, _ = groups_of(pipeline, past)
        assert len(list(folded(pipeline, past, groups))) == 1
    assert pipeline.group_of("a").bank["a"].tobytes() == alone.state.tobytes()
    network = Rule("*", lambda channels: Leaky(2), **two)
    assert len(replayed(tmp_path, network)["a"]) == 40


# --- on the wire ------------------------------------------------------------------------------


def line(key, what, value, t):
    value = None if np.isnan(value) else float(value)
    return {"stream": key, "t": t, "label" if what == "label" else "value": value}


def test_a_server_that_is_started_again_goes_on_as_if_it_had_never_stopped(tmp_path):
    """With a sender that repeats lines: what it said before, labels included, is ignored."""
    happened = drawn(60)
    lines = [line(*event) for event in happened]

    async def main():
        for first in range(0, len(lines), 40):
            async with started(tmp_path, forecaster()) as s:
                again = max(0, first - 15)
                async with sender(s, f"/ingest?sender=plant&from={again + 1}") as tx:
                    assert json.loads(await tx.recv()) == {"type": "known", "line": first}
                    ack = await send(tx, *lines[again : first + 40])
                    assert ack.get("repeated", 0) == first - again and ack["refused"] == []
                    assert ack["taken"] == len(lines[first : first + 40])
                found = states(s)
        return found

    assert run(main()) == uninterrupted(happened)


@pytest.mark.parametrize(
    ("line", "kind", "error"),
    [
        ('{"stream": "a", "t": 60, "label": null}', "label",
         "a: expected a number within ±1e30 as the label, got None"),
        ('{"stream": "a", "label": 2}', "label",
         "a: expected t, the time of the row that the label belongs to"),
        ('{"stream": "a", "t": "noon", "label": 2}', "time",
         "a: expected seconds since 1970 or an ISO 8601 time, got 'noon'"),
        ('{"stream": "new", "t": 60, "label": 2}', "label",
         "new: no row of this stream has come; send a label after the row it belongs to"),
        ('{"stream": 7, "t": 60, "label": 2}', "label",
         "7: no row of this stream has come; send a label after the row it belongs to"),
        ('{"t": 60, "label": 2}', "stream",
         '/ingest line 3: expected the stream as "stream" in the line, or for all lines as '
         "/ingest?stream=NAME"),
        ('{"stream": "leaky", "t": 60, "label": 2}', "label",
         "leaky: Leaky of rule leaky does not learn from labels; send them to streams of a "
         "forecaster or detector"),
        ('{"stream": "a", "t": 0, "label": 2}', "label",
         "a: the label 2 of t=0 teaches nothing: expected the time of one of the newest rows, "
         "whose target was missing when it came and has not been learned since"),
    ],
)  # fmt: skip
def test_labels_that_are_refused(tmp_path, line, kind, error):
    """Those whose turn has still to come, too, for with a journal the answer is after that."""

    async def main():
        async with started(tmp_path, leaky("leaky"), forecaster()) as s, sender(s) as tx:
            await send(tx, {"stream": "leaky", "value": 1})
            ack = await send(
                tx,
                {"stream": "a", "t": 0, "value": 1},
                {"stream": "a", "t": 60, "value": None},
                line,
                {"stream": "a", "t": 60, "label": 1.5},
            )
            assert ack["refused"] == [{"line": 3, "kind": kind, "error": error}]
            assert s.pipeline.refused == {kind: 1}
            assert s.recorder.journal.labelled == 1

    run(main())


def test_a_channel_may_be_called_label():
    async def main():
        async with server(forecaster(channels=("label",))) as s, sender(s) as tx:
            await send(tx, {"stream": "a", "t": 0, "x": [1]})
            ack = await send(tx, {"stream": "a", "t": 60, "label": 2})
            s.pipeline.flush()
            assert (ack["taken"], s.pipeline.samples) == (1, 2)

    run(main())


def test_labels_may_be_rows_of_an_array_and_of_the_stream_of_the_address(tmp_path):
    async def main():
        async with (
            started(tmp_path, forecaster()) as s,
            sender(s, "/ingest?stream=a") as tx,
        ):
            records = [{"t": 0, "value": 1}, {"t": 60, "value": None}]
            records += [{"t": 60, "label": 1.5}, {"t": 60, "label": 1.5}]
            ack = await send(tx, json.dumps(records))
            (refused,) = ack["refused"]
            assert (refused["row"], refused["kind"], ack["taken"]) == (4, "label", 4)
            return s.pipeline.group_of("a").bank["a"].tobytes()

    happened = [("row", 1.0, 0), ("row", np.nan, 60), ("label", 1.5, 60)]
    assert run(main()) == alone(happened)
