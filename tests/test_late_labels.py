"""Targets that come after their row: what they teach, and which are refused."""

import re

import numpy as np
import pytest

from streamrnn.bank import Bank
from streamrnn.detect import Detector
from streamrnn.forecast import Forecaster
from streamrnn.model import GRU
from tests import naive_forecast as naive
from tests.rough import awkward


def late(T, seed=0):
    """Rows of two channels, and by row what is learned after it: [(value, rows ago)]."""
    random = np.random.default_rng(seed)
    X, labels = awkward(T, 2, seed), [[] for _ in range(T)]
    x = np.where(np.isnan(X[:, 0]), 1.0, X[:, 0])
    X[random.random(T) < 0.2, 0] = np.nan
    for t in np.flatnonzero(np.isnan(X[:, 0])):
        ago = int(random.integers(4))
        if t + ago < T and random.random() < 0.8:
            labels[t + ago].append((x[t], ago))
    return X, labels


def test_what_a_late_label_teaches_is_what_naive_learns():
    X, labels = late(500)
    slow, fast = naive.Forecaster(2, 0, 5), Forecaster(2, 0, 5)
    for row, after in zip(X, labels, strict=True):
        expected, ahead = slow.step(row), fast.step(row)
        # float64; see test_run_matches_naive
        np.testing.assert_allclose(np.array(ahead), expected, rtol=1e-9, atol=1e-9)
        for value, ago in after:
            assert slow.learn_late(value, ago)
            fast.learn(value, t=-ago)


@pytest.mark.parametrize("learner", [Forecaster, Detector])
def test_a_bank_learns_late_labels_with_the_bits_of_each_stream_alone(learner):
    step, labels = learner(2, horizon=5), {}
    bank, alone = Bank(step), {key: learner(2, horizon=5) for key in "ab"}
    X = {}
    X["a"], labels["a"] = late(300, 1)
    X["b"], labels["b"] = late(300, 2)
    times = 60.0 * np.arange(300)
    for n in range(300):
        bank.step(["a", "b"], [X["a"][n], X["b"][n]], [times[n]] * 2)
        after = [(key, value, times[n - ago]) for key in "ab" for value, ago in labels[key][n]]
        if after:
            ago = bank.learn(*zip(*after, strict=True))
            assert ago.tolist() == [ago for key in "ab" for _, ago in labels[key][n]]
        for key in "ab":
            alone[key].step(X[key][n], times[n])
            for value, ago in labels[key][n]:
                alone[key].learn(value, times[n - ago])
        if n == 150:
            snapshot, bank = bank.snapshot(), Bank(step)
            bank.restore(snapshot)
    for key in "ab":
        assert bank[key].tobytes() == alone[key].state.tobytes()


def test_learning_late_is_better_than_never():
    x = np.random.default_rng(0).normal(size=1000)
    X = np.where(np.random.default_rng(1).random(1000) < 0.8, np.nan, x)
    never, later = Forecaster(), Forecaster()
    errors = np.zeros(2)
    for t in range(999):
        made = [f.step(X[t]).mean[0] for f in (never, later)]
        if np.isnan(X[t]):
            later.learn(x[t], t=0)
        elif t > 20:
            errors += np.abs(np.array(made) - x[t + 1])
    assert errors[1] < 0.95 * errors[0]


def test_a_label_that_cannot_be_learned_is_refused():
    forecaster = Forecaster(horizon=5)
    forecaster.run([1.0, np.nan, 2.0, np.nan, 3.0, 4.0, 5.0, np.nan])
    before = forecaster.state.tobytes()
    for value, t in ((7.0, 1), (7.0, -4), (7.0, -6), (7.0, -1), (np.nan, 0), (7.0, np.nan)):
        text = f"the value {value!r} of t={t!r} cannot be learned: expected a number for one of "
        with pytest.raises(ValueError, match=re.escape(text + "the newest 4 rows, whose target")):
            forecaster.learn(value, t)
    assert forecaster.state.tobytes() == before
    forecaster.learn(7.0, 0)
    with pytest.raises(ValueError, match="has not been learned since"):
        forecaster.learn(7.0, 0)


@pytest.mark.parametrize(
    ("back", "learned"), [(3.0, True), (3.4, True), (4.0, False), (4.6, False)]
)
def test_the_time_of_a_label_is_that_of_the_row_next_to_it(back, learned):
    """With a horizon of 5 the row of 4 ago is not kept, nor one that lies between it and 5 ago."""
    bank = Bank(Forecaster(horizon=5))
    bank.step(["pump"] * 8, [[np.nan]] * 8, 60.0 * np.arange(8))
    before = bank["pump"].tobytes()
    assert bank.learn(["pump"], [1.0], [60 * (7 - back)]).tolist() == [3 if learned else -1]
    assert (bank["pump"].tobytes() != before) == learned


def test_rows_that_never_were_teach_nothing():
    new, known, missing, short = (Forecaster(horizon=5) for _ in range(4))
    known.run([1.0], [600.0])
    missing.run([np.nan], [600.0])
    short.run([np.nan, 1.0, np.nan], [540.0, 600.0, 660.0])
    for forecaster, t in ((new, 0), (new, -1), (known, 540.0), (missing, 540.0), (short, 480.0)):
        before = forecaster.state.tobytes()
        with pytest.raises(ValueError, match="cannot be learned"):
            forecaster.learn(7.0, t)
        assert forecaster.state.tobytes() == before
    missing.learn(7.0, 600.0)  # of one row the interval is not known, but its time is
    short.learn(7.0, 540.0)
    short.learn(7.0, 660.0)


def test_a_bank_refuses_streams_it_does_not_know_and_steps_that_learn_nothing():
    bank = Bank(Forecaster())
    with pytest.raises(KeyError, match="pump"):
        bank.learn(["pump"], [1.0], [0.0])
    assert len(bank) == 0
    bank.step(["pump"], [[np.nan]])
    with pytest.raises(ValueError, match=re.escape("t has shape (2,), expected (1,)")):
        bank.learn(["pump"], [1.0], [0.0, 1.0])
    assert bank.learn(["pump", "pump"], [1.0, 2.0], [0.0, 0.0]).tolist() == [0, -1]
    bank = Bank(GRU(1, 4))
    bank.step(["pump"], [[1.0]])
    with pytest.raises(TypeError, match="does not learn from labels that come late"):
        bank.learn(["pump"], [1.0], [0.0])
