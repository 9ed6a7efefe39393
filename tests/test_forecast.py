"""The forecaster: what it computes, what it does with what is missing, and its state."""

import copy
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrnn.bank import Bank
from streamrnn.detect import Detector
from streamrnn.evaluate import progressive
from streamrnn.forecast import LAGS, PERIODS, Forecaster
from streamrnn.kernels import cycle, features, rtrl
from streamrnn.streams.identity import identity
from tests import naive_forecast as naive
from tests.rough import awkward
from tests.sensors import autoregression


def tuning(*args, **options):
    """A forecaster that learns its recurrences."""
    return Forecaster(*args, rtrl=True, **options)


LEARNERS = [Forecaster, tuning, Detector]


def newest_features(learner):
    state = learner.state
    return state["F"][(int(state["cycle"][cycle.ROWS]) - 1) % learner.horizon]


# what it computes


@pytest.mark.parametrize(("channels", "target", "horizon"), [(1, 0, 12), (3, 1, 5), (2, 0, 1)])
def test_run_matches_naive(channels, target, horizon):
    X = awkward(700, channels)
    slow = naive.Forecaster(channels, target, horizon)
    expected = np.array([slow.step(x) for x in X]).transpose(1, 0, 2)
    actual = np.array(Forecaster(channels, target, horizon).run(X))
    # float64; a difference of 1e-16 in P grows with its condition, here about 1e5
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("minutes", [60, 15])
def test_run_matches_naive_with_times(minutes):
    X, interval = awkward(1100, 1), 60 * minutes
    t = 1.7e9 + interval * np.arange(len(X))
    X[:, 0] += 30 * (t / 3600 % 24 > 16)
    slow = naive.Forecaster()
    expected = [slow.step(X[0])]
    expected += [slow.step(x, at, interval) for x, at in zip(X[1:], t[1:], strict=True)]
    actual = np.array(Forecaster().run(X, t)).transpose(1, 0, 2)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)  # as above
    assert slow.calendar.w.max() > 0.05


@pytest.mark.parametrize(("channels", "target", "horizon"), [(1, 0, 12), (3, 1, 5)])
def test_run_matches_naive_with_rtrl(channels, target, horizon):
    X = awkward(700, channels)
    slow, fast = (
        naive.Forecaster(channels, target, horizon, rtrl=True),
        tuning(channels, target, horizon),
    )
    expected = np.array([slow.step(x) for x in X]).transpose(1, 0, 2)
    # as above, and the waves' periods have drifted apart by as much
    np.testing.assert_allclose(fast.run(X), expected, rtol=1e-8, atol=1e-8)
    state, began = fast.state, fast.initial()
    np.testing.assert_allclose(state["speeds"], [slow.waves.v, slow.waves.u], rtol=1e-9)
    assert (abs(state["speeds"] - began["speeds"]) > 10 * rtrl.RATE).any()


@pytest.mark.parametrize("kind", [0, 1], ids=["v", "u"])
def test_traces_are_finite_differences_of_the_waves(kind):
    forecaster, R, T = tuning(), len(PERIODS), 1500
    own = features.spans(R, LAGS, 0)[0][1] - 1  # where the level is among the features
    speeds, drives = [], []
    for row in awkward(T, 1):
        forecaster.step(row)
        speeds.append(forecaster.state["speeds"])
        drives.append(newest_features(forecaster)[own])

    def waves(shift):
        h = np.zeros(R, complex)
        for each, drive in zip(speeds, drives, strict=True):
            v, u = np.exp(each + np.array([[1 - kind], [kind]]) * shift)
            h = np.exp(-v + 1j * u) * h + 2 * (1 - np.exp(-v)) * drive
        return h

    re, im = forecaster.state["waves"]
    # float64: the same recurrence in another order of the same operations
    np.testing.assert_allclose(waves(0.0), re + 1j * im, rtol=1e-9, atol=1e-9)
    re, im = forecaster.state["traces"].reshape(2, 2, R)[kind]
    slope = (waves(1e-6) - waves(-1e-6)) / 2e-6
    assert (abs(slope) > 1e-3).all()
    # central differences: 1e-12 of the third derivative, and 1e-16 of the waves over 1e-6
    np.testing.assert_allclose(re + 1j * im, slope, rtol=1e-6, atol=1e-7)


def columns(result):
    """Forecasts as the columns of y: mean, lower, upper."""
    return np.concatenate(getattr(result, "forecast", result), axis=-1)


@pytest.mark.parametrize("learner", LEARNERS)
@given(cuts=st.lists(st.integers(0, 150), max_size=5), seed=st.integers(0, 9))
@settings(max_examples=10, deadline=None)
def test_steps_and_runs_of_any_length_give_the_same_bits(learner, cuts, seed):
    X = awkward(150, 2, seed)
    whole, pieces, steps = (learner(2, horizon=4) for _ in range(3))
    Y = columns(whole.run(X))
    parts = [columns(pieces.run(part)) for part in np.split(X, sorted(cuts))]
    assert np.concatenate(parts).tobytes() == Y.tobytes()
    assert np.stack([columns(steps.step(x)) for x in X]).tobytes() == Y.tobytes()
    assert whole.state.tobytes() == pieces.state.tobytes() == steps.state.tobytes()


@pytest.mark.parametrize("learner", LEARNERS)
@given(keys=st.lists(st.sampled_from("abc"), min_size=1, max_size=150), move=st.integers(0, 150))
@settings(max_examples=15, deadline=None)
def test_a_bank_gives_each_stream_the_bits_it_has_alone(learner, keys, move):
    step = learner(2, horizon=4)
    X = awkward(len(keys), 2)
    bank = Bank(step)
    Y = bank.step(keys[:move], X[:move])
    snapshot, bank = bank.snapshot(), Bank(step)
    bank.restore(snapshot)
    Y = np.concatenate([Y, bank.step(keys[move:], X[move:])])
    for key in set(keys):
        own = np.array(keys) == key
        alone = learner(2, horizon=4)
        assert columns(alone.run(X[own])).tobytes() == Y[own, :12].tobytes()
        assert alone.state.tobytes() == bank[key].tobytes()


def test_with_times_steps_runs_and_banks_give_the_same_bits_whatever_comes():
    t = 1.7e9 + 1800.0 * np.arange(900)
    x = 30 * (t / 3600 % 24 > 16) + autoregression(900)
    whole = np.array(Forecaster().run(x, t))
    cut, stepped = Forecaster(), Forecaster()
    assert np.array(cut.run(x[:600], t[:600])).tobytes() == whole[:, :600].tobytes()
    bank = Bank(Forecaster())
    for n in range(600):
        ahead = np.array(stepped.step(x[n], t[n]))
        keys, rows = ["a", "b"], np.array([[x[n]], [x[-n]]])
        y = bank.step(keys, rows, np.array([t[n], t[n]]))
        assert ahead.tobytes() == whole[:, n].tobytes() == y[0].tobytes()
    copied = Forecaster()
    copied.state = cut.state
    assert np.array(copied.run(x[600:], t[600:])).tobytes() == whole[:, 600:].tobytes()


def test_times_change_nothing_where_they_tell_nothing():
    x = autoregression(800)
    same = np.array(Forecaster().run(x))
    for t in (np.full(800, np.nan), 86400.0 * np.arange(800), np.zeros(800)):
        np.testing.assert_array_equal(np.array(Forecaster().run(x, t)), same)


@pytest.mark.parametrize("learner", LEARNERS)
def test_replacing_the_future_changes_nothing_before_it(learner):
    X = awkward(600, 2)
    first = learner(2)
    Y = np.array(Bank(first).step([0] * 600, X))
    for cut in (1, 100, 250, 599):
        other = X.copy()
        other[cut:] = np.random.default_rng(cut).permutation(X[cut:]) * 3 + 17
        assert Bank(first).step([0] * 600, other)[:cut].tobytes() == Y[:cut].tobytes()


def test_units_of_a_sensor_do_not_matter():
    X = awkward(600, 2)
    celsius = np.array(Forecaster(2).run(X))
    kelvin = np.array(Forecaster(2).run(1e-3 * X + 0.27315))
    # the offset costs the last digits of the changes
    np.testing.assert_allclose((kelvin - 0.27315) * 1e3, celsius, rtol=1e-5, atol=1e-5)


# what is missing


def test_before_the_first_value_of_the_target_forecasts_are_nan():
    forecaster = Forecaster(2, target=1)
    assert np.isnan(forecaster.step([20.0, np.nan])).all()
    assert np.isnan(forecaster.step([np.nan, np.nan])).all()
    ahead = forecaster.step([np.nan, 5.0])
    assert (ahead.mean == 5.0).all() and np.isfinite(ahead).all()


def test_while_the_target_is_missing_its_forecasts_stand():
    X = 20 + np.sin(np.arange(800) / 10)[:, None]
    forecaster = Forecaster()
    before = np.array(forecaster.run(X))[:, -1]
    for gap in range(1, 5):
        ahead = np.array(forecaster.step(np.nan))
        np.testing.assert_array_equal(ahead[:, : 12 - gap], before[:, gap:])
        np.testing.assert_array_equal(ahead[:, 12 - gap :], before[:, -1:].repeat(gap, axis=1))
    following = forecaster.step(20 + np.sin(804 / 10))
    assert abs(following.mean[0] - (20 + np.sin(805 / 10))) < 0.02


def test_from_a_gap_rtrl_learns_nothing_while_its_traces_go_on():
    forecaster = tuning()
    forecaster.run(autoregression(500))
    before = forecaster.state
    forecaster.run(np.full(5, np.nan))
    after = forecaster.state
    for name in ("speeds", "turn", "squares"):
        assert after[name].tobytes() == before[name].tobytes()
    assert (after["traces"] != before["traces"]).all()


def test_a_missing_channel_is_predicted_through():
    T = np.arange(2000)
    X = np.stack([20 + np.sin(T / 10), np.cos(T / 10)], axis=1)
    X[1000:, 1] = np.nan
    assert progressive(Forecaster(2), X, skip=1200)[0] < 0.1


@pytest.mark.parametrize("strange", [np.inf, -np.inf, 2e100, -1e300])
def test_what_no_sensor_measures_counts_as_missing(strange):
    X = awkward(400, 2)
    other = np.where(np.isnan(X), strange, X)
    assert columns(Forecaster(2).run(other)).tobytes() == columns(Forecaster(2).run(X)).tobytes()


# around it


def test_state_can_be_taken_put_back_and_forgotten():
    X = awkward(300, 2)
    forecaster = Forecaster(2)
    forecaster.run(X[:200])
    kept = forecaster.state
    first = columns(forecaster.run(X[200:]))
    forecaster.state = kept
    assert columns(forecaster.run(X[200:])).tobytes() == first.tobytes()
    forecaster.reset()
    assert forecaster.state.tobytes() == Forecaster(2).state.tobytes()
    with pytest.raises(ValueError, match=re.escape("a state of Forecaster(channels=2, target=0")):
        forecaster.state = Forecaster(3).state


@pytest.mark.parametrize("channels", [1, 4, 8])
def test_a_state_fits_64_kib(channels):
    assert Forecaster(channels).layout.itemsize <= 58 * 1024
    assert Detector(channels).layout.itemsize <= 63 * 1024
    assert tuning(channels).layout.itemsize <= Forecaster(channels).layout.itemsize + 3 * 1024
    assert tuning().layout.itemsize <= 64 * 1024


def test_what_rtrl_is_shows_wherever_two_steps_are_told_apart():
    plain, tuned = Forecaster(2), tuning(2)
    assert repr(tuned) == "Forecaster(channels=2, target=0, horizon=12, rtrl=True)"
    assert repr(plain) == "Forecaster(channels=2, target=0, horizon=12)"
    assert Forecaster(**tuned.config).layout == tuned.layout != plain.layout
    assert identity(Forecaster(**tuned.config)) == identity(tuned) != identity(plain)


def test_a_state_does_not_grow_with_the_square_of_many_channels():
    for kind, each in ((Forecaster, 64), (Detector, 64 + 768)):
        assert kind(1000).layout.itemsize <= kind(8).layout.itemsize + 1000 * each
    X = np.random.default_rng(0).normal(size=(300, 40))
    assert np.isfinite(Forecaster(40).run(X)).all()


def test_units_are_the_features_within_one():
    forecaster = Forecaster()
    bank = Bank(forecaster)
    bank.step(["a"] * 500, awkward(500, 1))
    units = bank.units(["a"])
    assert units.shape == (1, 32) and units.dtype == np.float32
    assert (abs(units) <= 1).all() and units.any()


def test_describes_its_columns():
    outputs = Forecaster(2, target=1, horizon=2).describe(("load", "temp"))
    assert [(o.name, o.kind, o.channel, o.ahead) for o in outputs] == [
        ("temp +1", "forecast", 1, 1),
        ("temp +2", "forecast", 1, 2),
        ("temp +1 lower", "lower", 1, 1),
        ("temp +2 lower", "lower", 1, 2),
        ("temp +1 upper", "upper", 1, 1),
        ("temp +2 upper", "upper", 1, 2),
    ]
    with pytest.raises(ValueError, match="3 names, expected one for each of 2 channels"):
        Forecaster(2).describe(("a", "b", "c"))


def test_rows_may_be_lists_and_for_one_channel_numbers():
    assert Forecaster().step(5).mean[0] == 5.0
    assert Forecaster(2).step([5, 6]).mean[0] == 5.0
    assert Forecaster(2).step(np.array([5, 6], np.float32)).mean[0] == 5.0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Forecaster(0), "channels is 0, expected a whole number of at least 1"),
        (lambda: Forecaster(2, target=-1), "target is -1, expected a whole number of at least 0"),
        (lambda: Forecaster(horizon=1.5), "horizon is 1.5, expected a whole number of at least 1"),
        (lambda: Forecaster(2, target=2), "target is 2, expected the index of one of 2 channels"),
        (
            lambda: Forecaster(8).step([1.0, 2.0]),
            "x has shape (2,), expected (8,): one number for each input of Forecaster",
        ),
        (lambda: Forecaster(2).step(3.0), "x has shape (), expected (2,)"),
        (lambda: Forecaster(2).run(np.zeros((5, 3))), "X has shape (5, 3), expected (N, 2)"),
    ],
)
def test_errors_tell_what_was_expected(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


def test_rtrl_is_on_or_off():
    with pytest.raises(TypeError, match="rtrl is 0.001, expected True or False"):
        Forecaster(rtrl=1e-3)


def test_text_is_refused():
    with pytest.raises(TypeError, match="expected numbers; write a missing value as NaN"):
        Forecaster().step("20.5")


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_goes_on_with_a_stream_of_its_own(learner, copied):
    step = learner()
    step.run(np.arange(19.0))
    step.step(19.0)
    other = copied(step)
    before = step.state.tobytes()
    other.step(5.0)
    assert step.state.tobytes() == before
    step.step(5.0)
    assert other.state.tobytes() == step.state.tobytes()
    other.reset()
    assert other.state.tobytes() == learner().state.tobytes()
