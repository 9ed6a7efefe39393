"""The five shapes: what a network is given at each step, and what is asked of it."""

import re

import numpy as np
import pytest

from streamrnn.modes import MODES, Steps, named, steps, teach, x_size

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)
Y = np.array([[10.0], [20.0]], np.float32)
NAN = np.nan


@pytest.mark.parametrize(
    ("mode", "read", "emitted", "T", "reads", "emits"),
    [
        ("one_to_one", 1, 1, 1, [0], [0]),
        ("one_to_many", 1, 3, 3, [0], [0, 1, 2]),
        ("many_to_one", 3, 1, 3, [0, 1, 2], [2]),
        ("many_to_many", 3, 2, 5, [0, 1, 2], [3, 4]),
        ("synced", 3, 3, 3, [0, 1, 2], [0, 1, 2]),
    ],
)
def test_the_steps_that_read_and_emit_are_those_of_the_table(mode, read, emitted, T, reads, emits):
    found = steps(mode, read, emitted)
    assert (found.T, [*range(T)][found.reads], [*range(T)][found.emits]) == (T, reads, emits)


def test_what_comes_out_is_the_next_input_where_it_is_fed_back():
    x, target = teach("many_to_many", X, Y, input_size=3, output_size=1)
    n = NAN
    expected = [[1, 2, n], [3, 4, n], [5, 6, n], [n, n, n], [n, n, 10]]
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(target, [[n], [n], [n], [10], [20]])


def test_one_input_is_read_once_and_outputs_follow_each_other():
    x, target = teach("one_to_many", X[:1], Y, input_size=3, output_size=1)
    np.testing.assert_array_equal(x, [[1, 2, NAN], [NAN, NAN, 10]])
    np.testing.assert_array_equal(target, Y)


def test_classes_are_fed_back_as_one_hot_vectors():
    x, target = teach("one_to_many", X[:1], np.array([2, 0, 1]), input_size=5, output_size=3)
    np.testing.assert_array_equal(x[1:, 2:], [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(target, [2, 0, 1])


def test_tokens_that_come_out_follow_those_that_go_in():
    x, target = teach("many_to_many", np.array([3, 1]), np.array([0, 1]), 6, 2)
    np.testing.assert_array_equal(x, [3, 1, -1, 4])
    np.testing.assert_array_equal(target, [-1, -1, 0, 1])


def test_only_the_end_is_asked_for_in_many_to_one():
    x, target = teach("many_to_one", X, Y[:1], input_size=2, output_size=1)
    assert x is X
    np.testing.assert_array_equal(target, [[NAN], [NAN], [10]])


def test_synced_sequences_are_not_copied():
    example = teach("synced", X, X, input_size=2, output_size=2)
    assert example.x is X and example.target is X
    assert steps("synced", 3, 3) == Steps(3, slice(0, 3), slice(0, 3))


@pytest.mark.parametrize("mode", MODES)
def test_the_output_takes_part_of_the_inputs_where_it_is_fed_back(mode):
    assert x_size(mode, 10, 3) == (7 if named(mode).fed_back else 10)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: named("many2one"), "mode is 'many2one', expected one of one_to_one, one_to_many,"),
        (lambda: steps("synced", 3, 4), "3 rows of inputs and 4 of targets, expected as many"),
        (lambda: steps("many_to_one", 3, 2), "2 rows of targets, expected 1 in mode 'many_to_one'"),
        (lambda: steps("one_to_many", 2, 2), "2 rows of inputs, expected 1 in mode 'one_to_many'"),
        (lambda: steps("many_to_many", 0, 2), "0 rows of inputs, expected at least 1 in mode"),
        (
            lambda: x_size("one_to_many", 3, 3),
            "input_size is 3 and output_size 3; in mode 'one_to_many' the output is fed back",
        ),
    ],
)
def test_what_does_not_fit_the_table_is_refused(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()
