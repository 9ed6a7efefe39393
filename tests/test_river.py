"""The models for river: its own checks and evaluations, the naive twin, and what they promise."""

import copy
import doctest
import gc
import pickle
import re
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import streamrnn as srnn
from tests.naive_regress import Regressor as Naive
from tests.optional import need

river = need("river", "streamrnn.river")
need("sklearn", "river's check_estimator")

from river import (  # noqa: E402  # noqa: E402
    checks,
    compose,
    datasets,
    evaluate,
    linear_model,
    metrics,
    preprocessing,
    time_series,
)

import streamrnn.river as ours  # noqa: E402

# river leaves the files of its data sets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

MODELS = (ours.Forecaster, ours.Regressor, ours.AnomalyDetector)


@pytest.fixture(autouse=True)
def collected():
    yield
    gc.collect()


@pytest.mark.parametrize("model", MODELS)
def test_river_checks(model, monkeypatch):
    # river checks detectors on credit cards, which it downloads; the shuttle comes with it
    monkeypatch.setattr(datasets, "CreditCard", datasets.Shuttle)
    checks.check_estimator(model())


def test_no_check_of_river_is_skipped():
    assert [model()._unit_test_skips() for model in MODELS] == [set()] * 3


def test_the_examples_hold():
    assert doctest.testmod(ours, optionflags=doctest.ELLIPSIS).failed == 0


def test_the_lines_on_the_page_run():
    page = (Path(__file__).parents[1] / "docs" / "river.md").read_text("utf-8")
    (block,) = re.findall(r"^    from river.*?(?=^\S)", page, re.M | re.S)
    names = {}
    exec(compile(textwrap.dedent(block), "docs/river.md", "exec"), names)
    assert names["Regressor"] is ours.Regressor and names["evaluate"] is evaluate


# --- Forecaster -------------------------------------------------------------------------------


def test_evaluation_of_forecasts_is_that_of_the_forecaster_itself():
    values = [y for _, y in datasets.AirlinePassengers()]
    steps = evaluate.iter_evaluate(
        datasets.AirlinePassengers(), ours.Forecaster(), metrics.MAE(), horizon=12
    )
    told = [forecast for _, _, forecast, _ in steps]
    months = [x["month"].replace(tzinfo=UTC).timestamp() for x, _ in datasets.AirlinePassengers()]
    expected = srnn.Forecaster(horizon=24).run(values, months).mean[:, :12]
    # river forecasts first from what its first 12 rows were, and has no values for the last 12
    np.testing.assert_array_equal(told, expected[11 : 11 + len(told)])
    assert len(told) == 144 - 24


def test_the_older_names_of_the_evaluations_take_it():
    def arguments():
        return datasets.AirlinePassengers(), ours.Forecaster(), metrics.MAE(), 3

    with pytest.warns(DeprecationWarning):
        metric = time_series.evaluate(*arguments())
    with pytest.warns(DeprecationWarning):
        *_, (_, _, _, same) = time_series.iter_evaluate(*arguments())
    errors = [one.get() for one in metric.metrics]
    assert errors == [one.get() for one in same.metrics] and len(errors) == 3


def test_forecasts_beat_those_of_snarimax_on_river_s_water_flow():
    data = [({}, y) for _, y in datasets.WaterFlow()]

    def error(model):
        return evaluate.evaluate(data, model, metrics.MAE(), 12).metrics[11].get()

    line = preprocessing.StandardScaler() | linear_model.LinearRegression(intercept_lr=0.001)
    assert error(ours.Forecaster()) < error(time_series.SNARIMAX(24, 1, 0, regressor=line))


def test_features_are_channels_whatever_their_order():
    random = np.random.default_rng(0)
    one, other, plain = ours.Forecaster(), ours.Forecaster(), srnn.Forecaster(3, horizon=24)
    for a, b, y in random.normal(size=(200, 3)):
        one.learn_one(y, {"a": a, "b": b, "kind": "x"})
        other.learn_one(y, {"late": 1.0, "b": b, "a": a} if plain._states["F"].any() else
                        {"b": b, "a": a})  # fmt: skip
        mean = plain.step([y, a, b]).mean
    assert one.forecast(24) == other.forecast(24) == mean.tolist()


def test_missing_rows_are_seen_by_the_times():
    model, plain = ours.Forecaster(), srnn.Forecaster(horizon=24)
    for hour in [*range(0, 100), *range(130, 200)]:
        model.learn_one(np.sin(hour / 4), {"at": datetime.fromtimestamp(3600 * hour, UTC)})
        mean = plain.step(np.sin(hour / 4), t=3600 * hour).mean
    assert model.forecast(24) == mean.tolist()


def test_a_missing_value_is_forecast_through():
    model = ours.Forecaster()
    for t in range(500):
        model.learn_one(np.sin(t / 5))
    for _ in range(3):
        model.learn_one(None)
    assert model.forecast(1)[0] == pytest.approx(np.sin(503 / 5), abs=0.05)


def test_a_longer_horizon_than_it_was_made_for_is_refused():
    text = r"horizon is 25, expected at most 24: make the model with Forecaster\(horizon=25\)"
    with pytest.raises(ValueError, match=text):
        ours.Forecaster().forecast(25)
    assert ours.Forecaster().forecast(3) == [0.0, 0.0, 0.0]


def test_peers_forecast_every_row_and_are_given_the_last_value_where_one_is_missing():
    y = 20 + np.sin(np.arange(60) / 4)
    y[[30, 31]] = np.nan
    filled = y.copy()
    filled[[30, 31]] = y[29]
    for (name, one), other in zip(ours.peers(12).items(), ours.peers(12).values(), strict=True):
        told = list(ours.forecasts(one, y, 3))
        assert np.shape(told) == (60, 3) and np.isfinite(told).all()
        assert told == list(ours.forecasts(other, filled, 3))
        if name == "HoltWinters":
            assert told[5] == [y[5]] * 3  # before it has seen a season


# --- Regressor --------------------------------------------------------------------------------


def rows(T, seed=0):
    """Features of which one comes late, one goes, one is missing at times, one never changes."""
    random = np.random.default_rng(seed)
    h = 0.0
    for t in range(T):
        a, b, c = random.normal(size=3)
        h = 0.9 * h + a
        x = {"a": a, "b": None if t % 7 == 0 else 100 * b, "still": 3.0}
        x |= {"late": c} if t > 60 else {"early": c}
        known = {name: value for name, value in x.items() if value is not None}
        yield x, known, 5 + h + b * (t % 7 > 0) + 0.1 * c


@pytest.mark.parametrize("factor", [1.0, 1e6])
def test_predictions_match_the_naive_twin(factor):
    """factor: from row 200 on the target is so much larger, and all is learned anew."""
    model = ours.Regressor()
    model.learn_one(dict.fromkeys(names := ["a", "b", "early", "late", "still"], 0.0), 0.0)
    naive = Naive(names, model._drive, *model._fixed)
    model = ours.Regressor()
    for t, (x, known, y) in enumerate(rows(300)):
        y *= factor if t >= 200 else 1.0
        if naive.target.n:
            # float64; after 300 updates of least squares their conditions show
            limit = 1e-6 * (factor if t >= 200 else 1.0)
            assert model.predict_one(x) == pytest.approx(naive.predict(known), rel=1e-5, abs=limit)
        naive.seen += sorted(name for name in x if name not in naive.seen)
        model.learn_one(x, y)
        naive.learn(known, y)


def test_the_order_of_features_changes_no_bit():
    one, other = ours.Regressor(), ours.Regressor()
    for x, _, y in rows(200):
        back = dict(reversed(x.items()))
        assert one.predict_one(x) == other.predict_one(back)
        one.learn_one(x, y)
        other.learn_one(back, y)


def test_a_copy_and_a_pickle_go_on_alike():
    model = ours.Regressor()
    for x, _, y in rows(100):
        model.learn_one(x, y)
    copies = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for x, _, y in rows(100, seed=1):
        assert len({one.predict_one(x) for one in (model, *copies)}) == 1
        for one in (model, *copies):
            one.learn_one(x, y)


def test_a_prediction_does_not_depend_on_what_comes_after():
    def predictions(future):
        model, said = ours.Regressor(), []
        for t, (x, _, y) in enumerate(rows(120)):
            said.append(model.predict_one(x))
            model.learn_one(x, y if t < 80 else future)
        return said

    assert predictions(0.0)[:81] == predictions(1e6)[:81]


def mae(model, data):
    return evaluate.progressive_val_score(data, model, metrics.MAE()).get()


def line():
    return preprocessing.StandardScaler() | linear_model.LinearRegression()


@pytest.mark.parametrize(
    ("data", "most"), [(datasets.TrumpApproval, 0.5), (datasets.ChickWeights, 1)]
)
def test_errors_are_below_those_of_river_s_linear_regression(data, most):
    assert mae(ours.Regressor(), data()) < most * mae(line(), data())


def test_what_a_feature_was_before_is_remembered():
    data = [(x, y) for _, x, y in rows(2000)]
    # The deviation of h is 1 / sqrt(1 - 0.9^2) = 2.3; of it a row's features tell 1.
    assert mae(ours.Regressor(), data) < 0.5 * mae(line(), data)


def test_it_goes_behind_transformers():
    model = compose.Select("gallup", "ipsos") | preprocessing.StandardScaler() | ours.Regressor()
    assert mae(model, datasets.TrumpApproval()) < 0.5


@pytest.mark.parametrize("spike", [1e30, -1e99, 1e-300])
def test_spikes_leave_predictions_finite(spike):
    model = ours.Regressor()
    for t, (x, _, y) in enumerate(rows(600)):
        if t % 50 == 30:
            x, y = x | {"a": spike}, spike if t % 100 == 30 else y
        assert np.isfinite(model.predict_one(x))
        model.learn_one(x | {"b": np.inf} if t % 9 == 0 else x, y)


def test_after_a_change_of_units_it_learns_anew():
    model, off = ours.Regressor(), []
    for t, (x, _, y) in enumerate(rows(1200)):
        y *= 1e30 if t < 600 else 1.0
        off.append(abs(y - model.predict_one(x)))
        model.learn_one(x, y)
    assert np.mean(off[900:]) < 1.2e-30 * np.mean(off[300:600])


def test_what_is_no_number_is_refused():
    model = ours.Regressor()
    with pytest.raises(TypeError, match="feature 'kind' is 'hot', expected a number, or None"):
        model.learn_one({"kind": "hot"}, 1.0)
    with pytest.raises(ValueError, match=r"y is nan, expected a number within ±1e\+100"):
        model.learn_one({"kind": 1.0}, np.nan)
    assert model.predict_one({"kind": 1.0}) == 0.0 and not model._slots
    detector = ours.AnomalyDetector()
    with pytest.raises(TypeError, match="feature 'kind' is 'hot', expected a number, or None"):
        detector.learn_one({"kind": "hot"})
    assert len(detector._bank) == 0


# --- AnomalyDetector --------------------------------------------------------------------------


def test_alarms_are_those_of_the_detectors_of_the_features():
    X = np.random.default_rng(0).normal(size=(600, 2))
    X[300, 0], X[450, 1] = 30.0, -40.0
    scores = np.max([srnn.Detector().run(x).score for x in X.T], axis=0)
    model, told = ours.AnomalyDetector(), []
    for a, b in X:
        told.append(model.score_one({"a": a, "b": b}))
        model.learn_one({"b": b, "a": a})
    told = np.array(told)
    assert told[300] >= 0.5 and told[450] >= 0.5
    np.testing.assert_array_equal(told[scores >= 0.5], scores[scores >= 0.5])
    assert (told[scores < 0.5] <= 0.5).all()


def test_below_an_alarm_the_score_grows_with_the_distance():
    model = ours.AnomalyDetector()
    assert model.score_one({"a": 1.0}) == 0.0
    for a in np.random.default_rng(0).normal(size=90):  # too few for an alarm
        model.learn_one({"a": a})
    scores = [model.score_one({"a": a, "new": 1.0}) for a in (0.0, 2.0, 4.0, 8.0)]
    assert scores == sorted(set(scores)) and 0 <= scores[0] < 0.1 and scores[-1] < 0.5
    assert model.score_one({"a": None}) == 0.0
    for _ in range(50):
        model.learn_one({"still": 1.0})
    assert 0.49 < model.score_one({"still": 2.0}) < 0.5


def test_it_ranks_the_shuttle_s_anomalies_above_normal_rows():
    auc, model = metrics.RollingROCAUC(window_size=1500), ours.AnomalyDetector()
    for x, y in datasets.Shuttle().take(1500):
        auc.update(y, model.score_one(x))
        model.learn_one(x)
    assert auc.get() > 0.95
