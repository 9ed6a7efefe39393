"""What viewers are told of the forecasts, and when."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from streamrnn_server import protocol as p
from streamrnn_server.explanations import Explanations
from streamrnn_server.hub import Hub

from streamrnn import Forecaster
from streamrnn.streams import Pipeline, Rule
from tests.server.fakes import group, hub, result, say, taken


def served(rules, **options):
    """A hub behind a real pipeline."""
    pipeline = Pipeline(rules)
    made = Hub(epoch=7, name="test", server="streamrnn 0", started=0.0, ring_bytes=1 << 20)
    pipeline.sink(made.publish)
    return pipeline, made


def close(got, expected):
    expected = [None if math.isnan(value) else value for value in np.asarray(expected).tolist()]
    assert got == pytest.approx(expected, rel=1e-4)  # sent with five digits


@pytest.mark.parametrize(("horizon", "ahead"), [(12, [1, 12]), (1, [1])])
def test_a_viewer_is_told_what_the_forecaster_itself_would_say(horizon, ahead):
    hours = np.arange(900.0)
    X = 20 + 5 * np.sin(hours / 24 * 2 * np.pi) + np.random.default_rng(0).normal(size=900)
    pipeline, h = served([Rule("*", lambda names: Forecaster(1, horizon=horizon))])
    alone = Forecaster(1, horizon=horizon)
    alone.run(X)
    for value in X.tolist():
        pipeline.take("other", [-value])
        pipeline.take("kitchen", [value])
    pipeline.flush()
    viewer = h.join()
    hello = taken(h, viewer)[0]
    assert [one.explains for one in hello.groups] == [True]
    say(h, viewer, p.Explain(1))
    h.tick(1.0)
    (told,) = taken(h, viewer)
    why = alone.explain()
    assert (told.stream, told.ahead, told.period) == (1, ahead, why.period)
    assert list(told.members) == list(why.members) and list(told.parts) == list(why.parts)
    ends = np.array(ahead) - 1
    for name in told.members:
        close(told.members[name], why.members[name][ends])
    for name in told.parts:
        close(told.parts[name], why.parts[name][ends])
    for got, expected in zip(told.lags, why.lags, strict=True):
        close(got, expected[ends])
    close(told.error, why.error)
    close(told.persistence, why.persistence)
    assert told.seasonal == pytest.approx(why.seasonal)
    assert taken(h, viewer) == []  # once


def test_nobody_is_told_what_could_be_taken_back():
    state = {"shown": 0.0}

    def explanation(of):
        values = np.full(3, of["shown"])
        return SimpleNamespace(
            members={}, parts={}, lags=(), period=0, error=values, persistence=values, seasonal=1.0
        )

    undecided = True
    asked = Explanations(lambda: undecided)
    of = SimpleNamespace(step=SimpleNamespace(explanation=explanation), bank={"a": state})
    asked.ask("first", 0, "a", of)
    asked.ask("second", 0, "a", of)
    asked.ask("gone", 0, "a", of)
    asked.leave("gone")
    asked.answer()
    assert asked.take("first") is None
    state["shown"], undecided = 5.0, False
    asked.answer()
    told = [p.decode_control(asked.take(viewer)) for viewer in ("first", "second")]
    assert [one.error for one in told] == [[5.0] * 3] * 2
    assert asked.take("first") is None and asked.take("gone") is None


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (0, "explain: expected a stream with a forecaster or a detector, and a has none"),
        (1, "explain: no stream 1; there are 1, counted from 0"),
    ],
)
def test_what_cannot_be_explained_is_refused(stream, error):
    h = hub()
    h.publish(result(group(), ["a"], [0]))
    viewer = h.join()
    with pytest.raises(p.ProtocolError) as raised:
        say(h, viewer, p.Explain(stream))
    assert str(raised.value) == error
    assert [one.explains for one in taken(h, viewer)[0].groups] == [False]
