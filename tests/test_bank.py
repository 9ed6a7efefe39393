"""Banks: keyed streams over one step."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrnn.bank import Bank, Snapshot
from streamrnn.model import GRU, LSTM, RNN
from streamrnn.shelf import Shelf
from streamrnn.step import flat
from tests import naive

KEYS = st.lists(st.sampled_from(["a", "b", "c", ("d", 1), 7]), min_size=1, max_size=40)


@pytest.mark.parametrize("cell", naive.MODELS)
@given(keys=KEYS, cuts=st.lists(st.integers(0, 40), max_size=5), save_at=st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_any_interleaving_gives_the_bits_of_each_stream_alone(cell, keys, cuts, save_at):
    model = cell(2, 9, 3, num_layers=2)
    X = np.random.default_rng(len(keys)).normal(size=(len(keys), 2)).astype(np.float32)
    bank = Bank(model)
    Y = []
    for part in np.split(np.arange(len(keys)), sorted({min(c, len(keys)) for c in cuts})):
        Y += list(bank.step([keys[n] for n in part], X[part]))
        if save_at in part:
            snapshot, bank = bank.snapshot(), Bank(model)
            bank.restore(snapshot)
    for key in set(keys):
        own = [n for n, k in enumerate(keys) if k == key]
        model.reset()
        assert np.stack([Y[n] for n in own]).tobytes() == model.run(X[own]).tobytes()
        assert bank[key].tobytes() == model.state.tobytes()


def test_state_of_one_stream_does_not_touch_another():
    bank = Bank(GRU(1, 5))
    bank.step(["a", "b"], [[1.0], [2.0]])
    before = bank["b"].tobytes()
    bank.step(["a"], [[5.0]])
    bank.reset(["a"])
    assert bank["b"].tobytes() == before and not bank["a"]["h"].any()


def test_a_dropped_key_starts_anew_and_its_row_is_used_again():
    bank = Bank(RNN(1, 5))
    bank.step(["a", "b"], [[1.0], [2.0]])
    bank.drop(["a"])
    assert "a" not in bank and list(bank) == ["b"]
    assert bank.rows(["c"]) == [0] and not bank["c"]["h"].any()


def test_rows_grow_with_the_streams_and_stay_on_cache_lines():
    bank = Bank(RNN(1, 3))
    keys = list(range(1000))
    bank.step(keys, np.zeros((1000, 1)))
    assert len(bank) == 1000 and sorted(bank.rows(keys)) == keys
    assert flat(bank.states).ctypes.data % 64 == 0 and bank.states.itemsize % 64 == 0


def test_a_state_moves_from_one_key_to_another():
    bank = Bank(LSTM(1, 3))
    bank.step(["a"], [[1.0]])
    bank["fork"] = bank["a"]
    y = bank.step(["a", "fork"], [[2.0], [2.0]])
    assert y[0].tobytes() == y[1].tobytes()


def test_a_state_may_be_given_to_a_key_that_makes_the_bank_grow():
    bank = Bank(RNN(1, 3))
    bank.step(list(range(16)), np.ones((16, 1)))
    assert len(bank.states) == 16  # full
    bank["fork"] = bank[3]
    assert bank["fork"].tobytes() == bank[3].tobytes()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda b: b.drop(["a", "nobody"]), KeyError),
        (lambda b: b.rows(["new", []]), TypeError),
        (lambda b: b.step(["new", []], [[1.0], [2.0]]), TypeError),
    ],
)
def test_one_wrong_key_leaves_all_keys_as_they_were(call, error):
    bank = Bank(RNN(1, 3))
    bank.rows(["a", "b"])
    with pytest.raises(error):
        call(bank)
    assert list(bank) == ["a", "b"]


def test_a_step_may_begin_elsewhere_than_at_zero():
    class Warm(RNN):
        def initial(self):
            state = np.zeros((), self.layout)
            state["h"] = 0.5
            return state

    bank = Bank(Warm(1, 2))
    bank.rows(["a"])
    assert (bank["a"]["h"] == 0.5).all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda b: b.step("pump", [[1.0]]),
            TypeError,
            "keys is the string 'pump', expected a list",
        ),
        (
            lambda b: b.step(["a"], [[1.0], [2.0]]),
            ValueError,
            "X has shape (2, 1), expected (1, 1)",
        ),
        (lambda b: b.step(["a"], [["x"]]), TypeError, "expected numbers"),
        (lambda b: b["nobody"], KeyError, "nobody"),
        (lambda b: b.drop(["nobody"]), KeyError, "nobody"),
        (lambda b: b.__setitem__("a", np.zeros(2)), ValueError, "a state of GRU("),
        (
            lambda b: b.restore(Bank(LSTM(1, 2)).snapshot()),
            ValueError,
            "the snapshot holds (0,) states of",
        ),
        (
            lambda b: b.restore(Snapshot(["a", "a"], np.repeat(b.snapshot().states, 2))),
            ValueError,
            "the snapshot holds the key 'a' twice, expected one state for each key",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_moves_no_state(call, error, text):
    bank = Bank(GRU(1, 2))
    bank.step(["a"], [[1.0]])
    before = bank.snapshot()
    with pytest.raises(error, match=re.escape(text)):
        call(bank)
    after = bank.snapshot()
    assert after.keys == before.keys and after.states.tobytes() == before.states.tobytes()


@pytest.mark.parametrize("keys", [["b", "c"], ["d", "a"], ["a", "h"], ["h"], []])
def test_units_are_those_of_each_stream(keys):
    bank = Bank(GRU(1, 8, 1))
    every = [*"abcdefgh"]
    bank.step(every, np.arange(8.0).reshape(8, 1))
    alone = [bank.model.units(np.array([bank[key]]))[0] for key in keys]
    assert bank.units(keys).tolist() == [units.tolist() for units in alone]
    assert bank.units(keys).shape == (len(keys), 8)


# --- states that are not in memory ----------------------------------------------------------------

keys_of_six = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8)
doings = st.one_of(
    st.tuples(st.just("step"), keys_of_six),
    st.tuples(st.just("reset"), keys_of_six),
    st.tuples(st.just("drop"), keys_of_six),
    st.tuples(st.just("units"), keys_of_six),
    st.tuples(st.just("set"), keys_of_six),
    st.tuples(st.just("reset all"), st.just([])),
    st.tuples(st.just("restore"), st.just([])),
)


@settings(deadline=None)
@given(st.lists(doings, max_size=30), st.integers(0, 4))
def test_a_bank_with_few_states_in_memory_has_the_same_bits(doings, most):
    model = GRU(1, 4, 1)
    plain, trimmed = Bank(model), Bank(model)
    draw = np.random.default_rng(0)
    for what, keys in doings:
        x = draw.normal(size=(len(keys), 1))
        known = list(dict.fromkeys(key for key in keys if key in plain))
        found = []
        for bank in (plain, trimmed):
            if what == "step":
                found.append(bank.step(keys, x).tobytes())
            elif what == "reset":
                bank.reset(known)
            elif what == "drop":
                bank.drop(known)
            elif what == "units":
                found.append(bank.units(known).tobytes())
            elif what == "set":
                bank[keys[0]] = model.state
            elif what == "reset all":
                bank.reset()
            else:
                bank.restore(bank.snapshot())
        trimmed.trim(most)
        assert trimmed.resident <= most
        assert found[:1] == found[1:]
        (keys_of_plain, states), (keys_of_trimmed, same) = plain.snapshot(), trimmed.snapshot()
        assert keys_of_plain == keys_of_trimmed and states.tobytes() == same.tobytes()
        assert [plain[key].tobytes() for key in plain] == [
            trimmed[key].tobytes() for key in trimmed
        ]


def test_states_that_were_asked_for_last_stay_in_memory():
    bank = Bank(GRU(1, 4, 1))
    bank.step([*"abcdefgh"], np.ones((8, 1)))
    bank.trim(4)
    bank.step([*"ah"], np.ones((2, 1)))
    bank.trim(4)
    bank.step([*"ab"], np.ones((2, 1)))
    bank.trim(3)
    here = [key for key, row in bank._row_of.items() if row >= 0]
    assert bank.resident == 3 and {"a", "b"} <= set(here)


def test_where_the_file_cannot_be_written_all_states_stay(tmp_path, monkeypatch):
    bank = Bank(GRU(1, 4, 1))
    bank.step([*"abcd"], np.ones((4, 1)))
    before = bank.snapshot().states.tobytes()

    def full(self, number, row):
        raise OSError("No space left on device")

    monkeypatch.setattr(Shelf, "write", full)
    with pytest.raises(OSError, match="No space left"):
        bank.trim(1, tmp_path)
    assert bank.resident == 4 and bank.snapshot().states.tobytes() == before
    monkeypatch.undo()
    bank.trim(1, tmp_path)
    assert bank.resident == 1 and bank.snapshot().states.tobytes() == before


def test_memory_is_given_back_once_few_states_are_asked_for():
    bank = Bank(GRU(1, 4, 1))
    every = [f"s{n}" for n in range(1000)]
    before = bank.step(every, np.ones((1000, 1))).tobytes()
    bank.trim(20)
    assert len(bank.states) == 40 and bank.resident <= 20
    bank.reset()
    assert bank.step(every, np.ones((1000, 1))).tobytes() == before
    bank.trim(20)
    assert len(bank.states) >= 1000  # they are wanted: nothing is moved to and fro
