"""Errors of forecasts, each made before its value was known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrnn.bank import Bank
from streamrnn.evaluate import RunningError, progressive
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
