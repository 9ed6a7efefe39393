"""Events of a batch: every sample in one of them, each stream in order, no state copied twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.streams import events
from streamrnn.streams.batch import Batch


def cut(keys: list[str], watched: set[str], copied: int = 1000) -> list[Batch]:
    """Events of at most `copied` states."""
    group: Any = SimpleNamespace(bank=SimpleNamespace(model=SimpleNamespace(layout=np.dtype("f8"))))
    N = len(keys)
    batch = Batch(keys, np.arange(N, dtype=float), np.arange(N, dtype=float).reshape(N, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "COPY_BYTES", 8 * copied)
        parts = list(events.events(group, batch, watched))
    assert all(part.t.tolist() == batch.t[rows].tolist() for rows, part in parts)
    return [part for _, part in parts]


some = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40)


@given(some, st.integers(1, 8), st.sets(st.sampled_from("abcdef")))
def test_every_sample_is_in_one_event_and_each_stream_in_order(keys, copied, watched):
    parts = cut(keys, watched, copied)
    assert sorted(t for part in parts for t in part.t) == list(range(len(keys)))
    for name in set(keys):
        own = [t for part in parts for k, t in zip(part.keys, part.t, strict=True) if k == name]
        assert own == [n for n, key in enumerate(keys) if key == name]
    for part in parts:
        assert len(set(part.keys)) <= copied
        assert [keys[int(t)] for t in part.t] == part.keys
        assert part.x[:, 0].tolist() == part.t.tolist()


@given(some, st.integers(1, 8))
def test_a_stream_that_nobody_watches_is_in_one_event(keys, copied):
    parts = cut(keys, set(), copied)
    seen = [key for part in parts for key in set(part.keys)]
    assert len(seen) == len(set(seen))
    assert len(parts) == -(-len(seen) // copied)


def test_a_watched_stream_that_repeats_goes_in_rounds():
    parts = cut(list("abaabb"), {"a"})
    assert [list(part.keys) for part in parts] == [list("abbb"), ["a"], ["a"]]
