"""Lines that are kept until they are acknowledged: each is taken once, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest
from streamrnn_server import send, spool
from streamrnn_server.send import Lines, Sender
from streamrnn_server.spool import Spool, SpoolError
from websockets.asyncio import server as websockets
from websockets.asyncio.client import connect

from tests.server.clients import run
from tests.server.test_restart import started
from tests.server.test_send import queue_of


def numbers(first, count):
    """A message of lines with values first, first + 1, ..."""
    return Lines(1, [f'{{"stream": "a", "value": {n}}}' for n in range(first, first + count)])


def values(s):
    """What a server predicts from now on."""
    seen = []
    s.pipeline.sink(lambda result: seen.extend(result.batch.x[:, 0].tolist()))
    return seen


async def fails(url, queue, kept):
    """Send to a server that dies: until it does."""
    sending = asyncio.create_task(Sender(url, spool=kept).send(queue))
    await asyncio.wait({sending}, timeout=1)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


def test_lines_have_numbers_for_good(tmp_path):
    kept = Spool(tmp_path)
    name = kept.name
    assert (kept.add(["a", "b"]), kept.add(["c"]), kept.next) == (1, 3, 4)
    kept.forget(1)
    kept.close()
    kept = Spool(tmp_path)
    assert (kept.name, kept.next, list(kept.kept())) == (name, 4, [(2, ["b", "c"])])
    kept.forget(3)
    kept.close()
    kept = Spool(tmp_path)
    assert (kept.next, list(kept.kept())) == (4, [])
    kept.close()


def test_what_was_kept_comes_in_messages(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "MESSAGE", 2)
    kept = Spool(tmp_path)
    kept.add(["a", "b", "c"])
    assert list(kept.kept()) == [(1, ["a", "b"]), (3, ["c"])]
    kept.close()


def test_messages_of_long_lines_are_short_enough_for_a_server(tmp_path):
    kept, lines = Spool(tmp_path), [str(n % 10) * 3000 for n in range(600)] + ["é" * 200_000]
    kept.add(lines)
    messages = list(kept.kept())
    assert [line for _, part in messages for line in part] == lines
    for first, part in messages:
        assert part == lines[first - 1 : first - 1 + len(part)]
        whole = len("\n".join(part).encode())
        assert whole < spool.MESSAGE_BYTES + len(part[-1].encode()) + len(part)
    kept.close()


def test_a_folder_serves_one_sender_at_a_time(tmp_path):
    kept = Spool(tmp_path)
    with pytest.raises(SpoolError, match="lines cannot be kept in .*; another sender may use it$"):
        Spool(tmp_path)
    kept.close()


def test_a_line_whose_acknowledgement_was_lost_is_taken_once(tmp_path):
    """Between server and sender is one who passes everything on but the answers."""

    async def main():
        async with started(tmp_path / "journal") as s:
            seen = values(s)

            async def deaf(connection):
                path = connection.request.path
                target = s.url.replace("http", "ws") + path
                async with connect(target) as onward:
                    await onward.recv()
                    async for message in connection:
                        await onward.send(message)
                        await onward.recv()
                        await connection.close()

            async with websockets.serve(deaf, "127.0.0.1", 0) as between:
                port = between.sockets[0].getsockname()[1]
                kept = Spool(tmp_path / "spool")
                await fails(f"http://127.0.0.1:{port}", queue_of(numbers(0, 5)), kept)
                assert [len(lines) for _, lines in kept.kept()] == [5]
                kept.close()
            assert seen == [0, 1, 2, 3, 4]
            kept = Spool(tmp_path / "spool")  # the sender was started again
            sender = Sender(s.url, spool=kept)
            await sender.send(queue_of(numbers(5, 3)))
            assert (sender.taken, list(kept.kept())) == (8, [])
            kept.close()
            assert seen == [0, 1, 2, 3, 4, 5, 6, 7]

    run(main())


def test_lines_of_a_time_without_a_server_are_sent_when_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(send, "RETRY_S", (0.02,))

    async def main():
        queue = asyncio.Queue()
        queue.put_nowait(numbers(0, 5))
        async with started(tmp_path / "journal") as s:
            url, port = s.url, int(s.url.rpartition(":")[2])
            await s.ready()
        kept = Spool(tmp_path / "spool")
        sender = Sender(url, spool=kept)
        sending = asyncio.create_task(sender.send(queue))
        while kept.next == 1:
            await asyncio.sleep(0.01)
        queue.put_nowait(numbers(5, 5))
        while kept.next == 6:
            await asyncio.sleep(0.01)
        again = started(tmp_path / "journal")
        again.settings = type(again.settings)(port=port)
        async with again:
            seen = values(again)
            queue.put_nowait(None)
            await sending
            assert sender.taken == 10 and seen == [*range(10)]
        kept.close()

    run(main())


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("20.5", '{"value": 20.5, "t": 7.0}'),
        ("null", '{"value": null, "t": 7.0}'),
        ('{"stream": "é", "x": [1, null]}', '{"stream": "é", "x": [1, null], "t": 7.0}'),
        ('{"temp": 1, "t": "2026-01-01"}', None),
        ('{"temp": 1, "t": null}', None),
        ('{"stream": "a", "label": 2}', None),
        ('{"x": [[1], [2]]}', None),
        ('[{"value": 1}]', None),
        ('"20.5"', None),
        ("{", None),
        ("[" * 100_000, None),
        ("", None),
    ],
)
def test_a_line_that_may_wait_has_the_time_at_which_it_came(tmp_path, monkeypatch, line, kept):
    monkeypatch.setattr(send.time, "time", lambda: 7.0004)

    async def main():
        lines = Spool(tmp_path)
        sender = Sender("http://127.0.0.1:9", spool=lines)
        sender._keep(Lines(1, [line]))
        assert list(lines.kept()) == [(1, [line if kept is None else kept])]
        assert sender._unacknowledged[0].texts == [line if kept is None else kept]
        lines.close()

    run(main())


def test_the_command_keeps_lines_of_a_call_that_was_stopped(tmp_path):
    """Nothing listens at port 9: the first call is ended while it tries again and again."""
    command = [sys.executable, "-c", "from streamrnn_server.cli import main; main()", "send"]
    options = ["--keep", str(tmp_path / "spool"), "--url", "http://127.0.0.1:9", "--stream", "a"]
    with subprocess.Popen(
        [*command, *options], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stderr
        process.stdin.write("1.5\n2.5\n")
        process.stdin.close()
        told = ""
        while "next try" not in told:
            told += process.stderr.readline()
        while "next try" not in process.stderr.readline():
            pass  # by now it has read and kept its input
        process.kill()
    kept = Spool(tmp_path / "spool")
    ((first, lines),) = kept.kept()
    assert (first, [json.loads(line)["value"] for line in lines]) == (1, [1.5, 2.5])
    assert all(json.loads(line)["t"] > 1.7e9 for line in lines)
    kept.close()
