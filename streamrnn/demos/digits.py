"""Handwritten digits: seen at once (one_to_one), and read row by row (many_to_one)."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.demos.playing import Places, Play, answers, likely, marked
from streamrnn.demos.trained import DATA, Figure, Models, Show, kept
from streamrnn.model import GRU, RNN
from streamrnn.sequences import Sequences
from streamrnn.step import Output
from streamrnn.streams import Batch, Picture, Rule, Source
from streamrnn.train import fit
from streamrnn.training.optimizers import Adam

title = "Handwritten digits, seen at once and read row by row"

WHOLE, ROWS = "digits/whole", "digits/rows"
NAMES = tuple(map(str, range(10)))
MODES: dict[str, Any] = {WHOLE: "one_to_one", ROWS: "many_to_one"}
CHANNELS: dict[str, tuple[str, ...]] = {
    WHOLE: (*(f"pixel {n // 8},{n % 8}" for n in range(64)), "mark"),
    ROWS: (*(f"pixel {n}" for n in range(8)), "mark"),
}
UNSEEN = 360  # the last fifth in the order of the data's authors; a random fifth is easier


@cache
def data() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images (N, 8, 8) from 0 to 1, and what they show (N,)."""
    with np.load(DATA / "digits.npz") as file:  # origin, licence: data/SOURCES.md
        return file["images"].astype(np.float32) / 16, file["labels"].astype(np.int64)


def shifted(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images (N, 8, 8), and each of them a pixel further left, right, up and down: (5 N, 8, 8)."""
    around = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    moves = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
    return np.concatenate([around[:, r : r + 8, c : c + 8] for r, c in moves])


def train(show: Show, threads: int = 1) -> Models:
    """Two networks, in seconds."""
    images, labels = data()
    images, labels = shifted(images[:-UNSEEN]), np.tile(labels[:-UNSEEN], 5)
    whole, rows = RNN(64, 64, 10, seed=1), GRU(8, 48, 10, seed=1)
    for model, x, mode, name in (
        (whole, images.reshape(-1, 64), "one_to_one", "digits_whole"),
        (rows, images, "many_to_one", "digits_rows"),
    ):
        fit(
            model,
            list(x),
            list(labels),
            mode,
            loss="cross_entropy",
            optimizer=Adam(lr=5e-3),
            epochs=20,
            lr_decay=0.85,
            decay_after=5,
            threads=threads,
            callback=partial(show, name),
        )
    return {"digits_whole": whole, "digits_rows": rows}


def models() -> Models:
    return kept(("digits_whole", "digits_rows"))


def steps(models: Models) -> dict[str, Sequences]:
    """What runs on each stream."""
    return {
        WHOLE: Sequences(models["digits_whole"], MODES[WHOLE], classes=True),
        ROWS: Sequences(models["digits_rows"], MODES[ROWS], classes=True),
    }


def played(key: str) -> list[NDArray[np.float64]]:
    """The unseen digits as a stream has them."""
    shape = (1, 64) if key == WHOLE else (8, 8)
    return [marked(image.reshape(shape)) for image in data()[0][-UNSEEN:]]


def figures(models: Models) -> list[Figure]:
    """The share of unseen digits that are named right."""
    labels = data()[1]
    most = int(np.bincount(labels[:-UNSEEN]).argmax())
    majority = float((labels[-UNSEEN:] == most).mean())
    found = []
    for key, step in steps(models).items():
        said = np.array([y[-1].argmax() for y in answers(step, played(key))])
        right = float((said == labels[-UNSEEN:]).mean())
        found.append(Figure(f"{key}: digits named right", right, "most frequent", majority, 0.75))
    return found


def rules(models: Models) -> list[Rule]:
    """A stream of whole images, and one of rows."""
    return [
        Rule(
            key,
            lambda names, step=step: step,  # type: ignore[misc]
            CHANNELS[key],
            target=36 if key == WHOLE else 4,  # in the middle, where there is most to see
            outputs=tuple(Output(name) for name in NAMES),
            mode=MODES[key],
            picture=Drawn(key),
        )
        for key, step in steps(models).items()
    ]


class Drawn:
    """The digit, as far as it was read, and what it may be."""

    def __init__(self, key: str) -> None:
        self.key, self.places = key, Places()

    def __call__(self, batch: Batch) -> Mapping[str, Picture]:
        images, labels = data()
        assert batch.y is not None
        for x, y in zip(batch.x, batch.y, strict=True):
            place = self.places.of(x)
            n = place.nth % UNSEEN - UNSEEN
            last = self.key == WHOLE or place.step == 7
            guesses = likely(y, NAMES)
            shown = Picture(
                image=images[n],
                row=None if self.key == WHOLE else place.step,
                text=guesses[0][0],
                truth=str(labels[n]),
                likely=guesses,
                step=place.step,
                emits=last,
            )
        return {self.key: shown}


def sources() -> list[Callable[..., Source]]:
    """A digit a second, and a digit in two."""
    whole = partial(Play, [WHOLE], CHANNELS[WHOLE], played(WHOLE), rate_hz=1)
    return [whole, partial(Play, [ROWS], CHANNELS[ROWS], played(ROWS), rate_hz=6, pause=4)]
