"""Intervals: they hold what they say, and are wide where they have to be."""

from functools import partial

import numpy as np
import pytest

from streamrnn.forecast import Forecaster
from tests.bench.intervals import honesty
from tests.recordings import office, road, server, weather


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "skewed", "changing"])
def test_the_interval_covers_90_percent(kind):
    random = np.random.default_rng(5)
    T = 6000
    noise = {
        "normal": random.normal(size=T),
        "heavy tails": random.standard_t(2, size=T),
        "skewed": random.exponential(size=T),
        "changing": random.normal(size=T) * np.exp(np.sin(np.arange(T) / 300)),
    }[kind]
    x = 10 + noise
    for t in range(1, T):
        x[t] += 0.8 * (x[t - 1] - 10)
    ahead = Forecaster().run(x)
    assert (ahead.lower <= ahead.mean).all() and (ahead.mean <= ahead.upper).all()
    for h in range(1, 13):
        lower, y, upper = ahead.lower[3000:-h, h - 1], x[3000 + h :], ahead.upper[3000:-h, h - 1]
        assert 0.88 < ((lower <= y) & (y <= upper)).mean() < 0.92
        assert 0.03 < (y < lower).mean() < 0.07


@pytest.mark.parametrize("recording", [office, road, server, partial(weather, "wind_speed")])
def test_the_interval_scores_no_worse_than_quantiles_of_all_errors(recording):
    found = honesty(recording())
    assert found.score.mean() < 1.0 and found.score.max() < 1.01
    assert 0.88 < found.inside.min() and found.inside.max() < 0.92
    assert 0.80 < found.least.min() and found.most.max() < 0.97


@pytest.mark.parametrize("follows", ["level", "change"])
def test_the_interval_is_wide_where_errors_are_expected_to_be_large(follows):
    """Twice as wide there, for errors four times as large."""
    random, x, large = np.random.default_rng(3), np.zeros(6000), np.zeros(6000, bool)
    for t in range(1, len(x)):
        if follows == "level":
            large[t] = x[t - 1] > 0
            x[t] = 0.95 * x[t - 1] + (1.0 if large[t] else 0.25) * random.normal()
        else:
            large[t] = t % 20 < 3  # where the stream climbs, or falls
            x[t] = x[t - 1] + (5 if t // 20 % 2 else -5) * large[t]
            x[t] += (1.0 if large[t] else 0.25) * random.normal()
    ahead = Forecaster().run(x)
    width = (ahead.upper - ahead.lower)[3000:-1, 0]
    assert width[large[3001:]].mean() > 2 * width[~large[3001:]].mean()
