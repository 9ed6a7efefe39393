"""Pictures on their way to the page."""

from __future__ import annotations

import math

import numpy as np
import pytest
from streamrnn_server import protocol as p
from streamrnn_server.pictures import on_the_wire

from streamrnn.streams import Picture, Point


def test_an_image_is_sent_as_bytes_row_by_row():
    image = [[0.0, 0.5, 1.0], [math.nan, -3.0, 7.0]]
    sent = on_the_wire("digits", Picture(image=image, row=1), 4, 41)
    # 0.5 x 255 = 127.5 is rounded to the even 128; what is outside 0..1 is bounded
    assert sent.image == p.Image(2, 3, bytes([0, 128, 255, 0, 0, 255]))
    assert (sent.stream, sent.seq, sent.row) == (4, 41, 1)


def test_points_and_words_are_sent_as_they_are():
    picture = Picture(
        points=[Point("ball", np.float32(0.5), 0.25, "turning"), Point("lost", math.nan, 0)],
        text="turning",
        truth="still",
        likely=[("turning", np.float32(0.75)), ("still", math.nan)],
        step=np.int64(3),
        reads=False,
    )
    sent = on_the_wire("balls", picture, 0, 0)
    assert sent.points == [p.Spot("ball", 0.5, 0.25, "turning")]
    assert (sent.text, sent.truth, sent.likely) == ("turning", "still", [p.Guess("turning", 0.75)])
    assert (sent.image, sent.row, sent.step, sent.reads, sent.emits) == (None, None, 3, False, True)
    p.encode(sent)  # numbers of NumPy would not be


def test_of_a_long_text_the_end_is_shown():
    assert on_the_wire("a", Picture(text="x" * 3000 + "end"), 0, 0).text[-4:] == "xend"
    assert len(on_the_wire("a", Picture(text="x" * 3000), 0, 0).text) == 2000


@pytest.mark.parametrize(
    ("picture", "error"),
    [
        (
            Picture(image=np.zeros((200, 200))),
            r"the image of a has shape \(200, 200\), expected \(height, width\) of at most 16384",
        ),
        (Picture(image=np.zeros((0, 3))), r"the image of a has shape \(0, 3\), expected"),
        (
            Picture(points=[Point("p", 0, 0)] * 201),
            "the picture of a has 201 points, expected at most 200",
        ),
    ],
)
def test_a_picture_that_is_too_large_is_refused(picture, error):
    with pytest.raises(ValueError, match=error):
        on_the_wire("a", picture, 0, 0)
