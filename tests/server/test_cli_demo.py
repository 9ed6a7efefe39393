"""`streamrnn demo`: its list, what it refuses, and networks trained on the spot."""

import io
import re

import pytest
from rich.console import Console
from streamrnn_server import cli_demo
from streamrnn_server.cli import app
from typer.testing import CliRunner

from streamrnn import demos


def run(*arguments):
    return CliRunner().invoke(app, ["demo", *arguments])


def test_list_names_every_demo_with_its_title():
    lines = run("--list").output.splitlines()
    assert [line.split()[0] for line in lines] == list(demos.NAMES)
    assert "digits    Handwritten digits, seen at once and read row by row" in lines


def test_a_demo_that_is_not_there_is_refused_with_those_that_are():
    result = run("digit")
    assert result.exit_code == 1
    assert "there is no demo 'digit'; expected one of host, weather, office" in result.output


@pytest.mark.parametrize("name", ["", "weather"])
def test_what_trains_nothing_cannot_be_trained(name):
    result = run(*filter(None, [name]), "--train")
    assert result.exit_code == 1
    assert f"--train is for {', '.join(demos.SHAPES)}; got {name or 'no name'}" in result.output


def test_networks_are_trained_on_the_spot_and_told_of():
    console = Console(record=True, width=200, force_terminal=True, file=io.StringIO())
    models = cli_demo.trained("program", console)
    text = console.export_text()
    assert list(models) == ["adder"]
    assert re.search(r"adder, loss 0\.00\d+, unseen 0\.00\d+", text)
    assert "program/addition: sums of 40 bits right: 100.0 %, by chance: 0.0 %, on data not" in text


def test_what_others_send_is_welcome():
    sense, anything = cli_demo.welcome()
    detector = sense.step(("y", "x"))
    assert (sense.match, detector.target, detector.horizon) == ("sense/*", 0, 24)
    assert anything.match == "*" and anything.step(("a", "b", "c")).channels == 3
