"""A server that is subscribed to a real broker, whatever happens to either of them."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from streamrnn_server.app import Server
from streamrnn_server.build import build, planned

import streamrnn as srnn
from tests.faults.kills import samples
from tests.leaky import Leaky
from tests.mosquitto import WITHIN_S, Client, Mosquitto, tls
from tests.server.clients import request, run
from tests.web.tools import need

VERSIONS = ("3.1.1", "5")
STEPS = {"leaky": lambda channels: Leaky(len(channels))}


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr("streamrnn.streams.broker.RETRY_S", (0.05,))


def config(url, topics='[{ topic = "plant/+/temp", key = "{1}" }]', version="3.1.1", more=""):
    return f"""
        [server]
        port = 0
        [journal]
        [[streams]]
        match = "*"
        step = "leaky"
        [[sources]]
        kind = "mqtt"
        url = "{url}"
        client_id = "streamrnn-test"
        version = "{version}"
        topics = {topics}
        {more}
        """


def written(folder: Path, text: str) -> Path:
    (folder / "c.toml").write_text(text, encoding="utf-8")
    return folder / "c.toml"


def server(folder: Path, text: str) -> Server:
    return build(written(folder, text), STEPS)


async def connected(s: Server, yes: bool = True) -> None:
    await s.ready()
    (source,) = s.sources
    while (source.figures["connected"] == 1) != yes or (source.state == "running") != yes:
        await asyncio.sleep(0.01)


async def taken(s: Server, count: int) -> None:
    while s.pipeline.samples < count:
        await asyncio.sleep(0.01)


async def handled(s: Server, **figures: int) -> None:
    """Until it has so many messages, of each kind that is named."""
    while any(s.sources[0].figures[name] < count for name, count in figures.items()):
        await asyncio.sleep(0.01)


def recorded(folder: Path) -> dict[str, list[float]]:
    """The first channel of each stream in the journal."""
    found: dict[str, list[float]] = {}
    for key, _, x, _ in samples(folder / "journal"):
        found.setdefault(key, []).append(x[0])
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_messages_of_topics_that_match_are_samples(tmp_path, version):
    async def main():
        with Mosquitto(tmp_path) as broker, Client(broker.port) as client:
            async with server(tmp_path, config(broker.url, version=version)) as s:
                await connected(s)
                assert s.sources[0].state == "running"
                client.publish("plant/7/temp", "20.5", "21")
                client.publish("plant/8/temp", "3", qos=0)
                client.publish("plant/8/load", "4")
                await taken(s, 3)
                assert s.sources[0].figures == {
                    "connected": 1, "reconnects": 0, "messages": 3, "repeated": 0, "ignored": 0
                }  # fmt: skip
                (told,) = s.status().sources
                assert (told.name, told.state) == ("mqtt streamrnn-test", "running")
                assert told.detail == f"127.0.0.1:{broker.port}, connected, 3 messages"
                _, _, body = await request(s, "/metrics")
                for line in (
                    b'streamrnn_source_connected{source="mqtt streamrnn-test"} 1.0',
                    b'streamrnn_source_messages_total{source="mqtt streamrnn-test"} 3.0',
                ):
                    assert line in body.splitlines()
        assert recorded(tmp_path) == {"7": [20.5, 21.0], "8": [3.0]}

    run(main())


def test_the_broker_may_come_later_and_go(tmp_path):
    async def main():
        broker = Mosquitto(tmp_path)
        async with server(tmp_path, config(broker.url)) as s:
            await s.ready()
            while "next try" not in s.sources[0].detail:
                await asyncio.sleep(0.01)
            assert s.sources[0].state == "waiting"
            assert s.sources[0].detail.startswith(f"127.0.0.1:{broker.port}, [Errno")
            for n in range(3):
                with broker, Client(broker.port) as client:
                    await connected(s)
                    client.publish("plant/7/temp", str(n))
                    await taken(s, n + 1)
                await connected(s, False)
            assert s.sources[0].figures["reconnects"] == 2
        assert recorded(tmp_path) == {"7": [0.0, 1.0, 2.0]}

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff" * 100,
        b"\x20\x00" * 10,  # CONNACK of no length
        b"\x20\x02\x00\x00\x30\x03\x00\x05a",  # CONNACK, and a topic longer than its message
        b"\x20\x03\x00\x00\x00\x32\x03\x00\x01a",  # the same in version 5, QoS 1 without a number
    ],
)
# paho leaves the socket to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_is_no_broker_is_tried_again(tmp_path, words, version):
    async def main():
        calls = []

        async def answer(reader, writer):
            calls.append(await reader.read(100))
            writer.write(words)
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            url = f"mqtt://127.0.0.1:{port}"
            async with server(tmp_path, config(url, version=version)) as s:
                await s.ready()
                while len(calls) < 3:
                    await asyncio.sleep(0.01)
                assert s.sources[0].state == "waiting" or not s.sources[0].figures["connected"]

    run(main())
    gc.collect()  # here, not in another test


@pytest.mark.parametrize("version", VERSIONS)
def test_what_comes_while_the_server_is_stopped_waits_in_its_session(tmp_path, version):
    async def main():
        with Mosquitto(tmp_path) as broker, Client(broker.port) as client:
            text = config(broker.url, version=version)
            async with server(tmp_path, text) as s:
                await connected(s)
                client.publish("plant/7/temp", "1")
                await taken(s, 1)
            client.publish("plant/7/temp", "2", "3")
            async with server(tmp_path, text) as s:
                await taken(s, 2)
        assert recorded(tmp_path) == {"7": [1.0, 2.0, 3.0]}

    run(main())


def test_retained_messages_are_ignored_unless_asked_for(tmp_path):
    async def main(topics, count, **figures):
        async with server(tmp_path, config(broker.url, topics)) as s:
            await connected(s)
            await handled(s, **figures)
            client.publish("a/1", "3")
            await taken(s, count)
        return recorded(tmp_path)

    with Mosquitto(tmp_path) as broker, Client(broker.port) as client:
        client.publish("a/1", "1", retain=True)
        client.publish("b/1", "2", retain=True)
        assert run(main('[{ topic = "a/1" }]', 1, ignored=1)) == {"a/1": [3.0]}
        asked = '[{ topic = "b/1", retained = true }, { topic = "a/1" }]'
        assert run(main(asked, 2, messages=1, ignored=1)) == {"a/1": [3.0, 3.0], "b/1": [2.0]}
        # When it subscribes anew, the same comes again: it is known.
        again = run(main(asked, 1, repeated=1, ignored=1))
        assert again == {"a/1": [3.0, 3.0, 3.0], "b/1": [2.0]}


def test_topics_of_one_channel_each_are_joined_into_rows_also_across_a_restart(tmp_path):
    topics = (
        """[{ topic = "plant/+/+", key = "{1}", channel = "{2}", fields = ["v"], time = "t" }]"""
    )

    def said(client, *said):
        for channel, t, v in said:
            client.publish(f"plant/boiler/{channel}", json.dumps({"t": t, "v": v}))

    async def main():
        with Mosquitto(tmp_path) as broker, Client(broker.port) as client:
            more = 'channels = ["temp", "load"]\nevery = 60\nhow = "mean"'
            text = config(broker.url, topics).replace('step = "leaky"', f'step = "leaky"\n{more}')
            now = time.time() // 60 * 60
            async with server(tmp_path, text) as s:
                await connected(s)
                said(client, ("temp", now, 20), ("load", now + 1, 3), ("temp", now + 2, 22))
                said(client, ("temp", now + 60, 5), ("humidity", now + 60, 1))
                await taken(s, 1)
                while s.pipeline.refused != {"channels": 1}:
                    await asyncio.sleep(0.01)
            async with server(tmp_path, text) as s:
                await connected(s)
                said(client, ("load", now + 61, 4), ("temp", now + 62, 6), ("load", now + 120, 0))
                await taken(s, 1)
            return now

    now = run(main())
    rows = [(t, x) for _, t, x, _ in samples(tmp_path / "journal")]
    assert rows == [(now + 60, [21.0, 3.0]), (now + 120, [5.5, 4.0])]


def test_user_and_password(tmp_path, monkeypatch):
    passwords = tmp_path / "passwords"
    made = shutil.which("mosquitto_passwd")
    subprocess.run(
        [need(made, "mosquitto_passwd"), "-b", "-c", passwords, "me", "rain"], check=True
    )
    (tmp_path / "secret").write_text("rain\n")
    monkeypatch.setenv("WRONG", "sun")

    async def main():
        with Mosquitto(tmp_path, f"password_file {passwords}", anonymous=False) as broker:
            wrong = config(broker.url, more='user = "me"\npassword = "${WRONG}"')
            async with server(tmp_path, wrong) as s:
                await s.ready()
                while "next try" not in s.sources[0].detail:
                    await asyncio.sleep(0.01)
                assert "the broker says: Not authorized" in s.sources[0].detail
            right = config(broker.url, more='user = "me"\npassword = "${file:secret}"')
            async with server(tmp_path, right) as s:
                await connected(s)

    run(main())


# paho leaves the socket of a failed handshake to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_with_a_certificate_of_ones_own(tmp_path):
    async def main():
        with Mosquitto(tmp_path, *tls(tmp_path)) as broker:
            url = f"mqtts://localhost:{broker.port}"
            async with server(tmp_path, config(url)) as s:
                await s.ready()
                while "next try" not in s.sources[0].detail:
                    await asyncio.sleep(0.01)
                assert "certificate verify failed" in s.sources[0].detail
            async with server(tmp_path, config(url, more='ca = "cert.pem"')) as s:
                await connected(s)

    run(main())
    gc.collect()  # here, not in another test


def test_what_cannot_be_used_is_counted_by_kind_and_the_rest_goes_on(tmp_path):
    topics = """[
        { topic = "env/+", key = "{1}", fields = { temp = "t", load = "data.load" }, time = "at" },
        { topic = "short/#", key = "{2}" },
        { topic = "seq", id = "n", fields = ["value"] },
        { topic = "gone/#" },
    ]"""
    bad = [
        ("env/1", "{", "json", "expected a number or a JSON object, got b'{': Input data was trun"),
        ("env/1", b"\xff", "json", r"expected a number or a JSON object, got b'\xff': "),
        ("env/1", "20.5", "json", "expected an object with t, data.load, got 20.5"),
        ("env/1", '{"at": 1}', "fields", "expected one of t, data.load, got at"),
        ("env/1", '{"t": 1}', "time", "expected a field at, got {'t': 1}"),
        ("env/1", '{"t": 1, "at": 1e11}', "time", "expected a time at most one day after now, "),
        ("env/1", '{"t": "hot", "at": 1}', "value", "channel temp: expected a number or null "),
        ("env/1", '{"t": true, "at": 1}', "value", "channel temp: expected a number or null "),
        ("env/1", '{"t": 1e31, "at": 1}', "value", "channel temp: expected a number within ±1e30"),
        ("env/1", '{"t": NaN, "at": 1}', "json", "expected a number or a JSON object, got"),
        ("env/1", '{"t": Infinity, "at": 1}', "json", "expected a number or a JSON object, got"),
        ("env/1", "[" * 100_000, "json", "expected a number or a JSON object, got"),
        ("env/1", " " * 2000 + "1", "size", "expected at most 1024 bytes, got 2001"),
        ("short/1", "1", "topic", "expected a topic with a level 2 for {2}, counted from 0"),
        ("seq", '{"n": -1, "value": 1}', "id", "field n: expected a whole number of at least 0"),
        ("seq", '{"value": 1}', "id", "expected a field n, got {'value': 1}"),
    ]  # fmt: skip
    bad[11] = ("env/1", "[" * 1000, *bad[11][2:])

    async def main():
        with Mosquitto(tmp_path) as broker, Client(broker.port) as client:
            text = config(broker.url, topics) + "[limits]\nmessage_kb = 1\n"
            async with server(tmp_path, text) as s:
                await connected(s)
                told = []
                s.sources[0].on_refused(told.append)
                for n, (topic, payload, _, _) in enumerate(bad):
                    client.publish(topic, payload)
                    client.publish("env/1", json.dumps({"t": n, "at": n, "x": "y"}))
                client.publish("seq", *(json.dumps({"n": n, "value": n}) for n in (5, 6, 6, 5, 7)))
                await taken(s, len(bad) + 3)
                for (topic, _, kind, error), refused in zip(bad, told, strict=True):
                    assert refused.kind == kind
                    assert str(refused).startswith(f"mqtt {topic}: {error}")
                assert s.sources[0].figures["repeated"] == 2
                assert s.pipeline.refused == s.sources[0].refused
                client.publish("gone/1/" + "x" * 200, "1")  # no name for a stream
                while not s.pipeline.refused["stream"]:
                    await asyncio.sleep(0.01)
            # An earlier pattern stays in the session.
            async with server(tmp_path, config(broker.url, '[{ topic = "env/+" }]')) as s:
                await connected(s)
                client.publish("gone/1", "1")
                while not s.sources[0].refused["topic"]:
                    await asyncio.sleep(0.01)
                assert s.pipeline.last_refused.error == (
                    "mqtt gone/1: no pattern of streamrnn-test is for it; an earlier one may be"
                )
        assert recorded(tmp_path) == {"1": [float(n) for n in range(len(bad))], "seq": [5, 6, 7]}

    run(main())


def test_what_could_not_be_made_durable_comes_again(tmp_path, monkeypatch):
    monkeypatch.setattr("streamrnn_server.app.SURVEY_S", 0.01)

    async def main():
        with Mosquitto(tmp_path) as broker, Client(broker.port) as client:
            async with server(tmp_path, config(broker.url)) as s:
                await connected(s)
                assert s.recorder is not None
                write = s.recorder.journal._append

                def full(*arguments):
                    monkeypatch.undo()
                    raise OSError("no space left")

                monkeypatch.setattr(s.recorder.journal, "_append", full)
                client.publish("plant/7/temp", *map(str, range(50)))
                while not s.pipeline.halts:
                    await asyncio.sleep(0.01)
                assert s.recorder.journal._append == write
                s.pipeline.resume()
                await taken(s, 50)
        assert recorded(tmp_path) == {"7": [float(n) for n in range(50)]}

    run(main())


def test_a_message_is_acknowledged_only_after_its_commit(tmp_path):
    async def main():
        with Mosquitto(tmp_path, "log_type all") as broker, Client(broker.port) as client:
            async with server(tmp_path, config(broker.url)) as s:
                await connected(s)
                await s.pipeline.settled()
                assert s.recorder is not None
                append, begun, go_on = (
                    s.recorder.journal._append,
                    asyncio.Event(),
                    threading.Event(),
                )
                loop = asyncio.get_running_loop()

                def held(*arguments):
                    loop.call_soon_threadsafe(begun.set)
                    assert go_on.wait(WITHIN_S)
                    append(*arguments)

                s.recorder.journal._append = held
                client.publish("plant/7/temp", "1")
                await begun.wait()
                client.publish("plant/7/load", "1")  # the broker goes on meanwhile
                assert not broker.has_said("Received PUBACK from streamrnn-test")
                go_on.set()
                await asyncio.to_thread(broker.wait_for, "Received PUBACK from streamrnn-test")

    run(main())


def test_the_example_of_the_page_is_a_configuration(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text(encoding="utf-8")
    example, joined = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    example = example.replace("/run/secrets/mqtt", "secret")
    (tmp_path / "secret").write_text("rain\n")
    plan = planned(written(tmp_path, example))
    assert plan.read.sources[0].password == "rain"
    streams, topics = joined.split("[[sources.topics]]")
    begin, end = example.split("[[streams]]")
    text = f"{begin}{streams}[[streams]]{end}[[sources.topics]]{topics}"
    rule = planned(written(tmp_path, text)).rules[0]
    assert (rule.match, rule.every, rule.how) == ("boiler*", 60, "mean")


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_lost_and_nothing_twice_though_both_are_killed(tmp_path, version):
    srnn.save(srnn.GRU(1, 4, 1), tmp_path / "net.safetensors")
    messages = [str(n) for n in range(400)]
    with Mosquitto(tmp_path) as broker, Client(broker.port) as client:
        topics = '[{ topic = "plant/+", key = "{1}" }]'
        text = config(broker.url, topics, version)
        text = text.replace('step = "leaky"', 'model = "net.safetensors"\nchannels = ["value"]')
        (tmp_path / "c.toml").write_text(text)
        command = [sys.executable, "-m", "tests.server.serving", tmp_path / "c.toml", "400"]

        def serving():
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            assert process.stdout.readline() == "connected\n"
            return process

        process = serving()
        for part in range(4):
            client.publish("plant/7", *messages[part * 100 : part * 100 + 50])
            if part % 2:
                client.let_it_save()
                broker.kill()
                broker.start()
            else:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                assert process.stdout is not None
                process.stdout.close()
            client.publish("plant/7", *messages[part * 100 + 50 : part * 100 + 100])
            if not part % 2:
                process = serving()
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        assert process.wait() == 0
    assert recorded(tmp_path) == {"7": [float(n) for n in range(400)]}
