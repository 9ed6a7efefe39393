"""A growing file and standard input: whole lines, rotation, truncation, and what is no file."""

import asyncio
import os
import subprocess
import sys

import pytest

from streamrnn.streams import follow, stdin
from tests.streams.virtual import Started, play, run, until

# follow


def following(path, body, told=lambda refused: None, **kwargs):
    async def main():
        source = follow(path, asynchronous=True, **kwargs)
        source.on_refused(told)
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
        await until(lambda: source.state == "running")
        await asyncio.sleep(60)
        with path.open("a") as file:
            file.write("3\nx\n4\n")
        assert await take() == [[23.0], [4.0]]

    following(path, body, refused.append, from_end=True)
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
            file.write("\n2\nx\n3\n")
            file.flush()
            assert await take() == [[2.0], [3.0]]

    refused = []
    path.touch()
    following(path, body, told=refused.append)
    assert [str(r) for r in refused] == [
        f"{path}:2: expected at most 1048576 bytes; this line is left out",
        f"{path}:4: channel a: expected a number or nothing where missing, got 'x'",
    ]


def test_follow_reads_a_file_that_comes_later_from_its_beginning(tmp_path):
    path = tmp_path / "log.csv"

    async def body(source, take):
        await until(lambda: source.state == "waiting" and source.detail)
        path.write_text("a\n1\n")
        assert await take() == [[1.0]]

    following(path, body, from_end=True)


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
