"""Keys are a list of keys to whoever looks, though each name is held once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.keys import Keys, repeats

names = st.lists(st.sampled_from(["a", "b", "c", "ä", ""]), max_size=30)


@given(names)
def test_keys_read_and_compare_like_a_list(listed):
    keys = Keys.of(listed)
    assert keys == listed and list(keys) == listed and repr(keys) == repr(listed)
    assert len(keys) == len(listed) and [keys[n] for n in range(len(keys))] == listed
    assert keys[2:5] == listed[2:5]
    assert keys != [*listed, "other"]
    assert len(set(keys.names)) == len(keys.names) and set(keys.names) == set(listed)


@given(names)
def test_counts_and_last_samples_are_those_of_the_list(listed):
    keys = Keys.of(listed)
    assert keys.counts.tolist() == [listed.count(name) for name in keys.names]
    last = {key: n for n, key in enumerate(listed)}
    assert keys.last.tolist() == [last[name] for name in keys.names]


@given(st.lists(names, min_size=1, max_size=4))
def test_joined_keys_are_the_lists_one_after_the_other(parts):
    assert Keys.joined([Keys.of(part) for part in parts]) == [k for part in parts for k in part]


@given(names, st.data())
def test_chosen_keys_leave_no_name_without_a_sample(listed, data):
    chosen = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(listed), max_size=len(listed)))
    )
    keys = Keys.of(listed).rows(chosen.astype(bool))
    assert keys == [key for key, c in zip(listed, chosen, strict=True) if c]
    assert set(keys.names) == set(keys)


def test_each_asks_once_for_each_name():
    asked = []

    def of(key):
        asked.append(key)
        return len(asked)

    assert Keys.of(["a", "b", "a", "a"]).each(of).tolist() == [1, 2, 1, 1]
    assert asked == ["a", "b"]


@given(st.lists(st.integers(0, 5), max_size=30))
def test_repeats_count_what_came_before(numbers):
    expected = [numbers[:n].count(number) for n, number in enumerate(numbers)]
    assert repeats(np.array(numbers, np.int64)).tolist() == expected
