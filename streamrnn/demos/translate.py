"""Dates in three languages, read letter by letter and written anew as ISO 8601 (many_to_many)."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.demos.dates import ALPHABET, dates, written
from streamrnn.demos.playing import Places, Play, Rows, answers, likely, marked
from streamrnn.demos.trained import Figure, Models, Show, kept
from streamrnn.model import GRU
from streamrnn.sequences import WRITE, Sequences
from streamrnn.step import Output
from streamrnn.streams import Batch, Picture, Rule, Source
from streamrnn.train import fit
from streamrnn.training.optimizers import Adam

title = "Dates in three languages, translated to ISO 8601"

STREAM = "translate/dates"
CHANNELS = ("letter", "mark")
LETTERS = "0123456789-"
END = len(LETTERS)  # the class after the last letter
NAMES = (*LETTERS, "the end")
STEPS = len("2000-12-31") + 1
EXAMPLES = 30_000

IN = {letter: n for n, letter in enumerate(ALPHABET)}


class Pair(NamedTuple):
    text: str
    iso: str

    @property
    def x(self) -> NDArray[np.int64]:
        """The letters' numbers (T,)."""
        return np.array([IN[letter] for letter in self.text])

    @property
    def classes(self) -> NDArray[np.int64]:
        """What is to be written (STEPS,)."""
        return np.array([*map(LETTERS.index, self.iso), END])


@cache
def pairs(count: int, *, held: bool) -> list[Pair]:
    """Dates of those held out or of the others, each written in one of the ways."""
    generator = random.Random(int(held))
    days = dates(held=held)
    chosen = (generator.choice(days) for _ in range(count))
    return [Pair(written(date, generator), date.isoformat()) for date in chosen]


def train(show: Show, threads: int = 1) -> Models:
    """One network reads and writes, in about a minute."""
    examples = pairs(EXAMPLES, held=False)
    V = len(ALPHABET) + len(NAMES)  # what it writes comes back as tokens after the letters
    translator = GRU(V, 96, len(NAMES), tokens=True, seed=1)
    fit(
        translator,
        [pair.x for pair in examples],
        [pair.classes for pair in examples],
        "many_to_many",
        loss="cross_entropy",
        optimizer=Adam(lr=5e-3),
        epochs=5,
        batch_size=64,
        lr_decay=0.4,
        decay_after=3,
        truncation=None,
        validation=0.02,
        threads=threads,
        callback=partial(show, "translator"),
    )
    return {"translator": translator}


def models() -> Models:
    return kept(("translator",))


def translating(models: Models) -> Sequences:
    return Sequences(models["translator"], "many_to_many", end=END)


def rows(pair: Pair) -> Rows:
    """A date as a stream has it: its letters, then time to write."""
    return marked(pair.x[:, None], STEPS)


def letters(y: NDArray[Any]) -> str:
    """What the outputs (T, 12) of the steps that write say, without the end."""
    classes = y[~np.isnan(y[:, 0])].argmax(axis=1)
    return "".join(LETTERS[c] for c in classes if c != END)


def figures(models: Models) -> list[Figure]:
    """The share of held-out dates that are right in every letter."""
    examples = pairs(1000, held=True)
    found = answers(translating(models), [rows(pair) for pair in examples])
    right = [letters(y[-STEPS:]) == pair.iso for pair, y in zip(examples, found, strict=True)]
    ((most, _),) = Counter(pair.iso for pair in pairs(EXAMPLES, held=False)).most_common(1)
    frequent = [pair.iso == most for pair in examples]
    share, theirs = float(np.mean(right)), float(np.mean(frequent))
    return [Figure(f"{STREAM}: dates all right", share, "most frequent", theirs, 0.95)]


def rules(models: Models) -> list[Rule]:
    """One stream of letters."""
    step = translating(models)
    return [
        Rule(
            STREAM,
            lambda names: step,
            CHANNELS,
            outputs=tuple(map(Output, NAMES)),
            mode="many_to_many",
            picture=Writing(),
        )
    ]


class Writing:
    """What was read of the date, and what was written so far."""

    def __init__(self) -> None:
        self.places = Places()
        self.said = ""

    def __call__(self, batch: Batch) -> Mapping[str, Picture]:
        examples = pairs(1000, held=True)
        assert batch.y is not None
        guesses: list[tuple[str, float]] = []
        for x, y in zip(batch.x, batch.y, strict=True):
            place = self.places.of(x)
            if place.step == 0:
                self.said = ""
            writes = x[-1] == WRITE and not np.isnan(y[0])
            if writes:
                guesses = likely(y, NAMES)
                self.said += letters(y[None])
        pair = examples[place.nth % len(examples)]
        read = pair.text[: place.step + 1]
        shown = Picture(
            text=read if place.reads else f"{read} → {self.said}",
            truth=f"{pair.text} → {pair.iso}",
            likely=guesses,
            step=place.step,
            reads=place.reads,
            emits=writes,
        )
        return {STREAM: shown}


def sources() -> list[Callable[..., Source]]:
    """Eight letters a second, read or written."""
    sequences = [rows(pair) for pair in pairs(1000, held=True)]
    return [partial(Play, [STREAM], CHANNELS, sequences, rate_hz=8, pause=12)]
