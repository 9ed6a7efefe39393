"""/ingest: the sockets of senders. Messages are taken in order, and acknowledged when durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from streamrnn.streams import Pipeline
from streamrnn_server import ingest_protocol, protocol
from streamrnn_server.ingest import Answer, Halted, Ingest, arguments

UNANSWERED = 16  # messages of a sender that wait for the journal


class Senders:
    """`refuse(kind, path, why)` counts what a sender does wrong beside its lines."""

    def __init__(self, pipeline: Pipeline, refuse: Callable[[str, str, str], object]) -> None:
        self.count = 0
        self._pipeline = pipeline
        self._refuse = refuse

    async def serve(self, connection: ServerConnection, query: str, ready: Awaitable[bool]) -> None:
        """One sender, until it goes; `query` is that of its address.

        ready   whether predictions have begun
        """
        self.count += 1
        try:
            if await ready:
                await self._serve(connection, query)
            else:  # what came is not taken
                await connection.wait_closed()
        except ConnectionClosed as closed:
            if closed.sent and closed.sent.code == CloseCode.MESSAGE_TOO_BIG:
                self._refuse("size", "/ingest", closed.sent.reason)
        finally:
            self.count -= 1

    async def _serve(self, connection: ServerConnection, query: str) -> None:
        try:
            stream, sender, first = arguments(query)
        except ValueError as error:
            self._refuse("sender", "/ingest", str(error))
            return await connection.close(CloseCode.POLICY_VIOLATION, str(error))
        ingest = Ingest(self._pipeline, stream, sender, first)
        if sender is not None:
            known = ingest_protocol.Known(ingest.known())
            await connection.send(ingest_protocol.encode(known))
        answers: asyncio.Queue[Answer] = asyncio.Queue(UNANSWERED)
        answering = asyncio.create_task(_acknowledge(connection, answers))
        try:
            async for message in connection:
                await answers.put(await ingest.take(message))
        except Halted as halted:
            await connection.close(protocol.CLOSE_FULL, _close_reason(str(halted)))
        finally:
            answering.cancel()


async def _acknowledge(connection: ServerConnection, answers: asyncio.Queue[Answer]) -> None:
    while True:
        answer = await answers.get()
        with suppress(ConnectionClosed):  # then its reader ends this, too
            if why := await answer.settled:
                await connection.close(protocol.CLOSE_FULL, _close_reason(why))
            await connection.send(ingest_protocol.encode(answer.taken))


def _close_reason(why: str) -> str:
    """As much of it as the reason of a close holds, 123 bytes (RFC 6455 section 5.5)."""
    return why.encode()[:123].decode(errors="ignore").rstrip()
