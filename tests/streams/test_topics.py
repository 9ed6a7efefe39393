"""What MQTT messages mean, and that nothing in one can do more than be refused."""

from __future__ import annotations

import asyncio
import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.streams import Broker, Pipeline, Refused, Rule, Topic, mqtt
from streamrnn.streams.broker import place
from streamrnn.streams.lines import Lines
from streamrnn.streams.subscribed import Connected, Received, Unacknowledged, _Chunk, _Room
from tests.leaky import Leaky

NOW = 1.7e9


@pytest.mark.parametrize(
    ("topic", "name", "payload", "row"),
    [
        (Topic("a/#"), "a/b", "20.5", ("a/b", None, [20.5], ("value",))),
        (Topic("a/#"), "a/b", "null", ("a/b", None, [np.nan], ("value",))),
        (Topic("a/+", key="{1}"), "a/b", '{"x": 1, "y": {"z": 2}, "on": true}',
         ("b", None, [1, 2], ("x", "y.z"))),
        (Topic("#", key="k/{topic}", fields={"c": "a.0.b"}, time="t"), "p",
         '{"a": [{"b": 3}], "t": 5}', ("k/p", 5.0, [3], ("c",))),
        (Topic("#", fields={"a.b": "a.b"}), "p", '{"a.b": 1, "a": {"b": 2}}',
         ("p", None, [1], ("a.b",))),
        (Topic("#", time="t", unit="ms"), "p", '{"v": 1, "t": 1500}', ("p", 1.5, [1], ("v",))),
        (Topic("#", time="t", unit="ms"), "p", '{"v": 1, "t": "1970-01-01T00:00:02Z"}',
         ("p", 2.0, [1], ("v",))),
        (Topic("+/+/+", channel="{1}"), "a/b/c", "1", ("a/c", None, [1], ("b",))),
        (Topic("+/+", channel="{1}_c", key="{0}"), "a/b", '{"value": 4}',
         ("a", None, [4], ("b_c",))),
        (Topic("+/+", channel="{1}", fields={"v": "d.v"}), "a/b", '{"d": {"v": 4}}',
         ("a", None, [4], ("b",))),
        (Topic("#", fields={"a": "a", "b": "b"}), "p", '{"b": 1}',
         ("p", None, [np.nan, 1], ("a", "b"))),
    ],
)  # fmt: skip
def test_a_message_is_a_row(topic, name, payload, row):
    got, id = topic.read(name, payload.encode(), NOW)
    np.testing.assert_array_equal(got.x, row[2])
    assert (got.key, got.t, got.channels, id) == (row[0], row[1], row[3], None)


MEANINGS = [
    Topic("#"),
    Topic("#", fields={"a": "a", "b": "b.0.c"}, time="t", id="n"),
    Topic("#", key="{1}", channel="{0}", time="t", unit="ms"),
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "t", "n", "value", ""]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(
    meaning=st.sampled_from(MEANINGS),
    name=st.text(max_size=10),
    payload=st.binary(max_size=30) | anything.map(lambda value: json.dumps(value).encode()),
)
def test_whatever_comes_is_a_row_that_fits_or_refused(meaning, name, payload):
    try:
        row, id = meaning.read(name, payload, NOW)
    except Refused as refused:
        assert refused.kind in {"json", "fields", "value", "time", "id", "topic"}
        return
    assert row.channels is not None and len(row.x) == len(row.channels) > 0
    assert all(type(value) is float and not abs(value) >= 1e30 for value in row.x)
    assert row.t is None or -8.64e12 <= row.t <= NOW + 86_400
    assert id is None or 0 <= id < 1 << 62


class Broken:
    """A connection as the source hears it, into a pipeline; no broker."""

    def __init__(self, topic):
        self.source = mqtt(Broker("nowhere", client_id="me"), [topic])
        self.source.taker = self.pipeline = Pipeline([Rule("*", lambda channels: Leaky())])
        self.used = []
        self.pipeline.sink(lambda result: self.used.extend(result.batch.x[:, 0].tolist()))

    def hears(self, *events):
        chunk = _Chunk(self.source)
        for event in events:
            chunk.take(event)
        for batch in chunk.batches():
            self.pipeline.take_batch(batch)
        self.pipeline.flush()
        return [mid for mid, _ in chunk.unacknowledged]


def message(mid, payload, *, dup=False, topic="a", retain=False):
    return Received(
        SimpleNamespace(
            mid=mid, payload=payload.encode(), dup=dup, topic=topic, qos=1, retain=retain
        ),
        1,
    )


def test_a_message_that_comes_again_is_known_by_number_and_content():
    b = Broken(Topic("#"))
    b.hears(Connected(False), message(1, "10"), message(2, "20"))
    # The connection is lost before they are acknowledged. All is acknowledged now.
    again = (Connected(True), message(1, "10", dup=True), message(2, "20", dup=True))
    assert b.hears(*again, message(3, "30", dup=True)) == [1, 2, 3]
    assert b.used == [10, 20, 30]
    assert (b.source.messages, b.source.repeated) == (3, 2)


def test_a_number_that_is_used_again_is_another_message():
    b = Broken(Topic("#"))
    b.hears(Connected(False), message(1, "10"))
    b.hears(message(1, "10"))  # not said to come again
    b.hears(Connected(True), message(1, "11", dup=True))  # other content
    b.hears(Connected(True), message(1, "11", dup=True, topic="b"))  # another topic
    b.hears(Connected(False), message(1, "11", dup=True, topic="b"))  # another session
    assert b.used == [10, 10, 11, 11, 11] and b.source.repeated == 0


def test_messages_that_a_sensor_counts_are_known_by_that():
    b = Broken(Topic("#", id="n", fields={"v": "v"}))

    def said(mid, n, topic="a"):
        return message(mid, json.dumps({"n": n, "v": n}), topic=topic)

    b.hears(Connected(False), said(1, 7), said(2, 8), said(3, 8), said(4, 7), said(5, 9))
    b.hears(said(6, 9), said(7, 9, topic="b"))
    assert b.used == [7, 8, 9, 9]
    b.hears(said(8, 500), said(9, 0), said(10, 1))  # it was started anew
    assert b.used == [7, 8, 9, 9, 500, 0, 1]


def test_what_was_said_and_is_kept_is_one():
    b = Broken(Topic("#", retained=True))
    b.hears(Connected(False), message(1, "5"))
    b.hears(Connected(False), message(1, "5", retain=True))  # it subscribes anew
    b.hears(Connected(False), message(1, "6", retain=True))
    assert b.used == [5, 6] and b.source.repeated == 1


@pytest.mark.parametrize(
    ("why", "halts", "expected"),
    [("", 3, ["ack 1", "ack 2"]), ("full", 3, ["again"]), ("", 4, ["again"])],
)
def test_nothing_is_acknowledged_if_some_of_it_was_given_up(why, halts, expected):
    """The last case: a commit failed while the second batch waited, which then was committed."""

    async def main():
        said = []
        link = SimpleNamespace(
            acknowledge=lambda mid, generation: said.append(f"ack {mid}"),
            again=lambda: said.append("again"),
        )
        settled = asyncio.get_running_loop().create_future()
        source = mqtt(Broker("nowhere"), [Topic("#")], asynchronous=True)
        source.taker = SimpleNamespace(settled=lambda: settled, halts=3)
        source._acknowledge_when_settled([Unacknowledged(1, 1), Unacknowledged(2, 1)], link, 3)
        assert said == []
        source.taker.halts = halts
        settled.set_result(why)
        await asyncio.sleep(0)
        return said

    assert asyncio.run(main()) == expected


def test_messages_wait_for_room_and_the_largest_finds_it_too(monkeypatch):
    monkeypatch.setattr("streamrnn.streams.subscribed.ROOM_BYTES", 100)
    room, link, came = _Room(), SimpleNamespace(stopping=False), threading.Event()
    room.take(500, link)

    def take():
        room.take(60, link)
        came.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    assert not came.is_set()
    room.give_back(500)
    assert came.wait(20)
    waiting.join()
    room.take(40, link)
    link.stopping = True
    room.take(1, link)  # who stops waits for nothing


def test_of_two_meanings_the_first_counts():
    source = mqtt(Broker("nowhere"), [Topic("a/+"), Topic("#", key="rest"), Topic("a/b")])
    assert [source._topic_of(name) for name in ("a/b", "b")] == [source.topics[0], source.topics[1]]


@pytest.mark.parametrize("inside", ["{}", "1"])
def test_an_object_of_whatever_depth_is_read_or_refused(inside):
    """What can just be decoded may be too deep for what looks into it."""
    whole = [Topic("t"), Topic("t", fields={"temp": "a"}), Topic("t", channel="{0}")]
    refused = set()
    for depth in range(1, 1100, 3):
        payload = '{"a":' * depth + inside + "}" * depth
        for topic in whole:
            try:
                topic.read("t", payload.encode(), 1e9)
            except Refused as error:
                refused.add(error.kind)
    assert "json" in refused


def test_a_line_of_whatever_depth_is_read_or_refused():
    refused = []
    lines = Lines("f", "f", refuse=refused.append)
    [
        *lines.rows(
            [b'{"x":' + b"[" * depth + b"1" + b"]" * depth + b"}" for depth in range(1, 1100, 3)]
        )
    ]
    assert len(refused) == len(range(1, 1100, 3)) - 1


@pytest.mark.parametrize(
    "url",
    ["user:rain@broker:1883", "mqtt:/user:rain@broker", "mqtt:user:rain@a", "mqtt://u:rain@a"],
)
def test_a_password_in_an_address_is_not_shown(url):
    with pytest.raises(ValueError) as refused:
        place(url)
    assert "rain" not in str(refused.value) and "keys of their own" in str(refused.value)
