"""The server on real sockets: what viewers and senders see, how it starts and how it ends."""

from __future__ import annotations

import asyncio
import math
import threading

import numpy as np
import pytest
from streamrnn_server import app, binary, frames, hub, live
from streamrnn_server import protocol as p
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from streamrnn.streams import Rule
from tests.leaky import Leaky
from tests.server.clients import (
    address,
    is_a,
    leaky,
    open_socket,
    reaches,
    run,
    send,
    sender,
    server,
    sock_tell,
    stalled,
    tell,
    until,
    viewer,
)


def test_a_sample_sent_is_a_prediction_seen():
    """A step defined outside the library, from /ingest to /live."""

    async def main():
        async with server(leaky(units={"temp": "°C"})) as s, sender(s) as tx, viewer(s) as rx:
            (hello,) = await until(rx, is_a(p.Hello))
            assert (hello.epoch, hello.groups, hello.streams) == (s.hub.epoch, [], [])
            assert hello.server.startswith("streamrnn ")
            lines = [{"stream": "boiler/7", "t": t, "temp": 4.0, "load": None} for t in (1, 2)]
            ack = await send(tx, *lines)
            assert ack == {"type": "ack", "message": 1, "taken": 2, "refused": []}
            (*_, streams) = await until(rx, is_a(p.Streams))
            (group,), (info,) = streams.groups, streams.streams
            assert group.channels == [p.Channel("temp", "°C"), p.Channel("load", "")]
            assert (info.id, info.key, info.seq) == (0, "boiler/7", 1)
            await tell(rx, p.Watch(streams=[p.WatchStream(0)]))
            (*_, frame) = await until(rx, is_a(binary.Samples))
            (chunk,) = frame.chunks
            assert frame.epoch == s.hub.epoch
            assert (chunk.stream, chunk.first, chunk.t.tolist()) == (0, 0, [1.0, 2.0])
            assert chunk.x[0].tolist() == [4.0, 4.0] and np.isnan(chunk.x[1]).all()
            assert chunk.y.tolist() == [[1.0, 1.75], [0.0, 0.0]]  # h += (4 - h) / 4
            await send(tx, {"stream": "boiler/7", "t": 3, "x": [4.0, 8.0]})
            (*_, frame) = await until(rx, is_a(binary.Samples))
            (chunk,) = frame.chunks
            assert (chunk.first, chunk.flags) == (2, 0)
            assert chunk.y.tolist() == [[2.3125], [2.0]]
            # Somebody looks at it now, so its hidden units come too: tanh(h) * 127.
            assert chunk.h.tolist() == [[round(127 * math.tanh(h)) for h in (2.3125, 2.0)]]
            assert 0 <= frame.sent - chunk.arrived < 10

    run(main())


def test_a_viewer_that_reconnects_goes_on_after_its_last_sample():
    async def main():
        async with server() as s, sender(s) as tx:
            await send(tx, *({"stream": "a", "t": t, "value": t} for t in range(5)))
            s.pipeline.flush()  # the stream is there, without waiting for the tick
            async with viewer(s) as rx:
                (*_, hello) = await until(rx, is_a(p.Hello))
                await tell(rx, p.Watch(streams=[p.WatchStream(0)]))
                await until(rx, is_a(binary.Samples))
            await send(tx, {"stream": "a", "t": 5, "value": 5})
            async with viewer(s) as rx:
                await tell(rx, p.Watch(epoch=hello.epoch, streams=[p.WatchStream(0, after=4)]))
                (*_, frame) = await until(rx, is_a(binary.Samples))
                assert [(c.first, c.t.tolist()) for c in frame.chunks] == [(5, [5.0])]

    run(main())


def test_what_a_viewer_says_wrong_is_answered_and_it_goes_on():
    async def main():
        async with server() as s, sender(s) as tx, viewer(s) as rx:
            await send(tx, {"stream": "a", "value": 1})
            s.pipeline.flush()
            await rx.send("what?")
            (*_, error) = await until(rx, is_a(p.Error))
            assert error.error.startswith(f"{p.EXPECTED}: ")
            await rx.send(b"\x00")
            (*_, error) = await until(rx, is_a(p.Error))
            assert error.error == "expected a JSON text message, got a binary one"
            assert s.pipeline.refused == {"viewer": 2}
            await tell(rx, p.Watch(streams=[p.WatchStream(0)]))
            await until(rx, is_a(binary.Samples))

    run(main())


def test_status_says_what_was_refused_and_how_fast_things_go():
    async def main():
        async with server() as s, sender(s) as tx, viewer(s) as rx:
            await send(tx, {"stream": "a", "value": 1}, "{")
            (*_, status) = await until(
                rx, lambda m: isinstance(m, p.Status) and m.state == "live" and m.samples
            )
            assert (status.samples, status.viewers, status.detail) == (1, 1, "")
            assert (status.refused.total, status.refused.kinds) == (1, {"json": 1})
            assert status.refused.last.where == "/ingest line 2"
            assert "expected one JSON object a line" in status.refused.last.error
            assert 0 <= status.latency_p50_s <= status.latency_p99_s < 10

    run(main())


def test_a_thousand_streams_are_listed_and_any_of_them_watched():
    keys = [f"sensor/{i:04}" for i in range(1000)]

    async def main():
        async with server() as s, sender(s) as tx, viewer(s) as rx:
            for t in range(3):
                ack = await send(tx, *({"stream": key, "t": t, "value": 4} for key in keys))
                assert ack["taken"] == 1000
            (*seen, _) = await until(rx, is_a(binary.Overview))
            listed = [i for m in seen if isinstance(m, p.Hello | p.Streams) for i in m.streams]
            assert [i.key for i in listed] == keys
            await tell(rx, p.Watch(streams=[p.WatchStream(i) for i in range(1000)]))
            last = {}

            def complete(message):
                for chunk in message.chunks if isinstance(message, binary.Samples) else ():
                    assert chunk.first == last.get(chunk.stream, -1) + 1
                    last[chunk.stream] = chunk.first + len(chunk.t) - 1
                return last == dict.fromkeys(range(1000), 2)

            await until(rx, complete)

    run(main())


# --- start and end --------------------------------------------------------------------------------


class Slow(Leaky):
    """A step that compiles until it is allowed to end."""

    def __init__(self, allowed):
        super().__init__()
        self.allowed = allowed

    def advance(self, *args):
        assert self.allowed.wait(20)
        super().advance(*args)


def slow(allowed):
    return Rule("slow", lambda channels: Slow(allowed), channels=("x",))


def test_it_answers_while_kernels_compile_and_senders_wait():
    allowed = threading.Event()

    async def main():
        async with server(slow(allowed)) as s, viewer(s) as rx, sender(s) as tx:
            (*_, status) = await until(
                rx, lambda m: isinstance(m, p.Status) and m.detail != "compiling the kernels"
            )
            assert status.state == "starting"
            assert status.detail == "compiling the kernels for slow (1 of 1)"
            await tx.send('{"stream": "slow", "x": [4]}')
            assert s.pipeline.samples == 0
            allowed.set()
            await s.ready()
            assert '"taken":1' in await tx.recv()
            (*_, status) = await until(rx, lambda m: isinstance(m, p.Status) and m.samples)
            assert status.state == "live"

    run(main())


def test_it_ends_while_kernels_compile():
    allowed = threading.Event()

    async def main():
        async with server(slow(allowed)) as s, sender(s) as tx:
            await tx.send('{"stream": "slow", "x": [4]}')
            assert s.compiling
        assert s.compiling
        with pytest.raises(ConnectionClosed):
            await tx.recv()

    run(main())
    allowed.set()


def test_a_rule_that_cannot_work_ends_the_start():
    def broken(channels):
        raise ValueError(f"net.safetensors takes 3 inputs, channels are {len(channels)}")

    async def main():
        async with server(Rule("*", broken, channels=("a",))) as s:
            with pytest.raises(ValueError, match="net.safetensors takes 3 inputs, channels are 1"):
                await s.ready()

    run(main())


def test_viewers_and_senders_are_told_that_the_server_stops():
    async def main():
        async with server() as s:
            rx, tx = await viewer(s), await sender(s)
            await until(rx, is_a(p.Hello))
        for connection in (rx, tx):
            with pytest.raises(ConnectionClosed):
                while True:
                    await connection.recv()
            assert (connection.close_code, connection.close_reason) == (1001, "the server stops")

    run(main())


def test_stalled_viewers_neither_delay_others_nor_the_end():
    async def main():
        rule = leaky(channels=tuple(f"x{i}" for i in range(50)))
        async with server(rule) as s, sender(s) as tx, viewer(s) as rx:
            socks = [await stalled(s) for _ in range(3)]
            row = [0.0] * 50
            await send(tx, {"stream": "a", "x": row})
            s.pipeline.flush()
            for sock in socks:
                await sock_tell(sock, p.Watch(streams=[p.WatchStream(0)]))
            await tell(rx, p.Watch(streams=[p.WatchStream(0)]))
            for batch in range(100):  # of 100 samples of 600 bytes: far more than sockets buffer
                await send(tx, *([{"stream": "a", "x": row}] * 100))
                await until(rx, reaches(1 + 100 * (batch + 1)))
            assert len(s.hub.viewers) == 4
        for sock in socks:
            sock.close()

    run(main())


def test_a_viewer_that_never_acknowledges_is_cut_off(monkeypatch):
    monkeypatch.setattr(hub, "STALL_S", 0.1)

    async def main():
        async with server() as s, sender(s) as tx, viewer(s) as rx, viewer(s) as good:
            await send(tx, {"stream": "a", "value": 1})
            s.pipeline.flush()
            for connection in (rx, good):
                await tell(connection, p.Watch(streams=[p.WatchStream(0)]))

            async def reads_and_says_nothing():
                async for _ in rx:
                    pass

            lazy = asyncio.create_task(reads_and_says_nothing())
            count = 1
            while not lazy.done():
                count += 1
                await send(tx, {"stream": "a", "value": 1})
                await until(good, reaches(count))
            with pytest.raises(ConnectionClosedError):
                await lazy
            assert (rx.close_code, rx.close_reason) == (4408, "no acknowledgement")
            assert (len(s.hub.viewers), s.hub.cut_off) == (1, 1)

    run(main())


def test_a_viewer_whose_socket_stays_full_costs_little_and_is_cut_off(monkeypatch):
    for name in ("WINDOW", "ACK_EVERY"):  # credit would stop it long before its socket is full
        monkeypatch.setattr(hub, name, 1_000_000)

    async def main():
        rule = leaky(channels=tuple(f"x{i}" for i in range(200)))
        async with server(rule) as s, sender(s) as tx:
            row = [0.0] * 200
            await send(tx, {"stream": "a", "x": row})
            s.pipeline.flush()
            sock = await stalled(s)
            await sock_tell(sock, p.Watch(streams=[p.WatchStream(0)]))
            largest = 0
            while largest < live._ROOM:
                await send(tx, *([{"stream": "a", "x": row}] * 100))
                (viewer,) = s._live._viewers
                largest = max(largest, viewer.transport.get_write_buffer_size())
            for _ in range(10):
                await send(tx, *([{"stream": "a", "x": row}] * 100))
                largest = max(largest, viewer.transport.get_write_buffer_size())
            assert largest < live._ROOM + 2 * frames.FRAME_BYTES
            monkeypatch.setattr(hub, "STALL_S", 0.0)
            while s.hub.viewers:
                await send(tx, {"stream": "a", "x": row})
            assert s.hub.cut_off == 1
            sock.close()

    run(main())


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/live", "1 viewers are connected; see limits.viewers"),
        ("/ingest", "1 senders are connected; see limits.senders"),
    ],
)
def test_one_too_many_is_turned_away_with_a_word(path, reason):
    async def main():
        async with server(viewers=1, senders=1) as s:
            async with open_socket(s, path) as first:
                await first.send("{}")  # an error, or a refused line: it is being served
                await first.recv()
                async with open_socket(s, path) as second:
                    with pytest.raises(ConnectionClosedError):
                        await second.recv()
                    assert (second.close_code, second.close_reason) == (1013, reason)
                    assert s.pipeline.refused["limit"] == 1
            async with open_socket(s, path) as third:
                await third.send("{}")
                await third.recv()

    run(main())


def test_a_message_beyond_the_limit_closes_its_connection_only():
    async def main():
        async with server(message_bytes=1000) as s, sender(s) as big, sender(s) as small:
            await s.ready()
            await big.send("x" * 1001)
            with pytest.raises(ConnectionClosedError):
                await big.recv()
            assert big.close_code == 1009
            while not s.pipeline.refused:
                await asyncio.sleep(0)
            assert s.pipeline.refused == {"size": 1}
            assert (await send(small, {"stream": "a", "value": 1}))["taken"] == 1

    run(main())


def test_connections_beyond_all_limits_are_dropped(monkeypatch):
    monkeypatch.setattr(app, "_SPARE", 0)

    async def main():
        async with server(viewers=1, senders=1) as s:
            held = [await asyncio.open_connection(*address(s)) for _ in range(2)]
            reader, writer = await asyncio.open_connection(*address(s))
            assert await reader.read() == b""
            for _, other in (*held, (reader, writer)):
                other.close()

    run(main())
