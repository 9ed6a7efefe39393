"""A viewer has every sample once, whatever happens in which order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from streamrnn_server import binary
from streamrnn_server import protocol as p
from streamrnn_server.rings import LEAST

from tests.server.fakes import decoded, filled, result, say

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
