"""The pipeline: what it takes and refuses, when it predicts, what a failure leaves behind."""

import asyncio
import math
import time

import numpy as np
import pytest

from streamrnn.bank import Bank
from streamrnn.evaluate import RunningError
from streamrnn.forecast import Forecaster
from streamrnn.model import GRU
from streamrnn.step import Output, padded
from streamrnn.streams import NOT_SAMPLED, Batch, Pipeline, Refused, Rule
from tests.leaky import Leaky

NAN = float("nan")
BOILER = Rule("boiler/*", lambda channels: Leaky(2), ("temp", "load"), units=("°C", "kW"))
ANY = Rule("any/*", lambda channels: Leaky(len(channels)), units={"temp": "°C"})


class Words(Leaky):
    """A step of tokens."""

    vocabulary = ("a", "b", "c")


def opened(*rules, **limits):
    pipeline, results = Pipeline(rules or (BOILER, ANY), **limits), []
    pipeline.sink(results.append)
    return pipeline, results


def batch(keys, x, t=None, channels=None):
    return Batch(
        keys, np.zeros(len(x)) if t is None else np.array(t), np.array(x), None, NAN, channels
    )


def test_samples_of_a_group_leave_together_in_order_of_arrival():
    pipeline, results = opened()
    before = time.time()
    pipeline.take("boiler/7", [4, 8.0], 10.0)
    pipeline.take("boiler/8", {"load": 4.0, "temp": None}, "1970-01-01T00:00:11Z")
    pipeline.take("boiler/7", (4.0, np.float32(8)))
    pipeline.take("any/pump", np.array([4.0]))
    assert results == []
    pipeline.flush()
    boilers, pump = results
    assert boilers.batch.keys == ["boiler/7", "boiler/8", "boiler/7"]
    assert boilers.batch.y.tolist() == [[1.0, 2.0], [0.0, 1.0], [1.75, 3.5]]
    assert boilers.batch.y.dtype == np.float32
    assert boilers.batch.t[:2].tolist() == [10.0, 11.0]
    assert before <= boilers.batch.t[2] <= boilers.batch.arrived <= time.time()
    assert np.isnan(boilers.batch.x[1, 0])
    assert pump.group.channels == ("value",) and pump.batch.y.tolist() == [[1.0]]
    assert pipeline.samples == 4 and not pipeline.refused
    pipeline.flush()
    assert len(results) == 2


def test_a_group_says_what_its_columns_mean():
    pipeline, _ = opened()
    pipeline.take("any/x", {"temp": 1.0, "wind": 2.0})
    group = pipeline.group_of("any/x")
    assert (group.id, group.rule, group.channels) == (0, ANY, ("temp", "wind"))
    assert group.units == ("°C", "") and group.target == 0 and group.U == 2
    assert group.outputs == (Output("y0"), Output("y1"))
    assert group.reasons == group.vocabulary == ()
    assert pipeline.groups == [group] and pipeline.group_of("any/y") is None


def test_streams_with_other_channels_are_another_group_of_the_same_rule():
    pipeline, results = opened()
    pipeline.take("any/a", [1.0])
    pipeline.take("any/b", [1.0, 2.0])
    pipeline.take("any/c", [3.0])
    pipeline.flush()
    assert [group.channels for group in pipeline.groups] == [("value",), ("x0", "x1")]
    assert [result.batch.keys for result in results] == [["any/a", "any/c"], ["any/b"]]


def test_the_first_rule_that_matches_serves_a_stream():
    first = Rule("any/*", lambda channels: Leaky(1))
    pipeline, _ = opened(first, ANY)
    pipeline.take("any/x", [1.0])
    assert pipeline.group_of("any/x").rule is first


def test_the_caller_may_use_his_row_again():
    pipeline, results = opened()
    row = [4.0]
    pipeline.take("any/x", row)
    row[0] = 1000.0
    pipeline.flush()
    assert results[0].batch.x.tolist() == [[4.0]]


def test_the_error_of_a_forecast_is_that_of_the_one_made_before():
    pipeline, results = opened(Rule("*", lambda channels: Forecaster(2, target=1), target=1))
    X = np.random.default_rng(0).normal(size=(50, 2))
    for x in X:
        pipeline.take("s", x)
        pipeline.take("other", 2 * x)
    pipeline.flush()
    (result,) = results
    outputs = result.group.outputs
    assert outputs[-2:] == (
        Output("error", "error", 1, 1),
        Output("error_persistence", "error_persistence", 1, 1),
    )
    Y = Bank(Forecaster(2, target=1)).step(["s"] * 50, X)
    errors = Bank(RunningError()).step(["s"] * 50, np.stack([X[:, 1], Y[:, 0]], axis=1))
    expected = np.concatenate([Y, errors], axis=1).astype(np.float32)
    assert np.array_equal(result.batch.y[::2], expected, equal_nan=True)


# columns


def test_columns_and_single_samples_keep_their_order():
    pipeline, results = opened()
    pipeline.take("any/x", [1.0], 1.0)
    assert pipeline.take_batch(batch(["any/x", "any/y"], [[2.0], [3.0]], [2.0, 3.0])) == 2
    pipeline.take("any/x", [4.0], 4.0)
    pipeline.flush()
    (result,) = results
    assert result.batch.keys == ["any/x", "any/x", "any/y", "any/x"]
    assert result.batch.x[:, 0].tolist() == result.batch.t.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_columns_are_found_by_name():
    pipeline, results = opened()
    pipeline.take_batch(batch(["boiler/7"], [[8.0, 4.0]], channels=("load", "temp")))
    pipeline.flush()
    assert results[0].batch.x.tolist() == [[4.0, 8.0]]


def test_bad_rows_of_columns_are_refused_and_the_others_taken():
    pipeline, results = opened()
    keys = ["boiler/7", "pump", "boiler/8", "boiler/7", "pump", "boiler/7"]
    x = [[4.0, 4.0], [0.0, 0.0], [math.inf, 0.0], [4.0, NAN], [0.0, 0.0], [4.0, 4.0]]
    t = [1.0, 2.0, 3.0, 4e9, 5.0, NAN]  # 2096: the recording's own time
    assert pipeline.take_batch(batch(keys, x, t)) == 2
    pipeline.flush()
    assert results[0].batch.keys == ["boiler/7", "boiler/7"]
    assert pipeline.refused == {"stream": 2, "value": 2}
    assert pipeline.last_refused.error == (
        "boiler/8: expected a finite time and numbers within ±1e30, got (3.0, [inf, 0.0])"
    )


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        (
            batch(["boiler/7"], [[1.0]]),
            "boiler/7: expected 2 channels (temp, load), got 1",
        ),
        (
            batch(["boiler/7"], [[1.0, 2.0]], channels=("temp", "flow")),
            "boiler/7: unknown channel 'flow'; expected 2 channels (temp, load)",
        ),
        (
            batch(["boiler/7"], [[1.0]], channels=("temp",)),
            "boiler/7: no value for channel load; send null where it is missing",
        ),
    ],
)
def test_columns_of_other_channels_are_refused(columns, error):
    pipeline, results = opened()
    assert pipeline.take_batch(columns) == 0
    assert pipeline.refused == {"channels": 1} and pipeline.last_refused.error == error
    assert pipeline.group_of("boiler/7") is None  # nothing was opened
    pipeline.flush()
    assert results == []


@pytest.mark.parametrize(
    ("x", "channels", "got"),
    [
        (np.zeros(2), None, "(2,) float64"),
        (np.zeros((1, 2)), None, "(1, 2) float64"),
        (np.zeros((2, 2)), ("a",), "(2, 2) float64"),
        (np.array([["a"], ["b"]]), None, "(2, 1) <U1"),
    ],
)
def test_columns_that_are_no_table_of_numbers_are_a_mistake_in_the_program(x, channels, got):
    pipeline, _ = opened()
    with pytest.raises(ValueError) as error:
        pipeline.take_batch(Batch(["any/a", "any/b"], np.zeros(2), x, channels=channels))
    assert str(error.value) == (
        "expected a batch of numbers t (2,) and x (2, C) for its keys and channels, "
        f"got t (2,) float64, x {got}"
    )


# time


def test_in_an_event_loop_samples_wait_one_tick_for_company():
    async def main():
        pipeline = Pipeline([ANY], tick_s=0.001)
        arrived = asyncio.Queue()
        pipeline.sink(arrived.put_nowait)
        counts = []
        for n in (1, 3):
            for _ in range(n):
                pipeline.take("any/x", [1.0])
            assert arrived.empty()
            counts.append(len((await asyncio.wait_for(arrived.get(), 10)).batch.keys))
        return counts

    assert asyncio.run(main()) == [1, 3]


def test_many_samples_do_not_wait_for_the_tick():
    pipeline, results = opened()
    pipeline.take_batch(batch(["any/x"] * 5000, [[1.0]] * 5000))
    assert pipeline.samples == 5000 == sum(len(r.batch.keys) for r in results)


# hidden units


def test_hidden_units_come_with_the_last_sample_of_each_stream():
    pipeline, results = opened()
    for key in ("any/a", "any/b", "any/a"):
        pipeline.take(key, [4.0])
    pipeline.flush()
    (result,) = results
    h = np.rint(127 * np.tanh([1.0, 1.75]))  # after one and after two samples
    assert result.h[:, 0].tolist() == [NOT_SAMPLED, h[0], h[1]] and result.h.dtype == np.int8


def test_a_watched_stream_has_hidden_units_with_every_sample():
    model = GRU(1, 8, 1)
    pipeline, results = opened(Rule("any/*", lambda channels: model))
    plain, expected = opened(Rule("any/*", lambda channels: model))
    pipeline.watched.add("any/a")
    X = np.random.default_rng(1).normal(size=(12, 1)).astype(np.float32)
    keys = [f"any/{'aab'[n % 3]}" for n in range(12)]
    for taking in (pipeline, plain):
        taking.take_batch(batch(keys, X))
        taking.flush()

    def of(results, key, column):
        rows = [(r, n) for r in results for n, k in enumerate(r.batch.keys) if k == key]
        return [column(r)[n].tolist() for r, n in rows]

    assert len(expected) == 1 and len(results) == 8
    for key in ("any/a", "any/b"):
        for column in (lambda r: r.batch.x, lambda r: r.batch.y):
            assert of(results, key, column) == of(expected, key, column)
    h = []
    for row in X[[n for n in range(12) if keys[n] == "any/a"]]:
        model.step(row)
        h.append(np.rint(127 * model.h).tolist())
    assert of(results, "any/a", lambda r: r.h) == h


def test_a_fast_watched_stream_is_looked_at_64_times_a_tick():
    pipeline, results = opened()
    pipeline.watched.add("any/a")
    pipeline.take_batch(batch(["any/a"] * 1000, np.ones((1000, 1))))
    pipeline.flush()
    h = np.concatenate([result.h for result in results])
    assert len(h) == 1000 and (h != NOT_SAMPLED).sum() == 63  # ceil(1000 / 16)


# failures


class Fails(Leaky):
    def advance(self, states, rows, x, y):
        super().advance(states, rows, x, y)
        if (x == 13).any():
            raise RuntimeError("thirteen")


def test_a_batch_whose_step_fails_is_refused_and_its_states_are_put_back():
    pipeline, results = opened(Rule("*", lambda channels: Fails()))
    for x in ([4.0], [4.0, 13.0], [4.0]):
        for value in x:
            pipeline.take("a", [value])
        pipeline.flush()
    assert [r.batch.y.tolist() for r in results] == [[[1.0]], [[1.75]]]
    assert pipeline.refused == {"internal": 2} and pipeline.samples == 2
    assert pipeline.last_refused.error == "rnn node: RuntimeError: thirteen"


def test_reset_puts_one_stream_back_after_all_that_was_taken_before():
    pipeline, results = opened(Rule("*", lambda channels: Leaky()))
    for key in ("a", "b"):
        pipeline.take(key, [4.0])
    pipeline.reset("a")
    for key in ("a", "b"):
        pipeline.take(key, [8.0])
    pipeline.flush()
    # h' = h + (x - h) / 4 from 0: 1 after 4, then 2.75 after 8, or 2 where h was 0 again
    assert [r.batch.y.tolist() for r in results] == [[[1.0], [1.0]], [[2.0], [2.75]]]
    with pytest.raises(KeyError, match="nobody"):
        pipeline.reset("nobody")


class BadUnits(Leaky):
    def units(self, states):
        if (states["h"] == 1.0).any():
            raise RuntimeError("no units")
        return super().units(states)


def test_a_failure_after_the_step_puts_its_states_back_too():
    pipeline, results = opened(Rule("*", lambda channels: BadUnits()))
    for x in (4.0, 8.0):
        pipeline.take("a", [x])
        pipeline.flush()
    assert [r.batch.y.tolist() for r in results] == [[[2.0]]]
    assert pipeline.refused == {"internal": 1}
    assert pipeline.last_refused.error == "*: RuntimeError: no units"


def test_a_sink_that_fails_takes_nothing_back_that_another_has_shown():
    def fails(result):
        raise OSError("viewer gone")

    pipeline = Pipeline([ANY])
    results = []
    pipeline.sink(fails)
    pipeline.sink(results.append)
    for _ in range(2):
        pipeline.take("any/a", [4.0])
        pipeline.flush()
    assert [r.batch.y.tolist() for r in results] == [[[1.0]], [[1.75]]]
    assert pipeline.last_refused.error == "any/*: a sink failed with OSError: viewer gone"


class Large(Leaky):
    """Remembers 80 kB a stream."""

    def __init__(self):
        super().__init__()
        self.layout = padded([("h", 1), ("rest", 19_999)], np.float32)
        self.calls = []

    def advance(self, states, rows, x, y):
        self.calls.append(len(rows))
        super().advance(states, rows, x, y)


def test_much_state_moves_in_parts_that_fit_the_cache_with_their_copies():
    step = Large()
    pipeline, results = opened(Rule("*", lambda channels: step))
    pipeline.take_batch(batch([f"s{n}" for n in range(60)], np.zeros((60, 1))))
    pipeline.flush()
    assert step.calls == [13, 13, 13, 13, 8]
    assert [len(r.batch.keys) for r in results] == [60]


# warming


def test_warm_makes_the_step_once_and_opens_no_stream():
    made = []
    rule = Rule("*", lambda channels: made.append(channels) or Leaky(len(channels)), ("a", "b"))
    pipeline, _ = opened(rule)
    pipeline.warm(rule)
    assert pipeline.groups == [] and pipeline.samples == 0
    pipeline.take("s", [1.0, 2.0])
    assert made == [("a", "b")]


def test_warm_tells_of_a_step_that_cannot_work():
    class Broken(Leaky):
        def advance(self, states, rows, x, y):
            raise RuntimeError("no kernel")

    pipeline, _ = opened(Rule("*", lambda channels: Broken()))
    with pytest.raises(Refused, match="RuntimeError: no kernel"):
        pipeline.warm(pipeline.rules[0])


def test_warm_asks_the_step_how_many_channels_it_reads():
    pipeline, _ = opened(Rule("*", lambda channels: GRU(3, 4)))
    pipeline.warm(pipeline.rules[0])


def test_with_few_states_in_memory_predictions_have_the_same_bits():
    rules = [
        Rule("learn/*", lambda channels: Forecaster(1, 0, 2)),
        Rule("*", lambda channels: GRU(1, 8, 1, seed=1)),
    ]
    three = 3.5 * Forecaster(1, 0, 2).layout.itemsize
    (plain, expected), (few, results) = opened(*rules), opened(*rules, state_bytes=three)
    draw = np.random.default_rng(2)
    keys = [f"{kind}{n}" for kind in ("learn/", "gru/") for n in range(9)]
    for n in range(60):
        for pipeline in (plain, few):
            pipeline.take(keys[n % 5], [float(n)], 0.0)
        some = draw.choice(keys, 7).tolist()
        x = draw.normal(size=(7, 1))
        for pipeline in (plain, few):
            pipeline.take_batch(batch(some, x))
            pipeline.flush()
    learning = few.groups[0].bank
    assert learning.resident <= 3 and len(learning) == 9

    def told(results):
        return [(r.batch.keys, r.batch.y.tobytes(), r.h.tobytes()) for r in results]

    assert told(results) == told(expected)


def test_states_that_cannot_be_written_to_a_file_stay_and_are_told_of(tmp_path):
    rule = Rule("*", lambda channels: Forecaster(1, 0, 2))
    three = 3.5 * Forecaster(1, 0, 2).layout.itemsize
    pipeline, results = opened(rule, state_bytes=three, folder=tmp_path / "gone")
    pipeline.take_batch(batch([*"abcd"], np.zeros((4, 1))))
    pipeline.flush()
    assert len(results) == 1 and pipeline.groups[0].bank.resident == 4
    assert pipeline.last_refused.error.startswith(
        "pipeline: states of idle streams stay in memory, they cannot be written: "
    )
