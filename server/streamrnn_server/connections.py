"""Connections as this server needs them: known from the first byte, and ended for certain."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol

from streamrnn_server.protocol import SUBPROTOCOL


class Connection(ServerConnection):
    """Registers in `everyone`, where at most `most` may be; websockets knows only open ones."""

    def __init__(
        self, *args: Any, everyone: set[ServerConnection], most: int, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._everyone = everyone
        self._most = most

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._everyone.add(self)
        if len(self._everyone) > self._most:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._everyone.discard(self)

    @property
    def waiting_bytes(self) -> int:
        """What the peer has not taken yet, beyond what the system keeps for it."""
        return self.transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Send frames that `framed` made, without waiting; nothing once the connection closes."""
        if frames and self.state is State.OPEN:
            self.transport.write(frames)


def framed(message: str | bytes) -> bytes:
    """A message as it travels to everybody: we mask and compress nothing.

    Where many get the same, a send so takes a third less time than by websockets' broadcast(),
    which makes a frame for each; what is left is the system call.
    """
    if isinstance(message, str):
        frame = Frame(Opcode.TEXT, message.encode())
    else:
        frame = Frame(Opcode.BINARY, message)
    return frame.serialize(mask=False, extensions=[])


async def farewell(connection: ServerConnection, code: int, reason: str, within_s: float) -> None:
    """Close a connection with a word if it takes one, and without soon after.

    close() alone would wait for ever for a peer that has stopped reading: it drains the buffer.
    """
    with contextlib.suppress(TimeoutError, ConnectionClosed):
        async with asyncio.timeout(within_s):
            await connection.close(code, reason)
    connection.transport.abort()


def select_subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Ours if it is offered, as a browser insists on an answer that is among its offers."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def header(headers: Headers, name: str) -> str | None:
    """A header's value; several, which only an attacker sends, are one that matches nothing."""
    values = headers.get_all(name)
    return ", ".join(values) if values else None
