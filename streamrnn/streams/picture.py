"""What a stream looks like: an image, points that move or words, and what the network makes of it.

A rule that names a `picture` gives its streams a view of their own on the page:

    def picture(batch):
        pixels, p = batch.x[-1].reshape(8, 8), batch.y[-1]
        likely = [(str(digit), float(p[digit])) for digit in np.argsort(-p)[:5]]
        return {batch.keys[-1]: Picture(image=pixels, text=likely[0][0], likely=likely)}

    Rule("digits", lambda names: model, channels, mode="one_to_one", picture=picture)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from numpy.typing import ArrayLike

from streamrnn.streams.batch import Batch

Mode = Literal["one_to_one", "one_to_many", "many_to_one", "many_to_many", "synced"]


class Point(NamedTuple):
    """Something at a place of the canvas; the page follows it by its name and draws its trail."""

    name: str
    x: float  # from 0, left, to 1, right
    y: float  # from 0, top, to 1, bottom
    label: str = ""  # what it does, in a word: "still", "turning"


class Picture(NamedTuple):
    """What the page shows of a stream after a sample; whatever is left out is not shown.

    image   (H, W) from 0 (paper) to 1 (ink), at most 16 384 pixels; NaN is 0
    row     the row of the image that was read last; those below it are shown as not read yet
    points  the canvas, at most 200 of them
    text    what the network says or has written so far, or what it has read
    truth   what it should say, where that is known
    likely  what it considers, likeliest first, each with its probability
    step    number of the step within its sequence, from 0
    reads   whether that step read x
    emits   whether its y counts
    """

    image: ArrayLike | None = None
    row: int | None = None
    points: Sequence[Point] = ()
    text: str = ""
    truth: str = ""
    likely: Sequence[tuple[str, float]] = ()
    step: int = 0
    reads: bool = True
    emits: bool = True


# Called for every batch of a rule's streams, in order, with y filled; gives the pictures of some of
# them, by key. What it draws from earlier batches it keeps itself.
Draw = Callable[[Batch], Mapping[str, Picture]]
