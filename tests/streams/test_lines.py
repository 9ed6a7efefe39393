"""Lines of CSV and NDJSON: what is read, and that a bad line is refused by file and number."""

import math

import numpy as np
import pytest

from streamrnn.streams import Refused
from streamrnn.streams.lines import Lines, Row, batches

NAN = math.nan
T0 = 1357020000.0  # 2013-01-01T06:00:00Z


def read(*lines, **kwargs):
    refused = []
    reader = Lines("f", "key", refuse=refused.append, **kwargs)
    rows = list(reader.rows(line.encode() for line in lines))
    return rows, [(r.kind, str(r)) for r in refused]


@pytest.mark.parametrize(
    ("lines", "kwargs", "x", "channels"),
    [
        (["temp,load", "1,2"], {}, [1, 2], "temp load"),
        (["temp;load\r\n", "1;2\r\n"], {}, [1, 2], "temp load"),
        (["temp\tload", "1\t2"], {}, [1, 2], "temp load"),
        (['temp;"load, kW"', "1;2"], {}, [1, 2], "temp|load, kW"),
        (["\ufefftemp", "1"], {}, [1], "temp"),
        (["", "temp", "  ", "1"], {}, [1], "temp"),
        (["a,b,c", "1,2,3"], {"channels": ["c", "a"]}, [3, 1], "c a"),
        (['"what",n', '"x ""y"", z",1'], {"channels": ["n"]}, [1], "n"),
        (["a,b,c,d,e", ", NA,nan,null,1e3"], {}, [NAN, NAN, NAN, NAN, 1000], "a b c d e"),
        ([",temp", "0,1"], {}, [1], "temp"),  # as pandas writes its index
        (["T,temp", "0,1"], {}, [0, 1], "T temp"),  # a temperature as well, perhaps
        (["12.5"], {}, [12.5], None),
        (["1,2"], {}, [1, 2], None),
        (["1,2"], {"channels": ["a", "b"]}, [1, 2], "a b"),
        (['{"temp": 1, "load": null}'], {}, [1, NAN], "temp load"),
        (['{"value": 1}'], {}, [1], None),
        (['{"value": 1}'], {"channels": ["temp"]}, [1], "temp"),
        (['{"value": 1, "load": 2}'], {}, [1, 2], "value load"),
        (['{"x": [1, null]}'], {}, [1, NAN], None),
        (['{"x": 1, "y": 2}'], {}, [1, 2], "x y"),
        (['{"x": [1, 2]}'], {"channels": ["a", "b"]}, [1, 2], "a b"),
        (['{"a": 1, "b": 2, "c": "?"}'], {"channels": ["b", "a"]}, [2, 1], "b a"),
    ],
)
def test_a_line_is_a_sample(lines, kwargs, x, channels):
    (row,), refused = read(*lines, **kwargs)
    assert refused == []
    assert list(row.x) == pytest.approx(x, nan_ok=True)
    names = channels and tuple(channels.split("|" if "|" in channels else None))
    assert (row.key, row.t, row.channels) == ("key", None, names)


@pytest.mark.parametrize(
    ("lines", "kwargs"),
    [
        (["t,temp", f"{T0},1"], {}),
        (["time,temp", "2013-01-01T06:00:00Z,1"], {}),
        (["date,temp", "2013-01-01 06:00,1"], {}),
        (["timestamp,temp", "2013-01-01T07:00+01:00,1"], {}),
        (["Date,temp", "2013-01-01 06:00,1"], {}),
        (["TIMESTAMP,temp", f"{T0},1"], {}),
        (["hour,temp", f"{T0},1"], {"time": "hour"}),
        (['{"t": 1357020000, "temp": 1}'], {}),
        (['{"time": "2013-01-01T06:00:00Z", "temp": 1}'], {}),
        (['{"Time": "2013-01-01T06:00:00Z", "temp": 1}'], {}),
        (['{"hour": 1357020000.0, "temp": 1}'], {"time": "hour"}),
        (["time_hour,temp", "2013-01-01T06:00:00Z,1"], {}),
        (["temp,DateTime", "1,2013-01-01 06:00"], {}),
        (["temp,measured", "1,2013-01-01 06:00"], {}),
        (["valid_time,temp", f"{T0},1"], {}),
        (["note,temp,date_time", "x,1,2013-01-01 06:00"], {"channels": ["temp"]}),
        (['{"when": "2013-01-01T06:00:00Z", "temp": 1}'], {}),
        (['{"valid_time": 1357020000, "temp": 1}'], {}),
    ],
)
def test_a_column_may_hold_the_event_time(lines, kwargs):
    assert read(*lines, **kwargs) == ([Row("key", T0, [1.0], ("temp",))], [])


@pytest.mark.parametrize(
    ("lines", "x"),
    [
        (["uptime,temp", "1200,1"], [1200, 1]),  # no time of our days
        (["serial,temp", f"{T0},1"], [T0, 1]),  # not called like one
        (["when,temp", ",1", "2013-01-01,2"], [NAN, 1]),  # the first line decides
        (["date_time", f"{T0}"], [T0]),  # else nothing would be left
        (["date_time,temp", f"{T0},1"], [T0, 1]),
        (['{"uptime": 1200, "temp": 1}'], [1200, 1]),
    ],
)
def test_what_could_be_a_time_and_is_none(lines, x):
    kwargs = {"channels": ["date_time", "temp"]} if lines[0] == "date_time,temp" else {}
    rows, _ = read(*lines, **kwargs)
    assert rows[0].t is None
    assert list(rows[0].x) == pytest.approx(x, nan_ok=True)


def test_the_first_sample_of_a_file_says_which_column_is_its_time():
    lines = Lines("file", "key", refuse=lambda refused: None)
    first = [b'{"at": "2013-01-01T06:00:00Z", "v": 1}', b'{"at": null, "v": 2}', b'{"v": 3}']
    assert [row.t for row in lines.rows(first)] == [T0, None, None]
    lines.restart()
    assert [row.t for row in lines.rows([b'{"on": "2013-01-01T06:00:00Z", "v": 1}'])] == [T0]


@pytest.mark.parametrize("lines", [["stream,temp", "a/7,1"], ['{"stream": "a/7", "temp": 1.0}']])
def test_a_column_may_name_the_stream(lines):
    assert read(*lines) == ([Row("a/7", None, [1.0], ("temp",))], [])


@pytest.mark.parametrize(
    ("first", "bad", "kind", "error"),
    [
        ("t,a,b", "1,2", "line", "f:2: expected 3 cells (t, a, b), got 2"),
        ("t,a,b", "1,2,3,4", "line", "f:2: expected 3 cells (t, a, b), got 4"),
        ("t,a,b", "1,2,hot", "value",
         "f:2: channel b: expected a number or nothing where missing, got 'hot'"),
        ("t,a,b", "1,2,1e31", "value", "f:2: channel b: expected a number within ±1e30, got 1e+31"),
        ("t,a,b", "1,2,inf", "value", "f:2: channel b: expected a number within ±1e30, got inf"),
        ("t,a,b", "noon,2,3", "time",
         "f:2: expected seconds since 1970 or an ISO 8601 time, got 'noon'"),
        ("t,a,b", ",2,3", "time", "f:2: expected seconds since 1970 or an ISO 8601 time, got ''"),
        ("t,a,b", "9e9,2,3", "time", "f:2: expected a time at most one day after now, got '9e9'"),
        ("t,a,b", "1,2,\udcff", "line", "f:2: expected UTF-8 text: invalid start byte"),
        ('{"a": 1, "b": 2}', '{"a": 1', "json",
         "f:2: expected one JSON object: Input data was truncated"),
        ('{"a": 1, "b": 2}', '{"a": 1} 2', "json",
         "f:2: expected one JSON object: JSON is malformed: trailing characters (byte 10)"),
        ("t,a,b", '1,2,"' + "3" * 200_000, "line",
         "f:2: expected cells of CSV: field larger than field limit (131072)"),
        ('{"a": 1, "b": 2}', '{"a": ' + "[" * 100_000, "json",
         "f:2: expected one JSON object: maximum recursion depth exceeded while deserializing an "
         "object"),
        ('{"a": 1, "b": 2}', "[1, 2]", "json", "f:2: expected a JSON object, got [1, 2]"),
        ('{"a": 1, "b": 2}', "{}", "channels", "f:2: expected at least one channel, got none"),
        ('{"a": 1, "b": 2}', '{"a": "hot", "b": 2}', "value",
         "f:2: channel a: expected a number or null where missing, got 'hot'"),
        ('{"a": 1, "b": 2}', '{"a": {"b": 2}}', "value",
         "f:2: channel a: expected a number or null where missing, got {'b': 2}"),
        ('{"a": 1, "b": 2}', '{"stream": 7, "a": 1}', "stream",
         "f:2: expected a stream's name as text, got 7"),
        ('{"a": 1, "b": 2}', '{"t": true, "a": 1}', "time",
         "f:2: expected seconds since 1970 or an ISO 8601 time, got True"),
    ],
)  # fmt: skip
def test_a_bad_line_is_refused_by_number_and_the_rest_read(first, bad, kind, error):
    refused = []
    lines = Lines("f", "key", refuse=refused.append)
    good = "1,2,3" if first.startswith("t") else first
    found = list(lines.rows(s.encode("utf-8", "surrogateescape") for s in (first, bad, good)))
    assert [list(row.x) for row in found][-1] in ([2.0, 3.0], [1.0, 2.0])
    assert [(r.kind, str(r)) for r in refused] == [(kind, error)]


@pytest.mark.parametrize(
    ("line", "kwargs", "error"),
    [
        ("a,a", {}, "f:1: expected columns with different names, got a,a"),
        ("a,b", {"time": "t"}, "f:1: expected a column t, got a, b"),
        ("t,b", {"channels": ["a"]}, "f:1: expected a column a, got t, b"),
        ("t,stream", {}, "f:1: expected columns of values, got t, stream"),
        ("\udcff\udcfet,", {}, "f:1: expected UTF-8 text: invalid start byte"),  # UTF-16
    ],
)
def test_without_its_header_a_file_means_nothing(line, kwargs, error):
    lines = Lines("f", "key", refuse=lambda refused: None, **kwargs)
    with pytest.raises(Refused) as refused:
        list(lines.rows([line.encode("utf-8", "surrogateescape"), b"1,2"]))
    assert str(refused.value) == error


@pytest.mark.parametrize(
    "again", [["temp,load", "3,4"], ["3,4"], ["", "3,4"]], ids=["header", "none", "blank"]
)
def test_the_next_file_may_come_without_its_header(again):
    lines = Lines("f", "key", refuse=pytest.fail)
    list(lines.rows([b"temp,load", b"1,2"]))
    lines.restart()
    (row,) = lines.rows([line.encode() for line in again])
    assert row.x == [3.0, 4.0] and row.channels == ("temp", "load")


def test_a_file_without_lines_may_come_before_the_one_without_header():
    lines = Lines("f", "key", refuse=pytest.fail)
    list(lines.rows([b"temp,load", b"1,2"]))
    lines.restart()
    lines.restart()
    (row,) = lines.rows([b"3,4"])
    assert row.channels == ("temp", "load")


def test_the_next_file_may_have_other_columns():
    lines = Lines("f", "key", refuse=pytest.fail)
    list(lines.rows([b"temp,load", b"1,2"]))
    lines.restart()
    (row,) = lines.rows([b"load", b"4"])
    assert row.channels == ("load",)


@pytest.mark.parametrize(
    ("bad", "kind", "error"),
    [
        ('\udcff"temp": 1}', "line", "f:1: expected UTF-8 text: invalid start byte"),
        ('1.5, "load": 1}', "json",
         "f:1: expected one JSON object: JSON is malformed: trailing characters (byte 4)"),
    ],
)  # fmt: skip
def test_a_damaged_line_may_begin_the_next_file_of_records(bad, kind, error):
    refused = []
    lines = Lines("f", "key", refuse=refused.append)
    list(lines.rows([b'{"temp": 1, "load": 2}']))
    for _ in range(2):  # also after one that had nothing else
        lines.restart()
        assert list(lines.rows([bad.encode("utf-8", "surrogateescape")])) == []
    (row,) = lines.rows([b'{"temp": 3, "load": 4}'])
    assert row.x == [3.0, 4.0] and row.channels == ("temp", "load")
    assert [(r.kind, str(r)) for r in refused] == [(kind, error)] * 2


def test_rows_become_batches_that_end_where_the_channels_change():
    rows = [
        Row("a", 1.0, [1.0], ("x",)),
        Row("b", None, [2.0], ("x",)),
        Row("a", 3.0, [3.0, 4.0], ("x", "y")),
        Row("a", 4.0, [5.0], ("x",)),
        Row("a", 5.0, [6.0], None),
        Row("a", 6.0, [6.0, 7.0], None),
    ]
    found = list(batches(rows))
    assert [b.keys for b in found] == [["a", "b"], ["a"], ["a"], ["a"], ["a"]]
    assert [b.channels for b in found] == [("x",), ("x", "y"), ("x",), None, None]
    assert found[0].x.tolist() == [[1.0], [2.0]]
    assert found[0].t.tolist() == [1.0, found[0].arrived] and np.isfinite(found[0].arrived)
    assert list(batches([])) == []
