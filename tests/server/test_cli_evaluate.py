"""`streamrnn evaluate` of recordings: its table, its report, its picture, what it refuses."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from streamrnn_server import plot
from streamrnn_server.cli import app
from streamrnn_server.evaluation import evaluate
from typer.testing import CliRunner

import streamrnn as srnn
from streamrnn.evaluate import became, persistence, scores
from streamrnn.streams.table import read
from tests.optional import need


def run(*arguments):
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code in (0, 1), result.exception
    return result.exit_code, result.output


@pytest.fixture
def pump(tmp_path, monkeypatch):
    """A folder with pump.csv: a daily cycle every half hour, with noise, and another channel."""
    monkeypatch.chdir(tmp_path)
    random, n = np.random.default_rng(0), np.arange(1000)
    temp = 20 + 5 * np.sin(n / 48 * 2 * np.pi) + 0.3 * random.normal(size=1000)
    load = random.normal(size=1000)
    rows = [f"{1800 * t},{a:.3f},{b:.3f}" for t, a, b in zip(n, temp, load, strict=True)]
    (tmp_path / "pump.csv").write_text("\n".join(["t,temp,load", *rows]) + "\n", "utf-8")
    return rows


def ratios(output):
    """Of each model, its ratios to persistence at the horizons shown."""
    found = {}
    for line in output.splitlines():
        if row := re.match(r"\s*\d*  +(\S.*?)  +\S+  +\S+  +([\d.]+)( |$)", line):
            found.setdefault(row[1].strip(), []).append(float(row[2]))
    return found


def test_the_table_holds_the_errors_beside_persistence(pump):
    code, output = run("pump.csv", "--target", "temp", "--period", 48)
    assert code == 0
    assert "forecasting temp, using load too: 1000 rows, 2 channels" in output
    assert "a row every 30 min, by the median of the times" in output
    table = read_pump()
    mean, y = srnn.Forecaster(2).run(table.x, table.t).mean, table.x[:, 0]
    told, stayed = (
        scores(said, became(y, 12, skip=100)).mae for said in (mean, persistence(y, 12))
    )
    expected = (told / stayed)[[0, 1, 2, 5, 11]]
    found = ratios(output)
    np.testing.assert_allclose(found["streamrnn"], expected, atol=6e-4)  # three digits are shown
    assert found["persistence"] == [1.0] * 5
    # Its error is of two noises, 0.3 sqrt(2) 0.8 = 0.34; persistence changes by 10 sin(12/48 pi).
    assert found["seasonal naive, 48 rows"][-1] == pytest.approx(0.34 / 4.5, rel=0.1)
    assert "888 forecasts count at each horizon" in output  # 1000 - 100 - 12


def read_pump():
    return read(Path("pump.csv"))


def test_channels_chooses_what_is_read_and_the_target_is_always(pump):
    code, output = run("pump.csv", "--target", "temp", "--channels", "load")
    assert code == 0 and "2 channels" in output
    code, output = run("pump.csv", "--channels", "load", "--horizon", 2)
    assert code == 0 and "forecasting load: 1000 rows, 1 channel\n" in output


def test_each_forecast_is_made_before_its_value_is_known(pump):
    table = read_pump()
    x = table.x.copy()
    x[700:] = 1e6
    one, other = (
        evaluate(each, "temp", 3, 48, False, lambda name, share: None)
        for each in (table, table._replace(x=x))
    )
    for a, b in zip(one.judged, other.judged, strict=True):
        assert a.mean[:700].tobytes() == b.mean[:700].tobytes()
    assert one.forecast.upper[:700].tobytes() == other.forecast.upper[:700].tobytes()


def test_progress_goes_from_one_thing_to_the_next(pump):
    told = []
    evaluate(read_pump(), "temp", 2, 0, False, lambda *progress: told.append(progress))
    assert told == [("streamrnn", n / 1000) for n in (256, 512, 768, 1000)]


def test_the_report_tells_what_is_amiss(pump):
    rows = [*pump[:500], *pump[510:]]
    rows[20] = "36000,,1"
    rows[30] = "54000,warm,1"
    rows += [rows[-1], f"{1800 * 1000 + 400},20,1", "5,20,1"]
    with open("odd.csv", "w", encoding="utf-8") as file:
        file.write("\n".join(["t,temp,load", *rows]) + "\n")
    code, output = run("odd.csv", "--target", "temp")
    assert code == 0, output
    for line in (
        "1 row without a value of temp",
        "11 rows lacking in 2 gaps, the longest of 10 rows",
        "rows off the grid by more than a tenth of the interval",
        "1 row left out, since a later one has the same time",
        "1 row with a time before that of the row above; put in order",
        "1 row that cannot be read, the first: odd.csv:32: channel temp: expected a number",
    ):
        assert line in output, line


def test_forecasts_over_a_gap_are_compared_by_time(pump):
    with open("gap.csv", "w", encoding="utf-8") as file:
        file.write("\n".join(["t,temp,load", *pump[:400], *pump[420:]]) + "\n")
    found = evaluate(read(Path("gap.csv")), "temp", 12, 0, False, lambda *progress: None).became
    values = read_pump().x[:, 0]
    assert np.isnan(found[399]).all()  # the next 12 rows never came
    np.testing.assert_array_equal(found[398, :2], [values[399], np.nan])
    assert found[400, 0] == values[421]


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_picture_is_written(pump, ending):
    need("matplotlib", "--plot")
    code, output = run("pump.csv", "--target", "temp", "--plot", f"out.{ending}")
    assert code == 0 and f"picture: out.{ending}" in output
    with open(f"out.{ending}", "rb") as file:
        content = file.read()
    assert content[:8] == b"\x89PNG\r\n\x1a\n" if ending == "png" else b"</svg>" in content


def test_rolling_errors_are_means_of_the_last_200_that_there_were():
    off = np.arange(1000.0)
    off[500:550] = np.nan
    rolled = plot.rolling(off)
    assert np.isnan(rolled[:100]).all()
    assert rolled[150] == np.arange(151).mean() and rolled[450] == np.arange(251, 451).mean()
    assert rolled[560] == np.nanmean(off[361:561])


def test_peers_stand_beside(pump):
    need("river", "--peers")
    with open("short.csv", "w", encoding="utf-8") as file:
        file.write("\n".join(["t,temp,load", *pump[:300]]) + "\n")
    code, output = run("short.csv", "--target", "temp", "--period", 48, "--peers", "--horizon", 2)
    assert code == 0
    found = ratios(output)
    for name in ("SNARIMAX", "SNARIMAX, Bayesian", "HoltWinters"):
        assert len(found[name]) == 2 and min(found[name]) > 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["pump.csv"], "pump.csv: name the column to forecast: --target temp|load"),
        (["pump.csv", "--target", "tmp"], "there is no column tmp, expected one of temp, load"),
        (["pump.csv", "--target", "temp", "--channels", "lod"], "a column lod, got t, temp, load"),
        (["pump.csv", "--target", "temp", "--time", "at"], "expected a column at, got t, temp"),
        (["empty.csv"], "empty.csv: expected rows, found none that can be read"),
        (["words.csv"], "words.csv:2: channel city: expected a number or nothing where missing, "
            "got 'Rome'; choose columns with --channels, that of times with --time"),
        (["few.csv"], "value has 90 values, expected at least 162: the first 100 rows only teach"),
        (["absent.csv"], "absent.csv: No such file or directory"),
        (["pump.docx"], "ends in '.docx', expected .csv"),
        (["model.safetensors"], "is a model; give the text to judge it on too"),
        (["pump.csv", "--plot", "a.bmp"], "a.bmp: ends in '.bmp', expected .svg, .png, .pdf"),
        (["pump.csv", "--plot", "no/a.svg"], "--plot no/a.svg: there is no folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_said_in_a_line(pump, arguments, text):
    for name, content in {
        "empty.csv": "",
        "words.csv": "t,city\n0,Rome\n",
        "few.csv": "t,value\n" + "".join(f"{n},1\n" for n in range(90)),
    }.items():
        with open(name, "w", encoding="utf-8") as file:
            file.write(content)
    code, output = run(*arguments)
    assert code == 1 and "Traceback" not in output
    assert text in " ".join(output.split())


def test_what_is_not_installed_is_named_before_the_work(pump, monkeypatch):
    monkeypatch.setitem(sys.modules, "river", None)
    monkeypatch.delitem(sys.modules, "streamrnn.river", raising=False)
    monkeypatch.delattr(srnn, "river", raising=False)
    code, output = run("pump.csv", "--target", "temp", "--peers")
    assert code == 1 and 'pip install "streamrnn[river]"' in output and "MAE" not in output
    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    code, output = run("pump.csv", "--target", "temp", "--plot", "a.svg")
    assert code == 1 and '--plot needs matplotlib: pip install "streamrnn[plot]"' in output
