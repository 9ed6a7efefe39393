"""Samples that come out of order: which wait, which are used when, which come too late."""

import asyncio
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.streams import Batch, Pipeline, Rule
from streamrnn.streams import pipeline as module
from tests.leaky import Leaky


class Clock:
    def __init__(self):
        self.now = 1000.0

    def time(self):
        return self.now

    def perf_counter(self):
        return 0.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def opened(lateness=10.0):
    pipeline, used = Pipeline([Rule("*", lambda channels: Leaky(), lateness=lateness)]), []
    pipeline.sink(lambda r: used.extend(zip(r.batch.keys, r.batch.t.tolist(), strict=True)))
    return pipeline, used


def test_a_sample_is_used_when_a_newer_one_says_that_it_is_time(clock):
    pipeline, used = opened()
    for t in (100, 108, 103):
        pipeline.take("a", [1.0], t)
    pipeline.take("b", [1.0], 500)
    pipeline.flush()
    assert used == []
    pipeline.take("a", [1.0], 113.5)
    pipeline.flush()
    assert used == [("a", 100), ("a", 103)]
    pipeline.take("a", [1.0], 118)
    pipeline.flush()
    assert used[2:] == [("a", 108)]


def test_a_sample_from_the_future_makes_no_other_late(clock):
    pipeline, used = opened()
    for t in (998.0, 80_000.0, 997.0):
        pipeline.take("a", [1.0], t)
    pipeline.flush()
    assert used == []
    for _ in range(3):
        clock.now += 20
        pipeline.take("a", [1.0], clock.now)
        pipeline.flush()
    assert used == [("a", 997.0), ("a", 998.0), ("a", 1020.0), ("a", 1040.0)]
    assert not pipeline.refused
    clock.now = 80_000.0
    pipeline.take("a", [1.0], clock.now - 5)
    pipeline.flush()
    clock.now += 11
    pipeline.flush()
    assert used[4:] == [("a", 1060.0), ("a", 79_995.0), ("a", 80_000.0)]


def test_a_clock_that_is_minutes_ahead_is_as_good_as_ours(clock):
    pipeline, used = opened()
    for _ in range(3):
        pipeline.take("a", [1.0], clock.now + 200)
        clock.now += 20
    pipeline.flush()
    assert used == [("a", 1200.0), ("a", 1220.0), ("a", 1240.0)]


def test_a_sample_that_waited_long_enough_is_used_without_a_newer_one(clock):
    pipeline, used = opened()
    pipeline.take("a", [1.0], 105)
    clock.now += 4
    pipeline.take("a", [1.0], 103)
    pipeline.flush()
    clock.now += 6.5
    pipeline.flush()
    assert used == [("a", 103), ("a", 105)]  # the older one with it, lest it come too late


def test_a_sample_from_before_a_used_one_is_counted_and_kept_apart(clock):
    pipeline, used = opened()
    commits = []

    def write(commit):
        commits.append(commit)
        done = Future()
        done.set_result(None)
        return done

    pipeline.commit_by(write)
    pipeline.take("a", [1.0], 100)
    pipeline.take("a", [2.0], 120)
    pipeline.flush()
    pipeline.take("a", [3.0], 99)
    pipeline.take("a", [4.0], 100)  # as old as the newest used is not older
    pipeline.flush()
    assert used == [("a", 100), ("a", 100)]
    assert pipeline.refused == {"late": 1}
    error = "a: its time 99 is before 100, which has been used; it is kept apart"
    assert pipeline.last_refused.error == error
    assert [(held.key, held.t, held.x) for held in commits[1].waiting.late] == [("a", 99, (3.0,))]


def test_columns_wait_as_samples_do(clock):
    pipeline, used = opened()
    t = np.array([100.0, 130.0, 115.0, 95.0])
    pipeline.take_batch(Batch(["a"] * 4, t, np.ones((4, 1))))
    pipeline.flush()
    assert used == [("a", 95), ("a", 100), ("a", 115)]


def test_what_waits_is_committed_and_committed_again_when_it_goes(clock):
    pipeline, _ = opened()
    commits = []

    def write(commit):
        commits.append(commit)
        done = Future()
        done.set_result(None)
        return done

    pipeline.commit_by(write)
    pipeline.take("a", [1.0], 100)
    pipeline.flush()
    pipeline.take("a", [2.0], 105)
    pipeline.take("a", [3.0], 112)
    pipeline.take("a", [4.0], 101)
    pipeline.flush()
    first, second = (commit.waiting for commit in commits)
    assert [held.t for held in first.new.values()] == [100] and commits[0].results == []
    assert [held.t for held in second.new.values()] == [105, 112]  # 101 came and went
    assert [held.id for held in second.freed] == [*first.new]
    assert [t for r in commits[1].results for t in r.batch.t] == [100, 101]


def test_after_a_commit_that_failed_who_waited_waits_and_who_came_has_not_come(clock):
    async def main():
        pipeline, used = opened()
        futures = []

        def write(commit):
            futures.append(Future())
            return futures[-1]

        pipeline.commit_by(write)
        pipeline.take("a", [1.0], 100)
        pipeline.flush()
        futures[-1].set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        pipeline.take("a", [2.0], 150)
        settled = pipeline.settled()
        pipeline.flush()
        futures[-1].set_exception(OSError("full"))
        assert await settled == "full"
        pipeline.resume()
        pipeline.take("a", [3.0], 99)  # before 100, which was not used after all
        clock.now += 11
        pipeline.flush()
        futures[-1].set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert used == [("a", 99), ("a", 100)] and not pipeline.refused["late"]
        pipeline.stop()

    asyncio.run(main())


def test_in_an_event_loop_the_clock_releases_them():
    async def main():
        pipeline, used = opened(lateness=0.05)
        came = asyncio.Event()
        pipeline.sink(lambda result: came.set())
        pipeline.take("a", [1.0], 100)
        async with asyncio.timeout(20):
            await came.wait()
        assert used == [("a", 100)]
        pipeline.stop()

    asyncio.run(main())


@given(
    times=st.lists(st.integers(0, 60), max_size=60),
    flushes=st.sets(st.integers(0, 60)),
    lateness=st.integers(1, 30),
)
def test_all_are_used_in_order_or_late(times, flushes, lateness):
    pipeline, used = opened(lateness)
    for n, t in enumerate(times):
        pipeline.take("a", [1.0], float(t))
        if n in flushes:
            pipeline.flush()
    last = max(times, default=0) + lateness
    pipeline.take("a", [1.0], float(last))
    pipeline.flush()
    got = [t for _, t in used]
    assert got == sorted(got)
    assert len(got) + pipeline.refused["late"] >= len(times)
    # Nobody who came within the lateness of the newest before him is late.
    newest = -1e9
    for t in times:
        newest = max(newest, t)
        if t > newest - lateness:
            assert t in got
