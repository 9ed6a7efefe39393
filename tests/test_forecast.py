"""The forecaster: what it computes, what it learns, and that nothing throws it off."""

import copy
import pickle
import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrnn.bank import Bank
from streamrnn.detect import Detector
from streamrnn.evaluate import progressive
from streamrnn.forecast import LAGS, PERIODS, Forecaster
from streamrnn.kernels import cycle, rls, rtrl
from streamrnn.kernels import forecast as kernel
from streamrnn.streams.identity import identity
from tests import naive_forecast as naive
from tests.bench.intervals import honesty
from tests.kernels.test_rls import square
from tests.recordings import lag_ratio, office, road, server, weather


def tuning(*args, **options):
    """A forecaster that learns its recurrences."""
    return Forecaster(*args, rtrl=True, **options)


LEARNERS = [Forecaster, tuning, Detector]


def autoregression(T, phi=0.9, seed=0):
    noise = np.random.default_rng(seed).normal(size=T)
    x = np.zeros(T)
    for t in range(1, T):
        x[t] = phi * x[t - 1] + noise[t]
    return x


def awkward(T, C, seed=0):
    """Waves on a walk, with gaps in channels and rows, a spike, a frozen stretch, a late start."""
    random = np.random.default_rng(seed)
    X = np.cumsum(random.normal(size=(T, C)), axis=0)
    X += 10 * np.sin(np.arange(T) / 7)[:, None]
    X[random.random((T, C)) < 0.05] = np.nan
    X[:3] = X[T // 3 : T // 3 + 30] = np.nan
    X[T // 2] = 1e9
    X[2 * T // 3 : 2 * T // 3 + 60] = 5.0
    return X


def newest_features(learner):
    state = learner.state
    return state["F"][(int(state["cycle"][cycle.ROWS]) - 1) % learner.horizon]


def hostile(T, C, seed=0):
    """Stretches of every kind of input that has broken a filter somewhere."""
    random = np.random.default_rng(seed)
    X = np.empty((T, C))
    t = 0
    while t < T:
        n = int(random.integers(1, 400))
        rows, shape = np.arange(n)[:, None], (n, C)
        kind = random.integers(12)
        if kind == 0:  # spikes
            part = random.normal(size=shape)
            part[random.random(shape) < 0.05] = 1e30
        elif kind == 1:  # constants of any size
            part = np.full(shape, random.normal() * 10 ** random.uniform(-20, 20))
        elif kind == 2:  # alternating extremes
            part = np.where(rows % 2, 1e30, -1e30) * np.ones(shape)
        elif kind == 3:
            part = np.full(shape, np.nan)
        elif kind == 4:
            part = random.normal(size=shape)
            part[random.random(shape) < 0.1] = np.inf
            part[random.random(shape) < 0.1] = -np.inf
        elif kind == 5:  # a walk of denormal steps
            part = np.cumsum(random.normal(size=shape) * 1e-308, axis=0)
        elif kind == 6:  # any float there is
            part = 10 ** random.uniform(-310, 308, shape) * random.choice([-1, 1], shape)
        elif kind == 7:  # growth without end
            part = np.exp(rows / 3) * np.ones(shape)
        elif kind == 8:  # the largest values that count
            part = 1e100 * random.choice([-1.0, 1.0], shape)
        elif kind == 9:  # the smallest, among zeros
            part = 1e-300 * random.normal(size=shape) * random.integers(2, size=shape)
        elif kind == 10:  # now and then of a scale 1e12 times another
            part = random.normal(size=shape) * 1e12 ** (rows // 40 % 4 - 1.0)
        else:  # harmless
            part = np.sin(rows / 5) + 0.1 * random.normal(size=shape)
        X[t : t + n] = part[: T - t]
        t += n
    return X


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
    own = kernel.spans(R, LAGS, 0)[0][1] - 1  # where the level is among the features
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


# that nothing throws it off


def covariances(learner):
    """The covariance of each member's weights, (d, d) each."""
    R, L, B = len(PERIODS), LAGS - 2 * (learner.channels - 1), learner.channels - 1
    sizes = [end - begin for begin, end in kernel.spans(R, L, B)]
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
    for name in set(state.dtype.names) - {"now", "made", "ahead", "clock"}:
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
    forecaster = tuning()
    forecaster.step(0.0)
    assert np.isfinite(forecaster.run(hostile(200_000, 1))).all()
    state = forecaster.state
    for name in set(state.dtype.names) - {"now", "made", "ahead", "clock"}:
        assert np.isfinite(state[name]).all(), name
    speeds = state["speeds"].T
    assert (rtrl.LOWEST <= speeds).all() and (speeds <= rtrl.HIGHEST).all()
    assert progressive(forecaster, np.sin(np.arange(6000) / 10), skip=5000)[0] < 0.3


@pytest.mark.parametrize("beyond", [0.1, -0.1])
def test_rtrl_keeps_speeds_within_bounds(beyond):
    forecaster = tuning()
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


# what it learns


STREAMS = {
    "temperature": lambda: weather("temp"),
    "wind": lambda: weather("wind_speed"),
    "office": office,
    "daily": lambda: daily(5000),
    "autoregression": lambda: autoregression(5000)[:, None],
}


def daily(T):
    """A day of 96 rows, quieter on two days of seven, with slow noise; and what drives it."""
    t = np.arange(T)
    drive = np.sin(2 * np.pi * t / 96)
    week = np.where(t // 96 % 7 < 5, 1.0, 0.5)
    noise = np.random.default_rng(3).normal(size=T)
    return np.stack([50 + 10 * week * drive + autoregression(T, 0.95, 4), drive + 0.1 * noise], 1)


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


def test_learns_from_the_other_channels():
    x = np.random.default_rng(0).normal(size=3001)
    echo = np.stack([x[:-1], x[1:]], axis=1)  # the second channel is the first, one row ahead
    assert progressive(Forecaster(2), echo)[0] < 0.1


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


# what it says of itself


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
    assert Forecaster(channels).layout.itemsize <= 64 * 1024
    assert Detector(channels).layout.itemsize <= 64 * 1024 + channels * 768
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
