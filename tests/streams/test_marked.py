"""`stream.rnn(model, mode=...)`: what is emitted of sequences in the five modes, and refused."""

import numpy as np
import pytest
from streamz import Stream

import streamrnn as srnn
import streamrnn.streams  # noqa: F401  # registers the node
from streamrnn.modes import teach
from streamrnn.sequences import END, Sequences
from streamrnn.streams import Batch, Marked

X = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)


def emitted(model, mode, *elements, **options):
    source = Stream()
    node = source.rnn(model, mode=mode, **options)
    found = node.sink_to_list()
    for element in elements:
        source.emit(element)
    return found, node


def from_zero(model, x):
    model.reset()
    return model.run(x)


def test_one_to_one_answers_each_row_by_itself():
    model = srnn.RNN(2, 8, 3)
    found, _ = emitted(model, "one_to_one", X[0], X[1:3])
    assert [y.shape for y in found] == [(3,), (2, 3)]
    for x, y in zip(X, [found[0], *found[1]], strict=False):
        np.testing.assert_array_equal(y, from_zero(model, x[None])[0])


def test_many_to_one_answers_at_the_end_and_then_begins_anew():
    model = srnn.GRU(2, 8, 3)
    found, _ = emitted(
        model, "many_to_one", X[0], X[1:3], Marked(X[3], end=True), Marked(X, end=True)
    )
    assert len(found) == 2
    for y in found:
        np.testing.assert_array_equal(y, from_zero(model, X)[-1])


def test_start_gives_up_what_was_not_ended():
    model = srnn.GRU(2, 8, 3)
    found, _ = emitted(model, "many_to_one", X[2], X[3], Marked(X, start=True, end=True))
    np.testing.assert_array_equal(found[0], from_zero(model, X)[-1])


def test_one_to_many_writes_until_its_end():
    model = srnn.GRU(5, 8, 3, seed=1)
    (free, again), _ = emitted(model, "one_to_many", X[0], X[0], classes=True, length=6)
    assert free.shape == (6, 3)
    np.testing.assert_array_equal(free, again)
    written = free.argmax(axis=1)
    expected = from_zero(model, teach("one_to_many", X[:1], written, 5, 3).x)
    np.testing.assert_array_equal(free, expected)
    end = int(written[2])
    (short,), _ = emitted(model, "one_to_many", X[0], classes=True, end=end, length=6)
    np.testing.assert_array_equal(short, free[: written.tolist().index(end) + 1])


def test_many_to_many_writes_once_all_is_read():
    model = srnn.GRU(3, 8, 1)
    found, _ = emitted(model, "many_to_many", X[:3], Marked(X[3], end=True), length=5)
    (y,) = found
    expected = from_zero(model, teach("many_to_many", X, y, 3, 1).x)
    np.testing.assert_array_equal(y, expected[4:])


def test_synced_answers_every_row_as_it_came():
    model = srnn.LSTM(2, 8, 1)
    found, _ = emitted(model, "synced", X[0], X[1:], Marked(X[0], start=True))
    assert [y.shape for y in found] == [(1,), (3, 1), (1,)]
    np.testing.assert_array_equal([found[0], *found[1]], from_zero(model, X))
    np.testing.assert_array_equal(found[2], found[0])


def test_tokens_are_rows_of_one_number():
    model = srnn.GRU(6, 8, 2, tokens=True)
    found, _ = emitted(model, "many_to_many", 3, Marked([[1], [2]], end=True), length=4)
    assert found[0].shape == (4, 2)


def test_batches_carry_the_marks_in_their_last_column():
    model = srnn.GRU(2, 8, 3)
    rows = [[*X[0], 0], [*X[0], END], [*X[1], END]]
    batch = Batch(["a", "b", "a"], np.zeros(3), np.array(rows))
    (out,), _ = emitted(model, "many_to_one", batch)
    np.testing.assert_array_equal(out.y[2], from_zero(model, X[:2])[-1])
    np.testing.assert_array_equal(out.y[1], out.y[0])


def test_what_is_refused_leaves_the_sequence_as_it_was():
    model = srnn.GRU(2, 8, 3)
    told = []
    source = Stream()
    node = source.rnn(model, mode="many_to_one")
    node.on_refused(lambda refused: told.append(str(refused)))
    found = node.sink_to_list()
    source.emit(X[:3])
    source.emit(Marked([1.0, 2.0, 3.0], end=True))
    source.emit(Marked("end", end=True))
    source.emit(Marked(X[3], end=True))
    np.testing.assert_array_equal(found[0], from_zero(model, X)[-1])
    assert told == [
        "rnn node: expected 2 channels: a row (2,) or consecutive rows (T, 2), got shape (3,)",
        "rnn node: expected numbers, NaN or None where missing, got 'end'",
    ]


def test_one_to_many_takes_one_row_at_a_time():
    found, node = emitted(srnn.GRU(3, 4, 1), "one_to_many", X)
    assert found == [] and node.refused == {"value": 1}


def test_what_is_not_a_model_or_a_length_is_refused_at_once():
    step = Sequences(srnn.GRU(2, 4, 1), "synced")
    with pytest.raises(TypeError, match=r"mode is 'synced', which is for a model, got Sequences\("):
        Stream().rnn(step, mode="synced")
    with pytest.raises(ValueError, match="length is 0, expected a whole number of at least 1"):
        Stream().rnn(srnn.GRU(3, 4, 1), mode="one_to_many", length=0)
