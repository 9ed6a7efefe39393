"""Recordings into a journal, without a server: a past to begin with."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from streamrnn.streams import Batch, Pipeline, replay
from streamrnn_server.recorder import Recorder


class Loaded(NamedTuple):
    samples: int
    seconds: float
    problems: list[str]


async def warmed(
    pipeline: Pipeline, recorder: Recorder, files: Sequence[Path], stream: str | None = None
) -> Loaded:
    """Let `pipeline` take the samples of `files`, one after the other; closes the journal.

    stream   of lines that name none; None: the file's name without ending
    """
    begin = time.perf_counter()
    problems: list[str] = []
    try:
        recorder.recover()
        for path in files:
            await _played(pipeline, recorder, path, stream, problems)
        pipeline.flush()
        if why := await pipeline.settled():
            problems.append(why)
        refused = ", ".join(f"{kind} {n}" for kind, n in pipeline.refused.most_common())
        if pipeline.last_refused is not None:
            problems.append(f"refused: {refused}; last: {pipeline.last_refused.error}")
        if not pipeline.halted:
            recorder.compact()  # else the server's start would have it all to read
    finally:
        pipeline.stop()
        recorder.close()
    return Loaded(pipeline.samples, time.perf_counter() - begin, problems)


async def _played(
    pipeline: Pipeline, recorder: Recorder, path: Path, stream: str | None, problems: list[str]
) -> None:
    source = replay(path, rate_hz=math.inf, key=stream, asynchronous=True)
    source.on_refused(pipeline.refuse)

    async def take(batch: Batch) -> None:
        pipeline.take_batch(batch)
        await pipeline.settled()  # so that no more is read than can be written

    ended = source.sink(take)
    source.start()
    beat = time.monotonic()
    while source.state not in ("ended", "failed") and not pipeline.halted:
        await asyncio.sleep(0.01)
        if time.monotonic() > beat + 1:
            recorder.beat()
            beat = time.monotonic()
    if source.state == "failed":
        problems.append(source.detail)
    source.stop()
    ended.destroy()
