"""The demo that learns to write: it learns, and writes now and then."""

import asyncio

import numpy as np

from streamrnn.demos import text
from streamrnn.demos.corpus import VOCABULARY
from streamrnn.streams import Batch, Pipeline
from streamrnn.streams.picture import Picture


def batch(characters):
    ids = VOCABULARY.encode(characters).astype(float).reshape(-1, 1)
    return Batch([text.STREAM] * len(ids), np.zeros(len(ids)), ids)


def test_the_surprise_falls_as_it_reads():
    text.learner.cache_clear()
    pipeline, results = Pipeline([text.rule()]), []
    pipeline.sink(results.append)
    for _ in range(40):
        pipeline.take_batch(batch("    for name in names:\n        print(name)\n" * 4))
        pipeline.flush()
    (first, *_), (*_, last) = results[0].batch.y[:, 0], [r.batch.y[:, 0].mean() for r in results]
    assert first > 6.5 and last < 3.0  # log2 of 97 is 6.6


def test_it_writes_every_few_seconds():
    text.learner.cache_clear()
    writing = text.Writing()
    pictures = writing(batch("def f(x):\n"))
    assert isinstance(pictures[text.STREAM], Picture)
    assert len(pictures[text.STREAM].text) == len("def ") + text.LETTERS
    assert writing(batch("    return x\n")) == {}


def test_the_source_reads_modules_that_are_not_held_out():
    async def first():
        source = text.source(asynchronous=True)
        async for found in source.batches():
            return source.detail, found

    name, found = asyncio.run(first())
    assert name.endswith(".py") and len(found.keys) == text.AT_ONCE
    assert found.x.max() < len(VOCABULARY)
