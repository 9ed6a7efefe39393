"""What a forecaster says of its forecast: from which parts it came, and how good it was."""

import numpy as np
import pytest

from streamrnn.bank import Bank
from streamrnn.forecast import LAGS, Forecaster
from tests.recordings import weather


def test_explains_its_forecast_to_the_last_part():
    X = weather("temp")[:3000]
    forecaster = Forecaster(8)
    ahead = forecaster.run(X).mean[-1]
    why = forecaster.explain()
    assert list(why.parts) == ["waves", "lags", "cycle", "level", "others", "curves", "bounds"]
    np.testing.assert_array_equal(why.change, ahead - X[-1, 0])
    # 24 products each; nothing was clipped in this row
    np.testing.assert_allclose(why.parts["bounds"], 0, atol=1e-9)
    np.testing.assert_allclose(sum(why.parts.values()), why.change, rtol=1e-9)
    np.testing.assert_allclose(sum(why.members.values()), np.ones(12), rtol=1e-12)
    assert list(why.members)[-1] == "persistence" and why.lags.shape == (LAGS - 14, 12)


def test_explains_what_bounds_took_from_its_forecast():
    k = np.arange(300.0)[:, None]
    x = 20 + 5 * np.sin(k / 9) + 0.3 * np.sin(7 * k)  # so regular that members differ by too much
    forecaster = Forecaster()
    ahead = forecaster.run(x).mean[-1]
    why = forecaster.explain()
    assert abs(why.parts["bounds"]).max() > 0.01
    np.testing.assert_array_equal(why.change, ahead - x[-1, 0])
    np.testing.assert_allclose(sum(why.parts.values()), why.change, rtol=1e-9)


def test_explains_a_stream_in_a_bank():
    X = weather("temp")[:1500]
    alone, step = Forecaster(8), Forecaster(8)
    bank = Bank(step)
    for begin in range(0, 1500, 500):
        alone.run(X[begin : begin + 500])
        bank.step(["a"] * 500, X[begin : begin + 500])
        bank.step(["b"] * 500, X[::-1][begin : begin + 500])
    why, expected = step.explanation(bank["a"]), alone.explain()
    for name in ("members", "parts"):
        for key, values in getattr(expected, name).items():
            assert getattr(why, name)[key].tobytes() == values.tobytes()
    assert why.lags.tobytes() == expected.lags.tobytes()
    assert why.error.tobytes() == expected.error.tobytes()


def test_explains_how_good_it_was():
    x = np.resize([0.0, 3.0, 7.0, 2.0, 1.0, 9.0, 8.0, 4.0] * 3, 5000)[:, None]
    x = x + 0.1 * np.random.default_rng(0).normal(size=x.shape)
    forecaster = Forecaster()
    ahead = forecaster.run(x).mean
    why = forecaster.explain()
    assert why.period % 8 == 0
    error = abs(ahead[4000:-3, 2] - x[4003:, 0]).mean()
    stayed = abs(x[4000:-3, 0] - x[4003:, 0]).mean()
    naive = abs(x[4000 - why.period : -why.period, 0] - x[4000:, 0]).mean()
    # the last 100 rows or so beside the last 1000
    assert why.error[2] == pytest.approx(error, rel=0.25)
    assert why.persistence[2] == pytest.approx(stayed, rel=0.25)
    assert why.seasonal == pytest.approx(naive, rel=0.25)
    assert np.isnan(Forecaster().explain().seasonal)
