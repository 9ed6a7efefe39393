"""A server with a journal on damaged input, each piece of which must end well.

python -m tests.bench.fuzz [100000]     messages, frames, requests, messages of MQTT, lines of files

Well is an acknowledgement, an answer or a close, in seconds; afterwards the server has no more
tasks and file handles than before, and a stream that good samples were sent to all the while has
the predictions of one that was alone, and has them in its journal.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import psutil
from paho.mqtt.client import MQTTMessage
from streamrnn_server import protocol as p
from streamrnn_server.app import Server, Settings
from streamrnn_server.history import History
from streamrnn_server.ingest_protocol import Columns, encode_columns
from streamrnn_server.journal import FILE, Journal
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

import streamrnn as srnn
from streamrnn.streams import Broker, Pipeline, Rule, Topic, follow, mqtt
from streamrnn.streams.subscribed import Received, _Chunk
from tests.bench.damaged import mutant

WITHIN_S = 20.0
LOCAL: dict[str, Any] = {"compression": None, "proxy": None, "ping_interval": None}
KEYS = ["a", "b", "c"]
SHARES = {  # of 100
    "ingest": 40, "senders": 5, "live": 15, "frames": 10, "requests": 10, "mqtt": 10, "lines": 10,
}  # fmt: skip
MESSAGES = 100  # on one connection
GROWN_MB = 30.0  # that are no growth, over the second half: 4 are the usual
HEADER = b"stream,t,temp,load\n"

gru = srnn.GRU(1, 8, 1)


def rules() -> list[Rule]:
    leaf = srnn.GRU(2, 8, 1)
    return [
        Rule("good", lambda channels: gru, ("value",)),
        Rule("[abc]", lambda channels: leaf, ("temp", "load")),
        Rule("late", lambda channels: srnn.Forecaster(), ("value",)),
        Rule("file", lambda channels: leaf, ("temp", "load")),
    ]


def _columns(x: list[list[float]]) -> bytes:
    count = len(x[0])
    of = np.arange(count, dtype=np.uint32) % 3
    t = np.full(count, 1.7e9)
    return encode_columns(Columns(KEYS, ["temp", "load"], t, np.array(x, np.float32), of))


INGEST = [
    b'{"stream": "a", "t": 1700000000.0, "x": [20.5, null]}\n{"stream": "b", "temp": 1, "load": 2}',
    b'{"stream": "c", "t": "2023-11-14T22:13:20Z", "x": [1e3, -2.5e-3]}\n\n7\nnull',
    json.dumps({"stream": [*"abcab"], "t": [1, 2, 3, 4, 5], "x": [[1, 2]] * 5}).encode(),
    json.dumps([{"stream": key, "x": [[1, 2], [3, None]]} for key in KEYS]).encode(),
    b'{"stream": "late", "t": 60, "value": null}\n{"stream": "late", "t": 60, "label": 20.5}',
    _columns([[1.0, 2.0, np.nan], [4.0, 5.0, 6.0]]),
    _columns([[1.0] * 40, [np.inf] * 20 + [1e31] * 20]),
]
LIVE = [
    p.encode(p.Watch(streams=[p.WatchStream(0), p.WatchStream(1, after=3)], epoch=7)).encode(),
    p.encode(p.Ack(1)).encode(),
    p.encode(p.Write(stream=0, after=3, length=20, temperature=1.0)).encode(),
    b'{"type": "pause"}',
    b'{"type": "resume"}',
    b'{"type": "reset", "stream": 1}',
    b'{"type": "explain"}',
]
REQUESTS = [
    b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /past?stream=a&from=0&to=5&pixels=10 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /past?stream=good HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /past?from=2023-11-14T22:13:20Z&stream=b&to=1.8e9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n",
    b"HEAD /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer x\r\n\r\n",
    b"POST /ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /ingest?sender=x&from=3 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
]


QUERIES = [b"sender=x&from=3", b"stream=a&sender=plant", b"from=1&sender=%C3%A4&stream=b"]
TOPICS = [
    Topic("plant/#", id="n", time="t"),
    Topic("one/+/+", channel="{2}", key="{1}"),
    Topic("some/+", fields={"temp": "data.temp", "load": "data.load"}, key="a", retained=True),
    Topic("#"),
]
PUBLISHED = [  # topics and payloads
    (b"plant/7", b'{"n": 12, "t": 1700000000, "temp": 20.5, "load": null}'),
    (b"one/b/temp", b"21.5"),
    (b"one/c/load", b'{"value": 1e3}'),
    (b"some/7", b'{"data": {"temp": 20.5, "load": [1, {"deep": {}}]}}'),
]
LINES = [
    b"a,1700000000,20.5,3\n",
    b'"b",2023-11-14T22:13:20Z,,-1e3\nc,1700000000.5,NaN,inf\n',
    b"a;1700000000;20,5;3\n\n",
]


class Outcome(NamedTuple):
    done: Counter[str]  # how many of each kind
    refused: Counter[str]  # by the server, by kind
    slowest_s: float
    memory_mb: float  # more at the end than in the middle


class Damage:
    """Throws mutants at a server; `slowest_s` is the longest that any of its answers took.

    file   that the server follows
    """

    def __init__(self, server: Server, rng: random.Random, file: Path) -> None:
        self.pipeline, self.file = server.pipeline, file
        self.source = mqtt(Broker("nowhere", client_id="fuzz"), TOPICS)
        self.source.taker = self.pipeline
        self.source.on_refused(self.pipeline.refuse)
        self.url = server.url.replace("http", "ws")
        self.host, port = server.url.removeprefix("http://").split(":")
        self.port = int(port)
        self.rng = rng
        self.slowest_s = 0.0
        self.counts: Counter[str] = Counter()  # samples that were predicted, by stream
        self.pipeline.sink(lambda result: self.counts.update(result.batch.keys))

    def one(self, of: list[bytes]) -> bytes:
        return mutant(self.rng.choice(of), self.rng)

    async def ingest(self, count: int) -> None:
        """Every message is acknowledged, whatever is in it."""
        async with connect(f"{self.url}/ingest?stream=a", **LOCAL) as connection:
            for _ in range(count):
                message = self.one(INGEST)
                try:
                    await connection.send(message.decode())
                except UnicodeDecodeError:
                    await connection.send(message)
                assert json.loads(await self._within(connection.recv()))["type"] == "ack"

    async def senders(self, count: int) -> None:
        """Whatever a sender says of itself, it is told why not or its message is acknowledged."""
        for _ in range(count):
            query = quote(self.one(QUERIES).decode(errors="replace"), safe="&=%+")
            async with connect(f"{self.url}/ingest?{query}", **LOCAL) as connection:
                with suppress(ConnectionClosed):
                    await connection.send(b"1")
                    while True:
                        told = json.loads(await self._within(connection.recv()))
                        if told["type"] == "ack":
                            break

    async def mqtt(self, count: int) -> None:
        """Messages as a broker passes them on, twice where it says so."""
        for n in range(count):
            topic, payload = self.rng.choice(PUBLISHED)
            if self.rng.random() < 0.3:
                topic = mutant(topic, self.rng)
            message = MQTTMessage(n, topic)
            message.payload = mutant(payload, self.rng)
            message.qos, message.retain = self.rng.choice((0, 1)), self.rng.random() < 0.2
            for again in (False, True)[: self.rng.choice((1, 2))]:
                message.dup = again
                chunk = _Chunk(self.source)
                chunk.take(Received(message, 1))
                for batch in chunk.batches():
                    self.pipeline.take_batch(batch, recorded=False)
                self.pipeline.flush()
            await asyncio.sleep(0)

    async def lines(self, count: int) -> None:
        """Lines at the end of a file; the last, a good one, comes through."""
        with self.file.open("ab") as file:
            for _ in range(count):
                file.write(self.one(LINES))
            before = self.counts["file"]
            file.write(b'\n"\nfile,1,2,3\n')  # whatever quote was open is closed
        await self._within(self._comes("file", before))

    async def _comes(self, key: str, before: int) -> None:
        while self.counts[key] == before:
            await asyncio.sleep(0.01)

    async def live(self, count: int) -> None:
        """The connection goes on: at the end it still answers."""
        async with connect(f"{self.url}/live", **LOCAL) as connection:
            for _ in range(count):
                await connection.send(self.one(LIVE).decode(errors="replace"))
            await connection.send(b"the end")
            await self._within(_until(connection, "got a binary one"))

    async def frames(self, count: int) -> None:
        """Bytes of a WebSocket that are no good frames: it is closed."""
        for _ in range(count):
            async with connect(f"{self.url}/ingest?stream=a", **LOCAL) as connection:
                payload = self.one(INGEST)[:125]
                head = bytes([0x81 + self.rng.randrange(2), 0x80 | len(payload)]) + bytes(4)
                connection.transport.write(mutant(head + payload, self.rng))
                connection.transport.write_eof()
                await self._within(connection.wait_closed())

    async def requests(self, count: int) -> None:
        """Bytes that are no good requests: answered, or closed."""
        for _ in range(count):
            reader, writer = await asyncio.open_connection(self.host, self.port)
            writer.write(self.one(REQUESTS))
            writer.write_eof()
            await self._within(_drained(reader))
            writer.close()

    async def _within(self, awaitable: Any) -> Any:
        begin = time.perf_counter()
        async with asyncio.timeout(WITHIN_S):
            result = await awaitable
        self.slowest_s = max(self.slowest_s, time.perf_counter() - begin)
        return result


async def _until(connection: ClientConnection, text: str) -> None:
    while True:
        message = await connection.recv()
        if isinstance(message, str) and text in message:
            return


async def _drained(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(1 << 16):
            pass
    except ConnectionResetError:
        pass


async def fuzzed(count: int, seed: int) -> Outcome:
    """Throw `count` mutants at a server of one's own. Raises AssertionError or TimeoutError."""
    with tempfile.TemporaryDirectory() as folder:
        outcome, seen = await _fuzzed(count, random.Random(seed), Path(folder))
        x = np.arange(len(seen), dtype=np.float32) % 17
        alone = [y.tobytes() for y in srnn.GRU(1, 8, 1).run(x.reshape(-1, 1))]
        assert seen == alone, "the good stream was harmed"
        with History(Path(folder), ["good"]) as past:
            kept = [
                np.ascontiguousarray(y).tobytes() for part in past.samples() for y in part.samples.y
            ]
        assert kept == alone, "the good stream was harmed in the journal"
    return outcome


async def _fuzzed(count: int, rng: random.Random, folder: Path) -> tuple[Outcome, list[bytes]]:
    """With the predictions of the good stream."""
    own = psutil.Process()
    seen: list[bytes] = []
    done: Counter[str] = Counter()
    pipeline = Pipeline(rules(), folder=folder)
    pipeline.sink(lambda r: seen.extend(_of(r, "good")))
    settings = Settings(port=0, senders=1000, viewers=1000)
    file = folder / "lines.csv"
    file.write_bytes(HEADER)
    sources = [partial(follow, file, poll_s=0.01, asynchronous=True)]
    server = Server(pipeline, sources, settings=settings, journal=Journal(folder))
    async with server:
        await server.ready()
        damage = Damage(server, rng, file)
        async with connect(f"{damage.url}/ingest?stream=good", **LOCAL) as good:
            tasks, handles = len(asyncio.all_tasks()), _handles(own)
            rounds = max(1, count // MESSAGES)
            middle = 0.0
            for n in range(rounds):
                (kind,) = rng.choices([*SHARES], [*SHARES.values()])
                await getattr(damage, kind)(MESSAGES)
                done[kind] += MESSAGES
                await good.send(f"{n % 17}")
                assert json.loads(await good.recv())["taken"] == 1
                if n == rounds // 2:
                    middle = own.memory_info().rss
            grown = (own.memory_info().rss - middle) / 1e6
            assert server.sources[0].state == "running", server.sources[0].detail
            async with asyncio.timeout(WITHIN_S):
                while len(asyncio.all_tasks()) > tasks or _handles(own) > handles:
                    await asyncio.sleep(0.05)
    return Outcome(done, pipeline.refused, damage.slowest_s, grown), seen


def _handles(own: psutil.Process) -> int:
    """Open file handles, without those that SQLite keeps to open the journal with once more.

    It has as many of these as there ever were reads at once.
    """
    of_journal = sum(Path(file.path).name == FILE for file in own.open_files())
    assert of_journal < 20, "the journal is opened again and again"
    return own.num_fds() - of_journal


def _of(result: Any, key: str) -> list[bytes]:
    batch = result.batch
    return [y.tobytes() for k, y in zip(batch.keys, batch.y, strict=True) if k == key]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    begin = time.perf_counter()
    outcome = asyncio.run(fuzzed(count, seed=0))
    print(f"{sum(outcome.done.values())} in {time.perf_counter() - begin:.0f} s, no crash:")
    print("sent:   ", ", ".join(f"{kind} {n}" for kind, n in outcome.done.most_common()))
    print("refused:", ", ".join(f"{kind} {n}" for kind, n in outcome.refused.most_common()))
    print(
        f"slowest answer {outcome.slowest_s:.2f} s; memory {outcome.memory_mb:+.1f} MB over the "
        "second half; as many tasks and file handles as before"
    )
    if outcome.memory_mb > GROWN_MB:
        sys.exit(f"expected at most {GROWN_MB:g} MB more at the end than in the middle")


if __name__ == "__main__":
    main()
