"""Rings: the newest samples within a budget of bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from streamrnn_server.rings import LEAST, MOST, Rings, row_dtype

DTYPE = row_dtype(channels=2, outputs=3, units=4)  # 8 + 8 + 12 + 4 = 32 bytes


def rows(first: int, n: int) -> np.ndarray:
    """Samples whose every value tells their sequence number."""
    made = np.zeros(n, DTYPE)
    made["t"] = np.arange(first, first + n)
    made["x"] = made["t"][:, None]
    made["y"] = -made["t"][:, None]
    made["h"] = (np.arange(first, first + n) % 100)[:, None]
    return made.view(np.uint8).reshape(n, DTYPE.itemsize)


def test_a_row_is_as_large_as_its_columns():
    assert DTYPE.itemsize == 32


@given(
    sizes=st.lists(st.integers(1, 700), max_size=20),
    budget=st.sampled_from([0, 32 * 256, 32 * 1024, 32 * 5000]),
)
def test_a_ring_holds_the_newest_samples_in_order(sizes, budget):
    rings = Rings(budget)
    ring = rings.add(DTYPE)
    for n in sizes:
        rings.extend(0, rows(ring.count, n), arrived=0.0)
    assert ring.count == sum(sizes)
    assert ring.count - ring.first >= min(ring.count, LEAST)
    if ring.count:
        held = ring.read(ring.first, ring.count)
        expected = np.arange(ring.first, ring.count)
        assert held["t"].tolist() == expected.tolist()
        assert held["x"][:, 1].tolist() == expected.tolist()
        assert held["y"][:, 2].tolist() == (-expected).tolist()
        assert held["h"][:, 3].tolist() == (expected % 100).tolist()


def test_a_ring_grows_to_its_share_and_no_further():
    rings = Rings(32 * 1024)
    ring = rings.add(DTYPE)
    assert ring.capacity == LEAST
    rings.extend(0, rows(0, 1000), 0.0)
    assert ring.capacity == 1024
    rings.extend(0, rows(1000, 5000), 0.0)
    assert (ring.capacity, ring.first) == (1024, 6000 - 1024)


def test_no_ring_is_larger_than_the_most_anybody_looks_back():
    rings = Rings(1 << 40)
    ring = rings.add(DTYPE)
    rings.extend(0, rows(0, MOST + 1), 0.0)
    assert (ring.capacity, ring.first) == (MOST, 1)


def test_the_budget_holds_for_any_number_of_streams():
    budget = 32 * LEAST * 100  # full at 100 rings of the least size
    rings = Rings(budget)
    for stream in range(64):
        rings.add(DTYPE)
        rings.extend(stream, rows(0, 4000), 0.0)
        assert rings.bytes <= budget
        assert rings.bytes == sum(r.capacity * 32 for r in (rings[i] for i in range(stream + 1)))
    first = rings[0]
    assert first.read(first.first, first.count)["t"].tolist() == list(range(4000 - LEAST, 4000))


def test_the_least_is_held_even_beyond_the_budget():
    rings = Rings(0)
    for _ in range(10):
        rings.add(DTYPE)
    assert rings.bytes == 10 * LEAST * 32
