"""A new cell is one class: bank, snapshot, streamz node and pipeline take it as it is."""

import numpy as np
import pytest
from streamz import Stream

import streamrnn.streams  # noqa: F401  # registers the nodes
from streamrnn.bank import Bank
from streamrnn.streams import Pipeline, Rule
from tests.leaky import Leaky

X = [[4.0, 0.0], [4.0, 8.0], [np.nan, 8.0]]
Y = [[1.0, 0.0], [1.75, 2.0], [1.75, 3.5]]  # by hand


def test_in_a_bank_each_stream_has_its_own_state():
    bank = Bank(Leaky(2))
    assert bank.step(["a", "b", "a"], [X[0], X[0], X[1]]).tolist() == [Y[0], Y[0], Y[1]]
    assert bank.units(["a"]) == pytest.approx(np.tanh([Y[1]]))


def test_it_goes_on_from_a_snapshot():
    bank, other = Bank(Leaky(2)), Bank(Leaky(2))
    bank.step(["a", "a"], X[:2])
    other.restore(bank.snapshot())
    assert other.step(["a"], X[2:]).tolist() == Y[2:]


def test_as_a_streamz_node():
    source = Stream()
    found = source.rnn(Leaky(2)).sink_to_list()
    source.emit(X[0])
    source.emit(X[1:])
    assert found[0].tolist() == Y[0] and found[1].tolist() == Y[1:]


def test_in_a_pipeline():
    pipeline = Pipeline([Rule("leaky", lambda channels: Leaky(len(channels)), ("a", "b"))])
    results = []
    pipeline.sink(results.append)
    for x in X:
        pipeline.take("leaky", x)
    pipeline.flush()
    (result,) = results
    assert result.batch.y.tolist() == Y
    assert result.h.tolist() == [[-128, -128]] * 2 + [[120, 127]]  # 127 tanh 1.75 and 3.5
