"""The hub with fake viewers: who gets what, and when."""

from __future__ import annotations

import math

import numpy as np
import pytest
from streamrnn_server import binary
from streamrnn_server import protocol as p
from streamrnn_server.frames import FRAME_BYTES
from streamrnn_server.hub import STALL_S
from streamrnn_server.rings import LEAST

from tests.server.fakes import decoded, filled, group, hub, result, samples, say, taken, watch


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
    monkeypatch.setattr(binary, "encode_chunk", lambda *of: encoded.append(of[0]) or real(*of))
    h.publish(result(of, ["a", "b", "c"], [1, 1, 1]))
    for viewer in viewers:
        taken(h, viewer)
    assert sorted(encoded) == [0, 1, 2]
