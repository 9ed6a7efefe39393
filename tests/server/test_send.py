"""`streamrnn send`: what its client does on real sockets, and what the commands tell a person."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest
from streamrnn_server import cli, cli_run, send
from streamrnn_server.send import Lines, Sender, SendError
from typer.testing import CliRunner
from websockets.asyncio import server as websockets

from tests.server.clients import address, run, server

COMMAND = [sys.executable, "-c", "from streamrnn_server.cli import main; main()"]
SERVED = '[server]\nport = 0\n[[streams]]\nmatch = "*"\nforecast = true\n'
posix = pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM there ends without a word")


def queue_of(*messages: Lines) -> asyncio.Queue[Lines | None]:
    queue: asyncio.Queue[Lines | None] = asyncio.Queue()
    for message in (*messages, None):
        queue.put_nowait(message)
    return queue


# --- the client -----------------------------------------------------------------------------------


def test_lines_are_sent_and_counted():
    async def main():
        async with server() as s:
            sender = Sender(s.url, stream="Köln/7")
            good = Lines(1, ["20.5", "", "21"])
            bad = Lines(4, ['{"temp": 3}', "{", '{"stream": "b", "x": [1]}'])
            await sender.send(queue_of(good, bad))
            assert sender.taken == 3
            assert sender.refused == {"json": 1, "channels": 1}
            assert sender.examples == [
                "line 4: Köln/7: unknown channel 'temp'; expected 1 channel (value)",
                "line 5: expected one JSON object a line: Input data was truncated",
            ]
            assert s.pipeline.group_of("Köln/7") is not None

    run(main())


def test_refused_lines_beyond_those_told_are_counted():
    async def main():
        async with server() as s:
            sender = Sender(s.url)
            await sender.send(queue_of(Lines(1, ["{"] * 250)))
            assert sender.refused == {"json": 100, "others": 150}
            assert len(sender.examples) == send.EXAMPLES

    run(main())


def test_what_was_not_acknowledged_is_sent_again(monkeypatch):
    monkeypatch.setattr(send, "RETRY_S", (0.01,))
    told = []

    async def main():
        queue = asyncio.Queue()
        async with server() as first:
            host, port = address(first)
            sender = Sender(first.url, stream="a", notice=told.append)
            sending = asyncio.create_task(sender.send(queue))
            queue.put_nowait(Lines(1, ["1", "2"]))
            while sender.taken < 2:
                await asyncio.sleep(0)
        queue.put_nowait(Lines(3, ["3"]))  # nobody is there
        while len(told) < 3:
            await asyncio.sleep(0)
        second = server(port=port)
        seen = []
        second.pipeline.sink(lambda result: seen.extend(result.batch.x[:, 0].tolist()))
        async with second:
            queue.put_nowait(Lines(4, ["4"]))
            queue.put_nowait(None)
            await sending
        assert seen == [3.0, 4.0]
        assert sender.taken == 4
        assert told[0] == "the server stops; next try in 0.01 s"
        assert told[-1] == f"connected to ws://{host}:{port}/ingest?stream=a again"

    run(main())


@pytest.mark.parametrize(
    ("settings", "options", "error"),
    [
        (
            {"token": "0123456789abcdef"},
            {},
            "this server asks for a token; give it with --token or in STREAMRNN_TOKEN",
        ),
        (
            {"token": "0123456789abcdef"},
            {"token": "wrong"},
            "the token is wrong; give it with --token or in STREAMRNN_TOKEN",
        ),
        (
            {"message_bytes": 3},
            {},
            "the server takes no message as long as this (frame with 5 bytes exceeds limit of "
            "3 bytes); raise message_kb under [limits] in its configuration",
        ),
    ],
)
def test_what_will_not_get_better_ends_sending(settings, options, error):
    async def main():
        async with server(**settings) as s:
            with pytest.raises(SendError) as caught:
                await Sender(s.url, **options).send(queue_of(Lines(1, ["20.50"])))
            assert str(caught.value) == error

    run(main())


def test_with_the_token_lines_are_taken():
    async def main():
        async with server(token="0123456789abcdef") as s:
            sender = Sender(s.url, stream="a", token="0123456789abcdef")
            await sender.send(queue_of(Lines(1, ["1"])))
            assert sender.taken == 1

    run(main())


def test_a_server_that_takes_nothing_is_tried_less_and_less_often(monkeypatch):
    monkeypatch.setattr(send, "RETRY_S", (0.01, 0.02, 0.03))
    told = []

    async def main():
        async def hang_up(connection):
            await connection.recv()

        async with websockets.serve(hang_up, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            sender = Sender(f"127.0.0.1:{port}", stream="a", notice=told.append)
            sending = asyncio.create_task(sender.send(queue_of(Lines(1, ["1"]))))
            while len(told) < 8:
                await asyncio.sleep(0)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        waits = [text.rpartition(" in ")[2] for text in told if "next try" in text]
        assert waits[:4] == ["0.01 s", "0.02 s", "0.03 s", "0.03 s"]

    run(main())


def test_a_server_that_is_not_there_is_said_at_once():
    async def main():
        async with server() as s:
            url = s.url
        with pytest.raises(SendError) as caught:
            await Sender(url).send(queue_of())
        text = str(caught.value)
        assert text.startswith(f"nothing answers at {url.replace('http', 'ws')}/ingest (")
        assert text.endswith(
            "); is the server running? `streamrnn demo` starts one, --url names another"
        )

    run(main())


@pytest.mark.parametrize(
    ("given", "stream", "used"),
    [
        ("http://127.0.0.1:8765", None, "ws://127.0.0.1:8765/ingest"),
        ("https://dash.example.org/#token=x", None, "wss://dash.example.org/ingest"),
        ("localhost:8765", "a b/ü?", "ws://localhost:8765/ingest?stream=a%20b%2F%C3%BC%3F"),
        ("ws://[::1]:8765/ingest", "a", "ws://[::1]:8765/ingest?stream=a"),
    ],
)
def test_addresses(given, stream, used):
    async def main():
        assert Sender(given, stream=stream).url == used

    run(main())


@pytest.mark.parametrize("url", ["ftp://x", "http://", "x:y", "x:99999", "[::1"])
def test_an_address_that_is_none(url):
    async def main():
        with pytest.raises(SendError, match="expected an address like http://127.0.0.1:8765: "):
            await Sender(url).send(queue_of())

    run(main())


def test_csv_becomes_json_line_by_line():
    sender = Sender.__new__(Sender)
    sender.refused, sender.examples = send.Counter(), []
    convert = send.csv_to_json(sender)
    assert convert(Lines(1, ["time,temp,load", "10,20.5,", "11,hot,3"])).texts == [
        "",
        '{"t": 10.0, "temp": 20.5, "load": null}',
        "",
    ]
    assert convert(Lines(4, ["", "12,1,2"])).texts == ["", '{"t": 12.0, "temp": 1.0, "load": 2.0}']
    assert sender.refused == {"value": 1}
    assert sender.examples == [
        "line 3: channel temp: expected a number or nothing where missing, got 'hot'"
    ]


def test_csv_of_numbers_alone_goes_without_names():
    sender = Sender.__new__(Sender)
    convert = send.csv_to_json(sender)
    texts = convert(Lines(1, ["20.5,3", "21,"])).texts
    assert texts == ['{"x": [20.5, 3.0]}', '{"x": [21.0, null]}']


def test_csv_without_a_sound_header_is_refused_as_a_whole():
    sender = Sender.__new__(Sender)
    sender.refused, sender.examples = send.Counter(), []
    convert = send.csv_to_json(sender)
    assert convert(Lines(1, ["a,a", "1,2", "3,4"])).texts == ["", "", ""]
    assert sender.refused == {"file": 1}


def test_lines_come_as_they_are_written():
    async def main():
        reading, writing = os.pipe()
        queue = send.read(reading, lambda lines: lines)
        os.write(writing, b"1\n2\nha")
        assert await queue.get() == Lines(1, ["1", "2"])
        os.write(writing, b"lf\n")
        assert await queue.get() == Lines(3, ["half"])
        os.write(writing, b"end")
        os.close(writing)
        assert await queue.get() == Lines(4, ["end"])
        assert await queue.get() is None
        os.close(reading)

    run(main())


def test_a_line_without_end_is_left_out_and_the_rest_sent(monkeypatch):
    monkeypatch.setattr(send, "LINE_BYTES", 1 << 16)

    async def main():
        reading, writing = os.pipe()
        refused = []
        queue = send.read(reading, lambda lines: lines, lambda *what: refused.append(what))

        def write():
            with open(writing, "wb") as file:
                file.write(b"1\n" + b"2" * 200_000 + b"\n3\n" + b"4" * 70_000)

        await asyncio.to_thread(write)
        found = {}
        while (lines := await queue.get()) is not None:
            found |= {n: text for n, text in enumerate(lines.texts, lines.first) if text}
        assert found == {1: "1", 3: "3"}
        assert refused == [
            ("line", "line 2: expected at most 65536 bytes; this line is left out"),
            ("line", "line 4: expected at most 65536 bytes; this line is left out"),
        ]
        os.close(reading)

    run(main())


# --- the commands ---------------------------------------------------------------------------------


def command(*arguments, **options):
    return CliRunner().invoke(cli.app, arguments, **options)


def test_version():
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert command("--version").output == f"streamrnn {project['version']}\n"


def test_without_a_command_there_is_help():
    assert "demo" in command().output


def test_demo_beyond_loopback_demands_a_token():
    shown = command("demo", "--host", "0.0.0.0", "--token", "short")
    assert shown.exit_code == 1
    assert shown.stderr.startswith(
        "host 0.0.0.0 can be reached from other machines, so a token of at least 16 characters is "
        "needed, got 5 characters; for example --token "
    )


def test_serve_says_what_is_wrong_in_the_file(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[server]\nprot = 1\n")
    shown = command("serve", str(path))
    assert (shown.exit_code, shown.stderr.splitlines()) == (
        1,
        [
            f"{path}: server.prot: unknown key; did you mean port? allowed are "
            "host, port, token, hosts, origins, name",
            f"{path}: streams: missing; expected a list, each a table",
        ],
    )


def test_a_port_in_use_is_said_with_what_to_do():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        shown = command("demo", "--no-open", "--port", str(port))
    assert (shown.exit_code, shown.stderr) == (
        1,
        f"port {port} is in use, perhaps by another streamrnn: stop that one or choose another "
        "port, with --port or as port under [server]; 0 takes any free one\n",
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.EACCES, "no"), "this user may not use port 80; choose one above 1023"),
        (
            OSError(errno.EADDRNOTAVAIL, "no"),
            "this machine has no address 10.9.9.9; 127.0.0.1 is loopback, 0.0.0.0 stands for all",
        ),
        (
            socket.gaierror(8, "no"),
            "this machine has no address 10.9.9.9; 127.0.0.1 is loopback, 0.0.0.0 stands for all",
        ),
        (ValueError("2 inputs, but 3 channels"), "cannot start: 2 inputs, but 3 channels"),
    ],
)
def test_why_a_server_does_not_start(error, text):
    assert cli_run.start_problem("10.9.9.9", 80, error) == text


def start(*arguments):
    """A server in a process of its own, and its address."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().split()[0].rstrip("/")


def stop(process):
    """Seconds from SIGTERM to the end, and everything the process said."""
    begun = time.monotonic()
    process.terminate()
    said = process.communicate(timeout=20)
    return time.monotonic() - begun, said


@posix
def test_send_reaches_a_server_through_a_pipe(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(SERVED)
    process, url = start("serve", str(path))
    csv = (
        "stream,t,temp\n"
        + "".join(f"boiler/{i % 3},{i},20\n" for i in range(300))
        + "boiler/1,x,1\n"
    )
    sent = subprocess.run(
        [*COMMAND, "send", "--url", url, "--csv"], input=csv, capture_output=True, text=True
    )
    seconds, (out, err) = stop(process)
    first, refused, example = sent.stderr.splitlines()
    assert first.startswith("300 lines taken in ")
    assert refused == "1 refused: time 1"
    assert example == ("  line 302: expected seconds since 1970 or an ISO 8601 time, got 'x'")
    assert (sent.returncode, sent.stdout) == (1, "")
    assert out.splitlines()[-1] == "stopped after 300 samples"
    assert (process.returncode, err) == (0, "")


@posix
def test_it_ends_within_two_seconds_with_stalled_viewers(tmp_path):
    """Best of three: how long the last breath of a process takes also depends on the machine."""
    path = tmp_path / "c.toml"
    path.write_text(SERVED + '[[sources]]\nkind = "host"\n')
    took = []
    while not took or (len(took) < 3 and min(took) >= 2):
        process, url = start("serve", str(path))
        host, port = url.removeprefix("http://").split(":")
        held = []
        for _ in range(3):
            sock = socket.create_connection((host, int(port)))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(
                f"GET /live HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
            )
            assert sock.recv(12) == b"HTTP/1.1 101"
            held.append(sock)
        held.append(socket.create_connection((host, int(port))))  # says nothing at all
        seconds, (_, err) = stop(process)
        took.append(seconds)
        for sock in held:
            sock.close()
        assert (process.returncode, err) == (0, "")
    assert min(took) < 2


@posix
def test_interrupting_the_sender_ends_it_with_its_summary():
    import signal

    async def main():
        async with server() as s:
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                "send",
                "--url",
                s.url,
                "--stream",
                "a",
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            process.stdin.write(b"1\n2\n")
            while s.pipeline.samples < 2:
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGINT)
            err = await process.stderr.read()
            assert await process.wait() == 1
            first, last = err.decode().splitlines()
            assert first.startswith("2 lines taken in ") and last == "interrupted"

    run(main())


def test_threads_of_a_closed_loop_end_quietly():
    reading, writing = os.pipe()

    async def main():
        send.read(reading, lambda lines: lines)

    asyncio.run(main())
    os.write(writing, b"1\n")
    os.close(writing)
    for thread in threading.enumerate():
        if thread.name == "stdin":
            thread.join(10)
            assert not thread.is_alive()
    os.close(reading)
