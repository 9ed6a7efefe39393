"""Pictures as they travel: what a rule's `picture` drew, checked and made small."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from streamrnn_server import protocol

if TYPE_CHECKING:
    from streamrnn.streams.picture import Picture

PIXELS = 1 << 14  # of an image, so that its message stays below 22 kB
POINTS = 200
LETTERS = 2000
LIKELY = 20


def on_the_wire(key: str, picture: Picture, stream: int, seq: int) -> protocol.Picture:
    """The message for `picture` of the stream `key`. Raises ValueError for one too large to show.

    Of a longer text the end is shown, of more than LIKELY guesses the first. Points and guesses
    whose numbers are not known (NaN) are left out.
    """
    if len(picture.points) > POINTS:
        raise ValueError(
            f"the picture of {key} has {len(picture.points)} points, expected at most {POINTS}"
        )
    return protocol.Picture(
        stream=stream,
        seq=seq,
        image=None if picture.image is None else _image(key, picture.image),
        row=None if picture.row is None else int(picture.row),
        points=[
            protocol.Spot(name, float(x), float(y), label)
            for name, x, y, label in picture.points
            if math.isfinite(x + y)
        ],
        text=picture.text[-LETTERS:],
        truth=picture.truth[-LETTERS:],
        likely=[
            protocol.Guess(text, float(p))
            for text, p in picture.likely[:LIKELY]
            if math.isfinite(p)
        ],
        step=int(picture.step),
        reads=bool(picture.reads),
        emits=bool(picture.emits),
    )


def _image(key: str, image: ArrayLike) -> protocol.Image:
    pixels = np.asarray(image, np.float32)
    if pixels.ndim != 2 or not 0 < pixels.size <= PIXELS:
        raise ValueError(
            f"the image of {key} has shape {pixels.shape}, expected (height, width) of at most "
            f"{PIXELS} pixels, from 0 to 1"
        )
    height, width = pixels.shape
    grey = np.rint(255 * np.clip(np.nan_to_num(pixels), 0, 1)).astype(np.uint8)
    return protocol.Image(height, width, grey.tobytes())
