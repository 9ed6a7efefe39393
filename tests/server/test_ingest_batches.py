"""Many samples in a line of a sender: batches, arrays and binary columns."""

from __future__ import annotations

import json
import math
import time
from concurrent.futures import Future

import numpy as np
import pytest
from streamrnn_server.ingest import Ingest
from streamrnn_server.ingest_protocol import Columns, encode_columns

from streamrnn.streams import Pipeline
from tests.server.clients import leaky, run, send, sender, server
from tests.server.test_ingest import published

A = {"stream": "a", "t": 5, "x": [1, 2]}
B = {"stream": "b", "t": 6, "x": [3, None]}


def columns(streams, t, x, of, channels=None):
    x = np.array(x, np.float32).T
    return encode_columns(Columns(streams, channels, np.array(t, float), x, np.array(of, "<u4")))


@pytest.mark.parametrize(
    "message",
    [
        json.dumps(A) + "\n" + json.dumps(B),
        json.dumps([A, B]),
        json.dumps([A, B], indent=1),
        json.dumps(
            {"stream": ["a", "b"], "t": [5, "1970-01-01T00:00:06Z"], "x": [[1, 2], [3, None]]}
        ),
        json.dumps([{"stream": "a", "t": [5], "x": [[1, 2]]}, B]),
        json.dumps(
            {
                "stream": ["a", "b"],
                "t": [5, 6],
                "x": [[2, 1], [None, 3]],
                "channels": ["load", "temp"],
            }
        ),
        columns(["a", "b"], [5, 6], [[1, 2], [3, math.nan]], [0, 1]),
        columns(["c", "b", "a"], [5, 6], [[1, 2], [3, math.nan]], [2, 1]),
        columns(["a", "b"], [5, 6], [[2, 1], [math.nan, 3]], [0, 1], ["load", "temp"]),
    ],
)
def test_every_form_of_a_message_brings_the_same_samples(message):
    async def main():
        async with server(leaky(channels=("temp", "load"))) as s, sender(s) as tx:
            seen = published(s)
            await tx.send(message)
            ack = json.loads(await tx.recv())
            assert ack == {"type": "ack", "message": 1, "taken": 2, "refused": []}
            s.pipeline.flush()
            told = [(k, t, [None if math.isnan(v) else v for v in x]) for k, t, x in seen]
            assert told == [("a", 5.0, [1.0, 2.0]), ("b", 6.0, [3.0, None])]
            assert s.pipeline.group_of("c") is None

    run(main())


def test_a_batch_without_times_is_of_now_and_may_be_of_the_stream_of_the_address():
    async def main():
        async with server() as s, sender(s, "/ingest?stream=a") as tx:
            seen = published(s)
            before = time.time()
            assert (await send(tx, '{"x": [[1], [2]]}'))["taken"] == 2
            await tx.send(columns(["a"], [math.nan], [[3]], [0]))
            assert json.loads(await tx.recv())["taken"] == 1
            s.pipeline.flush()
            assert [(k, x) for k, _, x in seen] == [("a", [1.0]), ("a", [2.0]), ("a", [3.0])]
            assert all(before <= t <= time.time() for _, t, _ in seen)

    run(main())


@pytest.mark.parametrize(
    ("message", "taken", "refused"),
    [
        (
            '{"stream": "a", "t": [5, 1e12, 7], "x": [[1, 2], [3, 4], [5]]}',
            1,
            [
                {
                    "line": 1,
                    "kind": "time",
                    "error": "a: expected a time at most one day after now, got 1000000000000.0; "
                    "milliseconds? send seconds",
                    "row": 2,
                },
                {
                    "line": 1,
                    "kind": "channels",
                    "error": "a: expected 2 channels (temp, load), got 1",
                    "row": 3,
                },
            ],
        ),
        (
            '[{"stream": "a", "x": [1, 2]}, "hot", {"x": [1, 2]}]',
            1,
            [
                {
                    "line": 1,
                    "kind": "json",
                    "error": '/ingest line 1 row 2: expected a JSON object or a number, got "hot"',
                    "row": 2,
                },
                {
                    "line": 1,
                    "kind": "stream",
                    "error": '/ingest line 1 row 3: expected the stream as "stream" in the line, '
                    "or for all lines as /ingest?stream=NAME",
                    "row": 3,
                },
            ],
        ),
        (
            columns(["a", "else"], [5, 6, 7, 8], [[1, 2], [1e31, 2], [1, 2], [3, 4]], [0, 0, 1, 1]),
            1,
            [
                {
                    "line": 1,
                    "kind": "stream",
                    "error": "else: no rule is for this stream; the patterns are a",
                    "count": 2,
                },
                {
                    "line": 1,
                    "kind": "value",
                    "error": "a: expected a finite time and numbers within ±1e30, got "
                    "(6.0, [9.999999848243207e+30, 2.0])",
                },
            ],
        ),
        (
            columns(["a"], [5], [[1, 2, 3]], [0]),
            0,
            [
                {
                    "line": 1,
                    "kind": "channels",
                    "error": "a: expected 2 channels (temp, load), got 3",
                }
            ],
        ),
        (
            columns(["a"], [5], [[math.inf, 1]], [0]),
            0,
            [
                {
                    "line": 1,
                    "kind": "value",
                    "error": "a: expected a finite time and numbers within ±1e30, got "
                    "(5.0, [inf, 1.0])",
                }
            ],
        ),
        (
            columns(["a"], [1.7e12, time.time() + 100_000], [[1, 2], [3, 4]], [0, 0]),
            0,
            [
                {
                    "line": 1,
                    "kind": "time",
                    "error": "a: expected a time at most one day after now, got 1700000000000.0; "
                    "milliseconds? send seconds",
                    "count": 2,
                }
            ],
        ),
        (
            b"\x03\x01",
            0,
            [
                {
                    "line": 1,
                    "kind": "columns",
                    "error": "/ingest line 1: expected a header of 16 bytes, got 2 bytes",
                }
            ],
        ),
        (
            json.dumps({"stream": "a", "x": [[1, 2]] * 8193}),
            0,
            [
                {
                    "line": 1,
                    "kind": "size",
                    "error": "/ingest line 1: expected at most 8192 samples in one line or "
                    "message, got 8193; send several",
                    "count": 8193,
                }
            ],
        ),
    ],
)
def test_of_a_batch_only_what_is_bad_is_refused(message, taken, refused):
    async def main():
        async with server(leaky("a", channels=("temp", "load"))) as s, sender(s) as tx:
            await tx.send(message)
            ack = json.loads(await tx.recv())
            assert (ack["taken"], ack["refused"]) == (taken, refused)
            assert s.pipeline.refused.total() == sum(r.get("count", 1) for r in refused)
            assert (await send(tx, '{"stream": "a", "t": 9, "x": [1, 2]}'))["taken"] == 1

    run(main())


def test_a_batch_is_one_line_of_its_sender_and_taken_once():
    batch = json.dumps({"stream": "a", "t": [1, 2], "x": [[1], [2]]})
    forms = [batch, f"[{batch}, {batch}]", columns(["a"], [5], [[5]], [0]), "\n".join([batch] * 2)]

    async def main():
        async with server() as s:
            seen = published(s)
            for first, repeated in ((1, 0), (1, 5), (3, 3)):
                async with sender(s, f"/ingest?sender=plant&from={first}") as tx:
                    await tx.recv()
                    answers = []
                    for form in forms[first - 1 :]:
                        await tx.send(form)
                        answers.append(json.loads(await tx.recv()))
                    assert sum(answer.get("repeated", 0) for answer in answers) == repeated
                    assert [answer["line"] for answer in answers] == [1, 2, 3, 5][first - 1 :]
            s.pipeline.flush()
            assert [t for _, t, _ in seen] == [1, 2, 1, 2, 1, 2, 5, 1, 2, 1, 2]
            assert s.pipeline.refused == {"repeated": 8}
            assert s.status().refused.last.error == (
                "/ingest sender plant: lines up to 5 have been taken before; they are ignored"
            )

    run(main())


def test_a_line_goes_into_one_commit_however_long_it_is():
    """Else a crash in its middle would leave some of it, though the line is not known."""
    commits = []

    def write(commit):
        done = Future()
        done.set_result(None)
        commits.append((sum(len(r.batch.keys) for r in commit.results), dict(commit.marks)))
        return done

    async def main():
        pipeline = Pipeline([leaky()])
        pipeline.commit_by(write)
        ingest = Ingest(pipeline, sender="plant")
        await ingest.take(json.dumps({"stream": "a", "x": [[1.0]] * 3000}))
        answer = await ingest.take(json.dumps({"stream": "a", "x": [[1.0]] * 8000}))
        assert await answer.settled == ""
        pipeline.stop()

    run(main())
    assert commits == [(11_000, {"sender plant": 2})]


def test_a_nan_that_signals_is_a_missing_value_like_any_other():
    signalling = np.array([0x7F800001, 0x3F800000], np.uint32).view(np.float32)  # IEEE 754, 6.2
    message = encode_columns(
        Columns(["a"], None, np.array([5.0]), signalling.reshape(2, 1), np.zeros(1, np.uint32))
    )

    async def main():
        async with server() as s, sender(s) as tx:
            seen = published(s)
            await tx.send(message)
            assert json.loads(await tx.recv())["taken"] == 1
            s.pipeline.flush()
            ((_, _, (missing, one)),) = seen
            assert math.isnan(missing) and one == 1.0

    run(main())
