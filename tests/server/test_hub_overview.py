"""The overview: the newest of all streams, and how it was until then."""

from __future__ import annotations

import json
import math

import numpy as np
from streamrnn_server import binary
from streamrnn_server import protocol as p

from streamrnn.step import Output
from tests.server.fakes import group, hub, result, taken


def overview(h, viewer):
    found = [m for m in taken(h, viewer) if isinstance(m, binary.Overview)]
    assert len(found) <= 1
    return {k: v.tolist() for k, v in found[0].columns.items()} if found else None


def test_overview_shows_the_newest_of_each_stream_that_changed():
    h = hub()
    of = group()
    viewer = h.join()
    h.publish(
        result(of, ["a", "b"], [1, 2], forecast=7.0, score=0.5, error=1.0, error_persistence=4.0)
    )
    h.survey()
    seen = overview(h, viewer)
    assert (seen["id"], seen["seq"], seen["value"]) == ([0, 1], [0.0, 0.0], [1.0, 2.0])
    assert (seen["t"], seen["arrived"]) == ([1001.0, 1002.0], [100.0, 100.0])
    assert (seen["forecast"], seen["score"]) == ([7.0, 7.0], [0.5, 0.5])
    assert seen["error_ratio"] == [0.25, 0.25]
    assert np.isnan(seen["alarm_t"]).all() and np.isnan(seen["rate_hz"]).all()
    h.survey()
    assert overview(h, viewer) is None
    h.publish(result(of, ["b", "b"], [3, 4], alarm=1.0))
    h.publish(result(of, ["b"], [5]))
    h.survey()
    seen = overview(h, viewer)
    assert (seen["id"], seen["seq"], seen["value"]) == ([1], [3.0], [5.0])
    assert seen["alarm_t"] == [1004.0]  # the last alarm stays when no-alarm follows


def test_a_viewer_that_missed_overviews_gets_all_that_changed_since():
    h = hub()
    of = group()
    slow, quick = h.join(), h.join()
    overview(h, slow)
    for i, key in enumerate("abc"):
        h.publish(result(of, [key], [i]))
        h.survey()
        assert overview(h, quick)["id"] == [i]
    assert overview(h, slow)["id"] == [0, 1, 2]


def test_overview_of_tokens_shows_the_surprise():
    h = hub()
    of = group(outputs=(Output("surprise", "surprise"),), vocabulary=("a", "b"))
    viewer = h.join()
    h.publish(result(of, ["code"], [1], surprise=2.5))
    h.survey()
    assert overview(h, viewer)["value"] == [2.5]


def test_rate_is_samples_over_the_time_between_arrivals():
    h = hub()
    of = group()
    viewer = h.join()
    for second in range(4):  # 10 samples every 20 s, however often a survey looks
        h.publish(result(of, ["slow"] * 10, [0.0] * 10, arrived=20.0 * second))
        for _ in range(40):
            h.survey()
    assert overview(h, viewer)["rate_hz"] == [0.5]


def test_sparkline_is_the_values_of_the_last_sixty_surveys():
    h = hub()
    of = group()
    for i in range(70):
        h.publish(result(of, ["a"], [i + 0.123456]))
        h.survey()
    (hello,) = [m for m in taken(h, h.join()) if isinstance(m, p.Hello)]
    assert hello.streams[0].spark[:2] == [10.123, 11.123]  # five digits
    assert len(hello.streams[0].spark) == 60


def test_overview_grows_with_the_streams():
    h = hub()
    of = group()
    keys = [f"s{i}" for i in range(1000)]
    h.publish(result(of, keys, range(1000)))
    h.survey()
    seen = overview(h, h.join())
    assert seen["id"] == list(range(1000))
    assert seen["value"] == [float(i) for i in range(1000)]


def test_missing_values_are_null_in_the_sparkline_and_nan_in_the_overview():
    h = hub()
    h.publish(result(group(), ["a"], [math.nan]))
    h.survey()
    viewer = h.join()
    text = h.take(viewer)[0]
    assert json.loads(text)["streams"][0]["spark"] == [None]
    assert math.isnan(overview(h, viewer)["value"][0])
