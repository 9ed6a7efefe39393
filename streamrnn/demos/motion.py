"""Objects that stand, go straight on, turn, and leave the picture: made here, frame by frame."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LABELS = ("still", "straight", "turning", "leaving")
STILL, STRAIGHT, TURNING, LEAVING = range(4)
EDGE = 0.15  # who moves outwards within it is leaving
NOISE = 0.0004  # of where it is seen, in widths of the picture: half a pixel of 1280


class Track(NamedTuple):
    """One object from its first frame to the one in which it is gone.

    seen    (T, 4): x and y from 0 to 1, and the way since the frame before, NaN at first
    labels  (T,): what it is doing
    """

    seen: NDArray[np.float64]
    labels: NDArray[np.int64]


def track(generator: np.random.Generator, most: int = 200) -> Track:
    """An object that does one thing for 4 to 12 frames, then another, at most so many in all."""
    at = generator.uniform(0.3, 0.7, 2)
    angle = generator.uniform(0, 2 * np.pi)
    places: list[NDArray[np.float64]] = []
    labels: list[int] = []
    while True:
        doing = int(generator.choice([STILL, STRAIGHT, TURNING], p=[0.3, 0.35, 0.35]))
        speed = 0.0 if doing == STILL else generator.uniform(0.01, 0.03)
        turn = generator.choice([-1, 1]) * generator.uniform(0.25, 0.5) if doing == TURNING else 0
        for _ in range(generator.integers(4, 13)):
            angle += turn
            way = speed * np.array([np.cos(angle), np.sin(angle)])
            at = at + way
            if len(places) == most or (at < 0).any() or (at > 1).any():
                seen = np.array(places) + generator.normal(0, NOISE, (len(places), 2))
                came = np.diff(seen, axis=0, prepend=np.full((1, 2), np.nan))
                return Track(np.concatenate([seen, came], axis=1), np.array(labels))
            outwards = ((at < EDGE) & (way < 0)) | ((at > 1 - EDGE) & (way > 0))
            places.append(at)
            labels.append(LEAVING if outwards.any() else doing)


def tracks(count: int, seed: int) -> list[Track]:
    """Objects, none of which leaves within its first frames."""
    generator = np.random.default_rng(seed)
    found: list[Track] = []
    while len(found) < count:
        one = track(generator)
        if len(one.labels) >= 20:
            found.append(one)
    return found
