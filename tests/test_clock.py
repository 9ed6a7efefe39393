"""Rows with times: what is lacking passes as missing, and horizons can be given in seconds."""

import re
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamrnn.bank import Bank
from streamrnn.detect import Detector
from streamrnn.forecast import Forecaster
from streamrnn.kernels import calendar, clock, cycle
from streamrnn.kernels.jit import jit

DAY = 24


def daily(T, seed=0):
    t = np.arange(T)
    shape = np.random.default_rng(7).normal(size=DAY).cumsum()
    return np.resize(shape - np.linspace(0, shape[-1], DAY), T) + 0.05 * np.random.default_rng(
        seed
    ).normal(size=t.size)


# how far each next time is from the one before it, in some rows
STEPS = st.sampled_from(
    [0.0, 1e-300, 1e-7, 1e-3, 0.5, 60.0, 3600.0, 1e5, 3e7, 1e11, 1e99, -1e-7, -60.0, -3e7, -1e99]
)
BROKEN = st.sampled_from([np.nan, np.inf, -np.inf, 1e300])
STRETCHES = st.lists(st.tuples(st.one_of(STEPS, BROKEN), st.integers(1, 150)), max_size=8)
BEGINNINGS = st.datetimes().map(lambda date: date.replace(tzinfo=UTC).timestamp())


@jit
def part(t):
    return calendar.part(t)


def clock_of(began, stretches):
    """Times that go on by steps, some rows each; a step that is no number stands for the time."""
    times = [began]
    for step, rows in stretches:
        last = next(time for time in reversed(times) if abs(time) < 1e100)
        steady = np.isfinite(step) and abs(step) < 1e100
        times += (last + step * np.arange(1, rows + 1)).tolist() if steady else [step] * rows
    return np.array(times)


@settings(max_examples=300, deadline=None)
@given(st.datetimes())
@example(datetime(1, 1, 1))
@example(datetime(9999, 12, 31, 23, 59, 59))
@example(datetime(2000, 2, 29, 12, 30))
@example(datetime(1900, 2, 28, 23, 59, 59))
def test_the_hour_and_the_weekend_are_those_of_the_date(date):
    date = date.replace(microsecond=0, tzinfo=UTC)
    half_hour = 2 * date.hour + date.minute // 30
    weekend = date.weekday() >= 5
    assert part(date.timestamp()) == half_hour + calendar.PARTS * weekend
    assert abs(date.timestamp()) < calendar.LATEST


@settings(max_examples=40, deadline=None)
@given(BEGINNINGS, STRETCHES, st.integers(0, 2**32 - 1))
@example(0.0, [(60.0, 100), (3e7, 1), (-3e7, 1), (60.0, 100)], 0)
@example(0.0, [(1e99, 1), (3600.0, 100)], 0)
def test_no_times_whatever_upset_a_stream(began, stretches, seed):
    times = clock_of(began, stretches)
    x = daily(len(times), seed)
    learner, stepped = Detector(), Detector()
    result = learner.run(x, times)
    assert np.isfinite(result.forecast).all()
    assert ((result.score >= 0) & (result.score <= 1)).all()
    rows = [stepped.step(value, t=when) for value, when in zip(x, times, strict=True)]
    assert np.array([row.score for row in rows]).tobytes() == result.score.tobytes()
    assert learner.state.tobytes() == stepped.state.tobytes()
    for name in ("days", "told", "watch", "W", "P"):
        assert np.isfinite(learner.state[name]).all(), name


@settings(max_examples=40, deadline=None)
@given(BEGINNINGS, STRETCHES, BEGINNINGS)
@example(0.0, [(3600.0, 200), (1e11, 1)], 0.0)
@example(0.0, [(3600.0, 200), (1e99, 1)], 0.0)
def test_an_interval_is_known_again_whatever_the_times_were_before(began, stretches, later):
    """Also where a row came from a wrong future, which all rows after it seem to be before."""
    times = np.append(clock_of(began, stretches), later + 3600.0 * np.arange(400))
    forecaster = Forecaster()
    forecaster.run(daily(len(times)), times)
    now = forecaster.state["clock"]
    assert abs(now[clock.INTERVAL] - 3600) < 36 and now[clock.STEADY] >= clock.KEEPS
    assert now[clock.TIME] == times[-1]
    known = forecaster.state["cycle"][cycle.ROWS]
    forecaster.step(20.0, t=times[-1] + 4 * 3600.0)
    assert forecaster.state["cycle"][cycle.ROWS] == known + 4


@pytest.mark.parametrize("learner", [Forecaster, Detector])
def test_times_that_come_regularly_change_no_bit_where_they_do_not_tell_the_hour(learner):
    x = daily(600)
    plain, timed, stepped = learner(), learner(), learner()
    y = plain.run(x)
    at = 1.7e9 + 1.1 * calendar.LONGEST * np.arange(600)
    z = timed.run(x, at)
    each = [stepped.step(value, t=when) for value, when in zip(x, at, strict=True)]
    y, z = (np.array(getattr(result, "forecast", result)) for result in (y, z))
    rows = np.array([getattr(result, "forecast", result) for result in each])
    assert y.tobytes() == z.tobytes() == rows.transpose(1, 0, 2).tobytes()
    assert timed.state.tobytes() == stepped.state.tobytes()
    assert abs(timed.state["clock"][clock.INTERVAL] - 1.1 * calendar.LONGEST) < 1e-3


@pytest.mark.parametrize("options", [{}, {"rtrl": True}], ids=["plain", "rtrl"])
def test_rows_that_are_lacking_pass_as_missing(options):
    x = daily(800)
    gap = np.r_[np.arange(500), np.arange(507, 800)]
    filled = x.copy()
    filled[500:507] = np.nan
    expected = np.array(Forecaster(**options).run(filled, 3600.0 * np.arange(800)))[:, gap]
    actual = np.array(Forecaster(**options).run(x[gap], 3600.0 * gap))
    assert actual.tobytes() == expected.tobytes()


def test_times_that_jitter_leave_no_gap():
    jitter = np.random.default_rng(0).uniform(-0.15, 0.15, 1000)  # intervals of 0.7 to 1.3
    forecaster = Forecaster()
    forecaster.run(daily(1000), 60 * (np.arange(1000) + jitter))
    assert forecaster.state["cycle"][cycle.ROWS] == 1000
    assert abs(forecaster.state["clock"][clock.INTERVAL] - 60) < 6


def test_the_cycle_stays_in_step_over_a_gap_of_weeks():
    x = daily(6000)
    rows = np.r_[np.arange(3000), np.arange(3000 + 1007, 6000)]
    forecaster = Forecaster()
    mean = forecaster.run(x[rows], 3600.0 * rows).mean[:, 11]
    assert forecaster.state["cycle"][cycle.PERIOD] == DAY
    late = np.flatnonzero((rows > 4050) & (rows < 4200))
    error = abs(mean[late] - x[rows[late] + 12])
    change = abs(x[rows[late]] - x[rows[late] + 12])
    assert error.mean() < 0.25 * change.mean()


def test_rows_that_come_as_they_please_leave_no_gaps():
    random = np.random.default_rng(0)
    forecaster = Forecaster()
    forecaster.run(daily(2000), np.cumsum(random.exponential(size=2000)))
    assert forecaster.state["cycle"][cycle.ROWS] < 2100
    bursts = np.cumsum(np.where(np.arange(2000) % 20, random.uniform(1e-5, 4e-5, 2000), 1.0))
    forecaster.reset()
    forecaster.run(daily(2000), bursts)
    assert forecaster.state["cycle"][cycle.ROWS] < 2400


def test_a_backlog_that_comes_at_once_does_not_change_the_interval():
    forecaster = Forecaster()
    at = np.r_[np.arange(500), 500 + 0.001 * np.arange(10), 501 + np.arange(100)]
    forecaster.run(daily(610), 60.0 * at)
    assert forecaster.state["cycle"][cycle.ROWS] == 610
    assert abs(forecaster.state["clock"][clock.INTERVAL] - 60) < 1


def test_another_interval_is_learned_within_tens_of_rows():
    forecaster = Forecaster()
    forecaster.run(daily(500), 60.0 * np.arange(500))
    forecaster.run(daily(100), 30_000.0 + 5.0 * np.arange(100))
    assert forecaster.state["clock"][clock.INTERVAL] == 5.0


@pytest.mark.parametrize("learner", [Forecaster, Detector])
def test_a_bank_hands_on_the_times(learner):
    rows = np.r_[np.arange(300), np.arange(311, 500)]
    X, at = np.stack([daily(500)[rows], daily(500, 1)[rows]], axis=1), 300.0 * rows
    alone, bank = learner(2), Bank(learner(2))
    alone.run(X, at)
    bank.step(["a"] * 100, X[:100], at[:100])
    bank.step(["a", "b"] * 389, X[100:].repeat(2, axis=0), at[100:].repeat(2))
    assert bank["a"].tobytes() == alone.state.tobytes()
    with pytest.raises(ValueError, match=re.escape("t has shape (1,), expected (2,)")):
        bank.step(["a", "b"], X[:2], [1.0])


def test_a_time_that_goes_back_tells_nothing():
    x = daily(300)
    at = 60.0 * np.arange(300)
    other = at.copy()
    other[200] = at[100]
    forecaster = Forecaster()
    forecaster.run(x, other)
    assert forecaster.state["cycle"][cycle.ROWS] == 301  # the row after it seems a row late


def test_horizons_in_seconds_lie_between_those_in_rows():
    forecaster = Forecaster(horizon=4)
    ahead = forecaster.run(daily(500), 10.0 * np.arange(500))
    value = daily(500)[-1]
    mean = [value, *ahead.mean[-1]]
    at = forecaster.at([0.0, 5.0, 10.0, 25.0, 40.0])
    expected = [mean[0], (mean[0] + mean[1]) / 2, mean[1], (mean[2] + mean[3]) / 2, mean[4]]
    np.testing.assert_allclose(at.mean, expected, rtol=1e-12)  # one rounding of the interpolation
    assert (at.lower <= at.mean).all() and (at.mean <= at.upper).all()


def test_horizons_in_seconds_need_times_and_end_with_the_horizon():
    forecaster = Forecaster(horizon=4)
    forecaster.run(daily(50))
    with pytest.raises(ValueError, match=re.escape("seconds need an interval: give the rows")):
        forecaster.at(5)
    forecaster.reset()
    forecaster.run(daily(50), 10.0 * np.arange(50))
    with pytest.raises(ValueError, match=re.escape("seconds are [41.0], expected 0 to 40")):
        forecaster.at(41)
    with pytest.raises(ValueError, match=re.escape("t has shape (3,), expected (50,)")):
        forecaster.run(daily(50), [1.0, 2.0, 3.0])
