"""`streamrnn discover` and `check`: what they write is served as it is, and says what it does."""

from __future__ import annotations

import asyncio
import json
import os
import time
import tomllib
from pathlib import Path

import pytest
from streamrnn_server import cli, cli_text, discover, draft
from streamrnn_server.build import build, planned
from streamrnn_server.discover import watch
from streamrnn_server.survey import SeenTopic
from typer.testing import CliRunner

import streamrnn as srnn
from streamrnn.streams import Broker, Pipeline, Rule
from tests.mosquitto import Client, Mosquitto
from tests.server.clients import run


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """The detector's kernels, which may take longer than `run` lets a test take."""
    rule = Rule("*", lambda channels: srnn.Detector(len(channels)))
    Pipeline([rule]).warm(rule)


def streamrnn(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def say(client, n):
    """What a small plant says, once."""
    now = time.time()
    for boiler in (7, 8):
        message = {
            "temp_c": 70 + n,
            "load": {"kw": 3.5},
            "seq": n,
            "ts": int(now * 1000),
            "ok": True,
        }
        client.publish(f"plant/boiler{boiler}/env", json.dumps(message), qos=0)
    for room in ("hall", "yard"):
        client.publish(f"plant/{room}/temperature", str(20 + n), qos=0)
        client.publish(f"plant/{room}/humidity", "55.5", qos=0)
    client.publish("plant/power", json.dumps({"power_kW": 12.5, "time": now}), qos=0)
    client.publish("plant/flow", str(n), qos=0)
    client.publish("plant/state", "on", qos=0)


async def discovered(broker, client):
    """The configuration for what is said three times while one watches."""
    at = Broker("127.0.0.1", broker.port, client_id="looking")
    seen, enough = [], asyncio.Event()
    watching = asyncio.create_task(
        watch(at, "#", 60.0, lambda *progress: seen.append(progress), enough)
    )
    while not seen or seen[-1][0] < 1:  # what is retained has come: it is subscribed
        await asyncio.sleep(0.01)
    for n in range(3):
        say(client, n)
    while seen[-1][0] < 1 + 3 * 9:
        await asyncio.sleep(0.01)
    enough.set()
    topics = (await watching).values()
    return draft.of_topics(topics, broker.url, "me", user="", ca=None, seconds=1)


def test_what_is_discovered_is_served_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("streamrnn.streams.broker.RETRY_S", (0.05,))
    with Mosquitto(tmp_path) as broker, Client(broker.port) as client:
        client.publish("plant/kept", "1.5", retain=True)
        text = run(discovered(broker, client))
        (tmp_path / "config.toml").write_text(text)
        found = tomllib.loads(text)
        served = {table["match"]: table for table in found["streams"]}
        assert served["boiler*/env"] == {
            "match": "boiler*/env", "channels": ["temp_c", "load.kw"], "target": "temp_c",
            "units": {"temp_c": "°C", "load.kw": "kW"}, "detect": True,
        }  # fmt: skip
        assert served["power"]["units"] == {"power_kW": "kW"}
        assert served["flow"]["channels"] == ["value"] and served["kept"]["channels"] == ["value"]
        (source,) = found["sources"]
        topics = {table["topic"]: table for table in source["topics"]}
        assert topics["plant/+/env"] == {
            "topic": "plant/+/env", "key": "{1}/{2}", "fields": ["temp_c", "load.kw"],
            "time": "ts", "time_unit": "ms",
        }  # fmt: skip
        assert '# id = "seq"' in text
        assert topics["plant/+/humidity"]["channel"] == "{2}"
        assert "#   \"plant/state\": b'on'" in text
        assert '"temp_c",  # 70 .. 72' in text

        checked = streamrnn("check", "config.toml")
        assert checked.exit_code == 0, checked.output
        (tmp_path / "config.toml").write_text(
            text.replace("port = 8765", "port = 0").replace("every = 1 ", "every = 0.05 ")
        )

        async def main():
            async with build("config.toml") as s:
                await s.ready()
                while s.sources[0].state != "running":
                    await asyncio.sleep(0.01)
                say(client, 3)
                wanted = {"boiler7/env", "boiler8/env", "hall", "yard", "power", "flow"}
                while not wanted <= set(s.hub._ids):
                    await asyncio.sleep(0.01)
                assert not s.pipeline.refused

        run(main())

        again = streamrnn("discover", broker.url, "--seconds", 0.1)
        assert again.exit_code == 1
        assert again.stderr == (
            "config.toml exists, and nothing is overwritten: name another file with --output\n"
        )


def test_the_command_writes_what_can_be_checked_and_planned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MQTT_PASSWORD", "rain")
    with Mosquitto(tmp_path) as broker, Client(broker.port) as client:
        client.publish("plant/kept", '{"flow_kw": 1.5}', retain=True)
        result = streamrnn("discover", broker.url, "--seconds", 1, "--user", "me", "-o", "c.toml")
    assert result.exit_code == 0, result.output
    assert result.stdout == "c.toml is written; `streamrnn check c.toml` says what it does\n"
    plan = planned("c.toml")
    assert [rule.match for rule in plan.rules] == ["kept"]
    assert plan.read.sources[0].user == "me" and plan.read.sources[0].password == "rain"
    assert "rain" not in (tmp_path / "c.toml").read_text()
    checked = streamrnn("check", "c.toml")
    assert checked.exit_code == 0
    assert "sources[0].password: environment variable MQTT_PASSWORD" in checked.stdout


def test_discovering_where_there_is_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    broker = Mosquitto(tmp_path)
    result = streamrnn("discover", broker.url, "--seconds", 0.3)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"no connection to 127.0.0.1:{broker.port} in 0.3 s: [Errno")
    with broker:
        result = streamrnn("discover", broker.url, "--seconds", 0.5)
        assert result.exit_code == 1
        assert result.stderr.startswith(
            "no numbers in 0 messages of 0 topics in 0.5 s (connected);"
        )
    result = streamrnn("discover", "absent.csv")
    assert result.stderr == "absent.csv: No such file or directory\n"
    result = streamrnn("discover", broker.url, "--output", "no/c.toml")
    assert result.stderr == "no/c.toml: no such folder as no\n"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = streamrnn("discover", "http://a")
    assert "expected mqtt://host:port, or mqtts:// for TLS, got 'http://a'" in result.stderr
    (tmp_path / "empty.csv").write_text("")
    result = streamrnn("discover", "empty.csv")
    assert result.stderr == "empty.csv has no samples that can be read\n"
    assert not (tmp_path / "config.toml").exists()


@pytest.mark.parametrize(
    ("name", "text", "streams"),
    [
        ("pump.csv", "t,temp_c,load\n1,20.5,3\n2,21,\n", {"pump": ["temp_c", "load"]}),
        ("p.ndjson", '{"stream": "a/1", "v": 1}\n{"stream": "a/2", "v": 2}\n', {"a/*": ["v"]}),
        ("n.csv", "1\n2\n", {"n": ["value"]}),
        ("odd[1].csv", "t,x\n1,2\n", {"odd[[]1]": ["x"]}),
    ],
)
def test_a_file_is_discovered_and_served(tmp_path, monkeypatch, name, text, streams):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    result = streamrnn("discover", name, "-o", "found.toml")
    assert result.exit_code == 0, result.output
    found = tomllib.loads((tmp_path / "found.toml").read_text())
    assert {table["match"]: table["channels"] for table in found["streams"]} == streams
    (tmp_path / "found.toml").write_text(
        (tmp_path / "found.toml").read_text().replace("port = 8765", "port = 0")
    )

    async def main():
        async with build("found.toml") as s:
            await s.ready()
            while not s.pipeline.samples:
                await asyncio.sleep(0.01)
            assert not s.pipeline.refused

    run(main())


def test_a_long_file_shows_how_far_it_is_read(tmp_path, monkeypatch):
    path, told = tmp_path / "long.csv", []
    path.write_text("time_hour,temp\n" + "2026-01-01T00:00:00Z,20.5\n" * 20_000)
    text = discover.file(path, tmp_path / "c.toml", told.append)
    assert "20000 samples" in text and "temp" in text and "time_hour" not in text
    assert len(told) > 5 and told == sorted(told) and told[-1] == 1.0
    monkeypatch.setattr(cli_text.err, "_force_terminal", True)
    assert "reading" in streamrnn("discover", path, "-o", tmp_path / "c.toml").stderr


def test_a_time_is_known_by_its_value_too():
    topic, now = SeenTopic("plant"), 1.8e9
    for n in range(3):
        record = {"when": "2027-01-15T08:00:00Z", "time_hour": now + n, "v": n, "note": "20.5"}
        topic.add(record | {"uptime": 1200 + n}, now, False)
    assert topic.times == {"when": "s", "time_hour": "s"}
    assert topic.channels == ("v", "uptime")


@pytest.mark.parametrize(
    ("names", "record", "patterns", "matches"),
    [
        (["s/{n}/temp"], 20, ["s/+/temp"], ["*/temp"]),
        (["s/{n}"], 20, ["s/+"], ["*"]),
        (["s/{n}/temp", "s/x/{n}"], 20, ["s/+/temp", "s/x/+"], ["*/temp", "x/*"]),
        (["s/{n}/env"], {"temp": 1, "battery": 2}, ["s/+/env"], ["*/env"]),
    ],
)
def test_three_hundred_sensors_are_a_few_tables(tmp_path, names, record, patterns, matches):
    topics = {}
    for name in names:
        for n in range(300):
            topic = topics.setdefault(name.format(n=n), SeenTopic(name.format(n=n)))
            if isinstance(record, dict) and n % 2:  # its battery is told of now and then only
                topic.add({"temp": 1}, 1000.0, False)
            else:
                topic.add(record, 1000.0, False)
    text = draft.of_topics(topics.values(), "mqtt://a", "me", user="", ca=None, seconds=1)
    (tmp_path / "c.toml").write_text(text)
    plan = planned(tmp_path / "c.toml")
    assert [table.topic for table in plan.read.sources[0].topics] == patterns
    assert [rule.match for rule in plan.rules] == matches
    if isinstance(record, dict):
        assert plan.rules[0].channels == ("temp", "battery")


def test_patterns_that_would_serve_others_streams_are_not_used():
    """a/x/1 and a/x/2 are numbers; a/x of the same beginning is an object."""
    topics = {}
    for name, record in [
        ("a/x", {"v": 1}), ("a/y", {"v": 1}), ("a/z", {"w": 1}),
        ("a/x/p", 1), ("a/x/q", 2), ("a/y/p", 1), ("a/y/q", 1), ("a/z/p", 1),
    ]:  # fmt: skip
        topics.setdefault(name, SeenTopic(name)).add(record, 1000.0, False)
    text = draft.of_topics(topics.values(), "mqtt://a", "me", user="who", ca=None, seconds=1)
    found = tomllib.loads(text)
    matches = [table["match"] for table in found["streams"]]
    assert len(set(matches)) == len(matches)
    patterns = [table["topic"] for table in found["sources"][0]["topics"]]
    assert patterns == ["a/x", "a/y", "a/z", "a/z/p", "a/+/p", "a/+/q"]
    assert found["sources"][0]["password"] == "${MQTT_PASSWORD}"


def test_check_says_what_runs_from_where_exposed_to_whom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOK", "very-secret-hook")
    (tmp_path / "token").write_text("0123456789abcdef")
    (tmp_path / "data.csv").write_text("t,temp,load\n1,20.5,3\n")
    srnn.save(srnn.GRU(2, 4, 3), tmp_path / "net.safetensors")
    (tmp_path / "c.toml").write_text("""
        [server]
        host = "0.0.0.0"
        token = "${file:token}"
        hosts = ["dash.example.org"]
        [journal]
        [[streams]]
        match = "boiler/*"
        channels = ["temp", "load"]
        every = 60
        how = "mean"
        model = "net.safetensors"
        [[streams]]
        match = "*"
        detect = true
        lateness = 5
        [[sources]]
        kind = "replay"
        path = "data.csv"
        [[sources]]
        kind = "mqtt"
        url = "mqtt://broker.example"
        client_id = "plant"
        user = "me"
        password = "${HOOK}"
        topics = [{ topic = "plant/#" }]
        [[sinks]]
        kind = "webhook"
        url = "https://hooks.example.org/${HOOK}"
        """)
    result = streamrnn("check", "c.toml")
    assert result.exit_code == 0, result.output
    assert "very-secret-hook" not in result.output and "0123456789abcdef" not in result.output
    for line in (
        "  0.0.0.0, port 8765: other machines reach it, and there is no TLS: put a proxy before it",
        "  token: of 16 characters",
        "  hosts: dash.example.org",
        "  boiler/*: net.safetensors",
        "    GRU, 99 parameters",  # 3 * 4 * (2 + 4 + 2) + 4 * 3 + 3 is 111
        "    a row every 60 s of the mean of each channel",
        "  *: detector",
        "    samples may be 5 s late",
        "  replay data.csv, speed 1",
        "  MQTT 3.1.1 mqtt://broker.example as plant, user me (not encrypted: use mqtts://): plant",
        "    without times: plant/#; what waits at the broker counts as",
        "  webhook: alarms by POST to https://hooks.example.org/...",
        f"  {tmp_path}/journal: will be made",
        "  boiler/*: at most 48 bytes a sample, 25.2 MB a year for a stream with one",
        "  server.token: file token",
        "  sources[1].password: environment variable HOOK",
        "  sinks[0].url: environment variable HOOK",
    ):
        assert line.replace("99 parameters", "111 parameters") in result.stdout, line
    assert not (tmp_path / "journal").exists()


def test_check_says_all_problems_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(
        '[server]\nhost = "0.0.0.0"\n[[streams]]\nmatch = "a"\n'
        '[[sources]]\nkind = "replay"\npath = "gone.csv"\nkey = "b"\n'
    )
    result = streamrnn("check", "c.toml")
    assert result.exit_code == 1
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == [
        "server.token", "streams[0]", "sources[0].path"
    ]  # fmt: skip
    assert streamrnn("check", "nowhere.toml").exit_code == 1


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("a.txt", "{0}/a.txt cannot be written: {0}/a.txt is no folder"),
        ("a.txt/deep/journal", "{0}/a.txt/deep/journal cannot be made: {0}/a.txt is no folder"),
        ("own/journal", "{0}/own/journal cannot be made: {0}/own may not be written by this user"),
        ("own", "{0}/own cannot be written: {0}/own may not be written by this user"),
        ("other", "{0}/other/journal.sqlite: file is not a database; expected a journal of"),
    ],
)
def test_check_and_serve_say_that_a_journal_cannot_be_made(tmp_path, monkeypatch, path, why):
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "own").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "journal.sqlite").write_text("something else")
    allowed = os.access  # root may write anywhere
    monkeypatch.setattr(os, "access", lambda p, mode: "own" != Path(p).name and allowed(p, mode))
    config = tmp_path / "c.toml"
    config.write_text(
        f'[journal]\npath = "{path}"\n[[streams]]\nmatch = "*"\ndetect = true\ntarget = "a"'
    )
    for command in ("check", "serve"):
        result = streamrnn(command, str(config))
        assert result.exit_code == 1 and result.stdout == ""
        journal, target = result.stderr.splitlines()  # with all else that is wrong
        assert journal.startswith(f"{config}: journal.path: {why.format(tmp_path)}")
        assert journal.endswith(("give another path under [journal]", "a journal of streamrnn"))
        assert target.startswith(f"{config}: streams[0].target: ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "c.toml", "other", "own"]


def test_a_plan_opens_no_journal(tmp_path):
    (tmp_path / "c.toml").write_text('[journal]\n[[streams]]\nmatch = "*"\ndetect = true')
    planned(tmp_path / "c.toml")
    assert not (tmp_path / "journal").exists()
