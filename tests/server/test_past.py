"""The past: read by stream and time, exported, replayed under other steps, backed up."""

from __future__ import annotations

import asyncio
import io
import json
import math
import random
import sqlite3
from contextlib import closing
from itertools import islice
from threading import Event

import numpy as np
import pytest
from streamrnn_server import compaction
from streamrnn_server.backup import backup, restore
from streamrnn_server.build import build
from streamrnn_server.cli import app
from streamrnn_server.database import JournalError
from streamrnn_server.export import ExportError, export, names_of, records
from streamrnn_server.history import History
from streamrnn_server.played import Errors, comparable, folded, groups_of
from typer.testing import CliRunner

import streamrnn as srnn
from streamrnn.streams import Pipeline, Rule
from tests.leaky import Leaky
from tests.optional import need
from tests.server.test_compaction import recorded, turn
from tests.server.test_journal import Run, by_key, drawn, rules, uninterrupted

NAN = float("nan")
LEAKY = Rule("*", lambda channels: Leaky(len(channels)))
CONFIG = """
[server]
port = 0

[[streams]]
match = "*"
forecast = true
horizon = 2

[journal]
"""


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "journal", LEAKY)
    yield run
    run.die()


def read(run, *patterns, **span):
    """(key, t) of what the history gives."""
    with History(run.journal.folder, patterns) as past:
        return [(key, t) for key, _, part, _ in past.samples(**span) for t in part.t]


def test_the_past_is_read_by_stream_and_time_from_chunks_and_log(run, monkeypatch):
    monkeypatch.setattr(compaction, "CHUNK", 4)
    run.take([(("a", "b")[n % 2], [n]) for n in range(20)])  # event time n
    turn(run)
    run.take([(("a", "b")[n % 2], [n]) for n in range(6)])
    a, b = [*range(0, 20, 2), 0, 2, 4], [*range(1, 20, 2), 1, 3, 5]
    assert read(run) == [("a", t) for t in a] + [("b", t) for t in b]
    assert read(run, "b") == [("b", t) for t in b]
    assert read(run, "a", t0=4, t1=8) == [("a", 4), ("a", 6), ("a", 4)]
    with pytest.raises(JournalError, match=r"no stream in .* matches c\* or d; there are a, b$"):
        History(run.journal.folder, ["c*", "d"])


@pytest.mark.parametrize("turned", [0, 1, 3])
def test_the_past_of_one_stream_is_that_of_all(run, monkeypatch, turned):
    for name, least in (("MOVED", 1), ("PART_BYTES", 200)):
        monkeypatch.setattr(compaction, name, least)
    keys = ("a", "b*", "bc")
    run.take(drawn(60, keys=keys))
    for change in islice(compaction.turn(run.journal, run.journal.last, Event()), turned):
        run.journal.in_thread(change).result()
    run.take(drawn(60, seed=1, keys=keys))
    with History(run.journal.folder) as past:
        parts = [*past.samples()]
    for key in keys:
        with History(run.journal.folder, stream=key) as past:
            found = [bits(part) for part in past.samples()]
        assert found == [bits(part) for part in parts if part.key == key]
        numbers = [number for *_, of_part in found for number in of_part]
        assert numbers == [*range(run.journal.counts[run.journal.streams[key].id])]
    with History(run.journal.folder, stream="c") as past:
        assert [*past.samples()] == []


def test_the_past_stands_still_while_it_is_read(run):
    run.take([("a", [1.0])] * 3)
    with History(run.journal.folder) as past:
        run.take([("a", [2.0])] * 4)
        turn(run)
        assert sum(len(part.samples.t) for part in past.samples()) == 3
    assert len(read(run)) == 7


def test_what_is_read_for_long_holds_up_nobody(run, monkeypatch):
    """The log is turned over meanwhile; the write-ahead log begins anew."""
    monkeypatch.setattr(compaction, "CHUNK", 64)
    monkeypatch.setattr("streamrnn_server.history.PAGE", 2)
    monkeypatch.setattr("streamrnn_server.journal.CHECKPOINT_BYTES", 1000)
    keys = ("a", "b", "c")
    for seed in range(6):
        run.take(drawn(40, seed=seed, keys=keys))
        turn(run)
    run.take(drawn(60, seed=9, keys=keys))
    with History(run.journal.folder) as past:
        want = [bits(part) for part in past.samples()]
    written_ahead = run.journal.path.with_name("journal.sqlite-wal")
    sizes = []
    with History(run.journal.folder) as past:
        parts = past.samples()
        found = [bits(next(parts))]
        for seed in range(30):
            run.take(drawn(300, seed=seed, keys=keys))
            turn(run)
            run.journal.checkpoint()
            sizes.append(written_ahead.stat().st_size)
        found += [bits(part) for part in parts]
    assert sizes[-1] <= 2 * max(sizes[:3])
    for key in keys:
        one, other = ([of for of in all if of[0] == key] for all in (found, want))
        for column in range(1, 4):
            assert b"".join(of[column] for of in one) == b"".join(of[column] for of in other)
        assert sum((of[4] for of in one), []) == sum((of[4] for of in other), [])


@pytest.mark.parametrize("seed", range(12))
def test_chunks_that_are_joined_while_they_are_read_give_each_sample_once(run, monkeypatch, seed):
    draw, keys = random.Random(seed), ("a", "b", "c")
    monkeypatch.setattr(compaction, "CHUNK", 64)
    monkeypatch.setattr("streamrnn_server.history.PAGE", draw.choice([1, 2]))
    for n in range(draw.randint(1, 8)):
        run.take(drawn(draw.choice([3, 10, 40]), seed=n, keys=keys))
        turn(run)
    run.take(drawn(draw.choice([1, 7, 30]), seed=99, keys=keys))
    span = {"t0": 3.0, "t1": 30.0} if seed % 3 == 0 else {}
    with History(run.journal.folder) as past:
        want = [bits(part) for part in past.samples(**span)]
    found = []
    with History(run.journal.folder) as past:
        for part in past.samples(**span):
            found.append(bits(part))
            if len(found) < 12:
                run.take(drawn(draw.choice([1, 5, 12, 30]), seed=len(found) + 200, keys=keys))
                turn(run)
    for key in keys:
        one, other = ([of for of in all if of[0] == key] for all in (found, want))
        assert sum((of[4] for of in one), []) == sum((of[4] for of in other), [])
        for column in range(1, 4):
            assert b"".join(of[column] for of in one) == b"".join(of[column] for of in other)


@pytest.mark.parametrize("turned", [0, 2, 5])
@pytest.mark.parametrize("most", [1, 7, 1000])
def test_the_newest_are_the_last_of_all(run, monkeypatch, turned, most):
    for name, least in (("MOVED", 1), ("PART_BYTES", 200)):
        monkeypatch.setattr(compaction, name, least)
    run.take(drawn(90, keys=("a", "b", "c")))
    for change in islice(compaction.turn(run.journal, run.journal.last, Event()), turned):
        run.journal.in_thread(change).result()
    run.take(drawn(40, seed=1, keys=("a", "c")))
    with History(run.journal.folder, ["a", "b"]) as past:
        found = dict(past.newest(most))
    assert found.keys() == {"a", "b"}
    with History(run.journal.folder) as past:
        for key, parts in found.items():
            whole = [bits(part) for part in past.samples() if part.key == key]
            numbers = sum((of[-1] for of in whole), [])
            assert sum((part.numbers.tolist() for part in parts), []) == numbers[-most:]
            y = b"".join(of[3] for of in whole)
            assert y.endswith(b"".join(bits(part)[3] for part in parts))


def bits(part):
    t, x, y, _ = part.samples
    columns = (np.ascontiguousarray(column).tobytes() for column in (t, x, y))
    return part.key, *columns, part.numbers.tolist()


def exported(run, format, **options):
    out = io.BytesIO()
    with History(run.journal.folder) as past:
        names = names_of(past.kinds.values(), **options)
        export(records(past.samples(), names), names.columns, out, format)
    return out.getvalue()


def test_csv_has_a_column_for_each_channel_and_output(run):
    run.take([("a", {"temp": 4.0, "load": 0.5}), ("b", [8.0]), ("a", {"temp": NAN, "load": 0.1})])
    # h' = h + (x - h) / 4, from 0: 0.125, then as float32 0.125 - 0.025 / 4
    assert exported(run, "csv").decode().split("\n") == [
        "stream,t,temp,load,value,y0,y1",
        "a,0.0,4.0,0.5,,1.0,0.125",
        "a,2.0,,0.1,,1.0,0.11875",
        "b,1.0,,,8.0,2.0,",
        "",
    ]
    assert exported(run, "csv", predictions=False).decode().split("\n")[:2] == [
        "stream,t,temp,load,value",
        "a,0.0,4.0,0.5,",
    ]


def test_what_is_exported_as_ndjson_can_be_sent_again(run, tmp_path):
    samples = [(("a", "b")[n % 2], [n / 7, n / 3]) for n in range(50)]
    run.take(samples)
    lines = exported(run, "ndjson", predictions=False).decode().splitlines()
    assert json.loads(lines[1]) == {"stream": "a", "t": 2.0, "x0": 2 / 7, "x1": 2 / 3}
    again = Run(tmp_path / "again", LEAKY)
    for line in lines:
        record = json.loads(line)
        again.pipeline.take(record.pop("stream"), record, record.pop("t"))
    again.pipeline.flush()
    assert recorded(again) == recorded(run)
    again.die()


def test_parquet_holds_the_same_table(run):
    parquet = need("pyarrow.parquet", "exporting Parquet")
    run.take([("a", [4.0, 0.5]), ("b", [8.0]), ("a", [NAN, 0.1])])
    table = parquet.read_table(io.BytesIO(exported(run, "parquet")))
    assert table.column_names == ["stream", "t", "x0", "x1", "value", "y0", "y1"]
    assert table.to_pylist()[1] == {
        "stream": "a", "t": 2.0, "x0": None, "x1": 0.1, "value": None, "y0": 1.0, "y1": 0.11875
    }  # fmt: skip


def test_parquet_without_its_package_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ExportError) as error:
        exported(run, "parquet")
    assert str(error.value) == (
        'parquet needs a package more: pip install "streamrnn[parquet]"; or take csv or ndjson'
    )


def test_a_replay_predicts_what_a_run_from_the_beginning_would_have(tmp_path):
    samples = drawn(200)
    run = Run(tmp_path, LEAKY)
    run.take(samples[:120])
    turn(run)
    run.take(samples[120:])
    with History(tmp_path) as past:
        pipeline = Pipeline(rules())
        groups, refused = groups_of(pipeline, past)
        assert (sorted(groups), refused) == (["gru/1", "gru/2", "learn/1", "learn/2"], [])
        now = {}
        for then, other in folded(pipeline, past, groups):
            assert then.samples.x.tolist() == other.samples.x.tolist()
            now.setdefault(then.key, []).extend(other.samples.y)
    for key, want in uninterrupted(samples).items():
        assert [np.ascontiguousarray(row).tobytes() for row in now[key]] == [s[2] for s in want]
    run.die()


def test_a_replay_finds_its_channels_by_name_and_says_what_it_leaves_out(tmp_path):
    run = Run(tmp_path, LEAKY)
    run.take([("a", {"load": 8.0, "temp": 4.0}), ("b", {"load": 8.0, "wind": 4.0})])
    with History(tmp_path) as past:
        pipeline = Pipeline([Rule("*", lambda channels: Leaky(2), ("temp", "load"))])
        groups, refused = groups_of(pipeline, past)
        assert [str(error) for error in refused] == [
            "b: expected channels temp, load, recorded are load, wind"
        ]
        ((_, now),) = folded(pipeline, past, groups)
    assert (now.samples.x.tolist(), now.samples.y.tolist()) == ([[4.0, 8.0]], [[1.0, 2.0]])
    run.die()


def test_errors_hold_each_forecast_against_the_value_after_it(tmp_path):
    run = Run(tmp_path, rules()[1])
    run.take([("learn/1", [float(n % 5)]) for n in range(60)])
    with History(tmp_path) as past:
        errors, parts = Errors(), list(past.samples())
        whole = parts[0].samples
        for start in range(0, 60, 7):  # in whatever pieces
            errors.add(parts[0]._replace(samples=whole.rows(slice(start, start + 7))))
    found = errors.of("learn/1")
    x, forecast = whole.x[:, 0], whole.y[:, 0].astype(float)
    assert found.samples == 60
    assert found.error == pytest.approx(np.mean(np.abs(x[1:] - forecast[:-1])), rel=1e-12)
    assert found.persistence == pytest.approx((48 * 1 + 11 * 4) / 59)  # 0 1 2 3 4 0 ...
    assert math.isnan(Errors().of("nothing").error)
    run.die()


@pytest.mark.parametrize("named", [False, True])
def test_forecasts_of_another_channel_are_not_compared(tmp_path, named):
    def rule(target):
        names = ("temp", "load")[:: 1 if target == 0 else -1] if named else None
        return Rule("*", lambda channels: srnn.Forecaster(2, 0 if named else target, 2), names)

    run = Run(tmp_path, rule(0))
    run.take([("a", {"temp": 1.0, "load": 2.0} if named else [1.0, 2.0]) for _ in range(3)])
    for again, alike in ((rule(0), True), (rule(1), False), (LEAKY, True)):
        with History(tmp_path) as past:
            pipeline = Pipeline([again])
            ((then, now),) = folded(pipeline, past, groups_of(pipeline, past)[0])
        assert comparable(then, now) == alike
    run.die()


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_backup_of_a_live_journal_goes_on_to_the_same_bits(tmp_path, snapshot):
    samples = drawn(200)
    run = Run(tmp_path / "live")
    told = run.take(samples[:80])
    turn(run)
    if snapshot:
        run.recorder.snapshot()
    told += run.take(samples[80:120])
    size = backup(tmp_path / "live", tmp_path / "copy")
    run.take(samples[120:])  # goes on meanwhile, which is not in the copy
    assert size == sum(path.stat().st_size for path in (tmp_path / "copy").iterdir())
    restore(tmp_path / "copy", tmp_path / "restored")
    again = Run(tmp_path / "restored")
    assert again.recovered.differing == 0
    told += again.take(samples[120:])
    assert by_key(told) == uninterrupted(samples)
    assert recorded(again) == recorded(run)
    run.die()
    again.die()


def test_a_backup_goes_to_a_new_folder_and_a_damaged_one_is_not_restored(tmp_path):
    run = Run(tmp_path / "live")
    run.take(drawn(50))
    backup(tmp_path / "live", tmp_path / "copy")
    with pytest.raises(JournalError) as error:
        backup(tmp_path / "live", tmp_path / "copy")
    assert str(error.value) == (
        f"{tmp_path}/copy holds a journal already; move it away, or name another folder"
    )
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "journal.sqlite-wal").touch()  # it would be taken for the restored one's
    with pytest.raises(JournalError, match="moved holds a journal already"):
        restore(tmp_path / "copy", tmp_path / "moved")
    with pytest.raises(JournalError, match="live holds a journal already"):
        restore(tmp_path / "copy", tmp_path / "live")
    path = tmp_path / "copy" / "journal.sqlite"
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'streams'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = bytes(size)
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"journal\.sqlite(:| is damaged)"):
        restore(tmp_path / "copy", tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
    run.die()


def test_the_commands_do_it(tmp_path):
    config = tmp_path / "plant.toml"
    config.write_text(CONFIG)
    run = Run(tmp_path / "journal", Rule("*", lambda channels: Leaky(1)))
    run.take([("a", [float(n % 5)]) for n in range(60)])

    def command(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    done = command("export", config, "--from", "58", "--format", "ndjson", "--no-predictions")
    assert done.stdout.splitlines() == [
        '{"stream": "a", "t": 58.0, "value": 3.0}',
        '{"stream": "a", "t": 59.0, "value": 4.0}',
    ]
    done = command("replay", config, "--output", tmp_path / "now.csv")
    assert "stream  samples" in done.stdout and done.exit_code == 0
    assert (tmp_path / "now.csv").read_text().startswith("stream,t,value,value +1,")
    copied = command("backup", config, tmp_path / "copy")
    assert f"; `streamrnn restore {tmp_path}/copy FOLDER` makes it a journal" in copied.stdout
    assert command("restore", tmp_path / "copy", tmp_path / "again").exit_code == 0
    for words, error in [
        (("export", config, "--from", "soon"), "--from: expected seconds since 1970 or an ISO"),
        (("export", config, "--from", "59", "--to", "58"), "expected a time before --to, got 59"),
        (("export", config, "--from", "nan"), "--from: expected a time before --to, got nan and"),
        (
            ("export", config, "--format", "xml"),
            "--format: expected csv, ndjson or parquet, got xml",
        ),
        (("export", tmp_path), f"there is no journal {tmp_path}/journal.sqlite"),
        (("restore", tmp_path / "copy", tmp_path / "again"), "holds a journal already"),
    ]:
        done = command(*words)
        assert (done.exit_code, error in done.stderr.replace("\n", "")) == (1, True), done.stderr
    run.die()


def test_the_past_can_be_played_on_a_page(tmp_path):
    config = tmp_path / "plant.toml"
    config.write_text(CONFIG)
    run = Run(tmp_path / "journal", Rule("*", lambda channels: Leaky(1)))
    run.take([(("a", "b")[n % 2], [float(n % 5)]) for n in range(60)])

    async def main():
        with History(tmp_path / "journal") as past:
            async with build(config, past=past) as server:
                await server.ready()
                while server.pipeline.samples < 60:
                    await asyncio.sleep(0)
                return server

    server = asyncio.run(main())
    assert server.sources[0].state in ("running", "ended")
    assert [server.hub.rings[n].count for n in range(2)] == [30, 30]
    assert run.journal.counts.tolist() == [30, 30]  # nothing was recorded
    run.die()


def test_recordings_are_loaded_before_a_server_begins(tmp_path):
    config = tmp_path / "plant.toml"
    config.write_text(CONFIG)
    values = [n % 5 + n / 7 for n in range(3000)]
    times = np.datetime64("2020-01-01T00:00:00") + 7 * 3600 * np.arange(3000)  # tell no hour
    lines = [f"{t},{v}" for t, v in zip(times, values, strict=True)]
    one, two, bad = tmp_path / "pump.csv", tmp_path / "fan.csv", tmp_path / "bad.csv"
    one.write_text("time,value\n" + "\n".join(lines[:2000]))
    two.write_text("time,value\n" + "\n".join(lines[2000:]))
    bad.write_text("time,value\n2026-01-01,hot\n2026-01-02,1.5")

    def command(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    done = command("warm", config, one, two, "--stream", "pump")
    assert (done.exit_code, done.stdout.startswith("3000 samples in ")) == (0, True)
    done = command("warm", config, bad)
    assert (done.exit_code, done.stdout.startswith("1 samples in ")) == (1, True)
    assert "refused: value 1; last: " in done.stderr
    run = Run(tmp_path / "journal", Rule("*", lambda channels: srnn.Forecaster(1, 0, 2)))
    assert (run.recovered.folded, run.recovered.anew) == (0, 0)
    with closing(run.journal.read()) as db:  # a server need not read it all at its start
        assert db.execute("SELECT count(*) FROM log").fetchone() == (0,)
        assert db.execute("SELECT sum(n) FROM chunks").fetchone() == (3001,)
    told = run.take([("pump", [1.0])])
    want = uninterrupted(
        [("pump", [v]) for v in [*values, 1.0]], Rule("*", lambda c: srnn.Forecaster(1, 0, 2))
    )
    assert told == want["pump"][-1:]
    run.die()


def test_loading_needs_a_journal_and_a_server_that_is_stopped(tmp_path):
    config, file = tmp_path / "plant.toml", tmp_path / "x.csv"
    file.touch()
    config.write_text(CONFIG.replace("[journal]", ""))
    done = CliRunner().invoke(app, ["warm", str(config), str(file)])
    assert "has no [journal] table, so nothing would stay" in done.stderr.replace("\n", "")
    config.write_text(CONFIG)
    done = CliRunner().invoke(app, ["warm", str(config), str(file), "absent.csv"])
    assert done.stderr == "there is no file absent.csv\n" and not (tmp_path / "journal").exists()
    run = Run(tmp_path / "journal", LEAKY)
    done = CliRunner().invoke(app, ["warm", str(config), str(file)])
    assert "is in use by another streamrnn; stop that one" in done.stderr.replace("\n", "")
    run.die()
