"""A real server and a real Chromium."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from streamrnn_server import binary, protocol
from websockets.sync.client import connect

from tests.web.tools import need

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
).split()
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WITHIN_S = 240.0  # kernels may have to be compiled first, on a busy machine
BUNDLE = Path(__file__).parent.parent.parent / "web" / "streamrnn_web" / "dist" / "app.js"


class Served:
    """tests/web/serve.py in a process of its own."""

    def __init__(self, token: str = "", pattern: str = "") -> None:
        self.token, self.pattern = token, pattern
        self.start()

    def start(self, port: int = 0) -> None:
        script = Path(__file__).parent / "serve.py"
        paths = os.pathsep.join([str(script.parent.parent.parent), *filter(None, sys.path)])
        self.process = subprocess.Popen(
            [sys.executable, script, str(port), self.token, self.pattern],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": paths},
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, "the server did not start; what it says is above"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.communicate()

    def again(self) -> None:
        """Start it anew where it was."""
        self.start(self.port)

    def send(self, *lines: object) -> list[dict[str, Any]]:
        """Send samples (bytes: as they are) and wait until they are taken; what was refused."""
        texts = [line.decode() if isinstance(line, bytes) else json.dumps(line) for line in lines]
        url = self.url.replace("http", "ws") + "/ingest"
        bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        with connect(url, additional_headers=bearer, compression=None, proxy=None) as socket:
            socket.send("\n".join(texts))
            refused: list[dict[str, Any]] = json.loads(socket.recv(WITHIN_S))["refused"]
        return refused

    def sample(self, key: str, seq: int) -> tuple[protocol.Group, binary.Chunk]:
        """What the server predicted at the newest sample of a stream, whose number must be `seq`.

        Its prediction comes a tick after the acknowledgement.
        """
        url = self.url.replace("http", "ws") + "/live"
        subprotocol = [protocol.SUBPROTOCOL]
        with connect(url, subprotocols=subprotocol, compression=None, proxy=None) as socket:  # type: ignore[arg-type]
            hello = protocol.decode_control(str(socket.recv(WITHIN_S)))
            assert isinstance(hello, protocol.Hello)
            stream = next(stream for stream in hello.streams if stream.key == key)
            watch = protocol.Watch([protocol.WatchStream(stream.id)], history=1)
            socket.send(protocol.encode(watch))
            while True:
                message = socket.recv(WITHIN_S)
                frame = binary.decode_binary(message) if isinstance(message, bytes) else None
                if isinstance(frame, binary.Samples):
                    chunk = frame.chunks[0]
                    if chunk.first + len(chunk.t) == seq + 1:
                        return hello.groups[stream.group], chunk

    def explanation(self, key: str) -> protocol.Explanation:
        """What the server says of the forecasts of a stream now."""
        url = self.url.replace("http", "ws") + "/live"
        subprotocol = [protocol.SUBPROTOCOL]
        with connect(url, subprotocols=subprotocol, compression=None, proxy=None) as socket:  # type: ignore[arg-type]
            hello = protocol.decode_control(str(socket.recv(WITHIN_S)))
            assert isinstance(hello, protocol.Hello)
            stream = next(stream.id for stream in hello.streams if stream.key == key)
            socket.send(protocol.encode(protocol.Explain(stream)))
            while True:
                message = socket.recv(WITHIN_S)
                told = protocol.decode_control(message) if isinstance(message, str) else None
                if isinstance(told, protocol.Explanation):
                    return told


def waves(key: str, n: int, *, start: int = 0) -> list[dict[str, Any]]:
    """n samples, a minute apart, of a stream with three channels."""
    return [
        {
            "stream": key,
            "t": 1_700_000_000.0 + 60 * k,
            "temp": 20 + 5 * math.sin(k / 9) + 0.3 * math.sin(7 * k),
            "load": 3 + math.cos(k / 9),
            "flow": 0.5,
        }
        for k in range(start, start + n)
    ]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    server = Served()
    yield server
    server.kill()


@pytest.fixture
def own_server() -> Iterator[Callable[..., Served]]:
    """Servers for one test, which may do with them what it likes."""
    servers: list[Served] = []

    def start(**options: Any) -> Served:
        servers.append(Served(**options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


def chromium() -> str | None:
    """A browser that playwright can drive; it brings none here."""
    return os.environ.get("STREAMRNN_CHROMIUM") or next(
        filter(None, map(shutil.which, BROWSERS)), None
    )


# By module: as long as playwright is up its event loop runs in this thread, and asyncio.run() of
# other tests would refuse to.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = need(chromium(), "a browser, from the Debian package chromium")
    need(BUNDLE.exists(), f"the page's bundle {BUNDLE.name}, which `pip install -e .` builds")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address in a fresh profile; at the end no page may have complained.

    expected  parts of complaints that the test provokes
    """
    complaints: list[str] = []
    contexts = []
    provoked: list[str] = []

    def heard(message: Any) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def open_page(
        url: str,
        *,
        expected: tuple[str, ...] = (),
        before: Callable[[Any], None] | None = None,
        **options: Any,
    ) -> Any:
        provoked.extend(expected)
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * WITHIN_S)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", heard)
        if before is not None:
            before(page)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [c for c in complaints if not any(part in c for part in provoked)] == []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A line for whatever was missing, which pytest alone tells only when asked with -rs."""
    skipped = [r for r in terminalreporter.stats.get("skipped", ()) if "tests/web" in r.nodeid]
    for reason, count in Counter(report.longrepr[2] for report in skipped).items():
        terminalreporter.write_line(f"{count} tests of the page: {reason}")
