"""Sources: their clock, what ends them, and that neither bad lines nor bad nodes do."""

import asyncio
import math
import threading
from pathlib import Path

import numpy as np
import pytest
from streamz import Stream

from streamrnn.streams import Batch, Pipeline, Rule, Source, replay, text
from tests.leaky import Leaky
from tests.streams.virtual import Started, play, run, until

HEADER = "time,temp,load\n"
HOURS = HEADER + "2013-01-01T00:00Z,1,2\n2013-01-01T01:00Z,3,\n2013-01-01T03:00Z,5,6\n"
T0 = 1356998400.0  # 2013-01-01T00:00:00Z


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "station.csv"
    path.write_text(HOURS)
    return path


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


def test_a_replay_of_nothing_but_bad_lines_lets_others_go_on(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("a\n" + "x\n" * 20_000)

    async def main():
        source, turns = replay(path, rate_hz=math.inf, asynchronous=True), 0
        source.start()
        while not source.stopped:
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert run(main()) > 10


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


def test_a_bad_line_is_logged_once_though_source_and_pipeline_count_it(recording, caplog):
    recording.write_text(HOURS + "nonsense\n")
    pipeline = Pipeline([])

    def make(**kwargs):
        source = replay(recording, rate_hz=1, **kwargs)
        source.on_refused(pipeline.refuse)
        return source

    source, _ = play(make)
    assert source.refused == pipeline.refused == {"line": 1}
    error = f"{recording}:5: expected 3 cells (time, temp, load), got 1"
    assert caplog.messages == [f"refused (line, 1 so far): {error}"]


@pytest.mark.parametrize(
    ("content", "kwargs", "error"),
    [
        (None, {}, "No such file or directory"),
        ("temp\n1\n", {}, "expected a column of times (t, time, timestamp, datetime, date); "
         "name it or give rate_hz"),
        (HOURS, {"time": "hour"}, ":1: expected a column hour, got time, temp, load"),
        (HEADER + "x\n", {"loop": True}, "expected samples, found none that can be read; last: "
         "f.csv:2: expected 3 cells (time, temp, load), got 1"),
        (HEADER, {}, "expected samples, found none that can be read"),
    ],
)  # fmt: skip
def test_a_replay_that_cannot_work_says_so(tmp_path, monkeypatch, content, kwargs, error):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("f.csv").write_text(content)
    source, found = play(lambda **kw: replay("f.csv", **kwargs, **kw))
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


def test_a_source_whose_own_code_raises_has_failed_and_begins_again(caplog):
    class Broken(Source):
        begins = []

        async def batches(self):
            self.begins.append(asyncio.get_running_loop().time())
            if len(self.begins) < 5:
                raise RuntimeError("boom")
            yield Batch(["a"], np.zeros(1), np.ones((1, 1)))

    async def main():
        source = Broken("broken", asynchronous=True)
        source.start()
        await until(lambda: source.state == "failed")
        assert source.detail == "RuntimeError: boom; begins again in 1 s"
        await until(lambda: source.stopped)
        return source

    source = run(main())
    assert (source.state, source.detail) == ("ended", "")
    assert np.diff(source.begins) == pytest.approx([1, 5, 30, 60])
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
