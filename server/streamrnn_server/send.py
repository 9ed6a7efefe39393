"""The client of /ingest behind `streamrnn send`: lines in, acknowledgements awaited, reconnects.

What was not acknowledged when a connection was lost is sent again on the next one: every line is
taken at least once, and twice only if its acknowledgement was what got lost. With a Spool each is
taken once, and those on their way outlive this process, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from streamrnn_server import protocol
from streamrnn_server.access import is_loopback
from streamrnn_server.spool import Spool

WINDOW = 8  # messages on their way
CHUNK_BYTES = 1 << 15
LINE_BYTES = 1 << 18  # a longer one is no sample; with a chunk, a message that servers take
MOST_KEPT = 4096  # messages from before, while no server is there; then the input waits
EXAMPLES = 5  # refused lines kept for the summary
RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0)


class SendError(Exception):
    """Sending cannot go on; the text says why and what to do."""


class Lines(NamedTuple):
    """One message: consecutive lines of the input, the first of them is number `first`.

    kept   its number in the spool
    """

    first: int
    texts: Sequence[str]
    kept: int = 0


class Sender:
    """Sends lines to a server and counts what became of them.

    url      of the server: http://127.0.0.1:8765
    stream   for lines that name none
    notice   is told in words when the connection is lost and found
    spool    keeps lines until they are acknowledged; what it has from before is sent first
    """

    def __init__(
        self,
        url: str,
        *,
        stream: str | None = None,
        token: str = "",
        notice: Callable[[str], object] = lambda text: None,
        spool: Spool | None = None,
    ) -> None:
        self.url = _ingest(url, stream)
        self._spool = spool
        self.taken = 0
        self.refused: Counter[str] = Counter()
        self.examples: list[str] = []
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._notice = notice
        self._unacknowledged: deque[Lines] = deque()
        if spool is not None:
            self._unacknowledged.extend(Lines(kept, texts, kept) for kept, texts in spool.kept())
        self._acknowledged = asyncio.Event()
        self._answers = 0
        self._ended = False

    def refuse(self, kind: str, error: str) -> None:
        """Count a line that is not taken."""
        self.refused[kind] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(error)

    async def send(self, messages: asyncio.Queue[Lines | None]) -> None:
        """Send everything up to None; returns when all is acknowledged. Raises SendError."""
        failures = 0
        connected = False
        while True:
            try:
                async with self._connect() as connection:
                    if failures:
                        self._notice(f"connected to {self.url} again")
                    connected, answers = True, self._answers
                    if await self._exchange(connection, messages):
                        return
                    if self._answers > answers:  # else it may be these lines that it dies of
                        failures = 0
                reason = connection.close_reason or "the connection was lost"
                _give_up(connection.close_code, reason)
            except (OSError, TimeoutError, InvalidHandshake) as error:
                if not connected and self._spool is None:
                    raise SendError(_unreachable(self.url, error)) from None
                reason = str(error)
            wait_s = RETRY_S[min(failures, len(RETRY_S) - 1)]
            failures += 1
            self._notice(f"{reason}; next try in {wait_s:g} s")
            await self._wait(wait_s, messages)

    async def _wait(self, wait_s: float, messages: asyncio.Queue[Lines | None]) -> None:
        """Sleep; with a spool take what comes meanwhile, so that nobody who writes to us waits."""
        if self._spool is None:
            return await asyncio.sleep(wait_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while not self._ended and len(self._unacknowledged) < MOST_KEPT:
                    self._keep(await messages.get())
                await asyncio.Event().wait()  # nothing more to take

    def _connect(self) -> connect:
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname or "", parts.port  # either raises if it is none
            return connect(
                self.url + self._as_sender(),
                additional_headers=self._headers,
                compression=None,
                proxy=None if is_loopback(host) else True,
            )
        except (InvalidURI, ValueError) as error:
            raise SendError(f"expected an address like http://127.0.0.1:8765: {error}") from None

    def _as_sender(self) -> str:
        """What the address says of the sender: its name, and its first line on this connection."""
        if self._spool is None:
            return ""
        first = self._unacknowledged[0].kept if self._unacknowledged else self._spool.next
        separator = "&" if "?" in self.url else "?"
        return f"{separator}sender={quote(self._spool.name, safe='')}&from={first}"

    async def _exchange(
        self, connection: ClientConnection, messages: asyncio.Queue[Lines | None]
    ) -> bool:
        """Send on one connection as long as it lasts; whether everything is done."""
        tasks = (
            asyncio.create_task(self._transmit(connection, messages)),
            asyncio.create_task(self._receive(connection)),
        )
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return tasks[0].done() and tasks[0].result()
        except ConnectionClosed:
            return False
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _transmit(
        self, connection: ClientConnection, messages: asyncio.Queue[Lines | None]
    ) -> bool:
        for message in list(self._unacknowledged):
            await connection.send("\n".join(message.texts))
        while not self._ended:
            next_message = self._keep(await messages.get())
            if next_message is not None:
                await connection.send("\n".join(next_message.texts))
                await self._room(WINDOW - 1)
        await self._room(0)
        return True

    def _keep(self, message: Lines | None) -> Lines | None:
        """Hold a message until it is acknowledged; None: the input has ended."""
        if message is None:
            self._ended = True
            return None
        if self._spool is not None:
            now = round(time.time(), 3)
            texts = [_timed(text, now) for text in message.texts]
            message = message._replace(texts=texts, kept=self._spool.add(texts))
        self._unacknowledged.append(message)
        return message

    async def _room(self, most: int) -> None:
        while len(self._unacknowledged) > most:
            self._acknowledged.clear()
            await self._acknowledged.wait()

    async def _receive(self, connection: ClientConnection) -> None:
        async for text in connection:
            answer = json.loads(text)
            if answer["type"] == "known":
                continue  # said by &from already
            message = self._unacknowledged.popleft()
            self._answers += 1
            if self._spool is not None:
                self._spool.forget(message.kept + len(message.texts) - 1)
            # Lines that were known were taken or refused before, and told of to nobody.
            known = answer.get("repeated", 0)
            sent = sum(1 for line in message.texts[known:] if line.strip())
            self.taken += answer["taken"] + sum(1 for t in message.texts[:known] if t.strip())
            for line in answer["refused"]:
                number = message.first + line["line"] - 1
                error = line["error"].removeprefix(f"/ingest line {line['line']}: ")
                self.refuse(line["kind"], f"line {number}: {error}")
            if more := sent - answer["taken"] - len(answer["refused"]):
                self.refused["others"] += more
            self._acknowledged.set()


def _ingest(url: str, stream: str | None) -> str:
    """The address of /ingest on a server given as http://, ws:// or just host:port."""
    base = url if "://" in url else f"http://{url}"
    scheme, _, rest = base.partition("://")
    scheme = {"http": "ws", "https": "wss"}.get(scheme, scheme)
    host = rest.partition("/")[0].partition("#")[0]
    query = f"?stream={quote(stream, safe='')}" if stream else ""
    return f"{scheme}://{host}/ingest{query}"


def _timed(text: str, now: float) -> str:
    """A line of one sample that says no time, with its time: it may wait long for a server."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):  # the server will say what is wrong with it
        return text
    if record is None or type(record) in (int, float):
        record = {"value": record}
    if not isinstance(record, dict) or record.keys() & {"t", "label"}:
        return text
    x = record.get("x")
    if isinstance(x, list) and x and isinstance(x[0], list):  # many samples
        return text
    return json.dumps({**record, "t": now}, ensure_ascii=False)


def _give_up(code: int | None, reason: str) -> None:
    """Raises SendError if the server closed for a reason that will stay."""
    if code == protocol.CLOSE_TOKEN:
        raise SendError(f"{reason}; give it with --token or in STREAMRNN_TOKEN")
    if code == 1009:
        raise SendError(
            f"the server takes no message as long as this ({reason}); "
            "raise message_kb under [limits] in its configuration"
        )


def _unreachable(url: str, error: Exception) -> str:
    if isinstance(error, InvalidStatus):
        text = error.response.body.decode(errors="replace").strip() if error.response.body else ""
        return f"{url} answers {error.response.status_code}: {text}"
    return (
        f"nothing answers at {url} ({error}); is the server running? "
        "`streamrnn demo` starts one, --url names another"
    )


# --- input ----------------------------------------------------------------------------------------


def read(
    fd: int,
    convert: Callable[[Lines], Lines],
    refuse: Callable[[str, str], object] = lambda kind, error: None,
) -> asyncio.Queue[Lines | None]:
    """Whole lines from a file descriptor, as they come; None at its end. `convert` may change them.

    Lines of more than LINE_BYTES are left out, and `refuse` is told.

    A thread reads, because on Windows no event loop can wait for a console or a pipe.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Lines | None] = asyncio.Queue(WINDOW)

    def put(item: Lines | None) -> None:
        coroutine = queue.put(item)
        try:
            asyncio.run_coroutine_threadsafe(coroutine, loop).result()
        finally:
            coroutine.close()  # if the loop is closed, it was never begun

    def read_all() -> None:
        rest, first, too_long = b"", 1, False
        with contextlib.suppress(RuntimeError, CancelledError):  # nobody listens any more
            while chunk := os.read(fd, CHUNK_BYTES):
                if too_long:  # leave out all until the next line
                    _, end, chunk = chunk.partition(b"\n")
                    too_long = not end
                *whole, rest = (rest + chunk).split(b"\n")
                if whole:
                    put(convert(Lines(first, [line.decode(errors="replace") for line in whole])))
                    first += len(whole)
                if len(rest) > LINE_BYTES:
                    error = f"expected at most {LINE_BYTES} bytes; this line is left out"
                    refuse("line", f"line {first}: {error}")
                    rest, first, too_long = b"", first + 1, True
            if rest:
                put(convert(Lines(first, [rest.decode(errors="replace")])))
            put(None)

    threading.Thread(target=read_all, name="stdin", daemon=True).start()
    return queue


def csv_to_json(sender: Sender) -> Callable[[Lines], Lines]:
    """Turns lines of CSV into lines of JSON, one for one; those refused are empty."""
    from streamrnn.streams import Refused, lines

    def refuse(refused: Refused) -> None:
        sender.refuse(refused.kind, str(refused).replace("stdin:", "line ", 1))

    table = lines.Lines("stdin", "", refuse=refuse)
    readable = True

    def convert(message: Lines) -> Lines:
        nonlocal readable
        texts = []
        for text in message.texts:
            rows: list[lines.Row] = []
            try:
                if readable:
                    rows = list(table.rows([text.encode()]))
            except Refused as refused:  # without its header the rest means nothing
                readable = False
                refuse(refused)
            texts += [_json(row) for row in rows] or [""]
        return Lines(message.first, texts)

    return convert


def _json(row: Any) -> str:
    record: dict[str, Any] = {"stream": row.key} if row.key else {}
    if row.t is not None:
        record["t"] = row.t
    x = [None if math.isnan(value) else value for value in row.x]
    named = {"x": x} if row.channels is None else dict(zip(row.channels, x, strict=True))
    return json.dumps(record | named)
