"""A server with a journal, stopped and started: what senders and viewers see of that."""

from __future__ import annotations

import asyncio
import json
import math
from functools import partial

from streamrnn_server import binary
from streamrnn_server import protocol as p
from streamrnn_server.app import Server, Settings
from streamrnn_server.journal import Journal

from streamrnn.forecast import Forecaster
from streamrnn.streams import Pipeline, Rule, replay
from streamrnn.streams.marks import MOST, SENDER
from tests.server.clients import (
    is_a,
    leaky,
    reaches,
    request,
    run,
    send,
    sender,
    tell,
    until,
    viewer,
)
from tests.server.clients import server as without_journal


def started(folder, *rules):
    pipeline = Pipeline(rules or (leaky(),))
    return Server(pipeline, settings=Settings(port=0), journal=Journal(folder))


def lines(count, first=0, stream="a"):
    return [{"stream": stream, "t": n, "value": 4.0 * n} for n in range(first, first + count)]


async def watched(s, id, count):
    """t and y of a stream's samples that a viewer gets, up to number `count`."""
    async with viewer(s) as rx:
        (hello,) = await until(rx, is_a(p.Hello))
        await tell(rx, p.Watch(streams=[p.WatchStream(id)]))
        found = [m for m in await until(rx, reaches(count)) if isinstance(m, binary.Samples)]
    chunks = [chunk for message in found for chunk in message.chunks]
    first = chunks[0].first
    return hello, first, [(t, y) for c in chunks for t, y in zip(c.t, c.y[0], strict=True)]


def test_the_page_begins_with_what_it_showed_before(tmp_path):
    async def main():
        async with started(tmp_path) as s, sender(s) as tx:
            await send(tx, *lines(30, stream="b"))
            await send(tx, *lines(50))
            _, first, before = await watched(s, 1, 50)
            assert first == 0
        async with started(tmp_path) as s:
            await s.ready()
            hello, first, after = await watched(s, 1, 50)
            assert [(i.key, i.seq) for i in hello.streams] == [("b", 29), ("a", 49)]
            assert (first, after) == (0, before)
            async with sender(s) as tx:
                await send(tx, *lines(10, first=50))
            _, first, went_on = await watched(s, 1, 60)
            assert (first, went_on[:50]) == (0, before)
        return went_on[50:]

    # h' = h + (x - h) / 4 from 0 over x = 0, 4, 8, ...
    h, expected = 0.0, []
    for n in range(60):
        h += (4.0 * n - h) / 4
        expected.append(h)
    newest = run(main())
    assert [t for t, _ in newest] == [*range(50, 60)]
    assert all(abs(y - h) < 1e-4 for (_, y), h in zip(newest, expected[50:], strict=True))


def test_a_forecaster_goes_on_after_a_gap_as_if_it_had_never_stopped(tmp_path):
    t = [*range(40), *range(47, 90)]  # seven rows never came
    rows = [{"stream": "a", "t": 60 * n, "value": math.sin(n / 3)} for n in t]
    rule = Rule("*", lambda channels: Forecaster())
    Pipeline([rule]).warm(rule)  # compiles, which may take longer than `run` lets a test take

    async def main(folder, *parts):
        for part in parts:
            async with started(folder, rule) as s, sender(s) as tx:
                await send(tx, *part)
                await s.ready()
                state = s.pipeline.group_of("a").bank["a"]
        return state

    whole = run(main(tmp_path / "whole", rows))
    in_parts = run(main(tmp_path / "parts", rows[:45], rows[45:]))
    assert in_parts.tobytes() == whole.tobytes()
    alone = Forecaster()
    alone.run([row["value"] for row in rows], [row["t"] for row in rows])
    assert whole.tobytes() == alone.state.tobytes()
    assert whole["cycle"][0] == 90


def test_samples_keep_their_numbers_when_only_the_newest_are_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr("streamrnn_server.app.MOST_REMEMBERED", 7)

    async def main():
        async with started(tmp_path) as s, sender(s) as tx:
            await send(tx, *lines(50))
        async with started(tmp_path) as s, sender(s) as tx:
            await send(tx, *lines(10, first=50))
            return await watched(s, 0, 60)

    _, first, samples = run(main())
    assert first == 43
    assert [t for t, _ in samples] == [*range(43, 60)]


def test_a_sender_is_known_after_a_restart_and_its_lines_are_taken_once(tmp_path):
    async def main():
        async with started(tmp_path) as s, sender(s, "/ingest?sender=plant") as tx:
            assert json.loads(await tx.recv()) == {"type": "known", "line": 0}
            ack = await send(tx, *lines(20), "{")
            assert (ack["taken"], ack["line"], len(ack["refused"])) == (20, 21, 1)
        async with started(tmp_path) as s:
            async with sender(s, "/ingest?sender=plant&from=11") as tx:
                assert json.loads(await tx.recv()) == {"type": "known", "line": 21}
                ack = await send(tx, *lines(10, first=10), "{", *lines(5, first=20))
                assert ack == {
                    "type": "ack", "message": 1, "taken": 5, "refused": [], "line": 26,
                    "repeated": 11,
                }  # fmt: skip
            async with sender(s, "/ingest?sender=other") as tx:
                assert json.loads(await tx.recv()) == {"type": "known", "line": 0}
            return s.pipeline.samples

    assert run(main()) == 5


def test_of_many_senders_the_newest_are_known(monkeypatch):
    monkeypatch.setitem(MOST, SENDER, 2)

    async def main():
        async with without_journal() as s:
            for name in ("one", "two", "three", "two"):
                async with sender(s, f"/ingest?sender={name}") as tx:
                    await tx.recv()
                    await send(tx, *lines(3))
                    s.pipeline.flush()
            found = []
            for name in ("one", "two", "three"):
                async with sender(s, f"/ingest?sender={name}") as tx:
                    found.append(json.loads(await tx.recv())["line"])
            return found

    assert run(main()) == [0, 6, 3]


def test_a_sender_that_does_not_say_its_name_right_is_told(tmp_path):
    async def main():
        async with started(tmp_path) as s:
            for query, reason in [
                ("from=3", "expected from= with the number of a line, from 1, beside sender="),
                ("sender=a&from=0", "expected from= with the number of a line, from 1, beside "),
                (f"sender=a&from={'9' * 20}", "expected from= with the number of a line, from 1, "),
                ("sender=a&from=%d9%a3", "expected from= with the number of a line, from 1, "),
                ("sender=%00", "expected sender= with a name of 1 to 200 printable characters"),
            ]:
                async with sender(s, f"/ingest?{query}") as tx:
                    await tx.wait_closed()
                    assert tx.close_code == 1008 and tx.close_reason.startswith(reason)
            assert s.pipeline.refused == {"sender": 5}
            async with sender(s, f"/ingest?sender=a&from={'9' * 15}") as tx:
                await tx.recv()
                assert (await send(tx, *lines(2)))["taken"] == 2

    run(main())


def test_a_source_waits_while_nothing_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("streamrnn_server.app.SURVEY_S", 0.01)
    path = tmp_path / "a.csv"
    path.write_text("t,value\n" + "\n".join(f"{n},{n}" for n in range(9000)))
    source = partial(replay, path, rate_hz=math.inf, asynchronous=True)

    async def main():
        server = started(tmp_path / "journal")
        server._make_sources = (source,)
        server.pipeline.halted = "the disk is full"
        server.recorder.beat = lambda: None
        async with server as s:
            await s.ready()
            while s.sources[0].state == "waiting":
                await asyncio.sleep(0)
            assert s.pipeline.samples == 0 and s.status().detail == "the disk is full"
            s.pipeline.resume()
            while s.pipeline.samples < 9000:
                await asyncio.sleep(0.01)
            assert not s.pipeline.refused

    run(main())


def test_metrics_say_how_large_the_journal_is_and_whether_it_can_be_written(tmp_path):
    async def figures(s):
        _, _, body = await request(s, "/metrics")
        lines = [line.split() for line in body.decode().splitlines() if line[0] != "#"]
        return {name: float(value) for name, value in lines if name.startswith("streamrnn")}

    async def main():
        async with without_journal() as s:
            assert "streamrnn_journal_bytes" not in await figures(s)
        async with started(tmp_path) as s, sender(s) as tx:
            await s.ready()
            before = await figures(s)
            assert before["streamrnn_halted"] == 0 and before["streamrnn_journal_bytes"] > 0
            for _ in range(8):
                await send(tx, {"stream": "a", "x": [[float(n)] for n in range(1000)]})
            s.pipeline.halted = "the disk is full"
            after = await figures(s)
            assert after["streamrnn_halted"] == 1
            while after["streamrnn_journal_bytes"] < before["streamrnn_journal_bytes"] + 8 * 16_000:
                s.recorder.beat()  # it is looked at once a second
                await asyncio.sleep(0.01)
                after = await figures(s)
            assert 0 < after["streamrnn_journal_log_bytes"] < after["streamrnn_journal_bytes"]
            assert after["streamrnn_journal_ahead_bytes"] > 0
            s.pipeline.halted = ""

    run(main())


def test_a_stop_leaves_a_snapshot_and_a_stop_with_nothing_new_none(tmp_path):
    async def main(*samples):
        async with started(tmp_path) as s, sender(s) as tx:
            await send(tx, *samples)

    run(main(*lines(3)))
    first = [path.name for path in tmp_path.glob("snapshot-*")]
    assert len(first) == 1
    run(main())
    assert [path.name for path in tmp_path.glob("snapshot-*")] == first
