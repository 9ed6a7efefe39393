"""An image of one to three handwritten digits, and its name in words (one_to_many)."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.demos.digits import UNSEEN, data
from streamrnn.demos.playing import Places, Play, Rows, answers, likely, marked
from streamrnn.demos.trained import Figure, Models, Show, kept
from streamrnn.model import RNN
from streamrnn.sequences import Sequences
from streamrnn.step import Output
from streamrnn.streams import Batch, Picture, Rule, Source
from streamrnn.train import fit
from streamrnn.training.optimizers import Adam

title = "Numbers in handwriting, and their names in words"

STREAM = "caption/numbers"
WIDTH, PIXELS = 24, 8 * 24
CHANNELS = (*(f"pixel {n // WIDTH},{n % WIDTH}" for n in range(PIXELS)), "mark")
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
WORDS = (*ONES, *TENS, "hundred", "the end")
END = len(WORDS) - 1
LONGEST = 5  # "seven hundred twenty one", and the end
EXAMPLES = 20_000


class Numeral(NamedTuple):
    """image (8, 24), flush right; words (T,): the numbers of its words, and the end."""

    image: NDArray[np.float32]
    words: NDArray[np.int64]


def in_words(number: int) -> list[str]:
    """A number below 1000.

    >>> in_words(7), in_words(320), in_words(415)
    (['seven'], ['three', 'hundred', 'twenty'], ['four', 'hundred', 'fifteen'])
    """
    hundreds, rest = divmod(number, 100)
    words = [ONES[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        words.append(TENS[rest // 10 - 2])
        rest %= 10
        return words + ([ONES[rest]] if rest else [])
    return words + ([ONES[rest]] if rest or not hundreds else [])


@cache
def numerals(count: int, *, unseen: bool) -> list[Numeral]:
    """Numbers of one to three digits, of images kept from training or of the others."""
    generator = np.random.default_rng(int(unseen))
    images, labels = data()
    part = slice(-UNSEEN, None) if unseen else slice(-UNSEEN)
    images, labels = images[part], labels[part]
    of = [np.flatnonzero(labels == digit) for digit in range(10)]
    found = []
    for _ in range(count):
        length = int(generator.integers(1, 4))
        number = int(generator.integers(10 ** (length - 1) if length > 1 else 0, 10**length))
        image = np.zeros((8, WIDTH), np.float32)
        for place, digit in enumerate(reversed(str(number))):
            right = WIDTH - 8 * place
            image[:, right - 8 : right] = images[generator.choice(of[int(digit)])]
        words = np.array([*map(WORDS.index, in_words(number)), END])
        found.append(Numeral(image, words))
    return found


def train(show: Show, threads: int = 1) -> Models:
    """One network sees the image once and then writes, in half a minute."""
    examples = numerals(EXAMPLES, unseen=False)
    caption = RNN(PIXELS + len(WORDS), 120, len(WORDS), seed=1)
    fit(
        caption,
        [example.image.ravel() for example in examples],
        [example.words for example in examples],
        "one_to_many",
        loss="cross_entropy",
        optimizer=Adam(lr=2e-3),
        epochs=15,
        lr_decay=0.8,
        decay_after=6,
        truncation=None,
        threads=threads,
        callback=partial(show, "caption"),
    )
    return {"caption": caption}


def models() -> Models:
    return kept(("caption",))


def naming(models: Models) -> Sequences:
    return Sequences(models["caption"], "one_to_many", classes=True, end=END)


def rows(example: Numeral) -> Rows:
    """An image as a stream has it: one row, then time to write."""
    return marked(example.image.reshape(1, -1), LONGEST - 1)


def words(y: NDArray[np.float32]) -> list[str]:
    """What the outputs (T, words) say, without the end."""
    classes = y[~np.isnan(y[:, 0])].argmax(axis=1)
    return [WORDS[c] for c in classes if c != END]


def figures(models: Models) -> list[Figure]:
    """The share of images of unseen digits whose names are right in every word."""
    examples = numerals(1000, unseen=True)
    right = [[WORDS[c] for c in example.words[:-1]] for example in examples]
    found = answers(naming(models), [rows(example) for example in examples])
    ours = float(np.mean([words(y) == name for y, name in zip(found, right, strict=True)]))
    known = Counter(tuple(e.words.tolist()) for e in numerals(EXAMPLES, unseen=False))
    ((most, _),) = known.most_common(1)
    theirs = float(np.mean([tuple(example.words.tolist()) == most for example in examples]))
    return [Figure(f"{STREAM}: names all right", ours, "most frequent", theirs, 0.6)]


def rules(models: Models) -> list[Rule]:
    """One stream of images."""
    step = naming(models)
    return [
        Rule(
            STREAM,
            lambda names: step,
            CHANNELS,
            target=4 * WIDTH + 20,
            outputs=tuple(map(Output, WORDS)),
            mode="one_to_many",
            picture=Naming(),
        )
    ]


class Naming:
    """The image, and its name so far."""

    def __init__(self) -> None:
        self.places = Places()
        self.said: list[str] = []

    def __call__(self, batch: Batch) -> Mapping[str, Picture]:
        examples = numerals(1000, unseen=True)
        assert batch.y is not None
        for x, y in zip(batch.x, batch.y, strict=True):
            place = self.places.of(x)
            if place.step == 0:
                self.said = []
            self.said += words(y[None])
        if np.isnan(y[0]):  # it has come to the end, and what it said stays
            return {}
        example = examples[place.nth % len(examples)]
        shown = Picture(
            image=example.image,
            text=" ".join(self.said),
            truth=" ".join(WORDS[c] for c in example.words[:-1]),
            likely=likely(y, WORDS),
            step=place.step,
            reads=place.reads,
        )
        return {STREAM: shown}


def sources() -> list[Callable[..., Source]]:
    """Two words a second."""
    sequences = [rows(example) for example in numerals(1000, unseen=True)]
    return [partial(Play, [STREAM], CHANNELS, sequences, rate_hz=2, pause=1)]
