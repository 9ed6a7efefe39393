"""Nothing is told before it is durable; what cannot be made durable has not happened."""

import asyncio
from concurrent.futures import Future

import pytest

from streamrnn.forecast import Forecaster
from streamrnn.streams import Pipeline, Refused, Rule
from tests.leaky import Leaky

FULL = OSError("no space left on device")


class Disk:
    """Commits as they come; each is durable, or fails, when the test says so."""

    def __init__(self):
        self.commits = []
        self.futures = []

    def write(self, commit):
        self.commits.append(commit)
        self.futures.append(Future())
        return self.futures[-1]

    def done(self):
        self.futures[-1].set_result(None)

    def fail(self):
        self.futures[-1].set_exception(FULL)


def opened(*rules):
    disk, told = Disk(), []
    pipeline = Pipeline(rules or [Rule("*", lambda channels: Leaky(len(channels)))])
    pipeline.commit_by(disk.write)
    pipeline.sink(lambda result: told.extend(result.batch.x[:, 0].tolist()))
    return pipeline, disk, told


async def turn():
    """Let what was called from another thread run."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_nobody_is_told_before_the_commit_is_done():
    async def main():
        pipeline, disk, told = opened()
        pipeline.take("a", [1.0])
        settled = pipeline.settled()
        pipeline.flush()
        assert [r.batch.x.tolist() for r in disk.commits[0].results] == [[[1.0]]]
        await turn()
        assert (told, settled.done(), pipeline.samples) == ([], False, 0)
        disk.done()
        await turn()
        assert (told, settled.result(), pipeline.samples) == ([1.0], "", 1)

    asyncio.run(main())


def test_the_acknowledgement_comes_before_the_publication():
    async def main():
        pipeline, disk, told = opened()
        pipeline.take("a", [1.0])
        settled = pipeline.settled()
        pipeline.sink(lambda result: told.append(settled.done()))
        pipeline.flush()
        disk.done()
        await turn()
        assert told == [1.0, True]

    asyncio.run(main())


def test_what_comes_during_a_commit_waits_for_it_and_makes_the_next_one():
    async def main():
        pipeline, disk, told = opened()
        pipeline.take("a", [1.0])
        pipeline.flush()
        pipeline.take("a", [2.0])
        pipeline.take("b", [3.0])
        second = pipeline.settled()
        pipeline.flush()
        pipeline.flush()
        assert len(disk.commits) == 1
        disk.done()
        await turn()
        assert (told, second.done(), len(disk.commits)) == ([1.0], False, 2)
        disk.done()
        await turn()
        assert (told, second.result()) == ([1.0, 2.0, 3.0], "")

    asyncio.run(main())


def test_settled_is_done_at_once_when_nothing_is_on_its_way():
    async def main():
        pipeline, _, _ = opened()
        assert pipeline.settled().result() == ""

    asyncio.run(main())


def test_without_a_journal_all_is_settled_when_it_is_taken():
    async def main():
        pipeline = Pipeline([Rule("*", lambda channels: Leaky())])
        pipeline.take("a", [1.0])
        assert pipeline.settled().result() == ""

    asyncio.run(main())


@pytest.mark.parametrize("step", [Leaky, Forecaster])
def test_rows_are_put_back_when_a_commit_fails(step):
    """All of them: the step's, and those of the running errors behind a forecast."""

    async def main():
        pipeline, disk, told = opened(Rule("*", lambda channels: step(1)))
        pipeline.take("a", [1.0])
        pipeline.flush()
        disk.done()
        await turn()
        banks = pipeline.group_of("a").banks
        before = [bank["a"].tobytes() for bank in banks]
        for x in (2.0, 3.0, 4.0):
            pipeline.take("a", [x])
        pipeline.take("new", [5.0])
        pipeline.flush()
        assert [bank["a"].tobytes() for bank in banks] != before
        disk.fail()
        await turn()
        assert [bank["a"].tobytes() for bank in banks] == before
        assert banks[0]["new"].tobytes() == pipeline.group_of("a").bank._initial.tobytes()
        assert told == [1.0]

    asyncio.run(main())


def test_after_a_commit_that_failed_all_is_refused_until_it_resumes():
    async def main():
        pipeline, disk, told = opened()
        pipeline.take("a", [1.0])
        first = pipeline.settled()
        pipeline.flush()
        pipeline.take("a", [2.0])  # after the first: it must not come before it when that is sent
        second = pipeline.settled()  # again
        disk.fail()
        await turn()
        why = "no space left on device"
        assert (first.result(), second.result(), told) == (why, why, [])
        assert pipeline.refused == {"journal": 2} and pipeline.halts == 1
        halted = "nothing is taken, for the journal cannot be written: no space left on device"
        assert pipeline.halted == halted
        with pytest.raises(Refused, match=f"^a: {halted}$"):
            pipeline.take("a", [1.0])
        pipeline.flush()
        assert len(disk.commits) == 1
        pipeline.resume()
        pipeline.take("a", [1.0])
        pipeline.flush()
        disk.done()
        await turn()
        assert told == [1.0]

    asyncio.run(main())


def test_marks_are_committed_with_what_they_mark_and_given_up_with_it():
    async def main():
        pipeline, disk, _ = opened()
        pipeline.mark("sender", 1)
        pipeline.take("a", [1.0])
        assert (pipeline.marked("sender"), pipeline.marks) == (1, {})
        pipeline.flush()
        pipeline.mark("sender", 2)
        assert (pipeline.marked("sender"), pipeline.marks) == (2, {})
        disk.done()
        await turn()
        assert disk.commits[0].marks == {"sender": 1} == pipeline.marks
        pipeline.flush()
        assert (disk.commits[1].results, disk.commits[1].marks) == ([], {"sender": 2})
        pipeline.mark("sender", 3)
        assert pipeline.marked("sender") == 3
        disk.fail()
        await turn()
        assert pipeline.marked("sender") == 1 and pipeline.marked("other") == 0

    asyncio.run(main())


def test_a_write_that_raises_at_once_fails_as_any_other():
    async def main():
        pipeline, _, _ = opened()

        def write(commit):
            raise RuntimeError("closed")

        pipeline.commit_by(write)
        pipeline.take("a", [1.0])
        settled = pipeline.settled()
        pipeline.flush()
        await turn()
        assert settled.result() == "closed"

    asyncio.run(main())


def test_without_an_event_loop_flush_returns_when_the_commit_is_done():
    pipeline, disk, told = opened()

    def write(commit):
        future = disk.write(commit)
        disk.done()
        return future

    pipeline.commit_by(write)
    pipeline.take("a", [1.0])
    pipeline.flush()
    assert told == [1.0]


def test_folding_the_past_advances_and_tells_nobody():
    pipeline, disk, told = opened()
    group = pipeline.admit("a", ("value",))
    other = Pipeline([Rule("*", lambda channels: Leaky())])
    results = []
    other.sink(results.append)
    for x in (4.0, 8.0):
        other.take("a", [x], 0.0)
    other.flush()
    batch = results[0].batch
    assert pipeline.fold(group, batch).tolist() == batch.y.tolist() == [[1.0], [2.75]]
    assert group.bank["a"] == other.group_of("a").bank["a"]
    assert (told, disk.commits) == ([], [])
