"""Recurrence against a sliding window: what lies beyond it, and the same phrase elsewhere in it.

The window nets have at least as many parameters. Each position of a window has weights of its own,
so that what was learnt at one of them is not known at the next.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.demos.playing import Places, Play, answers, likely
from streamrnn.demos.sliding import Sliding, one_hot, windows
from streamrnn.demos.symbols import LINE, SYMBOLS, Asked, V, cues, lines
from streamrnn.demos.trained import Figure, Models, Show, kept
from streamrnn.model import GRU, RNN, Model
from streamrnn.sequences import Sequences
from streamrnn.step import Output, Step
from streamrnn.streams import Batch, Picture, Rule, Source
from streamrnn.train import fit
from streamrnn.training.optimizers import Adam

title = "Recurrence against a sliding window, at equal parameters"

CUES, PHRASE = "window/cues", "window/phrase"
KINDS = ("recurrent", "sliding")
WIDTHS = {CUES: 8, PHRASE: LINE}  # of the sliding windows
ANSWERS = {CUES: ("A", "B"), PHRASE: ("no", "yes")}
CHANNELS = ("symbol", "mark")
EXAMPLES = 1000  # lines with and without the phrase that the nets of the page have learned from
Net = tuple[str, str]  # the question, and one of KINDS


def name_of(net: Net) -> str:
    return f"{net[0].replace('/', '_')}_{net[1]}"


NETS: tuple[Net, ...] = tuple((question, kind) for question in WIDTHS for kind in KINDS)


def train(show: Show, threads: int = 1) -> Models:
    """Four networks, in seconds."""
    return {name_of(net): trained(net, examples(net[0]), show, threads) for net in NETS}


def examples(question: str) -> list[Asked]:
    """What to learn from."""
    return cues(600, seed=0) if question == CUES else lines(EXAMPLES, seed=0)


def unseen(question: str) -> list[Asked]:
    return cues(200, seed=1) if question == CUES else lines(1000, seed=1)


def trained(net: Net, learned: Sequence[Asked], show: Show, threads: int) -> Model:
    """One of the networks, from these examples."""
    question, kind = net
    width = WIDTHS[question]
    model: Model
    if kind == "recurrent":
        model = GRU(V, 16, 2, tokens=True, seed=1)
        mode, x = "synced", [asked.ids for asked in learned]
        right = [asked.answers for asked in learned]
    else:
        model = RNN(width * V, 21 if question == CUES else 8, 2, seed=1)
        asks = [asked.answers >= 0 for asked in learned]
        seen = [windows(a.ids, width)[at] for a, at in zip(learned, asks, strict=True)]
        mode, x = "one_to_one", list(one_hot(np.concatenate(seen), V))
        right = list(np.concatenate([a.answers[at] for a, at in zip(learned, asks, strict=True)]))
    fit(
        model,
        x,
        right,
        mode,
        loss="cross_entropy",
        optimizer=Adam(lr=1e-2),
        epochs=15 if question == CUES else max(20, min(200, 60_000 // len(learned))),
        validation=0.2,
        patience=10,
        threads=threads,
        callback=partial(show, name_of(net)),
    )
    return model


def models() -> Models:
    return kept(tuple(map(name_of, NETS)))


def step_of(net: Net, model: Model) -> Sequences | Sliding:
    """What runs on a stream."""
    if net[1] == "recurrent":
        return Sequences(model, "synced", classes=True)
    return Sliding(model, WIDTHS[net[0]], V)


def parameters(net: Net, model: Model) -> int:
    """How many there are; those from state to state are none of a net that has no state."""
    idle = ("weight_hh_l0", "bias_hh_l0") if net[1] == "sliding" else ()
    return sum(a.size for name, a in model.parameters.items() if name not in idle)


def score(net: Net, model: Model) -> float:
    """The share of questions on unseen lines that are answered right."""
    asked = unseen(net[0])
    found = answers(step_of(net, model), [one.rows for one in asked])
    right = [
        y.argmax(axis=1)[a.answers >= 0] == a.answers[a.answers >= 0]
        for y, a in zip(found, asked, strict=True)
    ]
    return float(np.concatenate(right).mean())


def figures(models: Models) -> list[Figure]:
    """The share of questions answered right, the window net's beside it."""
    found = []
    for question in WIDTHS:
        ours, theirs = (
            score((question, kind), models[name_of((question, kind))]) for kind in KINDS
        )
        found.append(Figure(f"{question}: answered right", ours, "window net", theirs, 0.25))
    return found


def rules(models: Models) -> list[Rule]:
    """Each question to both kinds of net."""
    return [rule(net, models[name_of(net)]) for net in NETS]


def rule(net: Net, model: Model) -> Rule:
    key, step = "-".join(net), step_of(net, model)

    def made(names: tuple[str, ...]) -> Step:
        return step

    outputs = tuple(map(Output, ANSWERS[net[0]]))
    return Rule(key, made, CHANNELS, outputs=outputs, picture=Answer(net))


class Answer:
    """What was read, what the net answers to a question, and its last answers: dark if right."""

    def __init__(self, net: Net) -> None:
        self.net, self.key = net, "-".join(net)
        self.places = Places()
        self.lines = unseen(net[0])
        self.right = np.zeros((1, 40))

    def __call__(self, batch: Batch) -> Mapping[str, Picture]:
        assert batch.y is not None
        names = ANSWERS[self.net[0]]
        for x, y in zip(batch.x, batch.y, strict=True):
            place = self.places.of(x)
            line = self.lines[place.nth % len(self.lines)]
            answer = int(line.answers[place.step])
            if answer >= 0:
                self.right = np.roll(self.right, 1)
                self.right[0, 0] = 1.0 if y.argmax() == answer else 0.2
        read = self.read(line.ids, place.step)
        guesses: list[tuple[str, float]] = likely(y, names)
        asked = answer >= 0
        shown = Picture(
            image=self.right,
            text=f"{read} → {guesses[0][0]}" if asked else read,
            truth=f"{read} → {names[answer]}" if asked else "",
            likely=guesses if asked else (),
            step=place.step,
            emits=asked,
        )
        return {self.key: shown}

    def read(self, ids: NDArray[Any], step: int) -> str:
        """The line so far; of one with several questions, from the last cue on."""
        start = 0
        if self.net[0] == CUES:
            start = int(np.flatnonzero(ids[: step + 1] < 2)[-1])
        return "".join(SYMBOLS[n] for n in ids[start : step + 1])


def sources() -> list[Callable[..., Source]]:
    """Six symbols a second, the same for both kinds of net, and a second to read each answer."""
    found: list[Callable[..., Source]] = []
    for question in WIDTHS:
        keys = ["-".join((question, kind)) for kind in KINDS]
        # in parts that end with a question, for there is a pause to read the answer after each
        parts = [
            part
            for asked in unseen(question)
            for part in np.split(asked.rows, np.flatnonzero(asked.answers >= 0) + 1)
            if len(part)
        ]
        found.append(partial(Play, keys, CHANNELS, parts, rate_hz=6, pause=6))
    return found
