"""The detector: what it computes, what it finds, and that it tells an event once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrnn.bank import Bank
from streamrnn.detect import Detector
from tests import naive_detect as naive
from tests.rough import awkward, hostile
from tests.sensors import PLAIN, SENSORS, wave

OUTSIDE, MISSED, SHIFT = "outside the range seen", "forecast missed", "level shift"
CHANGED, FROZEN, DROPPED = "change of variance", "frozen", "drop-out"

plain = pytest.mark.parametrize("name", PLAIN)


def alarms(result):
    return np.flatnonzero(result.alarm).tolist()


def drifts(result):
    return np.flatnonzero(result.drift).tolist()


def at_an_end(T):
    """A walk between two ends, where it stays for one time after another."""
    steps = np.random.default_rng(1).normal(size=T)
    x = np.empty(T)
    now = 0.0
    for t, step in enumerate(steps):
        x[t] = now = min(max(now + step, -6.0), 6.0)
    x[400:430] = x[600:T] = 6.0
    return np.round(x)


@pytest.mark.parametrize(
    ("channels", "target", "horizon", "ends", "interval"),
    [
        (1, 0, 12, False, None),
        (3, 1, 5, False, 60),
        (2, 0, 1, False, None),
        (1, 0, 12, True, 150),
        (2, 1, 5, True, None),
    ],
)
def test_run_matches_naive(channels, target, horizon, ends, interval):
    X = awkward(900, channels)
    X[750:800, -1] = np.nan
    X[480:, 0] += 400.0
    if ends:
        X[:, 0] = at_an_end(900)
    slow = naive.Detector(channels, target, horizon, interval=interval)
    t = [None] * 900 if interval is None else 1.7e9 + interval * np.arange(900)
    with np.errstate(divide="ignore"):
        told = zip(*[slow.step(x, at) for x, at in zip(X, t, strict=True)], strict=True)
    score, alarm, drift, reason, channel, forecast = told
    result = Detector(channels, target, horizon).run(X, None if interval is None else t)
    assert any(alarm) and (ends or any(drift))
    # float64; see test_forecast.py
    np.testing.assert_allclose(result.score, score, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(result.alarm, alarm)
    np.testing.assert_array_equal(result.drift, drift)
    np.testing.assert_array_equal(result.channel, channel)
    assert result.reason == tuple(Detector.reasons[code] for code in reason)
    np.testing.assert_allclose(
        result.forecast, np.array(forecast).transpose(1, 0, 2), rtol=1e-9, atol=1e-9
    )


def test_step_gives_what_run_gives():
    X = awkward(700, 2)
    result, detector = Detector(2).run(X), Detector(2)
    for t, x in enumerate(X):
        one = detector.step(x)
        assert one[:2] == (result.score[t], result.alarm[t])
        assert one[2:5] == (result.drift[t], result.reason[t], result.channel[t])
        assert bool(one.reason) == (one.alarm or one.drift) == (one.channel >= 0)
        assert one.alarm == (one.score >= 0.5)
        assert [type(value) for value in one[:5]] == [float, bool, bool, str, int]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 899))
def test_what_comes_later_changes_nothing(seed, at):
    X = hostile(900, 2, seed)
    other = np.concatenate([X[:at], hostile(900 - at, 2, seed + 1)])
    one, two = Detector(2).run(X), Detector(2).run(other)
    np.testing.assert_array_equal(one.score[:at], two.score[:at])
    np.testing.assert_array_equal(one.channel[:at], two.channel[:at])
    assert one.reason[:at] == two.reason[:at]


@settings(max_examples=25, deadline=None)
@given(st.integers(1500, 1900))
def test_a_snapshot_in_the_middle_of_an_event_changes_nothing(at):
    x = wave(2000)
    x[1500:] += 40.0
    detector, restored = Detector(), Detector()
    detector.run(x[:at])
    restored.state = detector.state
    whole, rest = Detector().run(x), restored.run(x[at:])
    np.testing.assert_array_equal(rest.score, whole.score[at:])
    assert rest.reason == whole.reason[at:]
    assert drifts(whole) and alarms(whole)


@plain
def test_few_alarms_where_nothing_happens(name):
    assert len(alarms(Detector().run(PLAIN[name](10_000)))) <= 5


@pytest.mark.parametrize(
    ("interval", "weeks"), [(1, 2 / 7), (10, 0.6), (60, 2), (300, 4), (900, 8), (3600, 50)]
)
def test_at_most_one_alarm_a_week_where_nothing_happens(interval, weeks):
    alarmed = 0
    for number, sensor in enumerate(SENSORS.values()):
        x = sensor(
            int(weeks * 604800) // interval, interval, np.random.default_rng([number, interval])
        )
        alarmed += Detector().run(x).alarm[86400 // interval :].sum()  # a day to learn
    assert alarmed <= (weeks - 1 / 7) * len(SENSORS)


@pytest.mark.parametrize("interval", [1, 10, 60])
def test_times_keep_the_first_day_quiet_though_much_is_new(interval):
    alarmed, rows = np.zeros(2), 86_400 // interval
    for number, sensor in enumerate(SENSORS.values()):
        x = sensor(rows, interval, np.random.default_rng([number, interval]))
        for n, t in enumerate((interval * np.arange(rows), None)):
            alarmed[n] += Detector().run(x, t).alarm.sum()
    assert alarmed[0] <= len(SENSORS) and alarmed[0] <= 0.6 * alarmed[1]


@pytest.mark.parametrize("interval", [10, 60, 300])
def test_times_leave_at_most_one_alarm_in_the_first_week(interval):
    alarmed, rows, seeds = 0, 604_800 // interval, range(3)
    for number, sensor in enumerate(SENSORS.values()):
        for seed in seeds:
            x = sensor(rows, interval, np.random.default_rng([number, interval, seed]))
            alarmed += Detector().run(x, interval * np.arange(rows)).alarm.sum()
    assert alarmed <= len(seeds) * len(SENSORS)


def test_at_most_one_alarm_a_week_and_channel_where_nothing_happens():
    random = np.random.default_rng(0)
    for interval, weeks in ((300, 4), (3600, 50)):
        sensors = list(SENSORS.values())
        X = [sensor(weeks * 604800 // interval, interval, random) for sensor in sensors[:8]]
        assert len(alarms(Detector(8).run(np.transpose(X)))) <= weeks * 8


@plain
@pytest.mark.parametrize("at", [1500, 2000, 2222])
def test_a_spike_is_told_once_in_its_row(name, at):
    x = PLAIN[name](at + 100)
    x[at] += 2 * np.ptp(x)
    result = Detector().run(x)
    assert [t for t in alarms(result) if t >= at] == [at]
    assert result.reason[at] == OUTSIDE
    assert result.score[at] == result.score[at - 100 :].max()


@plain
@pytest.mark.parametrize("at", [1500, 2000, 2222])
def test_a_step_is_told_once_at_its_onset(name, at):
    x = PLAIN[name](at + 100)
    x[at:] -= 2 * np.ptp(x)
    result = Detector().run(x)
    assert [t for t in alarms(result) if t >= at] == [at]


def test_a_spike_within_the_range_is_a_missed_forecast():
    x = 50 + 10 * np.sin(np.arange(3000) / 50)
    x[2500] += 8 if x[2500] < 50 else -8
    result = Detector().run(x)
    assert [t for t in alarms(result) if t > 2000] == [2500] and result.reason[2500] == MISSED


def test_a_stronger_event_soon_after_is_told_again_a_weaker_one_is_not():
    x = np.random.default_rng(1).normal(size=2000)
    x[1500], x[1540], x[1580] = 12, 11, 60
    assert [t for t in alarms(Detector().run(x)) if t >= 1500] == [1500, 1580]


def test_a_cycle_that_is_lost_is_off_its_cycle():
    t, random = np.arange(4000), np.random.default_rng(0)
    x = 20 + 5 * np.sin(2 * np.pi * t / 96) + 0.5 * random.normal(size=t.size)
    x[3000:] = 20 + 0.5 * random.normal(size=1000)
    result = Detector().run(x)
    assert "off its cycle" in [result.reason[t] for t in alarms(result) if 3000 <= t < 3200]


def test_a_level_within_the_range_that_stays_is_a_shift_and_then_a_drift():
    x = np.random.default_rng(0).normal(size=3000)
    x[2000:] += 1.5
    result = Detector().run(x)
    (first,), (last,) = [t for t in alarms(result) if t >= 2000], drifts(result)
    assert first < 2050 and last == first + 319
    assert result.reason[first] == result.reason[last] == SHIFT


def test_a_variance_that_stays_is_a_drift():
    x = np.random.default_rng(0).normal(size=3000)
    x[2000:] *= 2
    result = Detector().run(x)
    (first,), (last,) = [t for t in alarms(result) if t >= 2000], drifts(result)
    assert first < 2050 and last == first + 319 and result.reason[last] == CHANGED


def test_a_sensor_that_becomes_quiet_changes_its_variance():
    x = np.random.default_rng(0).normal(size=3000)
    x[2000:] *= 0.1
    result = Detector().run(x)
    assert CHANGED in {result.reason[t] for t in alarms(result) if 2000 <= t < 2100}


@pytest.mark.parametrize("rows", [1, 20])
def test_what_passes_is_no_drift(rows):
    x = np.random.default_rng(0).normal(size=3000)
    x[2000 : 2000 + rows] += 30.0
    result = Detector().run(x)
    assert alarms(result)[-1] == 2000 and not drifts(result)


def test_values_that_fail_to_come_are_a_dropout_told_once():
    x = wave(2000)
    x[1500:1520] = np.nan
    result = Detector().run(x)
    assert alarms(result) == [1502] and result.reason[1502] == DROPPED


def test_values_that_often_fail_to_come_are_no_dropout():
    x, random = wave(5000), np.random.default_rng(0)
    x[random.random(5000) < 0.2] = np.nan
    assert DROPPED not in Detector().run(x).reason


@pytest.mark.parametrize(("floor", "row"), [(0.0, 0), (39.5, 2)])
def test_a_fall_to_a_floor_is_a_dropout(floor, row):
    """To zero at once, to another lowest value once it stays there."""
    x = np.random.default_rng(5).gamma(3, 10, 3000) + 40
    x[1500:1520] = floor
    result = Detector().run(x)
    first = next(t for t in alarms(result) if t >= 1500)
    assert first == 1500 + row and result.reason[first] == DROPPED


def test_the_channel_to_blame_is_told():
    random = np.random.default_rng(0)
    for channel in range(3):
        X = random.normal(size=(2000, 3))
        X[1500, channel] += 20.0
        result = Detector(3, target=1).run(X)
        assert alarms(result)[-1] == 1500 and result.channel[1500] == channel


@pytest.mark.parametrize("channel", [0, 1])
def test_each_channel_is_watched_for_each_kind_of_fault(channel):
    random = np.random.default_rng(0)
    noise = 20 + random.normal(size=(2500, 2))
    found = {}
    for name in (SHIFT, CHANGED, FROZEN, DROPPED, OUTSIDE):
        X = noise.copy()
        x = X[:, channel]
        if name == SHIFT:
            x[2000:] += 2.5
        elif name == CHANGED:
            x[2000:] += 2 * random.normal(size=500)
        elif name == FROZEN:
            x[2000:] = x[2000]
        elif name == DROPPED:
            x[2000:2010] = np.nan
        else:
            x[2000] += 10
        result = Detector(2, target=0).run(X)
        told = (result.alarm | result.drift) & (result.channel == channel)
        found[name] = {result.reason[t] for t in np.flatnonzero(told)}
    assert all(name in reasons for name, reasons in found.items()), found


def test_a_sensor_that_freezes_is_told_once():
    x = wave(3000)
    x[2000:2400] = x[2000]
    result = Detector().run(x)
    frozen = [t for t in alarms(result) if result.reason[t] == FROZEN]
    assert len(frozen) == 1 and 2000 < frozen[0] < 2100


def test_a_sensor_that_often_repeats_itself_is_not_frozen():
    x = np.repeat(np.random.default_rng(0).normal(size=300), 30)
    assert FROZEN not in Detector().run(x).reason
    assert not any(Detector().run(np.full(5000, 3.0)).alarm)


def saturated():
    """Humidity at 1 s, below 100 % for 15 hours, there for some minutes, then for hours."""
    return SENSORS["humidity"](270_000, 1, np.random.default_rng([4, 1]))[200_000:]


def test_a_sensor_that_stays_at_the_end_of_its_range_is_neither_frozen_nor_quiet():
    x = saturated()
    result = Detector().run(x)
    assert (x == 100).mean() > 0.15 and not {FROZEN, CHANGED} & set(result.reason)


def test_a_sensor_that_stays_at_the_end_of_its_range_for_too_long_is_frozen():
    x = np.append(saturated(), np.full(10_000, 100.0))
    first = np.flatnonzero(x < 100)[-1] + 1
    result = Detector().run(x)
    told = [t for t in alarms(result) if t >= first]
    assert told == [first + (first + 1) // 3] and result.reason[told[0]] == FROZEN


def test_the_first_100_rows_only_teach():
    x = np.random.default_rng(0).normal(size=100)
    x[60] = 1e6
    assert not Detector().run(x).score.any()


def test_rows_without_the_target_score_nothing():
    x = wave(1000)
    x[500:502] = np.nan
    result = Detector().run(x)
    assert not result.score[500:502].any() and np.isfinite(result.forecast).all()


def test_describes_its_columns():
    detector = Detector(2, target=1, horizon=3)
    outputs = detector.describe(("a", "b"))
    assert len(outputs) == detector.outputs == 14
    told = ["score", "alarm", "drift", "reason", "channel"]
    assert [(o.name, o.kind, o.channel) for o in outputs[-5:]] == [(kind, kind, 1) for kind in told]
    x = wave(500)
    x[400] = 500
    _, alarm, drift, reason, channel = Bank(Detector()).step([0] * 500, x)[400, -5:]
    assert (alarm, drift, channel) == (1, 0, 0)
    assert Detector.reasons[int(reason)] == OUTSIDE and Detector.reasons[0] == ""
