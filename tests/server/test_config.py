"""Configuration files: what they make, and the words for all that can be wrong in one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streamrnn_server import binary
from streamrnn_server import protocol as p
from streamrnn_server.build import build
from streamrnn_server.config import ConfigError

import streamrnn as srnn
from streamrnn.step import Output
from streamrnn.vocabulary import Vocabulary
from tests.leaky import Leaky
from tests.server.clients import is_a, run, tell, until, viewer

STEPS = {"leaky": lambda channels: Leaky(len(channels))}
MQTT = '[[sources]]\nkind = "mqtt"\nclient_id = "me"\n'
STREAM = '[[streams]]\nmatch = "*"\ndetect = true\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with what a configuration may name."""
    srnn.save(srnn.GRU(2, 4, 3), tmp_path / "net.safetensors")
    letters = srnn.RNN(3, 4, 3, tokens=True)
    srnn.save(
        letters,
        tmp_path / "text.safetensors",
        metadata={"vocabulary": json.dumps(list(Vocabulary(["a", "b", "\ufffd"])))},
    )
    srnn.save(srnn.Bank(srnn.GRU(2, 4, 3)), tmp_path / "bank.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    (tmp_path / "data.csv").write_text("t,temp,load\n1,20.5,3\n2,21,\n")
    (tmp_path / "a.txt").write_text("abba")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(folder, text, steps=STEPS):
    (folder / "c.toml").write_text(text, encoding="utf-8")
    return build("c.toml", steps)


def test_everything_that_can_be_said(folder, monkeypatch):
    monkeypatch.setenv("TOKEN", "0123456789abcdef")
    server = made(
        folder,
        """
        [server]
        host = "0.0.0.0"
        port = 0
        token = "${TOKEN}"
        hosts = ["dash.example.org"]
        origins = ["https://friend.example:8443"]
        name = "plant"

        [limits]
        viewers = 3
        senders = 4
        streams = 5
        channels = 6
        ring_mb = 7
        message_kb = 8

        [[streams]]
        match = "boiler/*"
        channels = ["temp", "load"]
        units = ["°C", "kW"]
        target = "load"
        detect = true
        horizon = 3

        [[streams]]
        match = "wind/*"
        units = { speed = "m/s" }
        target = 1
        forecast = true

        [[streams]]
        match = "net/*"
        channels = ["temp", "load"]
        model = "net.safetensors"
        outputs = [
          { channel = "temp", ahead = 1 },
          { channel = "load", kind = "upper", ahead = 2, name = "most" },
          { name = "valve" },
        ]

        [[streams]]
        match = "code"
        text = "text.safetensors"

        [[streams]]
        match = "*"
        step = "leaky"

        [[sources]]
        kind = "replay"
        path = "data.csv"
        rate_hz = inf
        loop = true
        key = "boiler/7"
        time = "t"
        channels = ["temp", "load"]

        [[sources]]
        kind = "follow"
        path = "later.csv"
        from_end = true
        poll_s = 1

        [[sources]]
        kind = "stdin"
        key = "wind/1"

        [[sources]]
        kind = "host"
        rate_hz = 1
        prefix = "me/"

        [[sources]]
        kind = "text"
        files = ["a.txt"]
        rate_hz = 100
        key = "code"
        """,
    )
    settings = server.settings
    assert (settings.host, settings.port, settings.token) == ("0.0.0.0", 0, "0123456789abcdef")
    assert settings.hosts == ("dash.example.org",)
    assert settings.origins == ("https://friend.example:8443",)
    assert (settings.name, settings.viewers, settings.senders) == ("plant", 3, 4)
    assert (settings.ring_bytes, settings.message_bytes) == (7 << 20, 8 << 10)
    assert (server.pipeline.admission.max_streams, server.pipeline.admission.max_channels) == (5, 6)
    boiler, wind, net, code, rest = server.pipeline.rules
    assert (boiler.match, boiler.channels, boiler.target) == ("boiler/*", ("temp", "load"), 1)
    assert isinstance(boiler.step(boiler.channels), srnn.Detector)
    assert boiler.step(boiler.channels).outputs == 3 * 3 + 5
    assert (wind.channels, wind.units_of(("dir", "speed")), wind.target) == (None, ("", "m/s"), 1)
    assert isinstance(wind.step(("dir", "speed")), srnn.Forecaster)
    assert isinstance(net.step(net.channels), srnn.GRU)
    assert net.outputs == (
        Output("temp forecast +1", "forecast", 0, 1),
        Output("most", "upper", 1, 2),
        Output("valve", "value"),
    )
    assert (code.kind, code.step(("token",)).vocabulary[0]) == ("tokens", "a")
    assert isinstance(rest.step(("x", "y")), Leaky)


def test_a_configured_server_serves(folder):
    async def main():
        config = """
            [server]
            port = 0
            [[streams]]
            match = "*"
            step = "leaky"
            [[sources]]
            kind = "replay"
            path = "data.csv"
            rate_hz = inf
            """
        async with made(folder, config) as s, viewer(s) as rx:
            (*_, status) = await until(
                rx, lambda m: isinstance(m, p.Status) and m.samples and m.sources
            )
            assert [(i.name, i.state) for i in status.sources] == [("replay data.csv", "ended")]
            await tell(rx, p.Watch(streams=[p.WatchStream(0)]))
            (*_, frame) = await until(rx, is_a(binary.Samples))
            (chunk,) = frame.chunks
            assert chunk.t.tolist() == [1.0, 2.0]
            assert chunk.x[0].tolist() == [20.5, 21.0]
            assert chunk.y[0].tolist() == [5.125, 5.125 + (21 - 5.125) / 4]
            assert np.isnan(chunk.x[1, 1])

    run(main())


def test_a_secret_may_be_a_file(folder):
    (folder / "secret").write_text("0123456789abcdef\n")
    server = made(folder, STREAM + '[server]\ntoken = "${file:secret}"')
    assert server.settings.token == "0123456789abcdef"
    (folder / "secret").write_bytes(b"\xff")
    with pytest.raises(ConfigError) as caught:
        made(folder, STREAM + '[server]\ntoken = "${file:secret}"')
    assert str(caught.value) == "c.toml: server.token: cannot read secret: it is not UTF-8"


def test_a_package_that_mqtt_needs_is_named_when_it_is_missing(folder, monkeypatch):
    monkeypatch.setattr("streamrnn_server.build_sources.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        made(folder, STREAM + MQTT + 'url = "mqtt://a"\ntopics = [{ topic = "a" }]')
    assert str(caught.value) == (
        'c.toml: sources[0]: MQTT needs a package more: pip install "streamrnn[mqtt]"'
    )


def test_a_step_name_without_steps_says_where_they_come_from(folder):
    with pytest.raises(ConfigError) as caught:
        made(folder, '[[streams]]\nmatch = "*"\nstep = "leaky"', steps=None)
    assert str(caught.value) == (
        "c.toml: streams[0].step: expected what Python passes to run(config, steps=...), "
        'got "leaky"'
    )


def test_a_step_that_cannot_be_made_says_so(folder):
    def broken(channels):
        raise RuntimeError("no such weights")

    with pytest.raises(ConfigError) as caught:
        made(
            folder,
            '[[streams]]\nmatch = "*"\nstep = "leaky"\nchannels = ["a", "b"]',
            steps={"leaky": broken},
        )
    assert str(caught.value) == ("c.toml: streams[0]: no step for channels a, b: no such weights")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "c.toml: there is no such file"),
        ("folder", "c.toml: cannot be read: Is a directory"),
        (b"a = ", "c.toml: is not TOML: Invalid value (at end of document)"),
        (b"\xff\xfe", "c.toml: cannot be read: 'utf-8' codec can't decode byte 0xff ..."),
    ],
)
def test_a_file_that_is_no_configuration(folder, content, error):
    if content == "folder":
        (folder / "c.toml").mkdir()
    elif content is not None:
        (folder / "c.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        build("c.toml")
    assert str(caught.value).startswith(error.removesuffix("..."))


def test_paths_are_from_the_file(folder, monkeypatch, tmp_path_factory):
    (folder / "c.toml").write_text(
        STREAM + '[[sources]]\nkind = "replay"\npath = "data.csv"', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    build(folder / "c.toml")
