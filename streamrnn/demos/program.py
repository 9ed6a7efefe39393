"""A network as a program: addition learnt from short numbers, parity with weights set by hand."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.demos.playing import Places, Play, Rows, answers, likely, marked
from streamrnn.demos.trained import Figure, Models, Show, kept
from streamrnn.model import RNN
from streamrnn.sequences import Sequences
from streamrnn.step import Output
from streamrnn.streams import Batch, Picture, Rule, Source
from streamrnn.train import fit
from streamrnn.training.optimizers import Adam

title = "A network as a program: addition it learnt, and parity set by hand"

ADDITION, PARITY = "program/addition", "program/parity"
LEARNT_BITS = 8  # the longest numbers that are learned from
BITS = 40  # of those that are added

Bits = NDArray[np.int64]


def sums(count: int, bits: int, seed: int) -> tuple[NDArray[np.float32], Bits]:
    """Pairs of numbers (count, bits + 1, 2), lowest bit first, and their sums (count, bits + 1)."""
    generator = np.random.default_rng(seed)
    pairs = np.pad(generator.integers(0, 2, (count, bits, 2)), ((0, 0), (0, 1), (0, 0)))
    weights = 1 << np.arange(bits + 1)
    total = (pairs * weights[:, None]).sum(axis=(1, 2))
    return pairs.astype(np.float32), total[:, None] >> np.arange(bits + 1) & 1


def train(show: Show, threads: int = 1) -> Models:
    """An adder of eight units, in seconds; parity needs no training."""
    pairs: list[NDArray[Any]] = []
    right: list[Bits] = []
    for bits in range(1, LEARNT_BITS + 1):
        x, total = sums(400, bits, seed=bits)
        pairs, right = [*pairs, *x], [*right, *total]
    adder = RNN(2, 8, 2, seed=1)
    fit(
        adder,
        pairs,
        right,
        loss="cross_entropy",
        optimizer=Adam(lr=1e-2),
        epochs=25,
        lr_decay=0.9,
        decay_after=12,
        truncation=None,
        threads=threads,
        callback=partial(show, "adder"),
    )
    return {"adder": adder}


def models() -> Models:
    return kept(("adder",))


def parity() -> RNN:
    """Whether the ones so far are an odd number: y is 1 or 0, exactly, however long it runs.

    One unit says "at least one" of the parity before and the new bit, the other "both"; the parity
    is 1 where the first alone holds. A unit is 1 or -1 and nothing between: tanh(20) rounds to 1 in
    float32, so no error is left to grow.
    """
    model = RNN(1, 2, 1)
    steep = 40.0
    model.parameters["weight_ih_l0"] = [[steep], [steep]]
    # parity = (h0 - h1) / 2; at the start both are 0, and so is the parity
    model.parameters["weight_hh_l0"] = [[steep / 2, -steep / 2]] * 2
    model.parameters["bias_ih_l0"] = [-0.5 * steep, -1.5 * steep]
    model.parameters["bias_hh_l0"] = [0.0, 0.0]
    model.parameters["weight_ho"] = [[0.5, -0.5]]
    model.parameters["bias_o"] = [0.0]
    return model


def adding(models: Models) -> Sequences:
    return Sequences(models["adder"], "synced", classes=True)


def figures(models: Models) -> list[Figure]:
    """The share of sums that are right in every bit, of numbers five times as long."""
    pairs, right = sums(2000, BITS, seed=1000)
    y = np.array(answers(adding(models), [marked(x) for x in pairs]))
    added = float((y.argmax(axis=2) == right).all(axis=1).mean())
    return [Figure(f"{ADDITION}: sums of {BITS} bits right", added, "by chance", 2.0**-BITS, 0.999)]


@cache
def played() -> tuple[NDArray[np.float32], Bits]:
    return sums(200, BITS, seed=2000)


def flips() -> list[Rows]:
    """One sequence that is as good as endless."""
    return [np.random.default_rng(0).integers(0, 2, (100_000, 1)).astype(np.float64)]


def rules(models: Models) -> list[Rule]:
    """A stream of pairs of bits, and one of bits."""
    step = adding(models)
    return [
        Rule(
            ADDITION,
            lambda names: step,
            ("a", "b", "mark"),
            outputs=(Output("0"), Output("1")),
            picture=Sum(),
        ),
        Rule(
            PARITY,
            lambda names: parity(),
            ("bit",),
            outputs=(Output("parity"),),
            picture=Course(),
        ),
    ]


class Sum:
    """Rows of bits, the highest left: two numbers, and their sum as far as it is known."""

    def __init__(self) -> None:
        self.places = Places()
        self.image = np.zeros((5, BITS + 1))

    def __call__(self, batch: Batch) -> Mapping[str, Picture]:
        pairs, right = played()
        assert batch.y is not None
        for x, y in zip(batch.x, batch.y, strict=True):
            place = self.places.of(x)
            if place.step == 0:
                self.image[:] = 0
            self.image[::2, BITS - place.step] = *x[:2], y.argmax()
        n, so_far = place.nth % len(pairs), slice(None, place.step + 1)
        a, b, true = (number(bits[so_far]) for bits in (*pairs[n].T, right[n]))
        said = number(self.image[4, ::-1][so_far])
        shown = Picture(
            image=self.image,
            text=f"{a:,} + {b:,} = {said:,}",
            truth=f"{a:,} + {b:,} = {true:,}",
            likely=likely(y, ("0", "1")),
            step=place.step,
        )
        return {ADDITION: shown}


def number(bits: NDArray[Any]) -> int:
    """What bits (T,) mean, the lowest first."""
    return int((bits.astype(np.int64) << np.arange(len(bits))).sum())


class Course:
    """Two rows: the last bits, and whether the ones up to each were an odd number."""

    def __init__(self) -> None:
        self.image = np.zeros((3, 40))
        self.count, self.steps = 0, 0

    def __call__(self, batch: Batch) -> Mapping[str, Picture]:
        assert batch.y is not None
        new = np.stack([batch.x[:, 0], np.zeros(len(batch.x)), batch.y[:, 0]])
        self.image = np.concatenate([self.image, new], axis=1)[:, -40:]
        self.count += int(batch.x[:, 0].sum())
        self.steps += len(batch.x)
        names = ("even", "odd")
        shown = Picture(
            image=self.image,
            text=names[int(batch.y[-1, 0])],
            truth=names[self.count % 2],
            step=self.steps - 1,
        )
        return {PARITY: shown}


def sources() -> list[Callable[..., Source]]:
    """Five pairs of bits a second, and ten bits."""
    pairs = [marked(x) for x in played()[0]]
    return [
        partial(Play, [ADDITION], ("a", "b", "mark"), pairs, rate_hz=5, pause=8),
        partial(Play, [PARITY], ("bit",), flips(), rate_hz=10),
    ]
