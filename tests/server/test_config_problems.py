"""What can be wrong in a configuration file: all of it is said, each with its place."""

from __future__ import annotations

import pytest
from streamrnn_server.config import ConfigError

from tests.server.test_config import MQTT, STREAM, folder, made  # noqa: F401  folder: a fixture

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
    "what is a key of its own as a step": (
        '[[streams]]\nmatch = "*"\nstep = "detect"',
        [
            'streams[0].step: expected "leaky", as Python passes to run(config, steps=...), '
            'got "detect"; did you mean detect = true?'
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
    "port of a broker": (
        STREAM + MQTT + 'url = "mqtt://a:0"\ntopics = [{ topic = "a" }]',
        ["sources[0].url: expected mqtt://host:port, or mqtts:// for TLS, got 'mqtt://a:0'"],
    ),
    "host of a broker": (
        STREAM + MQTT + 'url = "mqtt://a b"\ntopics = [{ topic = "a" }]',
        ["sources[0].url: expected mqtt://host:port, or mqtts:// for TLS, got 'mqtt://a b'"],
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
    "clients of one name at two brokers": (
        STREAM
        + (MQTT + 'url = "mqtt://a"\ntopics = [{ topic = "a" }]\n')
        + (MQTT + 'url = "mqtt://b"\ntopics = [{ topic = "a" }]\n'),
        ['sources[1].client_id: "me" is that of sources[0]; what was taken is known by it'],
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
    "topic of a sink": (
        STREAM + '[[sinks]]\nkind = "mqtt"\nurl = "mqtt://a"\nclient_id = "b"\ntopic = "a\\u0000"',
        ["sinks[0].topic: expected no control characters; character 2 is one"],
    ),
    "topic of a source": (
        STREAM + MQTT + 'url = "mqtt://a"\ntopics = [{ topic = "a/\\n" }]',
        ["sources[0].topics[0].topic: expected no control characters; character 3 is one"],
    ),
    "client of a source": (
        STREAM
        + '[[sources]]\nkind = "mqtt"\nclient_id = "a\\u0085"\nurl = "mqtt://a"\n'
        + 'topics = [{ topic = "a" }]',
        ["sources[0].client_id: expected no control characters; character 2 is one"],
    ),
    "client of a sink": (
        STREAM
        + f'[[sinks]]\nkind = "mqtt"\nurl = "mqtt://a"\nclient_id = "{"b" * 65536}"\ntopic = "a"',
        ["sinks[0].client_id: expected at most 65535 bytes, got 65536"],
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
def test_what_is_wrong_is_said_with_its_place(folder, text, problems):  # noqa: F811
    with pytest.raises(ConfigError) as caught:
        made(folder, text)
    got = str(caught.value).splitlines()
    assert len(got) == len(problems)
    for line, problem in zip(got, problems, strict=True):
        if problem.endswith("..."):
            assert line.startswith("c.toml: " + problem.removesuffix("..."))
        else:
            assert line == "c.toml: " + problem
