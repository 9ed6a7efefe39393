"""Where a sink's alarms and predictions go: a webhook, standard output, an MQTT broker."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

from streamrnn.streams.broker import Broker, Link
from streamrnn_server.process import in_thread
from streamrnn_server.sinks import NotDelivered

TIMEOUT_S = 10.0
_LATER = (408, 425, 429)  # of the answers 4xx, those to which another attempt may help


class Webhook:
    """POSTs each alarm; its id is in the header Idempotency-Key, too."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url = url
        self.headers = headers
        self._open = urllib.request.build_opener(_NoRedirect).open

    def start(self) -> None: ...

    def stop(self) -> None: ...

    async def send(self, id: str, stream: str, body: bytes) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": quote(id)}
        request = urllib.request.Request(
            self.url, body, headers | dict(self.headers), method="POST"
        )

        def post() -> None:
            self._open(request, timeout=TIMEOUT_S).close()

        try:
            await in_thread(post)
        except urllib.error.HTTPError as error:
            with error:
                again = error.code >= 500 or error.code in _LATER
                raise NotDelivered(f"it answers {error.code} {error.reason}", again=again) from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise NotDelivered(f"it cannot be reached: {reason}", again=True) from None
        except (ValueError, HTTPException) as error:
            # Their texts may have an address or a header in them, which can be secrets.
            what = type(error).__name__
            raise NotDelivered(
                f"it cannot be asked, or answers no HTTP: {what}", again=True
            ) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its body."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


class StandardOutput:
    """A line for each alarm."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    async def send(self, id: str, stream: str, body: bytes) -> None:
        def write() -> None:
            sys.stdout.write(body.decode() + "\n")
            sys.stdout.flush()

        try:
            await in_thread(write)  # whoever reads it may be slow
        except (OSError, ValueError) as error:  # the latter: it is closed
            raise NotDelivered(f"standard output: {error}", again=False) from None


class Topics:
    """Publishes to topics of a broker."""

    def __init__(self, broker: Broker, topic: str, *, qos: int, retain: bool) -> None:
        self.broker = broker
        self.topic = topic
        self.qos = qos
        self.retain = retain
        self._arrived: dict[int, asyncio.Future[None]] = {}
        self._link: Link | None = None
        self._why = ""

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def published(mid: int) -> None:  # in the thread of the link
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._published, mid)

        self._link = Link(self.broker, published=published, lost=self._lost, keep=False)
        self._link.start()

    def stop(self) -> None:
        if self._link is not None:
            self._link.stop()

    def put(self, stream: str, body: bytes) -> bool:
        """Publish without waiting for it."""
        try:
            return self._publish(stream, body) is not None
        except ValueError:  # a topic that cannot be one
            return False

    async def send(self, id: str, stream: str, body: bytes) -> None:
        try:
            mid = self._publish(stream, body)
        except ValueError as error:
            topic = self._topic(stream)
            raise NotDelivered(
                f"no message can be published to {topic}: {error}", again=False
            ) from None
        if mid is None:
            where = f"{self.broker.host}:{self.broker.port}"
            raise NotDelivered(f"{where} is not there{self._why}", again=True)
        arrived = self._arrived[mid] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await arrived
        except TimeoutError:
            raise NotDelivered(
                f"{self.broker.host}:{self.broker.port} does not acknowledge it", again=True
            ) from None
        finally:
            del self._arrived[mid]

    def _publish(self, stream: str, body: bytes) -> int | None:
        if self._link is None or not self._link.up:
            return None
        return self._link.publish(self._topic(stream), body, qos=self.qos, retain=self.retain)

    def _topic(self, stream: str) -> str:
        return self.topic.replace("{stream}", stream)

    def _lost(self, why: str) -> None:
        self._why = f": {why.partition('; next try')[0]}"

    def _published(self, mid: int) -> None:
        arrived = self._arrived.get(mid)
        if arrived is not None and not arrived.done():
            arrived.set_result(None)
