"""/live: the sockets of viewers around the hub.

A tick hands every viewer what the hub has for it, as long as its socket has room. Ticks happen when
something was published or asked for, and not more often than FRAMES_HZ. Where there are so many
viewers that ticks would take more than SHARE of the time, mostly in system calls, they get fewer
and larger frames, down to LEAST_HZ; a few are worth their frames.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from websockets.exceptions import ConnectionClosed

from streamrnn_server import protocol
from streamrnn_server.connections import Connection, farewell, framed
from streamrnn_server.frames import Messages
from streamrnn_server.hub import Hub, Viewer

FRAMES_HZ = 30
LEAST_HZ = 8
SHARE = 0.025
FEW = 10  # viewers that get all frames; those beyond may make all wait, by 1 / FRAMES_HZ for FEW
_ROOM = 1 << 16  # bytes that may wait in a socket's buffer before it has no room


class Live:
    """`refuse(kind, path, why)` counts what a viewer says wrong."""

    def __init__(self, hub: Hub, refuse: Callable[[str, str, str], object]) -> None:
        self._hub = hub
        self._refuse = refuse
        self._viewers: dict[Connection, Viewer] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._frames: dict[Messages, bytes] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    async def serve(self, connection: Connection) -> None:
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
        self._frames.clear()
        for connection, viewer in list(self._viewers.items()):
            self._hand_out(connection, viewer, clock())
        spent = time.thread_time() - spent
        most = min(1 / LEAST_HZ, len(self._viewers) / FEW / FRAMES_HZ)
        self._next = begin + max(1 / FRAMES_HZ, min(spent / SHARE, most))

    def _hand_out(self, connection: Connection, viewer: Viewer, now: float) -> None:
        while (room := _ROOM - connection.waiting_bytes) > 0:
            frames, more = self._burst(viewer, room)
            connection.write(frames)  # not send(): it waits, and one who stalled would make all
            if not more:
                break
        if self._hub.busy(viewer):
            self.wake()
        if self._hub.waiting(viewer, now, blocked=room <= 0):
            self._cut_off(connection)
        elif room <= 0:
            self.wake()  # nothing tells when there is room again

    def _burst(self, viewer: Viewer, room: int) -> tuple[bytes, bool]:
        """What comes next for a viewer, for one system call, and whether there may be more."""
        parts: list[bytes] = []
        while room > 0:
            messages = self._hub.take(viewer)
            if not messages:
                return b"".join(parts), False
            part = self._frames.get(messages)
            if part is None:  # made once for all who get the same in this tick
                part = self._frames[messages] = b"".join(map(framed, messages))
            parts.append(part)
            room -= len(part)
        return b"".join(parts), True

    def _cut_off(self, connection: Connection) -> None:
        del self._viewers[connection]
        self._hub.cut_off += 1
        reason = "no acknowledgement"
        end = asyncio.ensure_future(farewell(connection, protocol.CLOSE_STALLED, reason, 1.0))
        self._ends.add(end)  # the loop holds tasks weakly
        end.add_done_callback(self._ends.discard)
