"""Whole recordings: kinds of files, the grid of their times, what is told of them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.streams.refused import Refused
from streamrnn.streams.table import read
from tests.optional import need

NAN = np.nan


def written(path, text):
    path.write_text(text, "utf-8")
    return path


def csv(folder, times, name="a.csv"):
    rows = "".join(f"{t},{n}\n" for n, t in enumerate(times))
    return written(folder / name, f"t,temp\n{rows}")


def test_csv_and_ndjson_of_the_same_rows_are_the_same_table(tmp_path):
    one = written(tmp_path / "a.csv", "t,temp,load\n0,20,1\n60,,2\n120,21,\n")
    other = written(
        tmp_path / "a.ndjson",
        '{"t": 0, "temp": 20, "load": 1}\n{"t": 60, "load": 2, "temp": null}\n'
        '{"t": 120, "temp": 21}\n',
    )
    for table in read(one), read(other):
        assert table.channels == ("temp", "load") and table.t.tolist() == [0, 60, 120]
        np.testing.assert_array_equal(table.x, [[20, 1], [NAN, 2], [21, NAN]])
        assert table.interval == 60 and table.at.tolist() == [0, 1, 2]
        assert (table.lacking, table.refused, table.duplicates, table.unordered) == (0, 0, 0, 0)


@pytest.mark.parametrize("unit", ["ms", "ns"])
def test_parquet_is_read_as_the_rest(tmp_path, unit):
    pyarrow, parquet = need("pyarrow", "Parquet"), need("pyarrow.parquet", "Parquet")
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    times = [begin + timedelta(minutes=n) for n in range(4)]
    columns = {
        "time": pyarrow.array(times, pyarrow.timestamp(unit, "UTC")),
        "temp": pyarrow.array([20.0, None, NAN, 23.0]),
        "load": pyarrow.array([1, 2, 3, 4], pyarrow.int16()),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    shares = []
    table = read(tmp_path / "a.parquet", progress=shares.append)
    np.testing.assert_array_equal(table.x, [[20, 1], [NAN, 2], [NAN, 3], [23, 4]])
    assert table.channels == ("temp", "load") and table.interval == 60
    assert table.t[0] == begin.timestamp() and shares == [1.0]
    junk = written(tmp_path / "b.parquet", "t,temp\n0,20\n")
    with pytest.raises(Refused, match="b.parquet: expected Parquet: "):
        read(junk)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Refused, match=r'pip install "streamrnn\[parquet\]"'):
        read(written(tmp_path / "a.parquet", ""))


def test_rows_that_lack_leave_places_out(tmp_path):
    table = read(csv(tmp_path, [0, 10, 20, 50, 60, 70.9, 80.9, 100.9]))
    assert table.interval == 10 and table.at.tolist() == [0, 1, 2, 5, 6, 7, 8, 10]
    assert (table.lacking, table.gaps, table.longest) == (3, 2, 2)
    assert table.irregular == 0  # within a tenth of the interval
    assert read(csv(tmp_path, [0, 10, 20, 33, 40, 50])).irregular == 2


def test_rows_are_put_in_order_and_the_last_of_a_time_counts(tmp_path):
    table = read(csv(tmp_path, [0, 20, 10, 30, 30, 40]))
    assert table.x[:, 0].tolist() == [0, 2, 1, 4, 5]
    assert (table.unordered, table.duplicates) == (1, 1)


@given(st.lists(st.integers(0, 40), min_size=2, max_size=30))
def test_places_grow_and_nothing_is_lost_but_duplicates(tmp_path_factory, times):
    table = read(csv(tmp_path_factory.mktemp("a"), times))
    assert len(table.x) == len(set(times)) and table.duplicates == len(times) - len(set(times))
    assert (np.diff(table.at) >= 1).all() and (np.diff(table.t) > 0).all()
    if len(table.x) > 1:
        assert table.at[-1] + 1 == len(table.x) + table.lacking


def test_a_file_without_times_or_names(tmp_path):
    table = read(written(tmp_path / "a.txt", "1;2\n3;4\n"))
    assert table.t is None and table.channels == ("x0", "x1") and table.at.tolist() == [0, 1]


def test_bad_lines_are_counted_and_left_out(tmp_path):
    table = read(written(tmp_path / "a.csv", "t,temp\n0,20\n10,hot\n20,21\nnoon,22\n30,23\n"))
    assert table.refused == 2 and table.x[:, 0].tolist() == [20, 21, 23]
    assert table.example.endswith(
        "a.csv:3: channel temp: expected a number or nothing where missing, got 'hot'"
    )


def test_of_a_file_of_several_streams_one_is_chosen(tmp_path):
    path = written(tmp_path / "a.csv", "t,stream,temp\n0,pump,1\n0,fan,2\n1,pump,3\n")
    assert read(path, stream="pump").x[:, 0].tolist() == [1, 3]
    with pytest.raises(Refused, match="has 2 streams, choose one of pump, fan"):
        read(path)
    with pytest.raises(Refused, match="has no stream oven, expected one of pump, fan"):
        read(path, stream="oven")


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("a.xlsx", "", r"ends in '.xlsx', expected .csv, .tsv, .txt, .ndjson, .jsonl, .parquet"),
        ("a.csv", "", "a.csv: expected rows, found none that can be read$"),
        ("a.csv", "t,temp\n", "a.csv: expected rows, found none that can be read$"),
        ("a.csv", "t,city\n0,Rome\n", "none that can be read: .*a.csv:2: channel city: expected"),
        ("a.ndjson", '{"t": 0, "a": "x"}\n', "read: .*a.ndjson:1: channel a: expected a number"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, name, text, error):
    with pytest.raises(Refused, match=error):
        read(written(tmp_path / name, text))


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    path = csv(tmp_path, [0, 1])
    with pytest.raises(Refused, match="expected a column load, got t, temp"):
        read(path, channels=["load"])
    with pytest.raises(Refused, match="expected a column when, got t, temp"):
        read(path, time="when")
