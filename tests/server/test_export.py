"""What an export calls its columns, and that what it writes is read again as it was."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from streamrnn_server.backup import backup
from streamrnn_server.cli import app
from streamrnn_server.database import opened_to_read
from streamrnn_server.export import (
    FORMATS,
    Names,
    export,
    late,
    late_names,
    names_of,
    records,
)
from streamrnn_server.history import History
from streamrnn_server.journal import FILE, Kind
from typer.testing import CliRunner

from streamrnn.step import Output
from streamrnn.streams import Rule
from streamrnn.streams.lines import Lines
from tests.leaky import Leaky
from tests.optional import need
from tests.server.test_journal import Run
from tests.streams.test_lateness import clock  # noqa: F401


def kind(channels, outputs=""):
    return Kind(tuple(channels.split()), tuple((name,) for name in outputs.split()))


@pytest.mark.parametrize(
    ("kinds", "columns"),
    {
        "no clash": ([kind("temp load", "y0 y1"), kind("value", "y0")], "temp,load,value,y0,y1"),
        "like a channel": ([kind("temp", "temp y")], "temp,temp (predicted),y"),
        "like another's": ([kind("temp", "load"), kind("load")], "temp,load,load (predicted)"),
        "t": ([kind("t", "y")], "t (channel),y"),
        "stream": ([kind("stream a", "stream t")],
                   "stream (channel),a,stream (predicted),t (predicted)"),
        "twice": ([kind("a", "y y"), kind("b", "y y y")], "a,b,y,y (predicted),y (predicted 2)"),
    }.values(),
)  # fmt: skip
def test_a_column_is_of_one_thing(kinds, columns):
    assert ",".join(names_of(kinds).columns) == f"stream,t,{columns}"


def test_a_new_name_is_nobody_elses():
    channels = ("a", "a (predicted)", "t", "t (channel)")
    outputs = (("a",), ("a (predicted 2)",), ("a (predicted)",), ("t (channel 2)",))
    names = names_of([Kind(channels, outputs)])
    assert names == Names(
        ("stream", "t"),
        {"a": "a", "a (predicted)": "a (predicted)", "t": "t (channel 3)",
         "t (channel)": "t (channel)"},
        {("a", 0): "a (predicted 3)", ("a (predicted 2)", 0): "a (predicted 2)",
         ("a (predicted)", 0): "a (predicted) (predicted)", ("t (channel 2)", 0): "t (channel 2)"},
    )  # fmt: skip
    without = names_of([Kind(channels, outputs)], predictions=False)
    assert without == names._replace(outputs={})


OUTPUTS = tuple(map(Output, ("temp", "stream", "stream")))  # of three channels as many
CHANNELS = ("t", "temp", "stream")


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(3), CHANNELS, outputs=OUTPUTS))
    run.take([(("a", "b")[n % 2], [n / 7, 100.0 + n, -n / 3]) for n in range(20)])
    yield run
    run.die()


def read_again(content, format):
    """(key, t, {channel: value}) of what an export holds."""
    if format == "parquet":
        from pyarrow import parquet

        rows = parquet.read_table(io.BytesIO(content)).to_pylist()
        return [(row.pop("stream"), row.pop("t"), row) for row in rows]
    lines = Lines("file", "", refuse=pytest.fail)
    rows = lines.rows(content.splitlines())
    return [(key, t, dict(zip(channels, x, strict=True))) for key, t, x, channels in rows]


@pytest.mark.parametrize("rows", [4096, 3])
@pytest.mark.parametrize("format", FORMATS)
def test_names_that_clash_lose_nothing(run, format, rows, monkeypatch):
    if format == "parquet":
        need("pyarrow.parquet", "exporting Parquet")
    monkeypatch.setattr("streamrnn_server.export.ROWS", rows)
    out = io.BytesIO()
    with History(run.journal.folder) as past:
        names = names_of(past.kinds.values())
        assert export(records(past.samples(), names), names.columns, out, format) == 20
        parts = list(past.samples())
    found = read_again(out.getvalue(), format)
    assert [(key, t) for key, t, _ in found] == [(p.key, t) for p in parts for t in p.samples.t]
    assert list(found[0][2]) == [
        "t (channel)", "temp", "stream (channel)",
        "temp (predicted)", "stream (predicted)", "stream (predicted 2)",
    ]  # fmt: skip
    values = np.array([list(row.values()) for _, _, row in found])
    assert values[:, :3].tolist() == np.concatenate([p.samples.x for p in parts]).tolist()
    assert (values[:, 3:].astype(np.float32) == np.concatenate([p.samples.y for p in parts])).all()


@pytest.fixture
def behind(tmp_path, clock):  # noqa: F811
    """A journal in which samples came late; they arrived at 1000, 1001 and so on."""
    run = Run(tmp_path, Rule("*", lambda channels: Leaky(len(channels)), lateness=10.0))
    samples = [("a", 100), ("b", 100), ("a", 120), ("b", 120), ("a", 90), ("b", 80), ("a", 70)]
    for key, t in samples:
        x = {"temp": t / 7, "arrived": None if t == 70 else 1.0} if key == "a" else [t / 3]
        run.pipeline.take(key, x, t)
        run.pipeline.flush()
        clock.now += 1.0
    yield run
    run.die()


def command(*words):
    return CliRunner().invoke(app, ["export", *map(str, words)])


def test_samples_that_came_too_late_are_exported_with_when_they_arrived(behind):
    done = command(behind.journal.folder, "--late")
    assert done.stdout.splitlines() == [
        "stream,t,arrived,temp,arrived (channel),value",
        f"a,90.0,1004.0,{90 / 7},1.0,",
        f"b,80.0,1005.0,,,{80 / 3}",
        "a,70.0,1006.0,10.0,,",
    ]
    assert (done.stderr, done.exit_code) == ("3 samples\n", 0)


@pytest.mark.parametrize("format", FORMATS)
def test_late_samples_are_the_same_in_each_format(behind, format, tmp_path):
    if format == "parquet":
        need("pyarrow.parquet", "exporting Parquet")
    path = tmp_path / "late"
    chosen = ("--stream", "a", "--from", "70", "--to", "90", "--format", format, "--output", path)
    assert command(behind.journal.folder, "--late", *chosen).exit_code == 0
    ((key, t, row),) = read_again(path.read_bytes(), format)
    values = {name: value for name, value in row.items() if value is not None and value == value}
    assert (key, t, values) == ("a", 70.0, {"arrived": 1006.0, "temp": 10.0})


def test_what_makes_no_sense_of_late_samples_is_refused(behind):
    for words, error in [
        (("--predictions",), "--late: nothing was predicted of samples that came too late; drop "),
        (("--stream", "c"), f"no stream in {behind.journal.path} matches c; there are a, b"),
        (("--from", "9", "--to", "8"), "--from: expected a time before --to, got 9 and 8"),
        (("--format", "xml"), "--format: expected csv, ndjson or parquet, got xml"),
    ]:
        done = command(behind.journal.folder, "--late", *words)
        assert (done.exit_code, error in done.stderr.replace("\n", "")) == (1, True), done.stderr
    done = command(behind.journal.folder, "--late", "--no-predictions", "--from", "1000")
    assert (done.stdout.count("\n"), done.stderr) == (1, "0 samples\n")


def test_reading_late_samples_does_not_hold_the_write_ahead_log(behind, monkeypatch):
    monkeypatch.setattr("streamrnn_server.export.ROWS", 1)
    found = []
    with closing(opened_to_read(behind.journal.folder / FILE)) as db:
        for part in late(db, late_names(db), 0.0, 1e9):
            found += [row["t"] for row in part]
            behind.pipeline.take("b", [1.0], 60)  # comes meanwhile
            behind.pipeline.flush()
            with closing(sqlite3.connect(behind.journal.path)) as other:
                busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert busy == 0
    assert found == [90, 80, 70]


@pytest.mark.parametrize(("table", "words"), [("late", ["--late"]), ("log", [])])
def test_a_damaged_journal_is_told_in_one_line(behind, tmp_path, table, words):
    folder = tmp_path / "copy"
    backup(behind.journal.folder, folder)
    with closing(sqlite3.connect(folder / FILE)) as db:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = db.execute(query, (table,)).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    content = bytearray((folder / FILE).read_bytes())
    content[(page - 1) * size : page * size] = b"x" * size
    (folder / FILE).write_bytes(content)
    done = command(folder, *words)
    assert (done.exit_code, done.stderr) == (
        1,
        f"{folder / FILE} cannot be read: database disk image is malformed; "
        "`streamrnn restore BACKUP FOLDER` makes one of a backup\n",
    )
