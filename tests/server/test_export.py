"""What an export calls its columns, and that what it writes is read again as it was."""

from __future__ import annotations

import io

import numpy as np
import pytest
from streamrnn_server.export import FORMATS, Names, export, names_of, records
from streamrnn_server.history import History
from streamrnn_server.journal import Kind

from streamrnn.step import Output
from streamrnn.streams import Rule
from streamrnn.streams.lines import Lines
from tests.leaky import Leaky
from tests.optional import need
from tests.server.test_journal import Run


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
        parquet = need("pyarrow.parquet", "exporting Parquet")
        rows = parquet.read_table(io.BytesIO(content)).to_pylist()
        return [(row.pop("stream"), row.pop("t"), row) for row in rows]
    lines = Lines("file", "", refuse=pytest.fail)
    rows = lines.rows(content.splitlines())
    return [(key, t, dict(zip(channels, x, strict=True))) for key, t, x, channels in rows]


@pytest.mark.parametrize("rows", [4096, 3])
@pytest.mark.parametrize("format", FORMATS)
def test_names_that_clash_lose_nothing(run, format, rows, monkeypatch):
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
