"""Sources: their clock, what ends them, and that neither bad lines nor bad nodes do."""

import asyncio
import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from streamz import Stream

from streamrnn.streams import Batch, Pipeline, Rule, Source, follow, replay, stdin, text
from tests.leaky import Leaky
from tests.streams.virtual import Started, run, until

HEADER = "time,temp,load\n"
HOURS = HEADER + "2013-01-01T00:00Z,1,2\n2013-01-01T01:00Z,3,\n2013-01-01T03:00Z,5,6\n"
T0 = 1356998400.0  # 2013-01-01T00:00:00Z


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "station.csv"
    path.write_text(HOURS)
    return path


async def played(source, count=10**9):
    """The first batches of a source, with the times at which they came; all when it ends before."""
    clock, found = asyncio.get_running_loop().time, []
    sink = source.sink(lambda batch: found.append((clock(), batch)))
    source.start()
    await until(lambda: len(found) >= count or source.stopped)
    source.stop()
    sink.destroy()
    return found


def play(make, count=10**9):
    async def main():
        source = make(asynchronous=True)
        return source, await played(source, count)

    return run(main())


# replay


def test_replay_keeps_the_time_of_the_recording_times_its_speed(recording):
    source, found = play(lambda **kw: replay(recording, speed=3600, **kw))
    assert [when for when, _ in found] == pytest.approx([0, 1, 3])
    first = found[0][1]
    assert first.keys == ["station"] and first.channels == ("temp", "load")
    assert [b.t.tolist() for _, b in found] == [[T0], [T0 + 3600], [T0 + 10800]]
    assert found[1][1].x[0].tolist() == pytest.approx([3.0, math.nan], nan_ok=True)
    assert (source.name, source.state, source.detail) == ("replay station.csv", "ended", "")


def test_replay_at_a_rate(recording):
    _, found = play(lambda **kw: replay(recording, rate_hz=20, key="k", **kw))
    assert [when for when, _ in found] == pytest.approx([0, 0.05, 0.1])
    assert found[0][1].keys == ["k"]


def test_replay_as_fast_as_it_is_taken_makes_large_batches(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("a\n" + "1\n" * 10_000)
    _, found = play(lambda **kw: replay(path, rate_hz=math.inf, **kw))
    assert [len(batch.keys) for _, batch in found] == [4096, 4096, 1808]


def test_rows_that_are_due_together_leave_together(tmp_path):
    path = tmp_path / "fast.csv"
    path.write_text("a\n" + "1\n" * 1000)
    _, found = play(lambda **kw: replay(path, rate_hz=10_000, **kw))
    assert 5 < len(found) < 15 and found[-1][0] == pytest.approx(0.1, abs=0.02)


def test_a_looped_replay_goes_on_growing_in_time(recording):
    source, found = play(lambda **kw: replay(recording, speed=3600, loop=True, **kw), count=9)
    assert (source.state, source.detail) == ("ended", "stopped") or source.stopped
    t = [b.t[0] - T0 for _, b in found]
    lap = 3 * 3600 * 3 / 2  # the span, and one mean interval
    assert t == pytest.approx([k * lap + h * 3600 for k in range(3) for h in (0, 1, 3)])
    assert [when for when, _ in found] == pytest.approx([x / 3600 for x in t])


def test_replay_of_ndjson_with_several_streams(tmp_path):
    path = tmp_path / "log.ndjson"
    path.write_text(
        '{"stream": "a", "t": 1, "x": 1}\n{"stream": "b", "t": 1, "x": 2, "y": 3}\n'
        '{"stream": "a", "t": 3, "x": 4}\n'
    )
    _, found = play(lambda **kw: replay(path, speed=1, **kw))
    assert [(when, b.keys, b.channels) for when, b in found] == [
        (0.0, ["a"], ("x",)),
        (0.0, ["b"], ("x", "y")),
        (2.0, ["a"], ("x",)),
    ]


def test_a_replay_that_fell_behind_does_not_catch_up_in_a_burst(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("a\n" + "1\n" * 6)

    async def main():
        loop = asyncio.get_running_loop()
        source = replay(path, rate_hz=1, asynchronous=True)
        times = []

        def slow(batch):
            times.append(loop.time())
            if len(times) == 2:
                loop.now += 100  # the machine slept

        sink = source.sink(slow)
        source.start()
        await until(lambda: source.stopped)
        sink.destroy()
        return times

    assert run(main()) == pytest.approx([0, 1, 101, 102, 103, 104])


def test_bad_lines_are_counted_with_file_and_number_and_the_replay_goes_on(recording):
    recording.write_text(HOURS + "2013-01-01T04:00Z,x,1\nnonsense\n2013-01-01T05:00Z,7,8\n")
    reported = []

    def make(**kwargs):
        source = replay(recording, rate_hz=1, **kwargs)
        source.on_refused(reported.append)
        return source

    source, found = play(make)
    assert len(found) == 4 and found[-1][1].x.tolist() == [[7.0, 8.0]]
    assert source.refused == {"value": 1, "line": 1}
    assert [str(refused) for refused in reported] == [
        f"{recording}:5: channel temp: expected a number or nothing where missing, got 'x'",
        f"{recording}:6: expected 3 cells (time, temp, load), got 1",
    ]


@pytest.mark.parametrize(
    ("content", "kwargs", "error"),
    [
        (None, {}, "No such file or directory"),
        ("temp\n1\n", {}, "expected a column of times (t, time, timestamp, datetime, date); "
         "name it or give rate_hz"),
        (HOURS, {"time": "hour"}, ":1: expected a column hour, got time, temp, load"),
        (HEADER + "x\n", {"loop": True}, "expected samples, found none that can be read"),
    ],
)  # fmt: skip
def test_a_replay_that_cannot_work_says_so(tmp_path, content, kwargs, error):
    path = tmp_path / "f.csv"
    if content is not None:
        path.write_text(content)
    source, found = play(lambda **kw: replay(path, **kwargs, **kw))
    assert found == [] and source.state == "failed" and error in source.detail


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"speed": 0}, "expected speed above 0, got 0"),
        ({"rate_hz": math.nan}, "expected rate_hz above 0, got nan"),
        ({"speed": 1, "rate_hz": 1}, "expected speed or rate_hz, got both"),
    ],
)
def test_replay_refuses_a_clock_that_does_not_run(kwargs, error):
    with pytest.raises(ValueError) as refused:
        replay("f.csv", **kwargs)
    assert str(refused.value) == error


# what all sources share


class Endless(Source):
    async def batches(self):
        while True:
            yield Batch(["a"], np.zeros(1), np.ones((1, 1)))
            await asyncio.sleep(1)


def test_a_source_starts_stops_and_starts_again():
    async def main():
        source = Endless("endless", asynchronous=True)
        assert source.state == "waiting"
        async with Started(source) as batches:
            await batches.get()
            assert source.state == "running"
            for _ in range(2):
                source.stop()
                source.start()
            await batches.get()
            await until(lambda: source.state == "running")
            source.stop()
            await until(lambda: source.state == "ended")
            assert source.detail == "stopped"
            source.start()
            await batches.get()
        source.start()
        source.stop()  # before the loop came to it
        count = batches.qsize()
        await asyncio.sleep(10)
        assert batches.qsize() == count

    run(main())


def test_a_node_that_raises_does_not_stop_the_source():
    async def main():
        source = Endless("endless", asynchronous=True)
        calls = []

        def fails(batch):
            calls.append(batch)
            if len(calls) == 1:
                raise RuntimeError("boom")

        sink = source.map(fails).sink(lambda x: None)
        source.start()
        await until(lambda: len(calls) == 3)
        assert source.state == "running" and source.refused == {"internal": 1}
        source.stop()
        sink.destroy()

    run(main())


def test_a_source_whose_own_code_raises_has_failed(caplog):
    class Broken(Source):
        async def batches(self):
            raise RuntimeError("boom")
            yield

    async def main():
        source = Broken("broken", asynchronous=True)
        source.start()
        await until(lambda: source.stopped)
        return source

    source = run(main())
    assert (source.state, source.detail) == ("failed", "RuntimeError: boom")
    assert "source broken failed: RuntimeError: boom" in caplog.messages


def test_in_a_synchronous_graph_a_source_runs_in_a_thread_of_its_own(recording):
    source, done, found = Stream.replay(recording, rate_hz=math.inf), threading.Event(), []

    def show(batch):
        found.append((batch.y.shape, threading.current_thread() is threading.main_thread()))
        done.set()

    sink = source.rnn(Leaky(2)).sink(show)
    source.start()
    assert done.wait(20)
    sink.destroy()
    assert found == [((3, 2), False)]


def test_a_source_feeds_a_pipeline(recording):
    async def main():
        rule = Rule("station", lambda channels: Leaky(2), ("load", "temp"))
        pipeline, results = Pipeline([rule]), []
        pipeline.sink(results.append)
        source = replay(recording, speed=3600, asynchronous=True)
        source.on_refused(pipeline.refuse)
        sink = source.sink(pipeline.take_batch)
        source.start()
        await until(lambda: pipeline.samples == 3)
        sink.destroy()
        return results

    results = run(main())
    assert [r.batch.x.tolist() for r in results[::2]] == [[[2.0, 1.0]], [[6.0, 5.0]]]


# text


class Letters:
    def encode(self, text):
        return [ord(character) - ord("a") for character in text]


def test_text_files_are_read_one_token_after_the_other(tmp_path):
    for name, content in (("1.txt", "ab"), ("2.txt", "c")):
        (tmp_path / name).write_text(content)
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    paths = [tmp_path / name for name in ("1.txt", "bad.txt", "none.txt", "2.txt")]
    source, found = play(lambda **kw: text(paths, Letters(), rate_hz=10, loop=True, **kw), 6)
    assert [b.x.tolist() for _, b in found] == [[[n]] for n in (0, 1, 2, 0, 1, 2)]
    assert [when for when, _ in found] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert found[0][1].keys == ["text"] and found[0][1].channels == ("token",)
    assert source.refused["file"] >= 2


def test_text_that_is_not_there_is_a_failure(tmp_path):
    source, found = play(lambda **kw: text([tmp_path / "x"], Letters(), rate_hz=10, **kw))
    assert found == [] and source.state == "failed"
    assert source.detail == "text text: expected text, found none that can be read"


# follow


def following(path, body, **kwargs):
    async def main():
        source = follow(path, asynchronous=True, **kwargs)
        async with Started(source) as batches:

            async def take():
                batch = await batches.get()
                return batch.x.tolist()

            await body(source, take)
        return source

    return run(main())


def test_follow_waits_for_the_file_and_for_the_end_of_each_line(tmp_path):
    path = tmp_path / "log.csv"

    async def body(source, take):
        await until(lambda: "does not exist yet" in source.detail)
        assert source.state == "waiting"
        with path.open("w") as file:
            file.write("a,b\n1,2\n3,")
            file.flush()
            assert await take() == [[1.0, 2.0]] and source.state == "running"
            await asyncio.sleep(60)
            file.write("4\n5,6\n")
            file.flush()
            assert await take() == [[3.0, 4.0], [5.0, 6.0]]
            file.write("x,6\n7,8\n")
            file.flush()
            assert await take() == [[7.0, 8.0]]

    source = following(path, body)
    assert source.refused == {"value": 1}


def test_follow_can_leave_out_what_is_there(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("a\n" + "1\n" * 100_000 + "2")
    refused = []

    async def body(source, take):
        source.on_refused(refused.append)
        await until(lambda: source.state == "running")
        await asyncio.sleep(60)
        with path.open("a") as file:
            file.write("3\nx\n4\n")
        assert await take() == [[23.0], [4.0]]

    following(path, body, from_end=True)
    assert str(refused[0]).startswith(f"{path}:100003: channel a: expected a number")


@pytest.mark.parametrize("header", ["a\n", ""])
def test_follow_goes_on_in_a_truncated_file(tmp_path, header):
    path = tmp_path / "log.csv"
    path.write_text("a\n1\n2\n3\n")

    async def body(source, take):
        assert await take() == [[1.0], [2.0], [3.0]]
        path.write_text(header + "4\n")
        assert await take() == [[4.0]]

    assert following(path, body).refused == {}


@pytest.mark.skipif(os.name == "nt", reason="a file that is open cannot be renamed on Windows")
@pytest.mark.parametrize("header", ["a\n", ""])
def test_follow_reads_the_old_file_to_its_end_and_then_the_new_one(tmp_path, header):
    path = tmp_path / "log.csv"
    path.write_text("a\n1\n")

    async def body(source, take):
        assert await take() == [[1.0]]
        with path.open("a") as old:
            path.rename(tmp_path / "log.csv.1")
            await asyncio.sleep(60)
            old.write("2\n3")
        path.write_text(header + "4\n")
        assert [await take(), await take(), await take()] == [[[2.0]], [[3.0]], [[4.0]]]

    assert following(path, body).refused == {}


def test_follow_leaves_out_a_line_without_end(tmp_path):
    path = tmp_path / "log.csv"

    async def body(source, take):
        with path.open("w") as file:
            file.write("a\n" + "1" * 3_000_000)
            file.flush()
            await until(lambda: source.refused)
            file.write("\n2\n")
            file.flush()
            while await take() != [[2.0]]:
                pass

    path.touch()
    source = following(path, body)
    assert source.refused["line"] >= 1


def test_follow_does_not_open_what_is_no_file(tmp_path):
    async def body(source, take):
        await until(lambda: source.state == "failed")
        assert source.detail == f"{tmp_path}: expected a regular file"

    following(tmp_path, body)


# standard input


def test_standard_input_is_read_until_it_is_closed():
    reading, writing = os.pipe()

    async def main():
        source = stdin(fd=reading, key="k", asynchronous=True)
        async with Started(source) as batches:
            os.write(writing, b'{"a": 1}\n{"a"')
            first = await asyncio.wait_for(batches.get(), 20)
            os.write(writing, b': 2}\nnonsense\n{"a": 3}')
            second = await asyncio.wait_for(batches.get(), 20)
            os.close(writing)
            third = await asyncio.wait_for(batches.get(), 20)
            await until(lambda: source.state == "ended")
        os.close(reading)
        assert source.refused == {"json": 1}
        return [first, second, third]

    found = asyncio.run(main())
    assert [b.x.tolist() for b in found] == [[[1.0]], [[2.0]], [[3.0]]]
    assert found[0].keys == ["k"]


PROGRAM = """
import asyncio
from streamrnn.streams import stdin

async def main():
    source, taken = stdin(asynchronous=True), asyncio.Event()
    source.sink(lambda batch: (print(batch.x.tolist(), flush=True), taken.set()))
    source.start()
    await taken.wait()

asyncio.run(main())
"""


def test_a_program_that_waits_for_standard_input_can_end():
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as program:
        program.stdin.write(b"a,b\n1,2\n")
        program.stdin.flush()  # and it stays open
        assert program.wait(60) == 0
        assert program.stdout.read() == b"[[1.0, 2.0]]\n" and program.stderr.read() == b""


def test_a_process_without_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    source, found = play(lambda **kw: stdin(**kw))
    assert found == [] and source.detail == "stdin: this process has no standard input"
