"""/ingest: what senders send, what is refused and why; the server goes on."""

from __future__ import annotations

import asyncio
import json
import math
from concurrent.futures import Future

import pytest
from streamrnn_server import binary
from streamrnn_server import protocol as p
from streamrnn_server.app import Server, Settings
from streamrnn_server.ingest import Ingest
from streamrnn_server.journal import Journal

from streamrnn.streams import Pipeline
from tests.server.clients import is_a, leaky, run, send, sender, server, tell, until, viewer


def published(s):
    """(key, t, x) of everything predicted from now on."""
    seen = []

    def note(result):
        b = result.batch
        seen.extend(zip(b.keys, b.t.tolist(), b.x.tolist(), strict=True))

    s.pipeline.sink(note)
    return seen


@pytest.mark.parametrize(
    ("line", "key", "t", "x"),
    [
        ('{"stream": "a", "t": 5, "x": [1, 2.5]}', "a", 5.0, [1.0, 2.5]),
        ('{"stream": "a", "t": "1970-01-01T00:00:05Z", "x": [1, 2]}', "a", 5.0, [1.0, 2.0]),
        ('{"stream": "a", "t": 5, "load": 2, "temp": 1}', "a", 5.0, [1.0, 2.0]),
        ('{"stream": "a", "t": 5, "x": [null, 2]}', "a", 5.0, [None, 2.0]),
        ('{"stream": "one", "t": 5, "value": 7}', "one", 5.0, [7.0]),
        ('{"stream": "one", "t": 5, "value": null}', "one", 5.0, [None]),
        ('{"stream": "one", "t": 5, "level": 7}', "one", 5.0, [7.0]),
        ('{"stream": "one", "t": 5, "x": [7]}', "one", 5.0, [7.0]),
        ('{"t": 5, "value": 7}', "kitchen", 5.0, [7.0]),
        ("7", "kitchen", None, [7.0]),
        ("-7.5e1", "kitchen", None, [-75.0]),
        ("null", "kitchen", None, [None]),
        ('  {"stream": "one", "t": 5, "value": 7}\r', "one", 5.0, [7.0]),
        ('{"stream": "Köln/7 ✓", "t": 5, "value": 7}', "Köln/7 ✓", 5.0, [7.0]),
    ],
)
def test_lines_that_are_taken(line, key, t, x):
    async def main():
        two = leaky("a", channels=("temp", "load"))
        one = leaky("one", channels=("level",))
        async with server(two, one, leaky()) as s:
            seen = published(s)
            async with sender(s, "/ingest?stream=kitchen") as tx:
                assert await send(tx, line) == {
                    "type": "ack",
                    "message": 1,
                    "taken": 1,
                    "refused": [],
                }
            s.pipeline.flush()
            ((got_key, got_t, got_x),) = seen
            assert got_key == key
            assert t is None or got_t == t
            assert [None if math.isnan(v) else v for v in got_x] == x

    run(main())


@pytest.mark.parametrize("line", ["%s", '{"stream": %s, "x": [1]}', '{"stream": "a", "x": [%s]}'])
def test_what_is_nested_so_deeply_that_no_error_can_show_it_is_refused(line):
    """Python's limit is 1000, of which an unknown part is used up here: all depths near it come."""

    async def main():
        pipeline = Pipeline([leaky()])
        ingest = Ingest(pipeline, "kitchen")
        depths = range(880, 1000)
        for depth in depths:
            message = line % ("[" * depth + "1" + "]" * depth)
            taken, settled = await ingest.take(f"{message}\n7")
            assert taken.taken == 1 and [refused.line for refused in taken.refused] == [1]
            await settled
        assert pipeline.refused.total() == len(depths) and "internal" not in pipeline.refused

    run(main())


@pytest.mark.parametrize(
    ("line", "kind", "error"),
    [
        (
            "{",
            "json",
            "/ingest line 2: expected one JSON object a line: Input data was truncated",
        ),
        (
            "[1, 2]",
            "json",
            "/ingest line 2: expected a JSON object or a number, got [1,2]",
        ),
        ('"hot"', "json", '/ingest line 2: expected a JSON object or a number, got "hot"'),
        ("true", "json", "/ingest line 2: expected a JSON object or a number, got true"),
        (
            "NaN",
            "json",
            "/ingest line 2: expected one JSON object a line: "
            "JSON is malformed: invalid character (byte 0)",
        ),
        (
            "[" * 100_000,
            "json",
            "/ingest line 2: expected one JSON object a line: "
            "maximum recursion depth exceeded while deserializing an object",
        ),
        (
            "1e400",
            "json",
            "/ingest line 2: expected one JSON object a line: Number out of range",
        ),
        (
            '{"x": [1, 2]}',
            "stream",
            '/ingest line 2: expected the stream as "stream" in the line, or for all lines as '
            "/ingest?stream=NAME",
        ),
        (
            "20.5",
            "stream",
            '/ingest line 2: expected the stream as "stream" in the line, or for all lines as '
            "/ingest?stream=NAME",
        ),
        (
            '{"stream": 7, "x": [1, 2]}',
            "stream",
            "7: expected a stream's name of 1 to 200 printable characters",
        ),
        (
            '{"stream": "", "x": [1, 2]}',
            "stream",
            "'': expected a stream's name of 1 to 200 printable characters",
        ),
        (
            '{"stream": "else", "x": [1, 2]}',
            "stream",
            "else: no rule is for this stream; the patterns are a",
        ),
        ('{"stream": "a", "x": [1]}', "channels", "a: expected 2 channels (temp, load), got 1"),
        ('{"stream": "a", "value": 1}', "channels", "a: expected 2 channels (temp, load), got 1"),
        (
            '{"stream": "a", "temp": 1}',
            "channels",
            "a: no value for channel load; send null where it is missing",
        ),
        (
            '{"stream": "a", "temp": 1, "load": 2, "wind": 3}',
            "channels",
            "a: unknown channel 'wind'; expected 2 channels (temp, load)",
        ),
        (
            '{"stream": "a", "x": [1, 2], "temp": 3}',
            "channels",
            "a: unknown channel 'x'; expected 2 channels (temp, load)",
        ),
        (
            '{"stream": "a", "x": [1, "hot"]}',
            "value",
            "a: channel load: expected a number or null where missing, got 'hot'",
        ),
        (
            '{"stream": "a", "x": [1, true]}',
            "value",
            "a: channel load: expected a number or null where missing, got True",
        ),
        (
            '{"stream": "a", "x": [1, 1e31]}',
            "value",
            "a: channel load: expected a number within ±1e30, got 1e+31",
        ),
        (
            '{"stream": "a", "t": "noon", "x": [1, 2]}',
            "time",
            "a: expected seconds since 1970 or an ISO 8601 time, got 'noon'",
        ),
        (
            '{"stream": "a", "t": {}, "x": [1, 2]}',
            "time",
            "a: expected seconds since 1970 or an ISO 8601 time, got {}",
        ),
        (
            '{"stream": "a", "t": [1], "x": [1, 2]}',
            "batch",
            "/ingest line 2: expected t and x of many samples: "
            "Expected `array`, got `int` - at `$.x[0]`",
        ),
        (
            '{"stream": "a", "t": [1, 2], "x": [[1, 2]]}',
            "batch",
            "/ingest line 2: expected 1 of t, one for each row of x, got 2",
        ),
        (
            '{"stream": ["a", "b"], "x": [[1, 2]]}',
            "batch",
            "/ingest line 2: expected 1 of stream, one for each row of x, got 2",
        ),
        (
            '{"stream": "a", "x": [[1, 2]], "channels": ["temp", "load", "wind"]}',
            "batch",
            "/ingest line 2: expected 3 values in each row of x, one a channel, got 2",
        ),
        (
            '{"stream": "a", "x": [[1, true]]}',
            "batch",
            "/ingest line 2: expected t and x of many samples: "
            "Expected `float | null`, got `bool` - at `$.x[0][1]`",
        ),
        (
            '{"stream": "a", "x": [[1, 2]], "y": 3}',
            "batch",
            "/ingest line 2: expected t and x of many samples: Object contains unknown field `y`",
        ),
        (
            '{"x": [[1, 2]]}',
            "stream",
            '/ingest line 2: expected the stream as "stream" in the line, or for all lines as '
            "/ingest?stream=NAME",
        ),
        (
            '{"stream": "a", "t": 1700000000000, "x": [1, 2]}',
            "time",
            "a: expected a time at most one day after now, got 1700000000000; "
            "milliseconds? send seconds",
        ),
    ],
)
def test_lines_that_are_refused(line, kind, error):
    """Only the bad line is; its error is in the acknowledgement and in the status."""
    good = '{"stream": "a", "t": 5, "x": [1, 2]}'

    async def main():
        async with (
            server(leaky("a", channels=("temp", "load"))) as s,
            sender(s) as tx,
            viewer(s) as rx,
        ):
            ack = await send(tx, good, line, good)
            assert ack["taken"] == 2
            assert ack["refused"] == [{"line": 2, "kind": kind, "error": error}]
            assert (await send(tx, good))["message"] == 2
            s.hub.set_status(s.status())
            await tell(rx, p.Pause())
            (*_, status) = await until(
                rx, lambda m: isinstance(m, p.Status) and m.refused.last is not None
            )
            assert status.refused.kinds == {kind: 1}
            assert status.refused.last.error == error

    run(main())


def test_an_acknowledgement_tells_of_at_most_a_hundred_lines():
    async def main():
        async with server() as s, sender(s) as tx:
            ack = await send(tx, *(["{"] * 250), '{"stream": "a", "value": 1}')
            assert (ack["taken"], len(ack["refused"])) == (1, 100)
            assert s.pipeline.refused == {"json": 250}

    run(main())


def test_empty_lines_are_no_lines_and_count_in_numbers():
    async def main():
        async with server() as s, sender(s) as tx:
            ack = await send(tx, "", "  ", '{"stream": "a", "value": 1}', "\r", "{", "")
            assert (ack["taken"], [r["line"] for r in ack["refused"]]) == (1, [5])
            assert await send(tx, "") == {"type": "ack", "message": 2, "taken": 0, "refused": []}

    run(main())


def test_a_binary_message_is_text_all_the_same():
    async def main():
        async with server() as s, sender(s) as tx:
            await tx.send(b'{"stream": "a", "value": 1}\n\xff\xfe')
            ack = json.loads(await tx.recv())
            assert (ack["taken"], [r["kind"] for r in ack["refused"]]) == (1, ["json"])

    run(main())


def test_order_is_kept_between_messages_of_one_sender():
    async def main():
        async with server() as s, sender(s) as tx:
            seen = published(s)
            for n in range(20):
                await send(tx, *({"stream": "a", "t": 10 * n + i, "value": 0} for i in range(10)))
            s.pipeline.flush()
            assert [t for _, t, _ in seen] == list(range(200))

    run(main())


def test_a_sink_that_fails_is_counted_and_viewers_go_on():
    async def main():
        async with server() as s, sender(s) as tx, viewer(s) as rx:

            def broken(result):
                raise RuntimeError("disk full")

            s.pipeline.sink(broken)
            await send(tx, {"stream": "a", "value": 1})
            await until(rx, is_a(binary.Overview))
            assert "internal" in s.pipeline.refused
            assert "disk full" in s.status().refused.last.error

    run(main())


def test_a_message_of_bad_lines_only_is_acknowledged_without_waiting_for_a_good_one(tmp_path):
    async def main():
        pipeline = Pipeline([leaky()])
        async with Server(pipeline, settings=Settings(port=0), journal=Journal(tmp_path)) as s:
            async with sender(s, "/ingest?sender=plant") as tx:
                await tx.recv()
                assert (await send(tx, "{"))["line"] == 1
            async with sender(s, "/ingest?sender=plant") as tx:
                assert json.loads(await tx.recv()) == {"type": "known", "line": 1}

    run(main())


def test_a_sender_waits_while_too_much_is_pending():
    """Its next messages are not read then, and TCP tells it so."""
    writes = []
    batch = json.dumps({"stream": "a", "x": [[1.0]] * 1000})

    def write(commit):
        writes.append(Future())
        return writes[-1]

    async def main():
        pipeline = Pipeline([leaky()])
        pipeline.commit_by(write)
        ingest, taken = Ingest(pipeline), []

        async def send():
            for _ in range(40):
                taken.append(await ingest.take(batch))

        sending = asyncio.create_task(send())
        for _ in range(1000):
            await asyncio.sleep(0)
        # 5000 samples are being written, and so many more are pending.
        assert len(taken) < 12 and not sending.done()
        while not sending.done():
            for future in writes:
                if not future.done():
                    future.set_result(None)
            await asyncio.sleep(0)
        assert len(taken) == 40 and pipeline.samples >= 30_000
        pipeline.stop()

    run(main())
