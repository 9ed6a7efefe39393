"""Errors of forecasts, each made before its value was known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrnn.bank import Bank
from streamrnn.evaluate import (
    RunningError,
    became,
    inside,
    persistence,
    progressive,
    scores,
    seasonal,
)
from streamrnn.step import Output, padded
from tests import naive_forecast as naive

VALUES = st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, 2e100])


@given(rows=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=300))
@settings(max_examples=30, deadline=None)
def test_running_error_matches_naive(rows):
    values, predictions = zip(*rows, strict=True)
    errors = Bank(RunningError()).step([0] * len(rows), rows)
    # float64, sums of up to 300 terms
    np.testing.assert_allclose(errors, naive.running_error(values, predictions), rtol=1e-12)


def test_running_error_by_hand():
    rows = [[10, 12], [13, 13], [np.nan, 14], [15, np.nan], [16, 0]]
    errors = Bank(RunningError()).step(["a"] * 5, rows)
    expected = [
        [np.nan, np.nan],  # nothing was predicted yet
        [1, 3],  # |13 - 12|, |13 - 10|
        [1, 3],  # missing
        [1, 2.5],  # |15 - 14| = 1, |15 - 13| = 2
        [1, 2.5],  # no prediction was made: persistence does not count either
    ]
    np.testing.assert_array_equal(errors, expected)


def test_running_error_follows_the_last_200_rows_or_so():
    rows = np.zeros((3000, 2))
    rows[1000:, 1] = 4.0  # predictions are off by 4 from here on
    error = Bank(RunningError()).step([0] * 3000, rows)[:, 0]
    assert error[1000] == 0.0
    assert error[1200] == pytest.approx(4 * (1 - (1 - 1 / 200) ** 200), rel=1e-9)
    assert error[2999] == pytest.approx(4.0, rel=1e-3)


def test_running_error_describes_its_columns():
    kinds = [output.kind for output in RunningError().describe(("value", "prediction"))]
    assert kinds == ["error", "error_persistence"]


class Drifting:
    """Forecasts that each row adds `drift`: its errors can be worked out by hand."""

    layout = padded([("nothing", 1)], np.float64)
    inputs, outputs = 1, 2

    def __init__(self, drift):
        self.drift = drift

    def advance(self, states, rows, x, y):
        y[:] = x + self.drift * np.array([1.0, 3.0])

    def describe(self, channels):
        return tuple(Output(f"+{ahead}", "forecast", 0, ahead) for ahead in (1, 3))


def test_progressive_compares_with_persistence():
    line = 2.0 * np.arange(50)
    np.testing.assert_allclose(progressive(Drifting(0.0), line, skip=5), [1.0, 1.0])
    np.testing.assert_allclose(progressive(Drifting(2.0), line, skip=5), [0.0, 0.0])
    np.testing.assert_allclose(progressive(Drifting(1.0), line, skip=5), [0.5, 0.5])


def test_progressive_leaves_out_what_is_missing():
    line = 2.0 * np.arange(50)
    line[20:24] = np.nan
    np.testing.assert_allclose(progressive(Drifting(1.0), line, skip=5), [0.5, 0.5])


NAN = np.nan


def test_what_forecasts_are_compared_with_by_hand():
    y = np.array([1.0, 2.0, NAN, 4.0, 5.0])
    at = np.array([0, 1, 2, 3, 6])  # two rows are lacking before the last
    expected = [
        [2, NAN],  # of row 0: row 1, row 2
        [NAN, 4],
        [NAN, NAN],  # made where the value was missing
        [NAN, NAN],
        [NAN, NAN],
    ]
    np.testing.assert_array_equal(became(y, 2, at, skip=0), expected)
    np.testing.assert_array_equal(became(y, 2, at, skip=1), [[NAN, NAN], *expected[1:]])


@given(
    y=st.lists(st.sampled_from([1.0, 2.0, 3.0, NAN]), min_size=1, max_size=12),
    steps=st.lists(st.integers(1, 3), min_size=12, max_size=12),
    H=st.integers(1, 4),
    period=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_lookups_by_place_match_looking_at_every_row(y, steps, H, period):
    y, at = np.array(y), np.cumsum(steps)[: len(y)]
    found, then = became(y, H, at, skip=0), seasonal(y, H, period, at)
    value = dict(zip(at.tolist(), y, strict=True))
    for n, place in enumerate(at.tolist()):
        for h in range(1, H + 1):
            counts = not np.isnan(y[n])
            expected = value.get(place + h, NAN) if counts else NAN
            np.testing.assert_equal(found[n, h - 1], expected)
            before = place + h - period
            while before > place:
                before -= period
            known = value.get(before, NAN)
            np.testing.assert_equal(then[n, h - 1], y[n] if np.isnan(known) else known)


def test_scores_by_hand():
    y = np.array([[1.0], [2.0], [NAN], [4.0]])
    mean = np.array([[0.0], [5.0], [7.0], [4.0]])
    off = scores(mean, y)
    assert off.mae == pytest.approx([4 / 3]) and off.rmse == pytest.approx([(10 / 3) ** 0.5])
    mean[3] = NAN  # what is not said is not forgiven
    assert scores(mean, y).mae == scores(mean, y).rmse == [np.inf]
    assert np.isnan(scores(mean, np.full((4, 1), NAN)).mae)
    assert inside(mean - 1, mean + 1, y) == [0.0]  # of the second half only row 3 has a value
    assert inside(np.zeros((4, 1)), np.full((4, 1), 4.0), y) == [1.0]


def test_persistence_is_the_value_now():
    assert persistence(np.array([1.0, 2.0]), 3).tolist() == [[1, 1, 1], [2, 2, 2]]


def test_progressive_does_not_forgive_what_is_not_said():
    line = 2.0 * np.arange(50)

    class Silent(Drifting):
        def advance(self, states, rows, x, y):
            super().advance(states, rows, x, y)
            y[x[:, 0] == 40.0, 0] = NAN

    assert np.isinf(progressive(Silent(1.0), line, skip=5)[0])
