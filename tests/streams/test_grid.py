"""Rows on a grid of time: samples of some channels each, joined; against grouping by hand."""

from __future__ import annotations

import math
import statistics
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.forecast import Forecaster
from streamrnn.kernels import cycle
from streamrnn.streams import Batch, Pipeline, Refused, Rule
from streamrnn.streams.grid import HOWS
from tests.leaky import Leaky
from tests.streams.test_lateness import clock  # noqa: F401  a fixture

BY_HAND = {
    "last": lambda values: values[-1],
    "first": lambda values: values[0],
    "mean": statistics.fmean,
    "min": min,
    "max": max,
    "sum": math.fsum,
}


def opened(**options):
    options = {"channels": ("a", "b"), "every": 60.0} | options
    pipeline = Pipeline([Rule("*", lambda channels: Leaky(len(channels)), **options)])
    used = []

    def note(result):
        batch = result.batch
        used.extend(zip(batch.keys, batch.t.tolist(), batch.x.tolist(), strict=True))

    pipeline.sink(note)
    return pipeline, used


def test_channels_that_come_one_by_one_make_a_row(clock):  # noqa: F811
    pipeline, used = opened()
    pipeline.take("pump", {"a": 1.0}, 120)
    pipeline.take("pump", {"b": 2.0}, 130)
    pipeline.take("pump", {"a": 3.0}, 179.9)
    pipeline.flush()
    assert used == []
    pipeline.take("pump", {"b": 4.0}, 180)
    pipeline.flush()
    assert used == [("pump", 180.0, [3.0, 2.0])]


def test_a_row_is_used_by_the_clock_when_nothing_more_comes(clock):  # noqa: F811
    pipeline, used = opened()
    pipeline.take("pump", {"a": 1.0}, 990)  # the clock says 1000, the row ends at 1020
    clock.now += 29
    pipeline.flush()
    assert used == []
    clock.now += 2
    pipeline.flush()
    ((key, t, x),) = used
    assert (key, t, x[0]) == ("pump", 1020.0, 1.0) and math.isnan(x[1])
    pipeline.take("pump", {"b": 1.0}, 1019)
    assert pipeline.refused == {"late": 1}


def test_columns_of_some_channels_are_joined_and_others_refused(clock):  # noqa: F811
    pipeline, used = opened(how="mean")
    t = np.array([0.0, 30.0])
    pipeline.take_batch(Batch(["p"] * 2, t, np.array([[1.0], [2.0]]), channels=("b",)))
    pipeline.take_batch(
        Batch(["p"] * 2, t, np.array([[3.0, 4.0], [5.0, 9.0]]), channels=("b", "a"))
    )
    pipeline.take_batch(Batch(["p"], t[:1], np.array([[1.0]]), channels=("c",)))
    with pytest.raises(Refused, match="p: unknown channel 'c'; expected 2 channels"):
        pipeline.take("p", {"c": 1.0}, 0)
    assert pipeline.refused == {"channels": 2}
    pipeline.take("p", {"a": 0.0}, 60)
    pipeline.flush()
    assert used == [("p", 60.0, [6.5, 2.75])]


def test_rows_of_a_commit_that_failed_are_joined_again(clock):  # noqa: F811
    pipeline, used = opened()
    fails = [False]

    def write(commit):
        done = Future()
        if fails[0]:
            done.set_exception(OSError("full"))
        else:
            done.set_result(None)
        return done

    pipeline.commit_by(write)
    pipeline.take("p", {"a": 1.0}, 0)
    pipeline.flush()
    fails[0] = True
    pipeline.take("p", {"b": 2.0}, 1)
    pipeline.take("p", {"b": 3.0}, 60)
    pipeline.flush()
    assert used == [] and pipeline.halted
    fails[0] = False
    pipeline.resume()
    pipeline.take("p", {"b": 4.0}, 2)  # as the sender does who was not acknowledged
    pipeline.take("p", {"b": 3.0}, 60)
    pipeline.flush()
    assert used == [("p", 60.0, [1.0, 4.0])]


@pytest.mark.parametrize(("every", "rows"), [(60.0, 61), (0.0, 40 + 10 + 10 + 11)])
def test_what_waited_without_times_leaves_a_grid_in_step_with_the_clock(clock, every, rows):  # noqa: F811
    """For 40 minutes one a minute, ten minutes nothing, then these at once, and on."""
    rule = Rule("*", lambda channels: Forecaster(), ("value",), every=every)
    pipeline = Pipeline([rule])
    for minute in [*range(40), *[50] * 10, *range(51, 62)]:
        clock.now = 60.0 * minute + 1.0
        pipeline.take("pump", [float(minute)])
        pipeline.flush()
    assert pipeline.group_of("pump").bank["pump"]["cycle"][cycle.ROWS] == rows


samples = st.lists(
    st.tuples(st.sampled_from("pq"), st.integers(0, 40), st.sampled_from("ab"), st.integers(-9, 9)),
    max_size=60,
)


@given(samples=samples, flushes=st.sets(st.integers(0, 60)), how=st.sampled_from(HOWS))
def test_rows_are_those_of_grouping_by_hand(samples, flushes, how):
    pipeline, used = opened(every=7.0, lateness=100.0, how=how)
    for n, (key, t, channel, value) in enumerate(samples):
        pipeline.take(key, {channel: float(value)}, float(t))
        if n in flushes:
            pipeline.flush()
    for key in "pq":
        pipeline.take(key, {"a": 0.0}, 1000.0)
    pipeline.flush()
    expected = {}
    for key, t, channel, value in sorted(samples, key=lambda sample: sample[1]):
        row = expected.setdefault((key, (t // 7 + 1) * 7.0), {"a": [], "b": []})
        row[channel].append(float(value))
    got = {(key, t): x for key, t, x in used}
    assert len(got) == len(used) and got.keys() == expected.keys()
    for place, row in expected.items():
        x = [BY_HAND[how](values) if values else math.nan for values in row.values()]
        np.testing.assert_array_equal(got[place], x)
    for key in "pq":
        times = [t for k, t, _ in used if k == key]
        assert times == sorted(times)
