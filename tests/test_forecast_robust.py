"""That nothing throws a forecaster off: hostile input, spikes, shifts of level, constants."""

import numpy as np
import pytest

from streamrnn.detect import Detector
from streamrnn.evaluate import progressive
from streamrnn.forecast import LAGS, PERIODS, Forecaster
from streamrnn.kernels import features, rls, rtrl
from tests.kernels.test_rls import square
from tests.rough import hostile
from tests.sensors import autoregression


def covariances(learner):
    """The covariance of each member's weights, (d, d) each."""
    R, L, B = len(PERIODS), LAGS - 2 * (learner.channels - 1), learner.channels - 1
    sizes = [end - begin for begin, end in features.spans(R, L, B)]
    parts = np.split(learner.state["P"], np.cumsum([rls.size(d) for d in sizes])[:-1])
    return [square(part, d) for part, d in zip(parts, sizes, strict=True)]


@pytest.mark.parametrize("channels", [1, 3])
def test_hostile_input_leaves_everything_finite_and_is_recovered_from(channels):
    detector = Detector(channels)
    detector.step(np.zeros(channels))
    result = detector.run(hostile(200_000, channels))
    assert np.isfinite(result.forecast).all()
    assert ((result.score >= 0) & (result.score <= 1)).all()
    state = detector.state
    for name in set(state.dtype.names) - {"now", "ahead", "clock"}:
        assert np.isfinite(state[name]).all(), name
    for P in covariances(detector):
        assert np.linalg.eigvalsh(P)[0] > 0
    X = 20 + np.sin(np.arange(6000) / 10)[:, None] + np.zeros(channels)
    X += 0.01 * np.random.default_rng(1).normal(size=X.shape)
    after = detector.run(X).forecast
    late, y = slice(5000, 5900), X[5001:5901, 0]
    assert abs(after.mean[late, 0] - y).mean() < 0.3 * abs(np.diff(X[5000:5901, 0])).mean()
    inside = (after.lower[late, 0] <= y) & (y <= after.upper[late, 0])
    assert 0.8 < inside.mean() < 0.97


def test_hostile_input_leaves_what_rtrl_learns_within_bounds():
    forecaster = Forecaster(rtrl=True)
    forecaster.step(0.0)
    assert np.isfinite(forecaster.run(hostile(200_000, 1))).all()
    state = forecaster.state
    for name in set(state.dtype.names) - {"now", "ahead", "clock"}:
        assert np.isfinite(state[name]).all(), name
    speeds = state["speeds"].T
    assert (rtrl.LOWEST <= speeds).all() and (speeds <= rtrl.HIGHEST).all()
    assert progressive(forecaster, np.sin(np.arange(6000) / 10), skip=5000)[0] < 0.3


@pytest.mark.parametrize("beyond", [0.1, -0.1])
def test_rtrl_keeps_speeds_within_bounds(beyond):
    forecaster = Forecaster(rtrl=True)
    forecaster.run(autoregression(500))
    state, bounds = forecaster.state, np.array([rtrl.LOWEST, rtrl.HIGHEST][beyond > 0])[:, None]
    state["speeds"] = bounds + beyond
    forecaster.state = state
    forecaster.step(0.0)
    expected = np.broadcast_to(bounds, state["speeds"].shape)
    # a step of its own inwards
    np.testing.assert_allclose(forecaster.state["speeds"], expected, rtol=0, atol=rtrl.RATE)


@pytest.mark.parametrize("row", [0, 5, 500])
def test_one_spike_of_1e30_is_forgotten(row):
    X = 20 + np.sin(np.arange(2000) / 10)
    X[row] = 1e30
    spiked, clean = progressive(Forecaster(), X, skip=1000), progressive(Forecaster(), X[row + 1 :])
    assert spiked[0] < 0.05 and spiked[11] < 0.1
    assert clean[0] < 0.05


def test_a_level_shift_costs_tens_of_rows():
    x = autoregression(3000)
    x[2000:] += 200
    mean = Forecaster().run(x).mean[:, 0]
    error = abs(mean[:-1] - x[1:])
    assert error[2030:2100].mean() < 1.3 * error[1500:1999].mean()


def test_a_constant_is_forecast_exactly():
    ahead = Forecaster().run(np.full(1000, 7.25))
    assert (np.array(ahead) == 7.25).all()
