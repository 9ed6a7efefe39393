"""Pictures on their way to the page."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from streamrnn_server import protocol as p
from streamrnn_server.pictures import on_the_wire

from streamrnn.streams import Picture, Point
from tests.server.fakes import group, hub, result, samples, taken, watch


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


def drawn(n: int = 3, **picture):
    """A hub with n samples of a stream whose picture counts the batches."""
    made, seen = hub(), []

    def draw(batch):
        seen.append(batch)
        return {batch.keys[-1]: Picture(text=f"batch {len(seen)}", **picture)}

    of = group(rule=SimpleNamespace(kind="sensor", mode="many_to_one", picture=draw))
    for k in range(n):
        made.publish(result(of, ["a"], [k]))
    return made, of


def test_the_newest_picture_comes_with_the_newest_samples():
    h, of = drawn(3)
    viewer = h.join()
    hello = taken(h, viewer)[0]
    assert (hello.groups[0].mode, hello.groups[0].pictured) == ("many_to_one", True)
    watch(h, viewer, 0)
    pictures = [m for m in taken(h, viewer) if isinstance(m, p.Picture)]
    assert [(m.stream, m.seq, m.text) for m in pictures] == [(0, 2, "batch 3")]
    h.publish(result(of, ["a"], [3]))
    picture, frame = taken(h, viewer)
    assert (picture.seq, picture.text, frame.chunks[0].first) == (3, "batch 4", 3)


def test_a_viewer_gets_no_pictures_of_streams_that_it_does_not_watch():
    h, _ = drawn(3)
    viewer = h.join()
    assert not [m for m in taken(h, viewer) if isinstance(m, p.Picture)]


def test_samples_are_shown_though_their_picture_cannot_be():
    h = hub()
    rule = SimpleNamespace(
        kind="sensor", mode="synced", picture=lambda batch: {"a": Picture(image=np.zeros(3))}
    )
    with pytest.raises(ValueError, match=r"the image of a has shape \(3,\), expected \(height,"):
        h.publish(result(group(rule=rule), ["a"], [0]))
    viewer = h.join()
    watch(h, viewer, 0)
    assert samples(taken(h, viewer)) == {0: [(0, 0.0)]}
