"""A source that is subscribed to topics of an MQTT broker.

    broker ─▶ Link's thread ─▶ queue ─▶ rows, marks ─▶ batches ─▶ (commit) ─▶ acknowledged

QoS 1 is "at least once": what was not acknowledged when a connection ends comes again, with the
same number and said to be a duplicate, as long as the broker keeps the session. So the number and a
digest of every message are committed with its sample, as marks: one that comes again is known.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from streamz import Stream

from streamrnn.streams.batch import DAY_S, Batch
from streamrnn.streams.broker import Broker, Link
from streamrnn.streams.lines import Row
from streamrnn.streams.places import digest
from streamrnn.streams.refused import Refused, shown
from streamrnn.streams.sources import BATCH_ROWS, Source
from streamrnn.streams.topics import Topic

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

SLOTS = 4096  # messages of QoS 1 whose numbers are remembered
REPEATS = 100  # ids: so far behind the last one of its topic a message is one that came again
ROOM_BYTES = 64 << 20  # of messages that wait to be taken; then the broker waits


class Connected(NamedTuple):
    session: bool


class Lost(NamedTuple):
    why: str


class NotSubscribed(NamedTuple):
    pattern: str
    why: str


class Received(NamedTuple):
    message: "MQTTMessage"
    generation: int  # of the connection it came on


class Unacknowledged(NamedTuple):
    mid: int
    generation: int


Event = Connected | Lost | NotSubscribed | Received


@Stream.register_api(staticmethod)
class mqtt(Source):
    """Samples that an MQTT broker passes on (topics.py says what a message means).

    The broker may come later, and go. Messages of QoS 1 are acknowledged to it once `taker` has
    made them durable, without one as soon as they went through the graph.

    message_bytes  a longer message is refused; future_s  and one whose time is so far ahead

    messages  that came, without the two kinds that follow
    repeated  that had been taken before
    ignored   that the broker had kept from before, where nobody asks for them
    """

    again = True

    def __init__(
        self,
        broker: Broker,
        topics: Sequence[Topic],
        *,
        message_bytes: int = 1 << 20,
        future_s: float = DAY_S,
        **kwargs: Any,
    ) -> None:
        self.broker = broker
        self.topics = tuple(topics)
        self.message_bytes = message_bytes
        self.future_s = future_s
        self.messages = self.repeated = self.ignored = 0
        super().__init__(f"mqtt {broker.client_id}", **kwargs)
        self._mark = f"mqtt {broker.client_id}"
        self._topic_of = lru_cache(BATCH_ROWS)(self._matching)
        self._link: Link | None = None
        self._given_up = False  # what came on this connection comes again on the next
        self._why = ""

    @property
    def figures(self) -> Mapping[str, float]:
        link = self._link
        return {
            "connected": float(link is not None and link.up),
            "reconnects": max(0, link.connects - 1) if link is not None else 0,
            "messages": self.messages,
            "repeated": self.repeated,
            "ignored": self.ignored,
        }

    async def batches(self) -> AsyncGenerator[Batch, None]:
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event] = asyncio.Queue()
        room = _Room()

        def put(event: Event) -> None:  # in the thread of the link
            room.take(_size(event), link)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(events.put_nowait, event)

        self._link = link = Link(
            self.broker,
            self.topics,
            connected=lambda session: put(Connected(session)),
            lost=lambda why: put(Lost(why)),
            received=lambda message, generation: put(Received(message, generation)),
            told=lambda pattern, why: put(NotSubscribed(pattern, why)),
        )
        self.state, self._why = "waiting", f"connecting to {self.broker.host}"
        self._tell()
        link.start()
        try:
            while True:
                came = [await events.get()]
                while len(came) < BATCH_ROWS and not events.empty():
                    came.append(events.get_nowait())
                chunk = _Chunk(self)
                for event in came:
                    chunk.take(event)
                halts = 0 if self.taker is None else self.taker.halts
                for batch in chunk.batches():
                    if batch.keys or self.taker is not None:
                        yield batch
                room.give_back(sum(map(_size, came)))
                self._tell()
                self._acknowledge_when_settled(chunk.unacknowledged, link, halts)
        finally:
            link.stop()

    def _acknowledge_when_settled(
        self, unacknowledged: Sequence[Unacknowledged], link: Link, halts: int
    ) -> None:
        """`halts` of the taker, before the first of them was given to it."""
        if not unacknowledged:
            return
        taker = self.taker
        if taker is None:
            for one in unacknowledged:
                link.acknowledge(*one)
            return

        def settled(future: "asyncio.Future[str]") -> None:
            if future.cancelled():
                return
            if future.result() or taker.halts != halts:  # not all of it is durable
                if not self._given_up:
                    self._given_up = True
                    link.again()
                return
            for one in unacknowledged:
                link.acknowledge(*one)

        taker.settled().add_done_callback(settled)

    def _matching(self, topic: str) -> Topic | None:
        from paho.mqtt.client import topic_matches_sub

        return next((t for t in self.topics if topic_matches_sub(t.pattern, topic)), None)

    def _tell(self) -> None:
        """What the page says of it."""
        parts = [f"{self.broker.host}:{self.broker.port}", self._why]
        parts += [f"{self.messages} messages"] if self.messages else []
        parts += [f"{self.repeated} came again"] if self.repeated else []
        parts += [f"{self.ignored} retained ignored"] if self.ignored else []
        self.detail = ", ".join(filter(None, parts))


class _Room:
    """For what waits to be taken."""

    def __init__(self) -> None:
        self._used = 0
        self._change = threading.Condition()

    def take(self, size: int, link: Link) -> None:
        """Wait for room, as long as the link is wanted."""
        with self._change:
            while self._used and self._used + size > ROOM_BYTES and not link.stopping:
                self._change.wait(0.5)
            self._used += size

    def give_back(self, size: int) -> None:
        with self._change:
            self._used -= size
            self._change.notify()


def _size(event: Event) -> int:
    return len(event.message.payload) + 1000 if isinstance(event, Received) else 0


class _Chunk:
    """Messages that are taken together."""

    def __init__(self, source: mqtt) -> None:
        self.unacknowledged: list[Unacknowledged] = []
        self._source = source
        self._rows: dict[tuple[str, ...], list[Row]] = {}
        self._marks: dict[tuple[str, ...], dict[str, int]] = {}
        self._new: dict[str, int] = {}
        self._now = time.time()

    def take(self, event: Event) -> None:
        source = self._source
        match event:
            case Connected(session):
                source.state, source._why, source._given_up = "running", "connected", False
                name = f"{source._mark} session"
                if not session:  # the numbers of its messages begin anew
                    self._note((), {name: self._marked(name) + 1})
            case Lost(why):
                source.state, source._why = "waiting", why
            case NotSubscribed(pattern, why):
                text = f"the broker does not let {source.broker.client_id} have it: {why}"
                source._refusals.add(Refused("topic", f"mqtt {pattern}", text))
            case Received(message, generation):
                if source._given_up and message.qos:
                    return
                if message.qos:
                    self.unacknowledged.append(Unacknowledged(message.mid, generation))
                self._message(message)

    def batches(self) -> Iterator[Batch]:
        """One for each set of channels, with the marks of its messages: committed together."""
        for channels, marks in self._marks.items():
            rows = self._rows.get(channels, [])
            t = np.array([self._now if row.t is None else row.t for row in rows])
            x = np.array([row.x for row in rows]).reshape(len(rows), len(channels))
            yield Batch([row.key for row in rows], t, x, None, self._now, channels, marks)

    def _message(self, message: "MQTTMessage") -> None:
        source = self._source
        marks: dict[str, int] = {}
        row: Row | None = None
        try:
            topic = _utf8(message)
            if message.qos:
                name = f"{source._mark} {message.mid % SLOTS}"
                number = self._digest(message, topic)
                if message.dup and self._marked(name) == number:
                    source.repeated += 1
                    return
                marks[name] = number
            meaning = source._topic_of(topic)
            if meaning is None:
                text = f"no pattern of {source.broker.client_id} is for it; an earlier one may be"
                raise Refused("topic", f"mqtt {topic}", text)
            if message.retain and not meaning.retained:
                source.ignored += 1
            elif meaning.retained and self._kept(message, topic, marks):
                source.repeated += 1
            else:
                row = self._row(message, topic, meaning, marks)
        except Refused as refused:
            source.messages += 1
            source._refusals.add(refused)
        channels = () if row is None or row.channels is None else row.channels
        self._note(channels, marks)
        if row is not None:
            self._rows.setdefault(channels, []).append(row)

    def _row(
        self, message: "MQTTMessage", topic: str, meaning: Topic, marks: dict[str, int]
    ) -> Row | None:
        source = self._source
        size = len(message.payload)
        if size > source.message_bytes:
            text = f"expected at most {source.message_bytes} bytes, got {size}"
            raise Refused("size", f"mqtt {topic}", text)
        row, id = meaning.read(topic, bytes(message.payload), self._now, source.future_s)
        if id is not None:
            name = f"{source._mark} id {topic}"
            last = self._marked(name) - 1  # marks are 0 where there is none
            if last - REPEATS < id <= last:
                source.repeated += 1
                return None
            marks[name] = id + 1
        source.messages += 1
        return row

    def _kept(self, message: "MQTTMessage", topic: str, marks: dict[str, int]) -> bool:
        """Whether this is what the broker keeps of a topic, and known already."""
        name, number = f"{self._source._mark} kept {topic}", digest(bytes(message.payload))
        marks[name] = number
        return message.retain and self._marked(name) == number

    def _digest(self, message: "MQTTMessage", topic: str) -> int:
        session = self._marked(f"{self._source._mark} session")
        return digest(f"{session} {message.mid} {topic} ".encode() + message.payload)

    def _note(self, channels: tuple[str, ...], marks: Mapping[str, int]) -> None:
        self._marks.setdefault(channels, {}).update(marks)
        self._new.update(marks)

    def _marked(self, name: str) -> int:
        if name in self._new:
            return self._new[name]
        return 0 if self._source.taker is None else self._source.taker.marked(name)


def _utf8(message: "MQTTMessage") -> str:
    try:
        return message.topic
    except UnicodeDecodeError as error:
        text = f"expected a topic in UTF-8, got {shown(error.object)}"
        raise Refused("topic", "mqtt", text) from None
