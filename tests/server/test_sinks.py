"""Alarms and predictions reach a webhook, standard output and a broker, once they are durable."""

from __future__ import annotations

import asyncio
import gc
import http.server
import json
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from streamrnn_server.app import Server, Settings
from streamrnn_server.build import build
from streamrnn_server.journal import Journal
from streamrnn_server.outlets import StandardOutput, Webhook
from streamrnn_server.reports import alarms
from streamrnn_server.sinks import Alarms, NotDelivered

from streamrnn.bank import Bank
from streamrnn.detect import Detector
from streamrnn.step import Output
from streamrnn.streams import Batch, Pipeline, Rule
from tests.leaky import Leaky
from tests.mosquitto import Client, Mosquitto, tls
from tests.server.clients import request, run, send, sender

CONFIG = """
[server]
port = 0
[[streams]]
match = "*"
step = "a"
channels = ["temp"]
"""


class Alarming(Leaky):
    """An alarm for each value above 10."""

    reasons = ("", "above 10")

    def __init__(self):
        super().__init__(1)
        self.outputs = 3

    def advance(self, states, rows, x, y):
        y[:, 0] = x[:, 0] / 10
        y[:, 1] = y[:, 2] = x[:, 0] > 10

    def describe(self, channels):
        return tuple(Output(kind, kind, 0) for kind in ("score", "alarm", "reason"))


def started(folder, *sinks):
    pipeline = Pipeline([Rule("*", lambda channels: Alarming(), ("temp",), units=("°C",))])
    journal = None if folder is None else Journal(folder)
    return Server(pipeline, (), sinks, settings=Settings(port=0), journal=journal)


async def say(s, *values, stream="pump", first=0):
    async with sender(s) as tx:
        await send(
            tx, *({"stream": stream, "t": first + n, "temp": v} for n, v in enumerate(values))
        )


class Hook(http.server.ThreadingHTTPServer):
    """Answers POSTs with the codes it is given, then 200; notes what it is told."""

    def __init__(self, *codes):
        self.codes = list(codes)
        self.told = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        code = self.server.codes.pop(0) if self.server.codes else 200
        self.server.told.append((code, json.loads(body), dict(self.headers)))
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *arguments):
        pass


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr("streamrnn_server.sinks.RETRY_S", (0.01,))
    monkeypatch.setattr("streamrnn.streams.broker.RETRY_S", (0.05,))


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


def test_an_alarm_names_the_channel_to_blame():
    x = np.random.default_rng(0).normal(size=(300, 2))
    x[250, 1] = 60.0
    y = Bank(Detector(2)).step([0] * 300, x)
    names = ("temp", "load")
    group = SimpleNamespace(outputs=Detector(2).describe(names), channels=names, target=0)
    group.units, group.reasons = ("°C", "kW"), Detector.reasons
    result = SimpleNamespace(group=group, batch=Batch(["pump"] * 300, np.arange(300.0), x, y))
    found = [a.record for a in alarms(result, "j", lambda key: True, lambda key: 299)]
    (record,) = [r for r in found if r["t"] == 250]
    assert (record["channel"], record["unit"], record["value"]) == ("load", "kW", 60.0)
    assert record["reason"] == "outside the range seen"


def test_a_webhook_gets_each_alarm_in_order_again_until_it_takes_it(tmp_path):
    async def main():
        with Hook(500, 429, 200, 503) as hook:
            to = Webhook(hook.url, {"Authorization": "Bearer rain"})
            async with started(tmp_path, lambda: Alarms("hook", "p*", to)) as s:
                await say(s, 1, 11, 2, 12)
                await say(s, 50, stream="other")
                (sink,) = s.sinks.all
                await until(lambda: sink.delivered == 2)
                _, _, body = await request(s, "/metrics")
                for line in (
                    b'streamrnn_sink_delivered_total{sink="hook"} 2.0',
                    b'streamrnn_sink_failed_total{sink="hook"} 3.0',
                    b'streamrnn_sink_dropped_total{sink="hook"} 0.0',
                    b'streamrnn_sink_waiting{sink="hook"} 0.0',
                ):
                    assert line in body.splitlines()
                (told,) = s.status().sources
                assert (told.name, told.state, told.detail) == (
                    "sink hook", "running", "2 alarms delivered"
                )  # fmt: skip
                journal = s.recorder.journal.name
        return hook.told, journal

    told, journal = run(main())
    assert [code for code, _, _ in told] == [500, 429, 200, 503, 200]
    assert [record["value"] for _, record, _ in told] == [11, 11, 11, 12, 12]
    assert told[0][1] == {
        "id": f"{journal} pump 1", "stream": "pump", "t": 1.0, "time": "1970-01-01T00:00:01Z",
        "channel": "temp", "unit": "°C", "value": 11.0, "score": pytest.approx(1.1),
        "reason": "above 10",
    }  # fmt: skip
    for _, record, headers in told:
        assert headers["Idempotency-Key"] == record["id"].replace(" ", "%20")
        assert headers["Authorization"] == "Bearer rain"


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1:{port}/", {}),
        ("http://127.0.0.1:{port}/a secret path", {}),
        ("http://127.0.0.1:{port}/", {"Authorization": "Bearer secret\n"}),
    ],
)
def test_an_alarm_whose_webhook_speaks_no_http_waits_and_secrets_are_not_told(url, headers):
    async def main():
        async def speak(reader, writer):
            await reader.readuntil(b"{}")
            writer.write(b"220 mail.example ESMTP\r\n")
            writer.close()

        async with await asyncio.start_server(speak, "127.0.0.1", 0) as other:
            port = other.sockets[0].getsockname()[1]
            with pytest.raises(NotDelivered) as error:
                await Webhook(url.format(port=port), headers).send("1", "pump", b"{}")
        assert error.value.again and "secret" not in str(error.value)
        assert str(error.value).startswith("it cannot be asked, or answers no HTTP: ")

    asyncio.run(main())


@pytest.mark.parametrize(("code", "problem"), [(404, "404 Not Found"), (302, "302 Found")])
def test_an_alarm_that_is_not_wanted_is_dropped_and_counted_and_the_next_one_comes(code, problem):
    async def main():
        with Hook(code) as hook:
            to = Webhook(hook.url, {})
            async with started(None, lambda: Alarms("hook", "*", to)) as s:
                await say(s, 11)
                (sink,) = s.sinks.all
                await until(lambda: sink.dropped)
                assert sink.detail == f"it answers {problem}, 0 alarms delivered, 1 dropped"
                await say(s, 12, first=1)
                await until(lambda: sink.delivered)
                assert s.pipeline.samples == 2 and not s.pipeline.refused

    run(main())


def test_alarms_that_were_not_delivered_come_after_a_restart(tmp_path):
    """Those from before there was a sink do not."""

    async def main(hook, *values, first):
        def sink():
            return Alarms("hook", "*", Webhook(hook.url, {}))

        async with started(tmp_path, sink) as s:
            await s.ready()
            await say(s, *values, first=first)
            await until(lambda: s.sinks.all[0].delivered or s.sinks.all[0].failed > 3)

    async def without():
        async with started(tmp_path) as s:
            await say(s, 99, 1)

    run(without())
    with Hook() as hook:
        run(main(hook, 11, 1, first=2))
    gone = Hook()
    gone.server_close()
    run(main(gone, 12, 1, 13, first=4))
    with Hook() as other:
        run(main(other, 14, first=7))
    assert [record["value"] for _, record, _ in hook.told] == [11]
    assert [record["value"] for _, record, _ in other.told][:1] == [12]
    with Hook() as last:
        run(main(last, 15, first=8))
    later = [record for _, record, _ in other.told + last.told]
    assert list(dict.fromkeys(record["value"] for record in later)) == [12, 13, 14, 15]
    assert [record["id"].split()[1:] for record in later if record["value"] == 13][0] == [
        "pump", "6"
    ]  # fmt: skip


def test_an_alarm_is_told_only_after_its_commit(tmp_path):
    class Quick:
        def start(self): ...
        def stop(self): ...
        async def send(self, id, stream, body):
            heard.append(json.loads(body)["value"])

    heard = []

    async def main():
        async with started(tmp_path, lambda: Alarms("quick", "*", Quick())) as s:
            await s.ready()
            await s.pipeline.settled()
            write, held = s.recorder.journal.write, []
            s.pipeline._commits.write = lambda commit: held.append(commit) or write(commit)
            append = s.recorder.journal._append
            wait = threading.Event()
            s.recorder.journal._append = lambda *arguments: (wait.wait(10), append(*arguments))
            s.pipeline.take("pump", [11.0], 0)
            s.pipeline.flush()
            await until(lambda: held)
            assert heard == []
            wait.set()
            await until(lambda: heard)

    run(main())
    assert heard == [11]


def test_what_waits_for_a_sink_is_bounded_and_the_oldest_goes(monkeypatch):
    monkeypatch.setattr("streamrnn_server.sinks.QUEUED", 3)
    sink = Alarms("hook", "*", StandardOutput())
    for n in range(5):
        sink.put(n)
    assert [*sink.waiting] == [2, 3, 4] and sink.dropped == 2


def test_standard_output_has_a_line_for_each_alarm(tmp_path, capsys):
    (tmp_path / "c.toml").write_text(
        '[server]\nport = 0\n[[streams]]\nmatch = "*"\nstep = "a"\nchannels = ["temp"]\n'
        '[[sinks]]\nkind = "stdout"\nmatch = "pump"'
    )

    async def main():
        async with build(tmp_path / "c.toml", {"a": lambda channels: Alarming()}) as s:
            await say(s, 11, 1, 12)
            await until(lambda: s.sinks.all[0].delivered == 2)

    run(main())
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["value"] for line in lines] == [11, 12]


def test_where_alarms_go_to_standard_output_nothing_else_does(tmp_path):
    (tmp_path / "c.toml").write_text(
        '[server]\nport = 0\n[[streams]]\nmatch = "*"\nforecast = true\n[[sinks]]\nkind = "stdout"'
    )
    command = [sys.executable, "-c", "from streamrnn_server.cli import main; main()", "serve"]
    with subprocess.Popen(
        [*command, tmp_path / "c.toml"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "(Ctrl+C stops)" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert out == "" and "stopped after 0 samples" in err


def test_standard_output_that_is_closed_is_told(monkeypatch):
    class Closed:
        def write(self, text):
            raise BrokenPipeError("Broken pipe")

    monkeypatch.setattr("sys.stdout", Closed())
    with pytest.raises(NotDelivered, match="standard output: Broken pipe"):
        run(StandardOutput().send("id", "pump", b"{}"))


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_alarms_and_predictions_are_published_to_topics(tmp_path, version):
    async def main():
        with Mosquitto(tmp_path) as broker, Client(broker.port, topics=["out/#"]) as client:
            (tmp_path / "c.toml").write_text(f"""{CONFIG}
                [[sinks]]
                kind = "mqtt"
                url = "{broker.url}"
                version = "{version}"
                client_id = "alarms"
                topic = "out/{{stream}}/alarm"
                retain = true
                [[sinks]]
                kind = "mqtt"
                name = "predictions"
                url = "{broker.url}"
                version = "{version}"
                client_id = "predictions"
                what = "predictions"
                topic = "out/{{stream}}/prediction"
                qos = 0
                """)
            async with build(tmp_path / "c.toml", {"a": lambda channels: Alarming()}) as s:
                await s.ready()
                alarms, values = s.sinks.all
                await until(lambda: alarms.to._link.up and values.to._link.up)
                await say(s, 11, None)
                await until(lambda: alarms.delivered == 1 and values.delivered == 2)
                heard = client.hears(3)
                broker.kill()
                await until(lambda: not alarms.to._link.up)
                await say(s, 12, first=2)
                await until(lambda: alarms.failed and values.dropped == 1)
                assert "127.0.0.1" in alarms.detail and "is not there" in alarms.detail
                broker.start()
                await until(lambda: alarms.delivered == 2)
                await say(s, 13, stream="a+b")  # no topic may have such a name
                await until(lambda: alarms.dropped == 1 and values.dropped == 2)
                assert alarms.problem.startswith("no message can be published to out/a+b/alarm: ")
        return heard

    heard = run(main())
    found = {(topic, json.loads(body)["t"]): json.loads(body) for topic, body, _ in heard}
    assert found["out/pump/alarm", 0.0]["value"] == 11
    record = found["out/pump/prediction", 0.0]
    assert (record["stream"], record["x"]) == ("pump", {"temp": 11.0})
    assert record["y"] == {"score": pytest.approx(1.1), "alarm": 1.0, "reason": 1.0}
    assert found["out/pump/prediction", 1.0]["x"] == {"temp": None}


# paho leaves the socket of a failed handshake to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_alarms_wait_for_a_broker_with_a_certificate_that_is_trusted(tmp_path):
    sink = """
        [[sinks]]
        kind = "mqtt"
        url = "mqtts://localhost:{port}"
        client_id = "alarms"
        topic = "out/alarm"
        {trust}
        """

    def server(trust):
        text = CONFIG + "[journal]\n" + sink.format(port=broker.port, trust=trust)
        (tmp_path / "c.toml").write_text(text)
        return build(tmp_path / "c.toml", {"a": lambda channels: Alarming()})

    async def main():
        async with server("") as s:
            await s.ready()
            (alarms,) = s.sinks.all
            await say(s, 11, 1, 12)
            await until(lambda: alarms.failed and "certificate verify failed" in alarms.detail)
            assert alarms.delivered == 0
        async with server('ca = "cert.pem"') as s:
            await s.ready()
            (alarms,) = s.sinks.all
            await until(lambda: alarms.delivered == 2)

    trusted = {"ca_certs": tmp_path / "cert.pem"}
    with (
        Mosquitto(tmp_path, *tls(tmp_path)) as broker,
        Client(broker.port, topics=["out/alarm"], tls=trusted) as client,
    ):
        run(main())
        assert [json.loads(body)["value"] for _, body, _ in client.hears(2)] == [11, 12]
    gc.collect()  # here, not in another test
