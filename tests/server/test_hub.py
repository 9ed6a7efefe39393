"""The hub with fake viewers: who gets what, and when."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamrnn_server import binary
from streamrnn_server import protocol as p
from streamrnn_server.frames import FRAME_BYTES
from streamrnn_server.hub import STALL_S
from streamrnn_server.rings import LEAST

from streamrnn.step import Output
from streamrnn.streams import Picture
from tests.server.fakes import decoded, group, hub, result, say, taken, watch


def filled(n: int = 3, *keys: str, **options):
    """A hub with n samples 0, 1, ... of each stream."""
    made = hub(**options)
    of = group()
    for key in keys or ("a",):
        made.publish(result(of, [key] * n, range(n)))
    return made, of


def samples(messages):
    """stream -> [(seq, x0)] of all sample frames."""
    found = {}
    for message in messages:
        for c in message.chunks if isinstance(message, binary.Samples) else ():
            assert c.x[0].tolist() == (c.t - 1000.0).tolist()
            found.setdefault(c.stream, []).extend(
                zip(range(c.first, c.first + len(c.t)), c.x[0].tolist(), strict=True)
            )
    return found


def test_the_first_message_tells_what_there_is():
    h, _ = filled(3, "a", "b")
    h.survey()
    (hello,) = [m for m in taken(h, h.join()) if isinstance(m, p.Hello)]
    assert (hello.version, hello.epoch, hello.name, hello.server) == (1, 7, "test", "streamrnn 0")
    assert hello.groups[0].channels == [p.Channel("temp", "°C"), p.Channel("load", "")]
    assert hello.groups[0].outputs[0] == p.Column("next", "forecast", 0, 1)
    assert hello.groups[0].vocabulary is None
    assert hello.streams == [p.StreamInfo(0, "a", 0, 2, [2.0]), p.StreamInfo(1, "b", 0, 2, [2.0])]


def test_streams_that_come_up_later_are_announced_before_their_samples():
    h, of = filled()
    viewer = h.join()
    taken(h, viewer)
    h.publish(result(group(5, channels=("x",), units=("",)), ["new"], [0]))
    h.publish(result(of, ["b"], [0]))
    (streams,) = taken(h, viewer)
    assert [g.id for g in streams.groups] == [5]
    assert [(s.id, s.key, s.group) for s in streams.streams] == [(1, "new", 5), (2, "b", 0)]


def test_a_viewer_gets_only_what_it_watches():
    h, of = filled(3, "a", "b")
    viewer = h.join()
    taken(h, viewer)
    assert taken(h, viewer) == []
    watch(h, viewer, 1)
    h.publish(result(of, ["a", "b", "a", "b"], [3, 3, 4, 4]))
    assert samples(taken(h, viewer)) == {1: [(i, float(i)) for i in range(5)]}


def test_history_is_marked_and_has_no_arrival():
    h, of = filled(3)
    viewer = h.join()
    watch(h, viewer, 0)
    h.publish(result(of, ["a"], [3], arrived=50.0))
    frames = [m for m in taken(h, viewer) if isinstance(m, binary.Samples)]
    (old,), (new,) = (frame.chunks for frame in frames)
    assert (old.first, len(old.t), old.flags, math.isnan(old.arrived)) == (
        0,
        3,
        binary.HISTORY,
        True,
    )
    assert (new.first, len(new.t), new.flags, new.arrived) == (3, 1, 0, 50.0)


def test_history_is_limited_to_the_newest():
    h, _ = filled(100)
    viewer = h.join()
    watch(h, viewer, 0, history=10)
    assert samples(taken(h, viewer))[0][0] == (90, 90.0)


@pytest.mark.parametrize(
    ("after", "epoch", "first", "gaps"),
    [
        (290, 7, 291, []),
        (299, 6, 100, []),  # another epoch: as if it had nothing
        (299, None, 100, []),
        (None, 7, 100, []),
        (-1, 7, 44, [p.Gap(0, 0, 43)]),  # 300 samples in a ring of 256: 44 is the oldest
        (1000, 7, None, []),
    ],
)
def test_watch_goes_on_where_the_viewer_was(after, epoch, first, gaps):
    h, _ = filled(300, ring_bytes=0)
    viewer = h.join()
    taken(h, viewer)
    stream = p.WatchStream(0, after)
    say(h, viewer, p.Watch(epoch=epoch, streams=[stream], history=200))
    messages = taken(h, viewer)
    assert [m for m in messages if isinstance(m, p.Gap)] == gaps
    got = samples(messages).get(0, [])
    assert got == [(i, float(i)) for i in range(first if first is not None else 300, 300)]


def test_what_is_on_its_way_is_not_sent_again_when_the_set_changes():
    h, _ = filled(10, "a", "b")
    viewer = h.join()
    watch(h, viewer, 0)
    taken(h, viewer)  # a 0..9 are on their way; the viewer has seen none of them
    streams = [p.WatchStream(0, after=None), p.WatchStream(1)]
    say(h, viewer, p.Watch(epoch=7, streams=streams))
    assert set(samples(taken(h, viewer))) == {1}


def test_hidden_units_are_sent_where_they_were_sampled():
    h, of = hub(), group()
    made = result(of, ["a", "a"], [0, 1])
    made.h = np.array([[-128, -128], [127, -127]], np.int8)
    h.publish(made)
    viewer = h.join()
    watch(h, viewer, 0)
    (frame,) = [m for m in taken(h, viewer) if isinstance(m, binary.Samples)]
    assert frame.chunks[0].h.tolist() == [[-128, -128], [127, -127]]
    h.publish(result(of, ["a"], [2]))  # without h
    (frame,) = [m for m in taken(h, viewer) if isinstance(m, binary.Samples)]
    assert frame.chunks[0].h.tolist() == [[-128, -128]]


def test_watched_names_the_keys_that_are_looked_at():
    h, _ = filled(1, "a", "b")
    one, two = h.join(), h.join()
    watch(h, one, 0)
    watch(h, two, 0, 1)
    assert h.watched == {"a", "b"}
    say(h, two, p.Pause())
    assert h.watched == {"a"}
    say(h, two, p.Resume())
    h.leave(one)
    assert h.watched == {"a", "b"}
    h.leave(two)
    assert h.watched == set()


# --- flow control ---------------------------------------------------------------------------------


def test_without_acknowledgements_a_viewer_gets_no_more_than_the_window():
    h, of = filled(1)
    viewer = h.join()
    watch(h, viewer, 0)
    for i in range(1, 50):
        h.publish(result(of, ["a"], [i]))
        taken(h, viewer)
    assert viewer.sent == p.WINDOW
    say(h, viewer, p.Ack(p.WINDOW))
    late = samples(taken(h, viewer))[0]
    assert late == [(i, float(i)) for i in range(p.WINDOW, 50)]  # in one larger frame
    assert viewer.sent == p.WINDOW + 1


def test_a_ring_that_runs_over_the_cursor_is_an_announced_gap():
    h, of = filled(1, ring_bytes=0)
    viewer = h.join()
    watch(h, viewer, 0)
    taken(h, viewer)
    h.publish(result(of, ["a"] * 1000, range(1, 1001)))
    gap, frame = taken(h, viewer)
    assert gap == p.Gap(0, 1, 1000 - LEAST)
    assert (frame.chunks[0].first, len(frame.chunks[0].t)) == (1001 - LEAST, LEAST)


def test_a_slow_viewer_gets_the_newest_status_only():
    h, _ = filled()
    viewer = h.join()
    taken(h, viewer)
    for second in (1.0, 2.0, 3.0):
        h.set_status(
            p.Status(second, "live", "", 0, 0.0, None, None, 1, p.RefusedCounts(0, {}, None), [])
        )
    assert [m.now for m in taken(h, viewer)] == [3.0]


def test_frames_are_bounded():
    h, of = filled(1, "a", "b", "c", ring_bytes=1 << 22)
    for key in ("a", "b", "c"):
        h.publish(result(of, [key] * 5000, range(1, 5001)))
    viewer = h.join()
    watch(h, viewer, 0, 1, 2, history=5001)
    found = dict.fromkeys(range(3), 0)
    while messages := h.take(viewer):
        frame = decoded(messages[-1])
        if isinstance(frame, binary.Samples):
            assert len(messages[-1]) <= FRAME_BYTES + 3 * 64
            say(h, viewer, p.Ack(viewer.sent))
            for chunk in frame.chunks:
                found[chunk.stream] += len(chunk.t)
    assert found == dict.fromkeys(range(3), 5001)


def test_under_lasting_overload_every_stream_gets_its_turn():
    # One frame a round, which the new samples of one stream alone would fill.
    keys = [str(i) for i in range(10)]
    h, of = filled(1, *keys, ring_bytes=1 << 24)
    viewer = h.join()
    watch(h, viewer, *range(10))
    taken(h, viewer)
    seen = set()
    for _ in range(10):
        for key in keys:
            h.publish(result(of, [key] * 3000, [0.0] * 3000))
        if viewer.sent > viewer.acked:
            say(h, viewer, p.Ack(viewer.sent))
        frame = decoded(h.take(viewer)[-1])
        seen |= {c.stream for c in frame.chunks}
    assert seen == set(range(10))


def test_a_viewer_that_does_not_acknowledge_is_cut_off():
    h, of = filled(1)
    viewer = h.join()
    watch(h, viewer, 0)
    for i in range(1, p.ACK_EVERY):
        taken(h, viewer)
        h.publish(result(of, ["a"], [i]))
        assert not h.waiting(viewer, 100.0 * i, blocked=False)
    taken(h, viewer)
    assert viewer.sent == p.ACK_EVERY
    assert not h.waiting(viewer, 1000.0, blocked=False)  # from here on it counts
    assert not h.waiting(viewer, 1000.0 + STALL_S, blocked=False)
    assert h.waiting(viewer, 1000.001 + STALL_S, blocked=False)
    say(h, viewer, p.Ack(p.ACK_EVERY))
    assert not h.waiting(viewer, 1000.001 + STALL_S, blocked=False)


def test_a_viewer_of_quiet_streams_need_not_acknowledge():
    h, _ = filled(1)
    viewer = h.join()
    watch(h, viewer, 0)
    taken(h, viewer)
    assert viewer.sent == 1
    assert not any(h.waiting(viewer, 3600.0 * hour, blocked=False) for hour in range(10))


def test_a_viewer_whose_socket_stays_full_is_cut_off():
    h, _ = filled(1)
    viewer = h.join()
    assert not h.waiting(viewer, 1.0, blocked=True)
    assert h.waiting(viewer, 2.0 + STALL_S, blocked=True)
    assert not h.waiting(viewer, 2.0 + STALL_S, blocked=False)
    assert not h.waiting(viewer, 2.0 + STALL_S, blocked=True)  # counts anew


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ('{"type": "ack", "frames": 2}', "ack: expected 0 to 1 frames, got 2"),
        ('{"type": "ack", "frames": -1}', "ack: expected 0 to 1 frames, got -1"),
        (
            '{"type": "watch", "streams": [{"id": 1}]}',
            "watch: no stream 1; there are 1, counted from 0",
        ),
        (
            '{"type": "watch", "streams": [{"id": -1}]}',
            "watch: no stream -1; there are 1, counted from 0",
        ),
    ],
)
def test_an_impossible_message_is_refused_and_changes_nothing(message, error):
    h, of = filled(1)
    viewer = h.join()
    watch(h, viewer, 0)
    taken(h, viewer)
    with pytest.raises(p.ProtocolError) as caught:
        h.receive(viewer, message)
    assert str(caught.value) == error
    h.publish(result(of, ["a"], [1]))
    assert samples(taken(h, viewer)) == {0: [(1, 1.0)]}


def test_a_paused_viewer_gets_nothing_but_status_and_goes_on_without_a_gap():
    h, of = filled(1)
    viewer = h.join()
    watch(h, viewer, 0)
    taken(h, viewer)
    say(h, viewer, p.Pause())
    h.publish(result(of, ["a", "b"], [1, 0]))
    h.survey()
    h.set_status(p.Status(1.0, "live", "", 0, 0.0, None, None, 1, p.RefusedCounts(0, {}, None), []))
    assert [type(m) for m in taken(h, viewer)] == [p.Status]
    say(h, viewer, p.Resume())
    streams, overview, frame = taken(h, viewer)
    assert [s.key for s in streams.streams] == ["b"]
    assert overview.columns["id"].tolist() == [0, 1]
    assert samples([frame]) == {0: [(1, 1.0)]}


# --- sharing --------------------------------------------------------------------------------------


def test_viewers_in_the_same_place_are_sent_the_same_object():
    h, of = filled(5, "a", "b")
    viewers = [h.join() for _ in range(3)]
    for viewer in viewers:
        watch(h, viewer, 0, 1)
        taken(h, viewer)  # caught up, each on its own
    for i in range(5, 8):
        h.tick(float(i))
        h.publish(result(of, ["a", "b"], [i, i]))
        frames = [h.take(viewer)[-1] for viewer in viewers]
        assert frames[0] is frames[1] is frames[2]
        assert samples([decoded(frames[0])]) == {0: [(i, float(i))], 1: [(i, float(i))]}
        assert not any(h.take(viewer) for viewer in viewers)


def test_a_shared_chunk_is_encoded_once(monkeypatch):
    h, of = filled(1, "a", "b", "c")
    viewers = [h.join() for _ in range(3)]
    for n, viewer in enumerate(viewers):
        watch(h, viewer, 0, *range(1, n + 1))  # different sets, one stream in common
        taken(h, viewer)
    encoded = []
    real = binary.encode_chunk
    monkeypatch.setattr(binary, "encode_chunk", lambda c: encoded.append(c.stream) or real(c))
    h.publish(result(of, ["a", "b", "c"], [1, 1, 1]))
    for viewer in viewers:
        taken(h, viewer)
    assert sorted(encoded) == [0, 1, 2]


# --- overview -------------------------------------------------------------------------------------


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


# --- every interleaving ---------------------------------------------------------------------------

KEYS = ("a", "b", "c")


class Page:
    """A viewer as the page is one: messages reach it late, it keeps what it has over reconnects."""

    def __init__(self, h):
        self.h = h
        self.have = {}  # stream -> last sequence number
        self.watching = set()
        self.connect()

    def connect(self):
        self.viewer = self.h.join()
        self.way = []  # sent, not yet received
        self.frames = 0
        self.look(self.watching)

    def look(self, ids):
        self.watching = set(ids)
        for id in set(self.have) - self.watching:
            del self.have[id]  # forgotten, and asked for anew if it comes back
        streams = [p.WatchStream(id, self.have.get(id)) for id in ids]
        say(self.h, self.viewer, p.Watch(epoch=self.h.epoch, streams=streams, history=5))

    def take(self, units):
        for _ in range(units):
            self.way += self.h.take(self.viewer)

    def receive(self, count):
        now, self.way = self.way[:count], self.way[count:]
        for message in map(decoded, now):
            if isinstance(message, p.Gap) and message.stream in self.have:
                assert message.first == self.have[message.stream] + 1
                self.have[message.stream] = message.last
            if isinstance(message, binary.Samples | binary.Overview):
                self.frames += 1
            for c in message.chunks if isinstance(message, binary.Samples) else ():
                assert c.x[0].tolist() == list(range(c.first, c.first + len(c.t)))
                if c.stream in self.have:
                    assert c.first == self.have[c.stream] + 1  # no gap, no duplicate
                if c.stream in self.watching:
                    self.have[c.stream] = c.first + len(c.t) - 1
        if self.frames >= self.viewer.acked + p.ACK_EVERY:
            say(self.h, self.viewer, p.Ack(self.frames))

    def settle(self):
        """Everything on its way arrives."""
        while self.way:
            self.receive(1)


actions = st.one_of(
    st.tuples(st.just("publish"), st.lists(st.sampled_from(KEYS), min_size=1, max_size=40)),
    st.tuples(st.just("flood"), st.sampled_from(KEYS)),
    st.tuples(st.just("take"), st.integers(1, 4)),
    st.tuples(st.just("receive"), st.integers(1, 6)),
    st.tuples(st.just("look"), st.sets(st.integers(0, 2))),
    st.tuples(st.just("reconnect"), st.none()),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("survey"), st.none()),
)


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 1), actions), max_size=60))
def test_no_gap_and_no_duplicate_in_any_interleaving(steps):
    h, of = filled(1, *KEYS, ring_bytes=0)
    counts = dict.fromkeys(KEYS, 1)
    pages = [Page(h), Page(h)]

    def publish(keys):
        x = []
        for key in keys:
            x.append(counts[key])
            counts[key] += 1
        h.publish(result(of, keys, x))

    for who, (action, argument) in steps:
        page = pages[who]
        h.tick(h.now + 1)
        match action:
            case "publish":
                publish(argument)
            case "flood":
                publish([argument] * (LEAST + 44))
            case "take":
                page.take(argument)
            case "receive":
                page.receive(argument)
            case "look":
                if argument - page.watching:
                    page.settle()  # else what is on its way of a stream dropped before comes twice
                page.look(argument)
            case "reconnect":
                h.leave(page.viewer)
                page.connect()
            case "pause":
                say(h, page.viewer, p.Pause() if argument else p.Resume())
            case "survey":
                h.survey()
    for page in pages:
        say(h, page.viewer, p.Resume())
        page.take(1)
        while page.way:
            page.receive(len(page.way))
            page.take(1)
        for id in page.watching:
            assert page.have[id] == counts[KEYS[id]] - 1


def drawn(n: int = 3, **picture):
    """A hub with n samples of a stream whose picture counts the batches."""
    made, seen = hub(), []

    def draw(batch):
        seen.append(batch)
        return {batch.keys[-1]: Picture(text=f"batch {len(seen)}", **picture)}

    of = group(rule=SimpleNamespace(kind="sensor", mode="many_to_one", picture=draw))
    for k in range(n):
        made.publish(result(of, ["a"], [k]))
    return made, of


def test_the_newest_picture_comes_with_the_newest_samples():
    h, of = drawn(3)
    viewer = h.join()
    hello = taken(h, viewer)[0]
    assert (hello.groups[0].mode, hello.groups[0].pictured) == ("many_to_one", True)
    watch(h, viewer, 0)
    pictures = [m for m in taken(h, viewer) if isinstance(m, p.Picture)]
    assert [(m.stream, m.seq, m.text) for m in pictures] == [(0, 2, "batch 3")]
    h.publish(result(of, ["a"], [3]))
    picture, frame = taken(h, viewer)
    assert (picture.seq, picture.text, frame.chunks[0].first) == (3, "batch 4", 3)


def test_a_viewer_gets_no_pictures_of_streams_that_it_does_not_watch():
    h, _ = drawn(3)
    viewer = h.join()
    assert not [m for m in taken(h, viewer) if isinstance(m, p.Picture)]


def test_samples_are_shown_though_their_picture_cannot_be():
    h = hub()
    rule = SimpleNamespace(
        kind="sensor", mode="synced", picture=lambda batch: {"a": Picture(image=np.zeros(3))}
    )
    with pytest.raises(ValueError, match=r"the image of a has shape \(3,\), expected \(height,"):
        h.publish(result(group(rule=rule), ["a"], [0]))
    viewer = h.join()
    watch(h, viewer, 0)
    assert samples(taken(h, viewer)) == {0: [(0, 0.0)]}
