"""Several objects at once, a state for each: what each is doing, told at every frame (synced)."""

from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np

from streamrnn.demos.motion import LABELS, tracks
from streamrnn.demos.playing import Places, Play, Rows, answers, likely, marked
from streamrnn.demos.trained import Figure, Models, Show, kept
from streamrnn.model import GRU
from streamrnn.sequences import Sequences
from streamrnn.step import Output
from streamrnn.streams import Batch, Picture, Point, Rule, Source
from streamrnn.train import fit
from streamrnn.training.optimizers import Adam

title = "Objects that move: what each of eight is doing, frame by frame"

STREAMS = tuple(f"tracking/{n}" for n in range(1, 9))
CHANNELS = ("x", "y", "dx", "dy", "mark")
SHOWN = 40  # objects that each stream shows, one after another


def train(show: Show, threads: int = 1) -> Models:
    """One network for all objects, in a quarter of a minute."""
    examples = tracks(1500, seed=0)
    watcher = GRU(4, 32, len(LABELS), seed=1)
    watcher.scale(mean=[0.5, 0.5, 0.0, 0.0], std=[0.3, 0.3, 0.015, 0.015])
    fit(
        watcher,
        [track.seen for track in examples],
        [track.labels for track in examples],
        "synced",
        loss="cross_entropy",
        optimizer=Adam(lr=1e-2),
        epochs=20,
        batch_size=32,
        lr_decay=0.85,
        decay_after=10,
        threads=threads,
        callback=partial(show, "watcher"),
    )
    return {"watcher": watcher}


def models() -> Models:
    return kept(("watcher",))


def watching(models: Models) -> Sequences:
    return Sequences(models["watcher"], "synced", classes=True)


def figures(models: Models) -> list[Figure]:
    """The share of frames, the first of each object excepted, that are named right."""
    unseen = tracks(300, seed=1)
    found = answers(watching(models), [marked(track.seen) for track in unseen])
    right = [(y.argmax(axis=1) == t.labels)[1:] for y, t in zip(found, unseen, strict=True)]
    same = [t.labels[1:] == t.labels[:-1] for t in unseen]
    ours, theirs = (float(np.concatenate(parts).mean()) for parts in (right, same))
    what = "tracking: frames named right"
    return [Figure(what, ours, "the right name of the frame before", theirs, 0.05)]


class Scene:
    """Objects one after another on each stream.

    rows    (T, streams, channels)
    labels  for each stream those of its objects
    """

    def __init__(self) -> None:
        shown = [tracks(SHOWN, seed=2 + n) for n in range(len(STREAMS))]
        columns = [np.concatenate([marked(track.seen) for track in own]) for own in shown]
        T = min(map(len, columns))
        self.rows: Rows = np.stack([column[:T] for column in columns], axis=1)
        self.labels = [[track.labels for track in own] for own in shown]


@cache
def scene() -> Scene:
    return Scene()


def rules(models: Models) -> list[Rule]:
    """A stream for each object."""
    step = watching(models)
    return [
        Rule(
            "tracking/*",
            lambda names: step,
            CHANNELS,
            outputs=tuple(map(Output, LABELS)),
            picture=Canvas(),
        )
    ]


class Canvas:
    """All objects where they are; the stream that is looked at tells what its own is doing."""

    def __init__(self) -> None:
        self.places = {key: Places() for key in STREAMS}
        self.points: dict[str, Point] = {}

    def __call__(self, batch: Batch) -> Mapping[str, Picture]:
        assert batch.y is not None
        pictures = {}
        for key, x, y in zip(batch.keys, batch.x, batch.y, strict=True):
            place = self.places[key].of(x)
            stream = STREAMS.index(key)
            labels = scene().labels[stream]
            guesses = likely(y, LABELS)
            # Each object its own name, so that its trail ends with it.
            name = f"{key.removeprefix('tracking/')}.{place.nth + 1}"
            self.points[key] = Point(name, x[0], x[1], guesses[0][0])
            truth = labels[place.nth % len(labels)]
            pictures[key] = Picture(
                text=guesses[0][0],
                truth=LABELS[truth[place.step % len(truth)]],
                likely=guesses,
                step=place.step,
            )
        points = tuple(self.points.values())
        return {key: picture._replace(points=points) for key, picture in pictures.items()}


def sources() -> list[Callable[..., Source]]:
    """Fifteen frames a second."""
    return [partial(Play, STREAMS, CHANNELS, [scene().rows], rate_hz=15)]
