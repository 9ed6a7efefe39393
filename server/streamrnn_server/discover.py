"""Watches a broker, or reads a file, and drafts a configuration for what is there."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from streamrnn.streams import Refused
from streamrnn.streams.batch import made_up
from streamrnn.streams.broker import Broker, Link
from streamrnn.streams.lines import Lines
from streamrnn.streams.table import parts
from streamrnn.streams.topics import Topic
from streamrnn_server.draft import Streams, of_file
from streamrnn_server.survey import Seen, SeenTopic

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

TOPICS = 100_000  # then further ones are not looked at


class NothingFound(Exception):
    """Why there is nothing to write a configuration for."""


async def watch(
    broker: Broker,
    pattern: str,
    seconds: float,
    progress: Callable[[int, int, str], object],
    enough: asyncio.Event,
) -> dict[str, SeenTopic]:
    """The topics of a broker, as far as they say something. Raises NothingFound.

    progress   told every now and then how many messages and topics, and the state in words
    enough     ends it before its time
    """
    loop = asyncio.get_running_loop()
    topics: dict[str, SeenTopic] = {}
    messages, state, up = 0, f"connecting to {broker.host}", asyncio.Event()

    def take(name: str, payload: bytes, retained: bool) -> None:
        nonlocal messages
        messages += 1
        if name in topics or (len(topics) < TOPICS and name.isprintable()):
            topic = topics.setdefault(name, SeenTopic(name))
            try:
                topic.add(msgspec.json.decode(payload), time.time(), retained)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                topic.unreadable = repr(payload)[:60]

    def connected(session: bool) -> None:
        nonlocal state
        state = "connected"
        up.set()

    def lost(why: str) -> None:
        nonlocal state
        state = why

    def safely(function: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(function, *arguments)

    def received(message: MQTTMessage, generation: int) -> None:
        with contextlib.suppress(UnicodeDecodeError):
            safely(take, message.topic, bytes(message.payload), message.retain)

    link = Link(
        broker,
        [Topic(pattern, qos=0, retained=True)],
        connected=lambda session: safely(connected, session),
        lost=lambda why: safely(lost, why),
        received=received,
        told=lambda pattern, why: safely(lost, f"the broker does not allow {pattern}: {why}"),
        keep=False,
    )
    link.start()
    try:
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0 and not enough.is_set():
            progress(messages, len(topics), state)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), min(0.2, left))
    finally:
        link.stop()
    if not up.is_set():
        raise NothingFound(
            f"no connection to {broker.host}:{broker.port} in {seconds:g} s: {state}"
        )
    if not any(topic.plain.count or topic.channels for topic in topics.values()):
        raise NothingFound(
            f"no numbers in {messages} messages of {len(topics)} topics in {seconds:g} s "
            f"({state}); watch longer with --seconds, or other topics with --topic"
        )
    return topics


def file(path: Path, target: Path, progress: Callable[[float], object] = lambda share: None) -> str:
    """A configuration for a recording. Raises NothingFound, Refused, OSError.

    progress   told every now and then the share that has been read
    """
    refused: list[Refused] = []
    lines = Lines(str(path), path.stem, refuse=refused.append)
    seen: dict[str, dict[str, Seen]] = {}
    counts: Counter[str] = Counter()
    timed = True
    for share, part in parts(path):
        for row in lines.rows(part):
            channels = seen.setdefault(row.key, {})
            for name, value in zip(row.channels or made_up(len(row.x)), row.x, strict=True):
                channels.setdefault(name, Seen()).add(value)
            timed = timed and row.t is not None
            counts[row.key] += 1
        progress(share)
    if not seen:
        why = f"; {refused[-1]}" if refused else ""
        raise NothingFound(f"{path} has no samples that can be read{why}")
    alike: dict[tuple[str, ...], list[str]] = {}
    for key, channels in seen.items():
        alike.setdefault(tuple(channels), []).append(key)
    streams = []
    for names, keys in alike.items():
        joined = {name: Seen.joined(seen[key][name] for key in keys) for name in names}
        rate = f"{sum(counts[key] for key in keys)} samples"
        streams.append(Streams(tuple(keys), names, joined, rate))
    return of_file(path, target, streams, timed=timed)
