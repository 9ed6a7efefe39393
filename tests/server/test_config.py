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


CASES = {
    "no streams": ("", ["streams: missing; expected a list, each a table"]),
    "empty streams": ("streams = []", ["streams: expected at least one [[streams]] table"]),
    "one table": ("[streams]\n", ["streams: expected a list, each a table, got {}"]),
    "unknown table": (
        STREAM + "[servr]\n",
        [
            "servr: unknown key; did you mean server? "
            "allowed are server, limits, journal, streams, sources, sinks"
        ],
    ),
    "unknown key": (
        STREAM + "[server]\nprot = 1",
        [
            "server.prot: unknown key; did you mean port? allowed are "
            "host, port, token, hosts, origins, name"
        ],
    ),
    "odd key": (
        STREAM + '[limits]\n"a b" = 1',
        [
            'limits."a b": unknown key; allowed are '
            "viewers, senders, streams, channels, ring_mb, states_mb, message_kb, future_s"
        ],
    ),
    "type": (
        STREAM + '[server]\nport = "8765"',
        ['server.port: expected a whole number from 0 to 65535, got "8765"'],
    ),
    "bool for int": (
        STREAM + "[limits]\nviewers = true",
        ["limits.viewers: expected a whole number of at least 1, got true"],
    ),
    "range": (
        STREAM + "[server]\nport = 65536",
        ["server.port: expected a whole number from 0 to 65535, got 65536"],
    ),
    "empty text": (
        STREAM + '[server]\nname = ""',
        ['server.name: expected a text that is not empty, got ""'],
    ),
    "list": (
        STREAM + '[server]\nhosts = "a"',
        ['server.hosts: expected a list of texts, got "a"'],
    ),
    "item of a list": (
        STREAM + '[server]\nhosts = ["a", 1]',
        ["server.hosts[1]: expected a text that is not empty, got 1"],
    ),
    "several at once": (
        '[[streams]]\nmatch = 1\n[[streams]]\nmatch = "a"\ntarget = 1.5\n',
        [
            "streams[0].match: expected a text that is not empty, got 1",
            "streams[1].target: expected a text that is not empty or a whole number of at least 0, "
            "got 1.5",
        ],
    ),
    "host with port": (
        STREAM + '[server]\nhosts = ["a:1"]',
        ['server.hosts[0]: expected a name without scheme and port, got "a:1"'],
    ),
    "origin": (
        STREAM + '[server]\norigins = ["example.org"]',
        ['server.origins[0]: expected a site like "https://dash.example.org", got "example.org"'],
    ),
    "no token": (
        STREAM + '[server]\nhost = "0.0.0.0"',
        [
            "server.token: host 0.0.0.0 can be reached from other machines, so a token of at "
            "least 16 characters is needed, got none"
        ],
    ),
    "short token": (
        STREAM + '[server]\nhost = "10.0.0.1"\ntoken = "hunter2"',
        [
            "server.token: host 10.0.0.1 can be reached from other machines, so a token of at "
            "least 16 characters is needed, got 7 characters"
        ],
    ),
    "variable": (
        STREAM + '[server]\ntoken = "x${NOT_THERE}"',
        ["server.token: the environment has no variable NOT_THERE"],
    ),
    "match": (
        "[[streams]]\ndetect = true",
        ["streams[0].match: missing; expected a text that is not empty"],
    ),
    "match twice": (
        STREAM + STREAM,
        ['streams[1].match: "*" is that of streams[0]'],
    ),
    "nothing runs": (
        '[[streams]]\nmatch = "*"',
        [
            "streams[0]: expected one of detect, forecast, model, text, step to say what runs, "
            "got none"
        ],
    ),
    "two run": (
        STREAM + 'model = "net.safetensors"',
        [
            "streams[0]: expected one of detect, forecast, model, text, step to say what runs, "
            "got detect and model"
        ],
    ),
    "horizon beyond reason": (
        '[[streams]]\nmatch = "*"\nforecast = true\nhorizon = 100000',
        ["streams[0].horizon: expected a whole number from 1 to 1000, got 100000"],
    ),
    "horizon of a model": (
        '[[streams]]\nmatch = "*"\nmodel = "net.safetensors"\nhorizon = 3',
        ["streams[0].horizon: goes not with model; leave it out"],
    ),
    "outputs of a detector": (
        STREAM + 'outputs = [{ name = "a" }]',
        ["streams[0].outputs: goes not with detect; leave it out"],
    ),
    "channels of a text": (
        '[[streams]]\nmatch = "*"\ntext = "text.safetensors"\nchannels = ["a"]',
        ["streams[0].channels: goes not with text; leave it out"],
    ),
    "no channels": (STREAM + "channels = []", ["streams[0].channels: expected at least one"]),
    "same channels": (
        STREAM + 'channels = ["a", "b", "a"]',
        ['streams[0].channels[2]: expected different names, got "a" again'],
    ),
    "every without channels": (
        STREAM + "every = 60",
        ["streams[0].every: needs channels = [...] beside it, that make a row"],
    ),
    "how without every": (
        STREAM + 'how = "mean"',
        ["streams[0].how: needs every = ... beside it"],
    ),
    "every of a text": (
        '[[streams]]\nmatch = "*"\ntext = "text.safetensors"\nevery = 60',
        ["streams[0].every: goes not with text; leave it out"],
    ),
    "target": (
        STREAM + 'channels = ["temp", "load"]\ntarget = "wind"',
        ['streams[0].target: expected "temp" or "load", or a number below 2, got "wind"'],
    ),
    "target's number": (
        STREAM + 'channels = ["temp", "load"]\ntarget = 2',
        ['streams[0].target: expected "temp" or "load", or a number below 2, got 2'],
    ),
    "target without channels": (
        STREAM + 'target = "wind"',
        ["streams[0].target: a name needs channels = [...] beside it; or give its number from 0"],
    ),
    "number of units": (
        STREAM + 'channels = ["temp", "load"]\nunits = ["°C"]',
        ["streams[0].units: expected 2, one for each channel, got 1"],
    ),
    "units without channels": (
        STREAM + 'units = ["°C"]',
        ["streams[0].units: a list needs channels = [...] beside it; or give a table by channel"],
    ),
    "unit of another channel": (
        STREAM + 'channels = ["temp", "load"]\nunits = { wind = "m/s" }',
        ['streams[0].units: expected "temp" or "load", got "wind"'],
    ),
    "no model file": (
        '[[streams]]\nmatch = "*"\nmodel = "nowhere.safetensors"',
        ["streams[0].model: there is no file nowhere.safetensors"],
    ),
    "torn model": (
        '[[streams]]\nmatch = "*"\nmodel = "torn.safetensors"',
        ["streams[0].model: torn.safetensors: not a whole safetensors file ..."],
    ),
    "bank for a model": (
        '[[streams]]\nmatch = "*"\nmodel = "bank.safetensors"',
        ["streams[0].model: expected the file of a model, got that of a Bank"],
    ),
    "inputs of the model": (
        '[[streams]]\nmatch = "*"\nmodel = "net.safetensors"\nchannels = ["a"]',
        ["streams[0].channels: expected 2, as net.safetensors has so many inputs, got 1"],
    ),
    "text without vocabulary": (
        '[[streams]]\nmatch = "*"\ntext = "net.safetensors"',
        ["streams[0].text: net.safetensors: no 'vocabulary' in the file's metadata, ..."],
    ),
    "number of outputs": (
        '[[streams]]\nmatch = "*"\nmodel = "net.safetensors"\noutputs = [{ name = "a" }]',
        ["streams[0].outputs: expected 3, one for each output, got 1"],
    ),
    "channel of an output": (
        '[[streams]]\nmatch = "*"\nmodel = "net.safetensors"\nchannels = ["temp", "load"]\n'
        'outputs = [{ channel = "wind" }, {}, {}]',
        ['streams[0].outputs[0].channel: expected "temp" or "load", got "wind"'],
    ),
    "forecast of nothing": (
        '[[streams]]\nmatch = "*"\nmodel = "net.safetensors"\n'
        'outputs = [{ kind = "forecast" }, {}, {}]',
        ["streams[0].outputs[0].channel: missing; a forecast is of a channel"],
    ),
    "kind of an output": (
        '[[streams]]\nmatch = "*"\nmodel = "net.safetensors"\noutputs = [{ kind = "guess" }]',
        [
            'streams[0].outputs[0].kind: expected "alarm", "forecast", "lower", "score", "upper" '
            'or "value", got "guess"'
        ],
    ),
    "outputs without channels": (
        '[[streams]]\nmatch = "*"\nstep = "leaky"\noutputs = [{ channel = "a" }]',
        ["streams[0].outputs[0].channel: a name needs channels = [...] beside outputs"],
    ),
    "step": (
        '[[streams]]\nmatch = "*"\nstep = "lazy"',
        [
            'streams[0].step: expected "leaky", as Python passes to run(config, steps=...), '
            'got "lazy"'
        ],
    ),
    "kind of a source": (
        STREAM + '[[sources]]\nkind = "kafka"',
        [
            'sources[0].kind: expected "replay", "follow", "stdin", "host", "text" or "mqtt", '
            'got "kafka"'
        ],
    ),
    "source without kind": (
        STREAM + '[[sources]]\npath = "data.csv"',
        [
            'sources[0].kind: missing; expected "replay", "follow", "stdin", "host", "text" or '
            '"mqtt"'
        ],
    ),
    "source that is none": (
        STREAM.join(["sources = [1]\n", ""]),
        ["sources[0]: expected a table, got 1"],
    ),
    "key of another source": (
        STREAM + '[[sources]]\nkind = "host"\npath = "data.csv"',
        ["sources[0].path: unknown key; allowed are kind, rate_hz, prefix"],
    ),
    "recording": (
        STREAM + '[[sources]]\nkind = "replay"\npath = "dta.csv"',
        ["sources[0].path: there is no file dta.csv"],
    ),
    "two speeds": (
        STREAM + '[[sources]]\nkind = "replay"\npath = "data.csv"\nspeed = 2\nrate_hz = 3',
        ["sources[0]: expected speed or rate_hz, got both"],
    ),
    "speed": (
        STREAM + '[[sources]]\nkind = "replay"\npath = "data.csv"\nspeed = 0',
        ["sources[0].speed: expected a number above 0, got 0"],
    ),
    "speed that is none": (
        STREAM + '[[sources]]\nkind = "replay"\npath = "data.csv"\nspeed = nan',
        ["sources[0].speed: expected a number above 0, got NaN"],
    ),
    "folder": (
        STREAM + '[[sources]]\nkind = "follow"\npath = "logs/a.csv"',
        ["sources[0].path: there is no folder logs"],
    ),
    "stdin twice": (
        STREAM + '[[sources]]\nkind = "stdin"\n[[sources]]\nkind = "stdin"',
        ["sources[1]: sources[0] reads standard input already"],
    ),
    "nobody serves the key": (
        '[[streams]]\nmatch = "a/*"\ndetect = true\n'
        '[[sources]]\nkind = "replay"\npath = "data.csv"\nkey = "b/1"',
        ['sources[0].key: no [[streams]] has a pattern for "b/1"; there is "a/*"'],
    ),
    "nobody serves the host": (
        '[[streams]]\nmatch = "a/*"\ndetect = true\n[[sources]]\nkind = "host"',
        ['sources[0].prefix: no [[streams]] has a pattern for "host/cpu"; there is "a/*"'],
    ),
    "text for sensors": (
        STREAM + '[[sources]]\nkind = "text"\nfiles = ["a.txt"]\nrate_hz = 1',
        ['sources[0].key: the streams that match "text" have no text model'],
    ),
    "text file": (
        STREAM + '[[sources]]\nkind = "text"\nfiles = ["a.txt", "b.txt"]\nrate_hz = 1',
        ["sources[0].files[1]: there is no file b.txt"],
    ),
    "no text file": (
        STREAM + '[[sources]]\nkind = "text"\nfiles = []\nrate_hz = 1',
        ["sources[0].files: expected at least one"],
    ),
    "mqtt without anything": (
        STREAM + '[[sources]]\nkind = "mqtt"',
        [
            "sources[0].url: missing; expected a text that is not empty",
            "sources[0].client_id: missing; expected a text that is not empty",
            "sources[0].topics: missing; expected a list, each a table",
        ],
    ),
    "address of a broker": (
        STREAM + MQTT + 'url = "http://a"\ntopics = [{ topic = "a" }]',
        ["sources[0].url: expected mqtt://host:port, or mqtts:// for TLS, got 'http://a'"],
    ),
    "password in the address": (
        STREAM + MQTT + 'url = "mqtt://me:rain@a"\ntopics = [{ topic = "a" }]',
        [
            "sources[0].url: expected mqtt://host:port, or mqtts:// for TLS, without user and "
            "password, which have keys of their own"
        ],
    ),
    "password without user": (
        STREAM + MQTT + 'url = "mqtt://a"\npassword = "rain"\ntopics = [{ topic = "a" }]',
        ["sources[0].password: needs user = ... beside it"],
    ),
    "certificates without TLS": (
        STREAM + MQTT + 'url = "mqtt://a"\nca = "a.txt"\ntopics = [{ topic = "a" }]',
        ['sources[0].ca: goes not without TLS: url = "mqtts://..."'],
    ),
    "certificate without key": (
        STREAM + MQTT + 'url = "mqtts://a"\ncert = "a.txt"\ntopics = [{ topic = "a" }]',
        ["sources[0]: expected cert and cert_key, got one of them"],
    ),
    "no certificate": (
        STREAM + MQTT + 'url = "mqtts://a"\nca = "a.txt"\ntopics = [{ topic = "a" }]',
        ["sources[0]: its certificates cannot be used: ..."],
    ),
    "no topics": (
        STREAM + MQTT + 'url = "mqtt://a"\ntopics = []',
        ["sources[0].topics: expected at least one"],
    ),
    "half a level": (
        STREAM + MQTT + 'url = "mqtt://a"\ntopics = [{ topic = "a/b+" }]',
        ['sources[0].topics[0].topic: expected + and # as whole levels, got "b+"'],
    ),
    "# in the middle": (
        STREAM + MQTT + 'url = "mqtt://a"\ntopics = [{ topic = "a/#/b" }]',
        ["sources[0].topics[0].topic: expected # as the last level"],
    ),
    "level that is none": (
        STREAM + MQTT + 'url = "mqtt://a"\ntopics = [{ topic = "a/+", key = "{2}" }]',
        ["sources[0].topics[0].key: expected levels up to 1, got {2}"],
    ),
    "two fields for a channel": (
        STREAM
        + MQTT
        + 'url = "mqtt://a"\ntopics = [{ topic = "a/+", channel = "{1}", fields = ["a", "b"] }]',
        ["sources[0].topics[0].fields: expected one beside channel, got 2"],
    ),
    "no fields": (
        STREAM + MQTT + 'url = "mqtt://a"\ntopics = [{ topic = "a/+", fields = [] }]',
        ["sources[0].topics[0].fields: expected at least one"],
    ),
    "two clients of one name": (
        STREAM
        + (MQTT + 'url = "mqtt://a"\ntopics = [{ topic = "a" }]\n')
        + (MQTT + 'url = "mqtt://a"\ntopics = [{ topic = "b" }]\n'),
        ['sources[1].client_id: "me" is that of sources[0]; a broker takes one'],
    ),
    "sinks": (
        STREAM
        + '[[sinks]]\nkind = "webhook"\nurl = "ftp://a"\n[[sinks]]\nkind = "stdout"\n'
        + '[[sinks]]\nkind = "mqtt"\nurl = "mqtt://a"\nclient_id = "b"\ntopic = "a/#"\n'
        + '[[sinks]]\nkind = "stdout"',
        [
            "sinks[0].url: expected http://... or https://...",
            "sinks[2].topic: expected a topic without + and #",
            'sinks[3].name: "stdout" is that of sinks[1]',
        ],
    ),
    "one name for a source and a sink": (
        STREAM
        + (MQTT + 'url = "mqtt://a"\ntopics = [{ topic = "a" }]\n')
        + '[[sinks]]\nkind = "mqtt"\nclient_id = "me"\nurl = "mqtt://a"\ntopic = "b"',
        ['sinks[0].client_id: "me" is that of sources[0]; a broker takes one'],
    ),
    "file of a secret": (
        STREAM + '[server]\ntoken = "${file:secret}"',
        ["server.token: cannot read secret: No such file or directory"],
    ),
    "problems of all parts": (
        '[server]\nhost = "0.0.0.0"\n[[streams]]\nmatch = "a"\n'
        '[[sources]]\nkind = "replay"\npath = "dta.csv"\nkey = "b"',
        [
            "server.token: host 0.0.0.0 can be reached from other machines, so a token of at "
            "least 16 characters is needed, got none",
            "streams[0]: expected one of detect, forecast, model, text, step to say what runs, "
            "got none",
            "sources[0].path: there is no file dta.csv",
        ],
    ),
}


@pytest.mark.parametrize(("text", "problems"), CASES.values(), ids=CASES.keys())
def test_what_is_wrong_is_said_with_its_place(folder, text, problems):
    with pytest.raises(ConfigError) as caught:
        made(folder, text)
    got = str(caught.value).splitlines()
    assert len(got) == len(problems)
    for line, problem in zip(got, problems, strict=True):
        if problem.endswith("..."):
            assert line.startswith("c.toml: " + problem.removesuffix("..."))
        else:
            assert line == "c.toml: " + problem


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
        (b"a = ", "c.toml: is not TOML: Invalid value (at end of document)"),
        (b"\xff\xfe", "c.toml: cannot be read: 'utf-8' codec can't decode byte 0xff ..."),
    ],
)
def test_a_file_that_is_no_configuration(folder, content, error):
    if content is not None:
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
