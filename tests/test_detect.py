"""The detector: what it computes, what it finds, and that it tells an event once."""

import numpy as np
import pytest

from streamrnn.bank import Bank
from streamrnn.detect import Detector
from tests import naive_forecast as naive
from tests.test_forecast import autoregression, awkward, daily

OUTSIDE, MISSED, FROZEN = "outside the range seen so far", "forecast missed", "frozen"


def wave(T):
    random = np.random.default_rng(2)
    return 50 + 10 * np.sin(np.arange(T) / 8) + 0.5 * random.normal(size=T)


BACKGROUNDS = {
    "daily": lambda T: daily(T)[:, 0],
    "autoregression": autoregression,
    "wave": wave,
    "noise": lambda T: np.random.default_rng(1).normal(size=T),
    "heavy tails": lambda T: np.random.default_rng(1).standard_t(4, size=T),
    "bursts": lambda T: np.convolve(np.random.default_rng(1).exponential(size=T) ** 3, [1, 2, 1])[
        :T
    ],
    "walk": lambda T: np.cumsum(np.random.default_rng(1).normal(size=T)),
}
backgrounds = pytest.mark.parametrize("name", BACKGROUNDS)


def alarms(result):
    return np.flatnonzero(result.alarm).tolist()


@pytest.mark.parametrize(("channels", "target", "horizon"), [(1, 0, 12), (3, 1, 5), (2, 0, 1)])
def test_run_matches_naive(channels, target, horizon):
    X = awkward(900, channels)
    slow = naive.Detector(channels, target, horizon)
    score, alarm, reason, forecast = zip(*[slow.step(x) for x in X], strict=True)
    result = Detector(channels, target, horizon).run(X)
    assert any(alarm)
    # float64; see test_forecast.py
    np.testing.assert_allclose(result.score, score, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(result.alarm, alarm)
    assert result.reason == tuple(Detector.reasons[code] for code in reason)
    np.testing.assert_allclose(
        result.forecast, np.array(forecast).transpose(1, 0, 2), rtol=1e-9, atol=1e-9
    )


def test_step_gives_what_run_gives():
    X = awkward(500, 1)
    result, detector = Detector().run(X), Detector()
    for t, x in enumerate(X):
        one = detector.step(x)
        assert (one.score, one.alarm) == (result.score[t], result.alarm[t])
        assert one.reason == result.reason[t] and bool(one.reason) == one.alarm
        assert type(one.score) is float and type(one.alarm) is bool


@backgrounds
def test_few_alarms_where_nothing_happens(name):
    assert len(alarms(Detector().run(BACKGROUNDS[name](10_000)))) <= 5


def test_at_most_one_alarm_a_week_of_five_minutes_where_nothing_happens():
    rows = alarmed = 0
    for number in range(20):
        random = np.random.default_rng(number)
        t = np.arange(4032)
        day = np.sin(2 * np.pi * t / 288) + 0.4 * np.sin(4 * np.pi * t / 288 + number)
        week = np.where(t // 288 % 7 < 5, 1.0, 0.6)
        slow = autoregression(t.size, 0.98, number)
        kinds = (
            20 + 3 * day + 0.5 * slow,  # a room
            30 * np.exp(0.3 * week * day + 0.05 * slow) + random.gamma(2, 1, t.size),  # traffic
            np.clip(20 + 5 * day + 4 * random.normal(size=t.size), 0, 100),  # a server
            np.exp(0.2 * slow) + 0.1 * random.normal(size=t.size),  # air
        )
        for x in kinds:
            alarmed += len(alarms(Detector().run(x)))
            rows += x.size
    assert alarmed <= rows / 2016


@backgrounds
@pytest.mark.parametrize("at", [1500, 2000, 2222])
def test_a_spike_is_told_once_in_its_row(name, at):
    x = BACKGROUNDS[name](at + 100)
    x[at] += 2 * np.ptp(x)
    result = Detector().run(x)
    assert [t for t in alarms(result) if t >= at] == [at]
    assert result.reason[at] == OUTSIDE
    assert result.score[at] == result.score[at - 100 :].max()


@backgrounds
@pytest.mark.parametrize("at", [1500, 2000, 2222])
def test_a_step_is_told_once_at_its_onset(name, at):
    x = BACKGROUNDS[name](at + 100)
    x[at:] -= 2 * np.ptp(x)
    result = Detector().run(x)
    assert [t for t in alarms(result) if t >= at] == [at]


def test_a_spike_within_the_range_is_a_missed_forecast():
    x = 50 + 10 * np.sin(np.arange(3000) / 50)
    x[2500] += 8 if x[2500] < 50 else -8
    result = Detector().run(x)
    assert alarms(result) == [2500] and result.reason[2500] == MISSED


def test_a_stronger_event_soon_after_is_told_again_a_weaker_one_is_not():
    x = np.random.default_rng(1).normal(size=2000)
    x[1500], x[1540], x[1580] = 12, 11, 60
    assert [t for t in alarms(Detector().run(x)) if t >= 1500] == [1500, 1580]


def test_a_cycle_that_is_lost_is_off_its_course():
    t = np.arange(4000)
    x = 20 + 5 * np.sin(2 * np.pi * t / 96) + 0.2 * np.random.default_rng(0).normal(size=t.size)
    x[3000:] = 20 + 0.2 * np.random.default_rng(1).normal(size=1000)
    result = Detector().run(x)
    assert "off its course" in result.reason[3000:3100]


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


def test_the_first_100_rows_only_teach():
    x = np.random.default_rng(0).normal(size=100)
    x[60] = 1e6
    assert not Detector().run(x).score.any()


def test_rows_without_the_target_score_nothing():
    x = wave(1000)
    x[500:520] = np.nan
    result = Detector().run(x)
    assert not result.score[500:520].any() and np.isfinite(result.forecast).all()


def test_describes_its_columns():
    detector = Detector(2, target=1, horizon=3)
    outputs = detector.describe(("a", "b"))
    assert len(outputs) == detector.outputs == 12
    assert [(o.name, o.kind, o.channel) for o in outputs[-3:]] == [
        ("score", "score", 1),
        ("alarm", "alarm", 1),
        ("reason", "reason", 1),
    ]
    x = wave(500)
    x[400] = 500
    code = int(Bank(Detector()).step([0] * 500, x)[400, -1])
    assert Detector.reasons[code] == OUTSIDE and Detector.reasons[0] == ""
