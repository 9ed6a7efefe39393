"""/live: the sockets of viewers around the hub.

A tick hands every viewer what the hub has for it, as long as its socket has room. Ticks happen when
something was published or asked for, and not more often than FRAMES_HZ. Where there are so many
viewers that ticks would take more than SHARE of the time, mostly in system calls, they get fewer
and larger frames, down to LEAST_HZ.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed

from streamrnn_server import protocol
from streamrnn_server.connections import farewell
from streamrnn_server.hub import Hub, Viewer

FRAMES_HZ = 30
LEAST_HZ = 8
SHARE = 0.04
_ROOM = 1 << 16  # bytes that may wait in a socket's buffer before it has no room


class Live:
    """`refuse(kind, path, why)` counts what a viewer says wrong."""

    def __init__(self, hub: Hub, refuse: Callable[[str, str, str], object]) -> None:
        self._hub = hub
        self._refuse = refuse
        self._viewers: dict[ServerConnection, Viewer] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    async def serve(self, connection: ServerConnection) -> None:
        """One viewer, until it goes."""
        viewer = self._hub.join()
        self._viewers[connection] = viewer
        self.wake()
        try:
            async for message in connection:
                try:
                    self._hub.receive(viewer, message)
                except protocol.ProtocolError as error:
                    self._refuse("viewer", "/live", str(error))
                    await connection.send(protocol.encode(protocol.Error(str(error))))
                self.wake()
        except ConnectionClosed:
            pass  # however it ended, nobody is there any more
        finally:
            self._viewers.pop(connection, None)
            self._hub.leave(viewer)

    def wake(self) -> None:
        """Something may be due: tick soon."""
        if self._timer is None and self._viewers:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(self._next, loop.time()), self._tick)

    def _tick(self) -> None:
        clock = asyncio.get_running_loop().time
        self._timer = None
        begin, spent = clock(), time.thread_time()
        self._next = begin + 1 / FRAMES_HZ  # for who wakes meanwhile
        self._hub.tick(time.time())
        for connection, viewer in list(self._viewers.items()):
            self._hand_out(connection, viewer, clock())
        spent = time.thread_time() - spent
        self._next = begin + max(1 / FRAMES_HZ, min(spent / SHARE, 1 / LEAST_HZ))

    def _hand_out(self, connection: ServerConnection, viewer: Viewer, now: float) -> None:
        # broadcast() and not send(): it never waits, which one stalled viewer would make all do.
        while room := connection.transport.get_write_buffer_size() < _ROOM:
            messages = self._hub.take(viewer)
            if not messages:
                break
            for message in messages:
                broadcast([connection], message)
        if self._hub.busy(viewer):
            self.wake()
        if self._hub.waiting(viewer, now, blocked=not room):
            self._cut_off(connection)
        elif not room:
            self.wake()  # nothing tells when there is room again

    def _cut_off(self, connection: ServerConnection) -> None:
        del self._viewers[connection]
        self._hub.cut_off += 1
        reason = "no acknowledgement"
        end = asyncio.ensure_future(farewell(connection, protocol.CLOSE_STALLED, reason, 1.0))
        self._ends.add(end)  # the loop holds tasks weakly
        end.add_done_callback(self._ends.discard)
