"""What a forecaster learns: better than simple methods, cycles, the hour, other channels."""

import numpy as np
import pytest

from streamrnn.evaluate import progressive
from streamrnn.forecast import Forecaster
from streamrnn.kernels import cycle
from tests.recordings import lag_ratio, office, weather
from tests.sensors import autoregression, daily

STREAMS = {
    "temperature": lambda: weather("temp"),
    "wind": lambda: weather("wind_speed"),
    "office": office,
    "daily": lambda: daily(5000),
    "autoregression": lambda: autoregression(5000)[:, None],
}


def test_is_better_than_least_squares_on_lags_and_nowhere_worse_than_persistence():
    beside = []
    for make in STREAMS.values():
        X = make()
        ours = progressive(Forecaster(X.shape[1]), X)
        assert (ours < 1.0).all()
        beside.append([ours[0] / lag_ratio(X, 1), ours[11] / lag_ratio(X, 12)])
    # an autoregression asks for no more than 24 lags: there our shorter memory costs a little
    assert np.max(beside) < 1.05
    assert (np.exp(np.log(beside).mean(axis=0)) < [0.98, 0.95]).all(), beside


def test_is_persistence_where_nothing_can_be_learned():
    walk = np.cumsum(np.random.default_rng(0).normal(size=10_000))
    assert (progressive(Forecaster(), walk) < 1.02).all()


@pytest.mark.parametrize(("period", "length"), [(24, 4000), (96, 6000), (131, 6000)])
def test_finds_a_cycle_and_foresees_it(period, length):
    shape = np.random.default_rng(7).normal(size=period).cumsum()  # no wave describes it
    x = np.resize(shape - np.linspace(0, shape[-1], period), length)
    x += np.random.default_rng(8).normal(size=length) * 0.1
    forecaster = Forecaster()
    mean = forecaster.run(x).mean
    assert forecaster.state["cycle"][cycle.PERIOD] % period == 0
    error, change = (abs(a - x[12:])[2000:] for a in (mean[:-12, 11], x[:-12]))
    assert error.mean() < 0.2 * change.mean()


def test_prefers_the_week_to_the_day_where_they_differ():
    t = np.arange(6000)
    x = np.where(t // 24 % 7 < 5, 10.0, 1.0) * np.sin(2 * np.pi * t / 24)
    x += np.random.default_rng(0).normal(size=t.size)
    forecaster = Forecaster()
    forecaster.run(x)
    assert forecaster.state["cycle"][cycle.PERIOD] == 168


def test_finds_no_cycle_in_a_walk():
    forecaster = Forecaster()
    forecaster.run(np.cumsum(np.random.default_rng(0).normal(size=5000)))
    assert forecaster.state["cycle"][cycle.PERIOD] == 0


def test_times_tell_what_changes_at_this_hour():
    """Before the week could be found as a cycle: 15 days, quarters of an hour from a Monday on."""
    t = 1704067200 + 900.0 * np.arange(15 * 96)
    hour, workday = t / 3600 % 24, t // 86400 % 7 != 2
    workday &= t // 86400 % 7 != 3  # 1970 began on a Thursday
    x = 50 * workday * np.exp(-(((hour - 13) / 3) ** 2))
    x += np.random.default_rng(0).normal(size=len(t))
    half, last = len(t) // 2, slice(None, -12)
    became, errors = x[12:], []
    for times in (t, None):
        mean = Forecaster().run(x, times).mean[last, 11]
        errors.append(abs(mean - became)[half:].mean())
    assert errors[0] < 0.6 * errors[1]


def test_learns_from_the_other_channels():
    x = np.random.default_rng(0).normal(size=3001)
    echo = np.stack([x[:-1], x[1:]], axis=1)  # the second channel is the first, one row ahead
    assert progressive(Forecaster(2), echo)[0] < 0.1
