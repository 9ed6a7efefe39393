"""The server: one event loop, one port for the page, viewers, senders, health and metrics.

    sources, /ingest ─▶ Pipeline ─▶ Hub ─▶ /live

It answers from the first moment: kernels compile in a thread, and until that is done the status
says "starting", senders wait, and sources do not run.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self, cast

import msgspec
from websockets.asyncio.server import Server as Listener
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from streamrnn.streams import Pipeline, Refused, Result
from streamrnn.streams.sources import Source
from streamrnn_server import pages, protocol
from streamrnn_server.access import Access
from streamrnn_server.connections import Connection, farewell, header, select_subprotocol
from streamrnn_server.hub import Hub
from streamrnn_server.journal import Journal
from streamrnn_server.live import Live
from streamrnn_server.metrics import CONTENT_TYPE, Counts, Metrics
from streamrnn_server.past import NoPast, answer
from streamrnn_server.process import in_thread, on_signals
from streamrnn_server.recorder import Recorder
from streamrnn_server.senders import Senders
from streamrnn_server.sinks import Sink, Sinks

log = logging.getLogger(__name__)

SURVEY_S = 0.5
REMEMBERED = 200_000  # samples of the past that the page begins with, of all streams together
MOST_REMEMBERED = 2000  # of one of them
_STOP_S = 0.5  # for viewers and senders to take their leave
_SPARE = 100  # connections beyond viewers and senders: page files, scrapes, half-open ones


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to serve. What to serve are a pipeline and sources; config.py reads both from a file."""

    host: str = "127.0.0.1"
    port: int = 8765
    token: str = ""
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    name: str = "streamrnn"
    viewers: int = 100
    senders: int = 100
    ring_bytes: int = 64 << 20
    message_bytes: int = 1 << 20
    keep_days: float = math.inf
    keep_bytes: float = math.inf


class Server:
    """Serves what a pipeline predicts of what sources and senders bring.

    sources, sinks   functions that make them, called in the event loop
    journal  makes everything durable before it is acknowledged and shown, and brings back the past

    Entering binds the port and begins to answer; leaving ends every connection within a second.

    >>> async def main():
    ...     async with Server(Pipeline([]), settings=Settings(port=0)) as server:
    ...         await server.ready()
    ...         print(server.url.rpartition(":")[0])
    >>> asyncio.run(main())
    http://127.0.0.1
    """

    def __init__(
        self,
        pipeline: Pipeline,
        sources: Sequence[Callable[[], Source]] = (),
        sinks: Sequence[Callable[[], Sink]] = (),
        *,
        settings: Settings | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.pipeline = pipeline
        self.sources: list[Source] = []
        self.hub = Hub(
            epoch=secrets.randbits(32),
            name=self.settings.name,
            server=f"streamrnn {_version()}",
            started=time.time(),
            ring_bytes=self.settings.ring_bytes,
            reset=pipeline.reset,
            undecided=lambda: pipeline.busy,
        )
        self.compiling = False
        self.live = False
        self._make_sources = tuple(sources)
        self._make_sinks = tuple(sinks)
        self._detail = "compiling the kernels"
        self._live = Live(self.hub, self._refuse)
        self._senders = Senders(pipeline, self._refuse)
        self.sinks = Sinks(pipeline, self.hub.last)
        self._access = Access(
            self.settings.host,
            hosts=self.settings.hosts,
            origins=self.settings.origins,
            token=self.settings.token,
        )
        self._connections: set[ServerConnection] = set()
        self.recorder = None
        if journal is not None:
            keep = {"keep_days": self.settings.keep_days, "keep_bytes": self.settings.keep_bytes}
            self.recorder = Recorder(pipeline, journal, **keep)
        counts = Counts(pipeline, self.hub, self.sources, self.sinks, self.recorder)
        self._metrics = Metrics(counts)
        pipeline.watched = self.hub.watched
        pipeline.sink(self._publish)
        pipeline.on_reset(self.hub.was_reset)

    # --- from start to end ----------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        limits = self.settings
        self._listener: Listener = await serve(
            self._handle,
            limits.host,
            limits.port,
            process_request=self._answer,
            select_subprotocol=select_subprotocol,
            compression=None,  # costs 7 to 10 times the rest on columns of floats
            server_header=None,
            max_size=limits.message_bytes,
            # "a wrapper or a subclass", says its documentation; its type, a class only
            create_connection=cast(
                Any,
                partial(
                    Connection,
                    everyone=self._connections,
                    most=limits.viewers + limits.senders + _SPARE,
                ),
            ),
        )
        self.url = _url(limits.host, self._listener.sockets[0].getsockname()[1])
        self._start = asyncio.create_task(self._make_ready())
        self._beat = asyncio.create_task(self._beats())
        self.hub.set_status(self.status())
        log.info("serving %s", self.url)
        return self

    async def __aexit__(self, *exc: object) -> None:
        tasks = (self._start, self._beat)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for source in self.sources:
            source.stop()
        self.pipeline.flush()
        await self.pipeline.settled()
        self._listener.close(close_connections=False)
        await asyncio.gather(
            *(farewell(c, 1001, "the server stops", _STOP_S) for c in list(self._connections))
        )
        closed = asyncio.ensure_future(self._listener.wait_closed())
        while not closed.done():  # a connection accepted just now may still come up
            for connection in self._connections:
                connection.transport.abort()
            await asyncio.wait({closed}, timeout=0.1)
        self.pipeline.flush()  # what senders said to the last
        await self.pipeline.settled()
        await self.sinks.close()
        self.pipeline.flush()  # what they have delivered
        await self.pipeline.settled()
        self.pipeline.stop()
        if self.recorder is not None and self.live:
            await asyncio.to_thread(self.recorder.close)
        gc.unfreeze()
        log.info("stopped after %d samples", self.pipeline.samples)

    async def ready(self) -> None:
        """Wait until predictions begin. Raises what prevents it, such as a step that fails."""
        await asyncio.shield(self._start)

    async def run(self, started: Callable[[Server], object] = lambda server: None) -> None:
        """Serve until SIGINT or SIGTERM; `started` is called once the port is bound."""
        stop = asyncio.Event()
        with on_signals(stop.set):
            async with self:
                started(self)
                stopping = asyncio.create_task(stop.wait())
                await asyncio.wait({stopping, self._start}, return_when=asyncio.FIRST_COMPLETED)
                if not stopping.done():
                    await self.ready()
                await stopping

    async def _make_ready(self) -> None:
        self.compiling = True
        await in_thread(self._compile)
        if self.recorder is not None:
            self._detail = "reading the journal"
            await in_thread(self.recorder.recover)
        self._begin_sinks()
        if self.recorder is not None:
            self._remember(self.recorder)
            self.hub.go_on(self.pipeline.groups)
            self.pipeline.flush()  # what waited for earlier samples may have waited long enough
        self.compiling = False
        for make in self._make_sources:
            source = make()
            self.sources.append(source)
            source.on_refused(self.pipeline.refuse)
            source.taker = self.pipeline
            source.sink(self.pipeline.take_batch)
            source.start()
        # What was imported and compiled stays. To look through it all again and again took the
        # garbage collector 50 to 90 ms each time, for which every sample waited.
        gc.freeze()
        self.live, self._detail = True, ""
        log.info("live after %.1f s", time.time() - self.hub.started)

    def _compile(self) -> None:
        rules = self.pipeline.rules
        for n, rule in enumerate(rules, 1):
            self._detail = f"compiling the kernels for {rule.match} ({n} of {len(rules)})"
            self.pipeline.warm(rule)

    def _begin_sinks(self) -> None:
        sinks = [make() for make in self._make_sinks]
        if self.recorder is None:
            return self.sinks.begin(sinks, f"{self.hub.epoch:08x}", {})
        journal = self.recorder.journal
        counts = {key: int(journal.counts[id]) for key, (id, _, _) in journal.streams.items()}
        self.sinks.begin(sinks, journal.name, counts)

    def _remember(self, recorder: Recorder) -> None:
        """Let the page begin with what it showed before the server was stopped."""
        streams = len(recorder.journal.streams)
        for before, result in recorder.newest(min(MOST_REMEMBERED, REMEMBERED // max(1, streams))):
            self.hub.remember(before, result)
            self.sinks.remember(before, result)

    async def _beats(self) -> None:
        """What happens by the clock."""
        while True:
            for survey in range(int(1 / SURVEY_S)):
                await asyncio.sleep(SURVEY_S)
                self.hub.survey()
                if survey == 0:
                    if self.recorder is not None and self.live:
                        self.recorder.beat()
                    self.hub.set_status(self.status())
                self._live.wake()

    def _publish(self, result: Result) -> None:
        self.hub.publish(result)
        self.sinks.publish(result)
        now = time.time()
        self._metrics.observe(now, now - result.batch.arrived)
        self._live.wake()

    # --- what it says of itself -----------------------------------------------------------------

    def status(self) -> protocol.Status:
        now = time.time()
        pipeline = self.pipeline
        last = pipeline.last_refused
        p50, p99 = self._metrics.latency(now)
        return protocol.Status(
            now=now,
            state="live" if self.live else "starting",
            detail=self._detail or pipeline.halted,
            samples=pipeline.samples,
            samples_per_s=self._metrics.rate(now),
            latency_p50_s=p50,
            latency_p99_s=p99,
            viewers=len(self.hub.viewers),
            refused=protocol.RefusedCounts(
                sum(pipeline.refused.values()),
                dict(pipeline.refused),
                protocol.LastRefused(*last) if last else None,
            ),
            sources=[
                protocol.SourceInfo(str(source.name), source.state, source.detail)
                for source in self.sources
            ]
            + [
                protocol.SourceInfo(
                    f"sink {sink.name}", "waiting" if sink.problem else "running", sink.detail
                )
                for sink in self.sinks.all
            ],
        )

    # --- requests -------------------------------------------------------------------------------

    def _answer(
        self, connection: ServerConnection, request: Request
    ) -> Response | Awaitable[Response] | None:
        """The answer to a plain request; None lets the WebSocket handshake go on."""
        path, query = _split(request)
        refusal = self._access.refusal(
            header(request.headers, "Host"), header(request.headers, "Origin")
        )
        if refusal is not None:
            self._refuse("access", path, refusal)
            return pages.text(request, HTTPStatus.FORBIDDEN, f"{refusal}\n")
        if path in ("/live", "/ingest"):
            return None
        if request.method not in ("GET", "HEAD"):
            return pages.text(request, HTTPStatus.METHOD_NOT_ALLOWED, "expected GET or HEAD\n")
        if path == "/healthz":
            state = "live" if self.live else "starting"
            detail = self._detail or self.pipeline.halted.partition(":")[0]  # not the path
            health = {"state": state, "detail": detail, "streams": len(self.hub.rings)}
            body = msgspec.json.encode(health)
            return pages.respond(request, HTTPStatus.OK, "application/json", body)
        if path == "/metrics":
            if refusal := self._token_refusal(request):
                response = pages.text(request, HTTPStatus.UNAUTHORIZED, f"{refusal}\n")
                response.headers["WWW-Authenticate"] = "Bearer"
                return response
            return pages.respond(request, HTTPStatus.OK, CONTENT_TYPE, self._metrics.text())
        if path == "/past":
            return self._past(request, query)
        return pages.page(request, path)

    async def _past(self, request: Request, query: str) -> Response:
        """A stream's past at a glance, from the journal."""
        if refusal := self._token_refusal(request):
            response = pages.text(request, HTTPStatus.UNAUTHORIZED, f"{refusal}\n")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        if self.recorder is None:
            text = "there is no journal; see [journal] in docs/serve.md\n"
            return pages.text(request, HTTPStatus.NOT_FOUND, text)
        try:
            body = await asyncio.to_thread(answer, self.recorder.journal.folder, query)
        except NoPast as error:
            return pages.text(request, HTTPStatus(error.status), f"{error}\n")
        return pages.respond(request, HTTPStatus.OK, "application/json", body)

    async def _handle(self, connection: ServerConnection) -> None:
        """One viewer or sender. Refused by close codes: a browser shows no HTTP status here."""
        assert connection.request is not None and isinstance(connection, Connection)
        path, query = _split(connection.request)
        limits = self.settings
        if refusal := self._token_refusal(connection.request):
            await connection.close(protocol.CLOSE_TOKEN, refusal)
        elif path == "/live" and len(self.hub.viewers) >= limits.viewers:
            await self._full(connection, path, f"{limits.viewers} viewers")
        elif path == "/live":
            await self._live.serve(connection)
        elif self._senders.count >= limits.senders:
            await self._full(connection, path, f"{limits.senders} senders")
        else:
            await self._senders.serve(connection, query, self._ready_for(connection))

    async def _full(self, connection: ServerConnection, path: str, who: str) -> None:
        reason = f"{who} are connected; see limits.{who.split()[1]}"
        self._refuse("limit", path, reason)
        await connection.close(protocol.CLOSE_FULL, reason)

    async def _ready_for(self, connection: ServerConnection) -> bool:
        """Wait until predictions begin; False if the sender or the server has gone before."""
        gone = asyncio.ensure_future(connection.wait_closed())
        await asyncio.wait({gone, self._start}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        return self.live

    def _token_refusal(self, request: Request) -> str | None:
        offered = header(request.headers, "Sec-WebSocket-Protocol") or ""
        refusal = self._access.token_refusal(
            header(request.headers, "Authorization"), [name.strip() for name in offered.split(",")]
        )
        if refusal is not None:
            self._refuse("access", _split(request)[0], refusal)
        return refusal

    def _refuse(self, kind: str, path: str, why: str) -> None:
        self.pipeline.refuse(Refused(kind, path, why))


def _split(request: Request) -> tuple[str, str]:
    """Path and query. Not urlsplit: it raises for some paths, and takes //host/ for a host."""
    path, _, query = request.path.partition("?")
    return path, query


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _version() -> str:
    try:
        return version("streamrnn")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
