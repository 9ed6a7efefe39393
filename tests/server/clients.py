"""Real sockets to a server on a free port: viewers, senders, plain requests."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from streamrnn_server import binary
from streamrnn_server import protocol as p
from streamrnn_server.app import Server, Settings
from websockets.asyncio.client import ClientConnection, connect

from streamrnn.streams import Pipeline, Rule
from tests.leaky import Leaky
from tests.server.fakes import decoded

WITHIN_S = 20.0  # nothing here takes so long unless it hangs


def run(coroutine: Any) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(WITHIN_S):
            return await coroutine

    return asyncio.run(limited())


def leaky(match: str = "*", **options: Any) -> Rule:
    return Rule(match, lambda channels: Leaky(len(channels)), **options)


def server(*rules: Rule, sources: Any = (), **settings: Any) -> Server:
    pipeline = Pipeline(rules or (leaky(),))
    return Server(pipeline, sources, settings=Settings(**({"port": 0} | settings)))


def address(server: Server) -> tuple[str, int]:
    url = urlsplit(server.url)
    assert url.hostname and url.port
    return url.hostname, url.port


def open_socket(server: Server, path: str, **options: Any) -> connect:
    host, port = address(server)
    # Not the client's own keepalive and compression: the tests are about the server's side.
    settings = {"compression": None, "proxy": None, "ping_interval": None, "max_size": None}
    return connect(f"ws://{host}:{port}{path}", **(settings | options))


def viewer(server: Server, *, token: str | None = None, **options: Any) -> connect:
    offered = [p.SUBPROTOCOL]
    if token is not None:
        offered.append("token." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("="))
    return open_socket(server, "/live", subprotocols=offered, **options)


def sender(server: Server, path: str = "/ingest", **options: Any) -> connect:
    return open_socket(server, path, **options)


async def tell(connection: ClientConnection, message: p.FromViewer) -> None:
    await connection.send(p.encode(message))


async def until(connection: ClientConnection, wanted: Any) -> list[Any]:
    """All messages up to the first for which `wanted` holds; frames are acknowledged."""
    found: list[Any] = []
    while not (found and wanted(found[-1])):
        found.append(decoded(await connection.recv()))
        if isinstance(found[-1], binary.Samples | binary.Overview):
            received = _frames[connection] = _frames.get(connection, 0) + 1
            if received % p.ACK_EVERY == 0:
                await tell(connection, p.Ack(received))
    return found


_frames: WeakKeyDictionary[ClientConnection, int] = WeakKeyDictionary()


def is_a(*kinds: type) -> Any:
    return lambda message: isinstance(message, kinds)


def reaches(count: int) -> Any:
    """Whether a message brings the last of `count` samples of the one stream that is watched."""

    def wanted(message: Any) -> bool:
        if not isinstance(message, binary.Samples):
            return False
        chunk = message.chunks[-1]
        return chunk.first + len(chunk.t) == count

    return wanted


async def send(connection: ClientConnection, *lines: Any) -> dict[str, Any]:
    """Send lines (dicts or texts) as one message; the acknowledgement."""
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    await connection.send(text)
    answer = json.loads(await connection.recv())
    assert answer["type"] == "ack"
    return answer


async def request(
    server: Server, path: str = "/", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower case) and body of a plain request, byte by byte as given."""
    host, port = address(server)
    reader, writer = await asyncio.open_connection(host, port)
    headers = {"Host": f"{host}:{port}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    top, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = top.decode().split("\r\n")
    pairs = (line.split(": ", 1) for line in rest)
    return int(first.split()[1]), {name.lower(): value for name, value in pairs}, body


async def stalled(server: Server, path: str = "/live") -> socket.socket:
    """A viewer that completes its handshake and never reads another byte."""
    host, port = address(server)
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await loop.sock_connect(sock, (host, port))
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n"
    )
    await loop.sock_sendall(sock, request.encode())
    answer = await loop.sock_recv(sock, 12)
    assert answer == b"HTTP/1.1 101"
    return sock


async def sock_tell(sock: socket.socket, message: p.FromViewer) -> None:
    """A masked text frame, by hand."""
    payload = p.encode(message).encode()
    size = len(payload)
    header = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    await asyncio.get_running_loop().sock_sendall(sock, header + bytes(4) + payload)
