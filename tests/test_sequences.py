"""Sequences on a stream: what fit trained, streamed by rows and marks, gives the same numbers."""

import numpy as np
import pytest

import streamrnn as srnn
from streamrnn.modes import teach
from streamrnn.sequences import END, START, WRITE, Sequences
from streamrnn.streams.identity import identity

NAN = float("nan")
GENERATOR = np.random.default_rng(0)


def marked(x, *marks):
    """Rows of x with their marks; None: rows with WRITE, one for each mark that is left."""
    rows = [[*row, mark] for row, mark in zip(x, marks, strict=False)]
    return rows + [[NAN] * len(rows[0][:-1]) + [mark] for mark in marks[len(rows) :]]


def taught(model, mode, x, target):
    """The model's outputs from the zero state, with the right output fed back."""
    model.reset()
    return model.run(teach(mode, x, target, model.input_size, model.outputs).x)


def run(step, rows, key="a"):
    return srnn.Bank(step).step([key] * len(rows), rows)


def rows_of(T, C):
    return GENERATOR.normal(size=(T, C)).astype(np.float32)


def test_rows_of_one_to_one_know_nothing_of_each_other():
    model, x = srnn.RNN(3, 8, 2), rows_of(4, 3)
    y = run(Sequences(model, "one_to_one"), marked(x, 0, 0, 0, 0))
    for row, out in zip(x, y, strict=True):
        model.reset()
        np.testing.assert_array_equal(out, model.step(row))


def test_a_sequence_begins_from_zero_after_the_end_of_another():
    model, x = srnn.GRU(2, 8, 3), rows_of(3, 2)
    y = run(Sequences(model, "many_to_one"), marked([*x, *x], 0, 0, END, 0, 0, END))
    np.testing.assert_array_equal(y[:3], model.run(x))
    np.testing.assert_array_equal(y[:3], y[3:])


def test_start_gives_up_the_sequence_before():
    model, x = srnn.GRU(2, 8, 3), rows_of(3, 2)
    y = run(Sequences(model, "synced"), marked([*x, *x], 0, 0, 0, START, 0, 0))
    np.testing.assert_array_equal(y[:3], y[3:])
    on = run(Sequences(model, "synced"), marked([*x, *x], 0, 0, 0, 0, 0, 0))
    assert not np.array_equal(on[3], y[3])


@pytest.mark.parametrize("cell", [srnn.RNN, srnn.GRU, srnn.LSTM, srnn.LRU])
def test_what_comes_out_is_fed_back_as_in_training(cell):
    model, x = cell(4, 8, 2, seed=3), rows_of(3, 2)
    model.scale(mean=[0.1, 0.2, 0.3, 0.4], std=2.0, out_mean=[0.3, 0.4], out_std=2.0)
    many = run(Sequences(model, "many_to_many"), marked(x, 0, 0, END, *[WRITE] * 4))[3:]
    np.testing.assert_array_equal(many, taught(model, "many_to_many", x, many)[3:])
    one = run(Sequences(model, "one_to_many"), marked(x[:1], 0, *[WRITE] * 3))
    np.testing.assert_array_equal(one, taught(model, "one_to_many", x[:1], one))


def test_of_classes_the_likeliest_is_fed_back():
    model, x = srnn.GRU(5, 8, 3, seed=1), rows_of(2, 2)
    y = run(Sequences(model, "many_to_many", classes=True), marked(x, 0, END, *[WRITE] * 5))
    written = y[2:].argmax(axis=1)
    np.testing.assert_array_equal(y, taught(model, "many_to_many", x, written))


def test_tokens_that_come_out_follow_those_that_go_in():
    model = srnn.LSTM(7, 8, 3, tokens=True, seed=5)
    y = run(Sequences(model, "many_to_many"), marked([[3.0], [1.0]], 0, END, *[WRITE] * 5))
    written = y[2:].argmax(axis=1)
    expected = taught(model, "many_to_many", np.array([3, 1]), written)
    np.testing.assert_array_equal(y, expected)


def test_after_the_class_that_ends_an_output_nothing_moves():
    model = srnn.GRU(5, 8, 3, seed=1)
    x = rows_of(1, 2)
    free = run(Sequences(model, "one_to_many", classes=True), marked(x, 0, *[WRITE] * 5))
    end = int(free[2].argmax())
    step = Sequences(model, "one_to_many", classes=True, end=end)
    first = free.argmax(axis=1).tolist().index(end)
    bank = srnn.Bank(step)
    y = bank.step(["a"] * 6, marked(x, 0, *[WRITE] * 5))
    np.testing.assert_array_equal(y[: first + 1], free[: first + 1])
    assert np.isnan(y[first + 1 :]).all()
    before = bank["a"]
    assert np.isnan(bank.step(["a"], [[NAN, NAN, WRITE]])).all()
    assert bank["a"].tobytes() == before.tobytes()


def test_a_stream_that_has_read_nothing_has_nothing_to_write():
    bank = srnn.Bank(Sequences(srnn.GRU(3, 4, 1), "one_to_many"))
    assert np.isnan(bank.step(["a"], [[NAN, NAN, WRITE]])).all()
    bank = srnn.Bank(Sequences(srnn.GRU(3, 4, 1), "many_to_one"))
    bank.step(["a"], [[1, 2, 3, 0]])
    before = bank["a"]
    assert np.isnan(bank.step(["a"], [[NAN, NAN, NAN, WRITE]])).all()
    assert bank["a"].tobytes() == before.tobytes()


@pytest.mark.parametrize("mode", ["one_to_one", "one_to_many", "many_to_one", "many_to_many"])
def test_streams_side_by_side_and_in_any_order_give_the_same_bits(mode):
    step = Sequences(srnn.GRU(5, 20, 2), mode, classes=True, end=1 if "to_many" in mode else None)
    width = step.inputs - 1
    streams = {
        key: [[*GENERATOR.normal(size=width), m] for m in GENERATOR.choice([0, 1, 2, 3, 4], 12)]
        for key in "abcdefghij"
    }
    alone = {key: run(step, rows) for key, rows in streams.items()}
    order = [key for key in streams for _ in range(12)]
    GENERATOR.shuffle(order)
    bank, found, at = srnn.Bank(step), {key: [] for key in streams}, dict.fromkeys(streams, 0)
    for start in range(0, len(order), 17):
        keys = order[start : start + 17]
        rows = []
        for key in keys:
            rows.append(streams[key][at[key]])
            at[key] += 1
        for key, y in zip(keys, bank.step(keys, rows), strict=True):
            found[key].append(y)
    for key, y in alone.items():
        np.testing.assert_array_equal(found[key], y)


def test_states_do_not_go_on_in_another_mode_or_beyond_another_end():
    model = srnn.GRU(5, 8, 3)
    steps = [
        Sequences(model, "one_to_many", classes=True),
        Sequences(model, "one_to_many", classes=True, end=1),
        Sequences(model, "one_to_many"),
        Sequences(model, "many_to_many", classes=True),
        Sequences(srnn.GRU(5, 8, 3, seed=1), "one_to_many", classes=True),
    ]
    assert len(set(map(identity, steps))) == len(steps)
    assert identity(Sequences(model, "one_to_many")) == identity(steps[2])


def test_a_mark_that_is_missing_is_none():
    model, x = srnn.GRU(2, 4, 1), rows_of(2, 2)
    step = Sequences(model, "synced")
    np.testing.assert_array_equal(run(step, marked(x, NAN, NAN)), run(step, marked(x, 0, 0)))


@pytest.mark.parametrize(
    ("mode", "options", "text"),
    [
        ("many2one", {}, "mode is 'many2one', expected one of one_to_one"),
        ("many_to_one", {"end": 0}, "end is 0, expected one of the model's 2 classes, in a mode"),
        ("one_to_many", {"end": 2, "classes": True}, "end is 2, expected one of the model's 2"),
        ("one_to_many", {"end": 1}, "end is 1, expected one of the model's 2 classes"),
    ],
)
def test_what_does_not_fit_is_refused(mode, options, text):
    with pytest.raises(ValueError, match=text):
        Sequences(srnn.RNN(4, 4, 2), mode, **options)
