"""Labels in a pipeline: each after the samples that were taken before it, and before the next."""

import asyncio

import numpy as np
import pytest

from streamrnn.forecast import Forecaster
from streamrnn.streams import Batch, Pipeline, Refused, Rule
from tests.leaky import Leaky
from tests.streams.test_commit import opened, turn

STEP = 60.0


def forecaster(match="*", **options):
    return Rule(match, lambda channels: Forecaster(horizon=5), **options)


def missing_at_times(T, seed=0):
    """What happens to a stream, in order: ("row", x, t) or ("label", value, t)."""
    random = np.random.default_rng(seed)
    x, happened = np.sin(np.arange(T) / 5), []
    late = {}
    for n in range(T):
        absent = n > 0 and random.random() < 0.3
        happened.append(("row", np.nan if absent else x[n], STEP * n))
        if absent:
            late.setdefault(n + int(random.integers(3)), []).append(n)
        happened += [("label", x[m], STEP * m) for m in late.get(n, [])]
    return happened


def alone(happened):
    step = Forecaster(horizon=5)
    for what, value, t in happened:
        step.step(value, t) if what == "row" else step.learn(value, t)
    return step.state.tobytes()


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("every", [1, 7, 10_000])
def test_labels_are_learned_between_the_samples_they_came_between(every, columns):
    streams = {key: missing_at_times(200, seed) for seed, key in enumerate("abc")}
    pipeline = Pipeline([forecaster()])
    order = np.random.default_rng(0).permutation([k for k in streams for _ in streams[k]])
    events = {key: iter(happened) for key, happened in streams.items()}
    for n, key in enumerate(order.tolist()):
        what, value, t = next(events[key])
        if what == "label":
            pipeline.learn(key, value, t)
        elif columns:
            pipeline.take_batch(Batch([key], np.array([t]), np.array([[value]])))
        else:
            pipeline.take(key, [value], t)
        if n % every == 0:
            pipeline.flush()
    pipeline.flush()
    assert not pipeline.refused
    for key, happened in streams.items():
        assert pipeline.group_of(key).bank[key].tobytes() == alone(happened)


def test_a_label_is_for_rows_that_have_been_used_where_they_wait_for_earlier_ones():
    pipeline = Pipeline([forecaster(lateness=100.0)])
    for n, x in enumerate((1.0, 2.0, np.nan, 3.0)):
        pipeline.take("a", [x], STEP * n)
    pipeline.learn("a", 2.5, 2 * STEP)  # in the tick that uses its row
    pipeline.learn("a", 2.5, 2 * STEP)
    pipeline.take("a", [4.0], 4 * STEP)
    pipeline.flush()
    assert pipeline.refused == {"label": 1}
    rows = [("row", x, STEP * n) for n, x in enumerate((1.0, 2.0, np.nan))]
    assert pipeline.group_of("a").bank["a"].tobytes() == alone([*rows, ("label", 2.5, 2 * STEP)])


@pytest.mark.parametrize(
    ("key", "value", "t", "kind", "error"),
    [
        ("b", 1.0, 0.0, "label",
         "b: no row of this stream has come; send a label after the row it belongs to"),
        (7, 1.0, 0.0, "label",
         "7: no row of this stream has come; send a label after the row it belongs to"),
        ("leaky", 1.0, 0.0, "label",
         "leaky: Leaky of rule leaky does not learn from labels; send them to streams of a "
         "forecaster or detector"),
        ("a", None, 0.0, "label",
         "a: expected a number within ±1e30 as the label, got None"),
        ("a", np.nan, 0.0, "label",
         "a: expected a number within ±1e30 as the label, got nan"),
        ("a", 1e30, 0.0, "label",
         "a: expected a number within ±1e30 as the label, got 1e+30"),
        ("a", "1", 0.0, "label",
         "a: expected a number within ±1e30 as the label, got '1'"),
        ("a", True, 0.0, "label",
         "a: expected a number within ±1e30 as the label, got True"),
        ("a", 1.0, None, "label",
         "a: expected t, the time of the row that the label belongs to"),
        ("a", 1.0, "noon", "time",
         "a: expected seconds since 1970 or an ISO 8601 time, got 'noon'"),
    ],
)  # fmt: skip
def test_what_is_no_label_of_a_stream_that_learns_is_refused(key, value, t, kind, error):
    pipeline = Pipeline([Rule("leaky", lambda channels: Leaky()), forecaster()])
    pipeline.take("a", [None], 0.0)
    pipeline.take("leaky", [1.0], 0.0)
    with pytest.raises(Refused) as refused:
        pipeline.learn(key, value, t)
    assert (refused.value.kind, str(refused.value)) == (kind, error)
    assert pipeline.refused == {kind: 1}


@pytest.mark.parametrize("t", [0.0, 60.0, 120.0, 180.0, -600.0, 1e9])
def test_a_label_that_teaches_nothing_is_refused_in_its_turn(t):
    """Too old, of a row that has its target or that never was; then told, and counted."""
    pipeline, told = Pipeline([forecaster()]), []
    for n, x in enumerate((None, None, 1.0, 2.0, 3.0, 4.0, 5.0)):
        pipeline.take("a", [x], STEP * n)
    pipeline.flush()
    before = pipeline.group_of("a").bank["a"].tobytes()
    pipeline.learn("a", 1.5, t, told.append)
    assert told == [] and not pipeline.refused
    pipeline.flush()
    error = (
        f"a: the label 1.5 of t={t:.15g} teaches nothing: expected the time of one of the newest "
        "rows, whose target was missing when it came and has not been learned since"
    )
    assert [str(refused) for refused in told] == [error]
    assert pipeline.refused == {"label": 1} and pipeline.last_refused.error == error
    assert pipeline.group_of("a").bank["a"].tobytes() == before


def test_nothing_can_be_learned_of_a_stream_that_begins_anew():
    pipeline = Pipeline([forecaster()])
    pipeline.take("a", [None], 0.0)
    pipeline.reset("a")
    pipeline.learn("a", 1.0, 0.0)
    pipeline.flush()
    assert pipeline.refused == {"label": 1}


def test_labels_go_into_the_commit_with_what_came_before_and_are_put_back_with_it():
    async def main():
        pipeline, disk, _ = opened(forecaster())
        for n, x in enumerate((1.0, 2.0, None)):
            pipeline.take("a", [x], STEP * n)
        pipeline.flush()
        bank = pipeline.group_of("a").bank
        pipeline.learn("a", 2.5, 2 * STEP)  # waits for the commit that is on its way
        rows = [("row", x, STEP * n) for n, x in enumerate((1.0, 2.0, np.nan))]
        pipeline.flush()
        assert bank["a"].tobytes() == alone(rows) and len(disk.commits) == 1
        settled = pipeline.settled()
        disk.done()
        await turn()
        await turn()
        assert bank["a"].tobytes() == alone([*rows, ("label", 2.5, 2 * STEP)])
        (labels,) = [commit.labels for commit in disk.commits[1:]]
        assert [(before, *label[:3]) for before, label in labels] == [(0, "a", 2.5, 2 * STEP)]
        assert not settled.done()
        disk.fail()
        await turn()
        assert settled.result() == "no space left on device"
        assert bank["a"].tobytes() == alone(rows)
        assert pipeline.refused == {"journal": 1}
        with pytest.raises(Refused, match="nothing is taken, for the journal cannot be written"):
            pipeline.learn("a", 2.5, 2 * STEP)
        pipeline.resume()
        pipeline.take("a", [3.0], 3 * STEP)
        pipeline.learn("a", 2.5, 2 * STEP)
        pipeline.flush()
        assert [before for before, _ in disk.commits[2].labels] == [1]
        assert not pipeline.refused["label"]
        pipeline.stop()

    asyncio.run(main())


def test_warm_compiles_what_the_first_label_needs():
    asked = []

    class Asked(Forecaster):
        def learn_labels(self, states, rows, y, t):
            asked.append(y.tolist())
            return super().learn_labels(states, rows, y, t)

    pipeline = Pipeline([Rule("*", lambda channels: Asked(horizon=5), ("value",))])
    pipeline.warm(pipeline.rules[0])
    assert len(asked) == 1 and not pipeline.refused and not pipeline.groups


class Broken(Forecaster):
    def learn_labels(self, states, rows, y, t):
        states["now"][rows] = 7.0
        raise RuntimeError("out of luck")


def test_a_step_that_fails_to_learn_keeps_its_state_and_its_stream_goes_on():
    pipeline = Pipeline([Rule("*", lambda channels: Broken(horizon=5))])
    pipeline.take("a", [None], 0.0)
    pipeline.flush()
    before = pipeline.group_of("a").bank["a"].tobytes()
    pipeline.learn("a", 1.0, 0.0)
    pipeline.flush()
    assert pipeline.group_of("a").bank["a"].tobytes() == before
    error = "*: cannot learn, with RuntimeError: out of luck"
    assert pipeline.refused == {"internal": 1} and pipeline.last_refused.error == error
    pipeline.take("a", [2.0], STEP)
    pipeline.flush()
    assert pipeline.samples == 2
