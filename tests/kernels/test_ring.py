"""A forecast is found again in the row that it is of, and in no place but its own."""

import pytest

from streamrnn.kernels.ring import kept, waiting, waits

kept, waits = kept.py_func, waits.py_func  # without a door for Python


@pytest.mark.parametrize("H", [1, 2, 3, 4, 5, 12, 13])
def test_what_waits_is_there_when_its_row_comes(H):
    ring = {}
    for row in range(5 * H):
        place = row % H
        for h in range(min(H, row)):  # first what is of this row, then what it makes
            assert ring.pop(waits(h, kept(h, place, H), H)) == (row - h - 1, h)
        made = {waits(h, place, H): (row, h) for h in range(H)}
        assert len(made) == H and not made.keys() & ring.keys()
        assert all(0 <= at < H * waiting(H) for at in made)
        ring |= made
    assert waiting(12) == 7


def test_places_come_round():
    assert [kept(h, 0, 3) for h in range(3)] == [2, 1, 0]
    assert [kept(h, 2, 3) for h in range(3)] == [1, 0, 2]
