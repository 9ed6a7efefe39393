"""A network that has seen nothing yet reads Python, learns from every character, and writes.

Each few seconds it is asked for some lines of its own: at first noise, then words, then code.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from functools import cache
from itertools import islice
from typing import Any

import numpy as np

from streamrnn.demos.corpus import VOCABULARY, held_out, modules, read
from streamrnn.learner import Learner
from streamrnn.model import LSTM
from streamrnn.streams import Batch, Picture, Rule, Source
from streamrnn.text import sample
from streamrnn.training.optimizers import Adam

title = "A network that learns to write while it reads"

STREAM = "text/learning"
HIDDEN_SIZE = 128
AT_ONCE = 120  # characters
TURN_S = 0.025  # the pipeline learns from them within this time, or else gets as much again
WRITES_EVERY_S = 3.0
LETTERS = 240


@cache
def learner() -> Learner:
    V = len(VOCABULARY)
    model = LSTM(V, HIDDEN_SIZE, V, tokens=True)
    # Short chunks and a high rate: words come soonest, within 120 000 characters.
    return Learner(model, VOCABULARY, truncation=25, optimizer=Adam(lr=5e-3))


class Writing:
    """What the network writes by now, refreshed every few seconds."""

    def __init__(self) -> None:
        self.next = 0.0

    def __call__(self, batch: Batch) -> Mapping[str, Picture]:
        if time.monotonic() < self.next:
            return {}
        self.next = time.monotonic() + WRITES_EVERY_S
        reader = learner().reader()
        ids = sample(reader, reader.after("\ndef "), temperature=0.7)
        return {STREAM: Picture(text="def " + VOCABULARY.decode(list(islice(ids, LETTERS))))}


def rule() -> Rule:
    """One channel: the number of a character."""
    return Rule(STREAM, lambda names: learner(), ("token",), kind="tokens", picture=Writing())


class source(Source):
    """The library's modules one after another, as fast as half of a core can learn from them.

    Some 4000 characters a second: a pace that leaves the server its time to serve.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(STREAM, **kwargs)

    async def batches(self) -> AsyncGenerator[Batch, None]:
        paths = [path for name, path in modules().items() if not held_out(name)]
        order = np.random.default_rng(0).permutation(len(paths))
        while True:
            for n in order:
                self.detail = paths[n].name
                ids = VOCABULARY.encode(read(paths[n]))
                for start in range(0, len(ids), AT_ONCE):
                    x = ids[start : start + AT_ONCE].astype(float).reshape(-1, 1)
                    begun = time.monotonic()
                    yield Batch([STREAM] * len(x), np.full(len(x), time.time()), x)
                    await asyncio.sleep(TURN_S)
                    await asyncio.sleep(max(0.0, time.monotonic() - begun - 2 * TURN_S))
