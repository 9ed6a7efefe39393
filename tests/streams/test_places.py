"""Files are gone on with where they were read up to, by whatever the marks say that is durable."""

import asyncio
import math
import os
import time
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrnn.streams import follow, replay, tail, text
from streamrnn.streams.batch import DAY_S
from streamrnn.streams.sources import Source
from tests.streams.virtual import run, until


async def durable():
    return ""


class Kept:
    """What a journal would have of a source, over runs of the program."""

    def __init__(self):
        self.marks, self.rows = {}, []
        self.taker = SimpleNamespace(
            marked=lambda name: self.marks.get(name, 0),
            room=durable,
            settled=durable,
            together=nullcontext,
        )

    def play(self, make, *, batches=math.inf, at_rest=None):
        """A run that ends after so many batches, or once `at_rest(source)` or the source ended."""
        count = 0

        async def take(batch):
            nonlocal count
            if count == batches:
                await asyncio.Event().wait()  # until it is stopped
            else:
                self.marks |= batch.marks
                self.rows += [
                    (key, t, x)
                    for key, t, x in zip(batch.keys, batch.t, batch.x.tolist(), strict=True)
                ]
            count += 1

        async def main():
            source = make(asynchronous=True)
            source.taker = self.taker
            source.sink(take)
            source.start()
            await until(
                lambda: count >= batches or source.stopped or (at_rest and at_rest(source, count))
            )
            state, detail = source.state, source.detail
            source.stop()
            return SimpleNamespace(state=state, detail=detail, refused=source.refused)

        return run(main())

    @property
    def values(self):
        return [x[0] for _, _, x in self.rows]


def following(path, **options):
    return lambda **kwargs: follow(path, **options, **kwargs)


def rested():
    """True once nothing came for a while."""
    seen = []

    def at_rest(source, count):
        seen.append(count)
        return len(seen) > 100 and seen[-100] == count and source.state == "running"

    return at_rest


LINE = st.one_of(
    st.integers(0, 999).map(lambda n: f"{n}\n"),
    st.just("hot\n"),
    st.just("\n"),
    st.just("5" * 90 + "x\n"),  # longer than may be
)


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(LINE, min_size=1, max_size=60),
    header=st.booleans(),
    ends=st.lists(st.integers(0, 9), max_size=5),
    grown=st.lists(st.integers(0, 400), max_size=5),
)
def test_a_followed_file_is_read_once_however_often_it_is_begun(
    tmp_path_factory, lines, header, ends, grown
):
    path = tmp_path_factory.mktemp("places") / "log.csv"
    whole = "temp\n" * header + "7\n" + "".join(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "CHUNK_BYTES", 23)
        patch.setattr(tail, "LINE_BYTES", 60)
        patch.setattr(tail, "BATCH_ROWS", 3)
        patch.setattr("streamrnn.streams.places.KNOWN_BYTES", 8)
        path.write_text(whole)
        once = Kept()
        once.play(following(path), at_rest=rested())
        kept = Kept()
        for end, size in zip(ends, sorted(grown), strict=False):
            path.write_text(whole[: 10 + size])
            kept.play(following(path), batches=end, at_rest=rested())
        path.write_text(whole)
        kept.play(following(path), at_rest=rested())
    assert kept.values == once.values


def test_lines_that_came_while_nobody_followed_are_read_even_from_the_end(tmp_path):
    path, kept = tmp_path / "log.csv", Kept()
    path.write_text("temp\n1\n2\n")
    kept.play(following(path), at_rest=rested())
    path.write_text("temp\n1\n2\n3\n")
    kept.play(following(path, from_end=True), at_rest=rested())
    assert kept.values == [1, 2, 3]


def test_a_file_that_was_replaced_is_not_left_out_by_from_end(tmp_path):
    path, kept = tmp_path / "log.csv", Kept()
    path.write_text("t,temp\n1,1\n2,2\n")
    kept.play(following(path), at_rest=rested())
    path.unlink()
    path.write_text("t,temp\n3,3\n4,4\n5,5\n")
    kept.play(following(path, from_end=True), at_rest=rested())
    assert kept.values == [1, 2, 3, 4, 5]


def test_what_comes_after_the_end_is_gone_on_with(tmp_path):
    path, kept = tmp_path / "log.csv", Kept()
    path.write_text("temp\n1\n2\n")

    def appended(line):
        rest = rested()

        def at_rest(source, count):
            if not path.read_text().endswith(line) and rest(source, count):
                with path.open("a") as file:
                    file.write(line)
            return count > 0

        return at_rest

    for line in ("3\n", "4\n", "5\n"):
        kept.play(following(path, from_end=True), at_rest=appended(line))
    assert kept.values == [3, 4, 5]
    kept.play(following(path), at_rest=rested())
    assert kept.values == [3, 4, 5]


def test_who_starts_anew_leaves_out_what_came_in_between(tmp_path):
    path, found = tmp_path / "log.csv", []
    path.write_text("temp\n1\n")

    async def main():
        source = follow(path, from_end=True, asynchronous=True)
        source.sink(lambda batch: found.extend(batch.x[:, 0]))
        for line in ("2\n", "3\n"):
            source.start()
            await asyncio.sleep(1)
            source.stop()
            await until(lambda: source.state == "ended")
            with path.open("a") as file:
                file.write(line)
        source.start()
        await asyncio.sleep(1)
        with path.open("a") as file:
            file.write("4\n")
        await until(lambda: found)
        source.stop()

    run(main())
    assert found == [4]


def test_an_error_before_the_first_new_line_loses_none(tmp_path, monkeypatch):
    path, found, calls, inside = tmp_path / "log.csv", [], [], os.fstat
    path.write_text("temp\n1\n2\n")

    def fstat(fd):
        calls.append(fd)
        if len(calls) == 6:
            with path.open("a") as file:
                file.write("3\n4\n")
            raise OSError("the disk is away")
        return inside(fd)

    async def main():
        source = follow(path, from_end=True, asynchronous=True)
        source.sink(lambda batch: found.extend(batch.x[:, 0]))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", fstat)
            source.start()
            await until(lambda: len(calls) > 20)
        with path.open("a") as file:
            file.write("5\n")
        await until(lambda: len(found) == 3)
        source.stop()

    run(main())
    assert found == [3, 4, 5]


def test_a_header_is_found_behind_empty_lines(tmp_path):
    path, kept = tmp_path / "log.csv", Kept()
    path.write_text("\n \nt,temp\n1,1\n2,2\n")
    kept.play(following(path), at_rest=rested())
    with path.open("a") as file:
        file.write("3,3\n4,4\n")
    kept.play(following(path), at_rest=rested())
    assert [(t, x) for _, t, x in kept.rows] == [(n, [n]) for n in range(1, 5)]


def test_files_that_begin_alike_are_told_apart(tmp_path):
    path, kept = tmp_path / "log.csv", Kept()
    begin = "temp\n" + "1\n" * 2000
    path.write_text(begin + "2\n")
    kept.play(following(path), at_rest=rested())
    path.write_text(begin + "3\n")
    kept.play(following(path), at_rest=rested())
    assert kept.values == ([1] * 2000 + [2]) + ([1] * 2000 + [3])


def test_bad_lines_keep_their_numbers_where_a_file_is_gone_on_with(tmp_path):
    path, kept = tmp_path / "log.csv", Kept()
    path.write_text("temp,load\n1,2\n3,4\n")
    kept.play(following(path), at_rest=rested())
    with path.open("a") as file:
        file.write("5\n6,7\n")
    told = []

    def make(**kwargs):
        source = follow(path, **kwargs)
        source.on_refused(told.append)
        return source

    kept.play(make, at_rest=rested())
    assert kept.values == [1, 3, 6]
    assert [refused.where for refused in told] == [f"{path}:4"]


@pytest.mark.parametrize("same_size", [True, False])
def test_a_file_that_was_replaced_while_nobody_followed_is_read_from_its_beginning(
    tmp_path, same_size
):
    path, kept = tmp_path / "log.csv", Kept()
    path.write_text("t,temp\n1,1\n2,2\n")
    kept.play(following(path), at_rest=rested())
    path.unlink()  # the next may get its number
    path.write_text("t,temp\n3,3\n4,4\n" if same_size else "t,temp\n3,3\n")
    kept.play(following(path), at_rest=rested())
    assert kept.values == ([1, 2, 3, 4] if same_size else [1, 2, 3])


def test_two_sources_of_one_file_have_their_own_places(tmp_path):
    path, kept = tmp_path / "log.csv", Kept()
    path.write_text("temp,load\n1,10\n2,20\n")
    kept.play(following(path, channels=["temp"]), at_rest=rested())
    kept.play(following(path, channels=["load"]), at_rest=rested())
    kept.play(following(path, key="other", channels=["load"]), at_rest=rested())
    assert kept.values == [1, 2, 10, 20, 10, 20]


@pytest.mark.parametrize("ends", [(1,), (2, 3), (0, 1, 1, 4), (9, 9, 9)])
@pytest.mark.parametrize("loop", [False, True])
def test_a_replay_goes_on_after_its_last_row(tmp_path, monkeypatch, loop, ends):
    monkeypatch.setattr("streamrnn.streams.sources.BATCH_ROWS", 3)
    path = tmp_path / "pump.csv"
    path.write_text("t,temp\n" + "".join(f"{10 * n},{n}\n" for n in range(10)) + "x,y\n")

    def make(**kwargs):
        return replay(path, rate_hz=math.inf, loop=loop, **kwargs)

    once, kept = Kept(), Kept()
    once.play(make, batches=30 if loop else math.inf)
    for end in ends:
        kept.play(make, batches=end)
    if not loop:
        source = kept.play(make)
        assert kept.rows == once.rows
        source = kept.play(make)
        assert (source.state, source.detail) == (
            "ended",
            "all of it has been played; `streamrnn replay` runs it again",
        )
    assert kept.rows == once.rows[: len(kept.rows)]
    assert len(kept.rows) >= min(10, 3 * sum(ends) - 4)


def test_a_recording_that_has_grown_is_played_on_and_another_from_its_beginning(tmp_path):
    path, kept = tmp_path / "pump.csv", Kept()

    def make(**kwargs):
        return replay(path, rate_hz=math.inf, **kwargs)

    path.write_text("temp\n1\n2\n")
    kept.play(make)
    path.write_text("temp\n1\n2\n3\n")
    kept.play(make)
    path.write_text("temp\n1\n2\n4\n")
    kept.play(make)
    path.write_text("temp\n7\n")
    kept.play(make)
    assert kept.values == [1, 2, 3, 1, 2, 4, 7]


def test_a_row_that_was_too_far_ahead_shifts_none(tmp_path, monkeypatch):
    path, kept, now = tmp_path / "pump.csv", Kept(), time.time()

    def make(**kwargs):
        return replay(path, rate_hz=math.inf, **kwargs)

    ahead = [0, DAY_S + 600, 1, 2, 3]
    path.write_text("t,temp\n" + "".join(f"{now + s},{n}\n" for n, s in enumerate(ahead)))
    kept.play(make)
    with path.open("a") as file:
        file.write(f"{now + 4},5\n")
    monkeypatch.setattr("streamrnn.streams.lines.time.time", lambda: now + 3600)
    kept.play(make)
    assert kept.values == [0, 2, 3, 4, 5]


@pytest.mark.parametrize("loop", [False, True])
def test_a_text_goes_on_after_its_last_token(tmp_path, monkeypatch, loop):
    monkeypatch.setattr("streamrnn.streams.sources.BATCH_ROWS", 4)
    paths = [tmp_path / name for name in ("a.txt", "b.txt")]
    for path in paths:
        path.write_text(path.stem * 5)
    letters = SimpleNamespace(encode=lambda text: [ord(letter) for letter in text])

    def make(**kwargs):
        return text(paths, letters, rate_hz=math.inf, loop=loop, **kwargs)

    once, kept = Kept(), Kept()
    once.play(make, batches=20 if loop else math.inf)
    for end in (1, 0, 2, 5):
        kept.play(make, batches=end)
    assert len(kept.rows) == (32 if loop else 10)
    assert kept.values == once.values[: len(kept.rows)]


def test_texts_of_one_stream_have_their_own_places(tmp_path):
    kept, letters = Kept(), SimpleNamespace(encode=lambda text: [ord(letter) for letter in text])
    for name in ("a", "bb", "a", "bb"):
        path = tmp_path / f"{name}.txt"
        path.write_text(name)
        kept.play(lambda path=path, **kwargs: text([path], letters, rate_hz=math.inf, **kwargs))
    assert kept.values == [ord(letter) for letter in "abb"]


def test_a_source_that_went_well_for_long_waits_no_longer_after_an_error():
    class Broken(Source):
        begins = []

        async def batches(self):
            self.begins.append(asyncio.get_running_loop().time())
            await asyncio.sleep(90 if len(self.begins) > 2 else 0)
            if len(self.begins) < 5:
                raise OSError("away")
            yield []

    async def main():
        source = Broken("broken", asynchronous=True)
        source.start()
        while not source.stopped:
            await asyncio.sleep(10)
        return source.begins

    assert np.diff(run(main())) == pytest.approx([1, 5, 91, 91])


def test_without_a_taker_a_source_that_is_started_again_begins_anew(tmp_path):
    path = tmp_path / "pump.csv"
    path.write_text("temp\n1\n2\n")
    found = []

    async def main():
        source = replay(path, rate_hz=math.inf, asynchronous=True)
        source.sink(lambda batch: found.extend(batch.x[:, 0]))
        for _ in range(2):
            source.start()
            await until(lambda: source.stopped)

    run(main())
    assert found == [1, 2, 1, 2]


def test_after_an_error_that_nobody_expected_a_source_goes_on_where_it_was(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    path.write_text("temp\n1\n2\n")
    found, fails = [], [OSError("the disk is away"), ValueError("odd")]
    inside = os.fstat

    def fstat(fd):
        if fails:
            raise fails.pop()
        return inside(fd)

    async def main():
        source = follow(path, asynchronous=True)
        source.sink(lambda batch: found.extend(batch.x[:, 0]))
        source.start()
        details = []
        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", fstat)
            await until(lambda: details.append(source.detail) or not fails and source.detail == "")
        with path.open("a") as file:
            file.write("3\n")
        await until(lambda: len(found) == 3)
        source.stop()
        return details

    details = run(main())
    assert "ValueError: odd; begins again in 1 s" in details
    assert "the disk is away; begins again in 5 s" in details
    assert found == [1, 2, 3]
