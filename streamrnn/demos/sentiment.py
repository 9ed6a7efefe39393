"""Sentences from film reviews, judged after every word (many_to_one)."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from streamrnn.checkpoint import load, save
from streamrnn.demos.playing import Places, Play, Rows, answers, marked
from streamrnn.demos.reviews import BagOfWords, Review, folder, held_out, plain, reviews
from streamrnn.demos.trained import Figure, Models, Show
from streamrnn.model import GRU
from streamrnn.sequences import END, Sequences
from streamrnn.step import Output
from streamrnn.streams import Batch, Picture, Rule, Source
from streamrnn.train import fit
from streamrnn.training.optimizers import Adam
from streamrnn.vocabulary import WORD, Vocabulary

title = "Film reviews, judged after every word; fetches its data on first use"

STREAM = "sentiment/reviews"
CHANNELS = ("word", "mark")
WORDS = 6000  # the most frequent; the others are read as one
ERROR = 1.5  # standard error of a rating that the network gives


def kept_at() -> str:
    return str(folder() / "sentiment.safetensors")


def models() -> Models:
    """The network that was trained here before. Raises FileNotFoundError if none was."""
    return {"sentiment": load(kept_at())}


def train(show: Show, threads: int = 1) -> Models:
    """One network, in about a minute; it is kept in the user's cache."""
    examples = learned()
    judge = GRU(len(vocabulary()), 32, 1, tokens=True, seed=1)
    history = fit(
        judge,
        encoded(examples),
        [np.array([review.rating]) for review in examples],
        "many_to_one",
        optimizer=Adam(lr=2e-3),
        epochs=4,
        batch_size=32,
        truncation=None,
        threads=threads,
        callback=partial(show, "sentiment"),
    )
    if history.stopped == "epochs":  # one whose training was cut short is not to stay
        save(judge, kept_at())
    return {"sentiment": judge}


def vocabulary() -> Vocabulary:
    """The words that the network knows."""
    return Vocabulary.of("".join(map(plain, learned())), "word", WORDS)


def judging(models: Models) -> Sequences:
    return Sequences(models["sentiment"], "many_to_one")


def learned() -> list[Review]:
    return [review for review in reviews() if not held_out(review)]


def unseen() -> list[Review]:
    return [review for review in reviews() if held_out(review)]


def encoded(chosen: Sequence[Review]) -> list[NDArray[np.int32]]:
    """The numbers of the words of each review (T,)."""
    ids = vocabulary().encode("".join(map(plain, chosen)))  # at once: it looks up all words
    lengths = [len(words_of(review)) for review in chosen]
    return np.split(ids, np.cumsum(lengths)[:-1])


def rows(chosen: Sequence[Review]) -> list[Rows]:
    """Reviews as a stream has them."""
    return [marked(ids[:, None]) for ids in encoded(chosen)]


def share_right(models: Models) -> dict[str, float]:
    """The share of unseen reviews whose side is told: by the network, and by others."""
    every = unseen()
    good = np.array([review.rating > 0 for review in every])
    known = np.mean([review.rating > 0 for review in learned()]) > 0.5
    bag = BagOfWords(learned())
    found = answers(judging(models), rows(every))
    return {
        "network": float(np.mean([(y[-1, 0] > 0) == g for y, g in zip(found, good, strict=True)])),
        "majority": float(np.mean(good == known)),
        "bag of words": float(
            np.mean([bag.good(r) == g for r, g in zip(every, good, strict=True)])
        ),
    }


def figures(models: Models) -> list[Figure]:
    """Beside the majority, and beside what the words alone tell."""
    right = share_right(models)
    what, ours = f"{STREAM}: good or bad told right", right["network"]
    return [
        Figure(what, ours, "majority", right["majority"], 0.2),
        Figure(what, ours, "bag of words", right["bag of words"], -0.03),
    ]


def rules(models: Models) -> list[Rule]:
    """One stream of words."""
    step = judging(models)
    return [
        Rule(
            STREAM,
            lambda names: step,
            CHANNELS,
            outputs=(Output("rating"),),
            mode="many_to_one",
            picture=Verdict(),
        )
    ]


class Verdict:
    """The review as far as it was read, and what the network holds of it by now."""

    def __init__(self) -> None:
        self.places = Places()
        self.reviews = unseen()

    def __call__(self, batch: Batch) -> Mapping[str, Picture]:
        assert batch.y is not None
        for x in batch.x:
            place = self.places.of(x)
        review = self.reviews[place.nth % len(self.reviews)]
        read, names = words_of(review)[: place.step + 1], ("bad", "good")
        guesses = sides(float(batch.y[-1, 0]))
        shown = Picture(
            text=f"{''.join(read).strip()} → {guesses[0][0]}",
            truth=f"{plain(review).strip()} → {names[review.rating > 0]}",
            likely=guesses,
            step=place.step,
            emits=bool(int(batch.x[-1, -1]) & END),
        )
        return {STREAM: shown}


def words_of(review: Review) -> list[str]:
    """The words of a review, each with the space before it, as the vocabulary has them."""
    return WORD.findall(plain(review))


def sides(rating: float) -> list[tuple[str, float]]:
    """How probable the sides of a rating are, given its standard error; the likelier first."""
    good = 0.5 * (1 + math.erf(rating / ERROR / math.sqrt(2)))
    return sorted([("good", good), ("bad", 1 - good)], key=lambda side: -side[1])


def sources() -> list[Callable[..., Source]]:
    """Four words a second."""
    return [partial(Play, [STREAM], CHANNELS, rows(unseen()), rate_hz=4, pause=8)]
