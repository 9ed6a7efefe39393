"""What a pipeline refuses, in which words, and that it goes on."""

import math
import time

import pytest

from streamrnn.streams import Refused, Rule
from tests.leaky import Leaky
from tests.streams.test_pipeline import NAN, Words, batch, opened

NOW = time.time()
REFUSED = [
    ("boiler/7", [1.0], None, "channels", "boiler/7: expected 2 channels (temp, load), got 1"),
    ("boiler/7", [1, 2, 3], None, "channels", "boiler/7: expected 2 channels (temp, load), got 3"),
    ("boiler/7", [], None, "channels", "boiler/7: expected 2 channels (temp, load), got 0"),
    (
        "boiler/7",
        {"temp": 1, "lod": 2},
        None,
        "channels",
        "boiler/7: unknown channel 'lod'; expected 2 channels (temp, load)",
    ),
    (
        "boiler/7",
        {"temp": 1},
        None,
        "channels",
        "boiler/7: no value for channel load; send null where it is missing",
    ),
    (
        "boiler/7",
        [1, "hot"],
        None,
        "value",
        "boiler/7: channel load: expected a number or null where missing, got 'hot'",
    ),
    (
        "boiler/7",
        [True, 1],
        None,
        "value",
        "boiler/7: channel temp: expected a number or null where missing, got True",
    ),
    (
        "boiler/7",
        [[1], 1],
        None,
        "value",
        "boiler/7: channel temp: expected a number or null where missing, got [1]",
    ),
    (
        "boiler/7",
        [1, math.inf],
        None,
        "value",
        "boiler/7: channel load: expected a number within ±1e30, got inf",
    ),
    (
        "boiler/7",
        [1, 10**400],
        None,
        "value",
        "boiler/7: channel load: expected a number within ±1e30, got "
        "100000000000000000000000000000000000000000000000000000000...",
    ),
    (
        "boiler/7",
        "12",
        None,
        "value",
        "boiler/7: expected a list of numbers or an object of channels, got '12'",
    ),
    (
        "boiler/7",
        None,
        None,
        "value",
        "boiler/7: expected a list of numbers or an object of channels, got None",
    ),
    (
        "boiler/7",
        5.0,
        None,
        "value",
        "boiler/7: expected a list of numbers or an object of channels, got 5.0",
    ),
    (
        "boiler/7",
        [1, 2],
        "noon",
        "time",
        "boiler/7: expected seconds since 1970 or an ISO 8601 time, got 'noon'",
    ),
    (
        "boiler/7",
        [1, 2],
        True,
        "time",
        "boiler/7: expected seconds since 1970 or an ISO 8601 time, got True",
    ),
    (
        "boiler/7",
        [1, 2],
        [1],
        "time",
        "boiler/7: expected seconds since 1970 or an ISO 8601 time, got [1]",
    ),
    (
        "boiler/7",
        [1, 2],
        NAN,
        "time",
        "boiler/7: expected a time at most one day after now, got nan",
    ),
    (
        "boiler/7",
        [1, 2],
        -math.inf,
        "time",
        "boiler/7: expected a time at most one day after now, got -inf",
    ),
    (
        "boiler/7",
        [1, 2],
        10**400,
        "time",
        "boiler/7: expected seconds since 1970 or an ISO 8601 time, got "
        "100000000000000000000000000000000000000000000000000000000...",
    ),
    (
        "boiler/7",
        [1, 2],
        "2999-01-01T00:00:00Z",
        "time",
        "boiler/7: expected a time at most one day after now, got '2999-01-01T00:00:00Z'",
    ),
    (
        "boiler/7",
        [1, 2],
        1767225600000,
        "time",
        "boiler/7: expected a time at most one day after now, got 1767225600000; "
        "milliseconds? send seconds",
    ),
    (
        "pump",
        [1],
        None,
        "stream",
        "pump: no rule is for this stream; the patterns are boiler/*, any/*",
    ),
    ("", [1], None, "stream", "'': expected a stream's name of 1 to 200 printable characters"),
    (7, [1], None, "stream", "7: expected a stream's name of 1 to 200 printable characters"),
    (
        ["a"],
        [1],
        None,
        "stream",
        "['a']: expected a stream's name of 1 to 200 printable characters",
    ),
    (
        "any/\n",
        [1],
        None,
        "stream",
        "'any/\\n': expected a stream's name of 1 to 200 printable characters",
    ),
    ("any/new", [], None, "channels", "any/new: expected at least one channel, got none"),
    (
        "any/new",
        {"": 1},
        None,
        "channels",
        "any/new: expected channel names of 1 to 100 characters",
    ),
    (
        "any/new",
        [0.0] * 257,
        None,
        "channels",
        "any/new: expected at most max_channels = 256, got 257",
    ),
]


@pytest.mark.parametrize(
    ("key", "x", "t", "kind", "error"),
    REFUSED,
    ids=[f"{k!r}, {x!r}, {t!r}"[:50] for k, x, t, *_ in REFUSED],
)
def test_bad_samples_are_refused_and_counted_and_the_stream_goes_on(key, x, t, kind, error):
    pipeline, results = opened()
    pipeline.take("boiler/7", [4.0, 4.0])
    with pytest.raises(Refused) as refused:
        pipeline.take(key, x, t)
    pipeline.take("boiler/7", [4.0, 4.0])
    pipeline.flush()
    assert str(refused.value) == error and refused.value.kind == kind
    assert pipeline.refused == {kind: 1}
    last = pipeline.last_refused
    assert (last.kind, last.error) == (kind, error) and last.t == pytest.approx(NOW, abs=600)
    assert [r.batch.y.tolist() for r in results] == [[[1.0, 1.0], [1.75, 1.75]]]
    assert len(pipeline.groups) == 1  # a bad first sample opens nothing


def test_streams_beyond_max_streams_are_refused():
    pipeline, _ = opened(max_streams=2)
    for key in ("any/a", "any/b", "any/a"):
        pipeline.take(key, [1.0])
    with pytest.raises(Refused) as refused:
        pipeline.take("any/c", [1.0])
    assert str(refused.value) == "any/c: max_streams = 2 streams are open; raise it to take more"


@pytest.mark.parametrize(
    ("rule", "x", "error"),
    [
        (
            Rule("k", lambda channels: Leaky(3)),
            [1.0],
            "k: rule k has no step for channels (value): 3 inputs of the step, but 1 channels",
        ),
        (
            Rule("k", lambda channels: Leaky(1), target=1),
            [1.0],
            "k: rule k has no step for channels (value): target is 1, but there are 1 channels",
        ),
        (
            Rule("k", lambda channels: Leaky(1), units=("°C", "kW")),
            [1.0],
            "k: rule k has no step for channels (value): 1 channels, but 2 units",
        ),
        (
            Rule("k", lambda channels: Leaky(1), outputs=()),
            [1.0],
            "k: rule k has no step for channels (value): 1 outputs of the step, but 0 described "
            "outputs",
        ),
    ],
)
def test_a_rule_that_does_not_fit_a_stream_refuses_it(rule, x, error):
    pipeline, _ = opened(rule)
    with pytest.raises(Refused) as refused:
        pipeline.take("k", x)
    assert str(refused.value) == error and pipeline.groups == []


def test_tokens_are_numbers_within_the_vocabulary():
    rule = Rule("text", lambda channels: Words(), ("token",), kind="tokens")
    pipeline, results = opened(rule)
    for token in (2, None):
        pipeline.take("text", [token])
    for token in (3, -1, 1.5):
        with pytest.raises(Refused) as refused:
            pipeline.take("text", [token])
        assert str(refused.value) == f"text: expected a token's number, 0 to 2, got {token}"
    assert pipeline.take_batch(batch(["text"] * 5, [[0.0], [1.5], [2.0], [NAN], [3.0]])) == 3
    pipeline.flush()
    assert results[0].batch.x[:, 0].tolist() == pytest.approx([2, NAN, 0, 2, NAN], nan_ok=True)
