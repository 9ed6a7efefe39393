"""What the page costs the browser: sizes, first frame, script a frame, memory, and a hidden tab.

    python -m tests.bench.page [--minutes 10]

The marks: the script at most 120 kB before compression (the views that are opened later, and
/sense, come on top); the first picture within 300 ms of the address; under 4 ms of script a frame
with 20 series drawn; memory that does not grow; nothing for a tab that nobody sees.

A server of its own has a stream of 20 channels at 50 Hz and 1000 streams at 1 Hz. Chromium draws
without a graphics card here, so that frames are rarer than on a desk; script is what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
from playwright.sync_api import Page, expect, sync_playwright
from streamrnn_server.app import Server, Settings

import streamrnn as srnn
from streamrnn.streams import Pipeline, Rule
from tests.leaky import Leaky
from tests.web.conftest import BUNDLE, FLAGS, WITHIN_S, chromium

SERIES, SERIES_HZ = 20, 50
CHANNELS = tuple(f"v{c}" for c in range(SERIES))
STREAMS = 1000
LOADS = 10
WATCHED_S = 20.0
HIDDEN_S = 10.0
ALL = ",".join(f"c{c}" for c in range(SERIES))

# Notes when the first picture has been shown, and how long each frame's script takes.
NOTED = """
window.frames_ms = [];
const ask = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (draw) => ask((now) => {
  const begun = performance.now();
  draw(now);
  frames_ms.push(performance.now() - begun);
  if (window.first_ms === undefined && document.querySelector("body[data-face=live] canvas")) {
    window.first_ms = NaN;
    ask(() => (window.first_ms = performance.now()));
  }
});
"""
HIDE = """() => {
  window.requestAnimationFrame = () => 0;  // as of a hidden tab
  Object.defineProperty(document, "hidden", { get: () => true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def serve() -> None:
    """The server, until it is killed; prints its address."""
    rules = [
        Rule("twenty", lambda names: srnn.Detector(len(names)), CHANNELS, ("V",) * SERIES),
        Rule("many/*", lambda names: Leaky(1), ("level",), ("m",)),
    ]
    keys = [f"many/{n}" for n in range(STREAMS)]
    async with Server(Pipeline(rules), settings=Settings(port=0)) as server:
        await server.ready()
        begun = time.time()
        for tick in range(10**9):
            if tick == SERIES_HZ:  # a second of them is there
                print(server.url, flush=True)
            angle = 0.02 * tick
            values = [math.sin(angle * (1 + c / SERIES)) for c in range(SERIES)]
            server.pipeline.take("twenty", values, begun + tick / SERIES_HZ)
            for key in keys[tick % SERIES_HZ :: SERIES_HZ]:
                server.pipeline.take(key, [angle])
            await asyncio.sleep(max(0.0, begun + tick / SERIES_HZ - time.time()))


def sizes() -> None:
    print(f"load of the machine, processes on {os.cpu_count()} cores: {os.getloadavg()[0]:.1f}")
    print("script, before compression")
    for name, about in (
        ("app.js", "the page; mark: 120 000"),
        ("app.css", ""),
        ("views.js", "loaded with the first view that needs it"),
        ("sense.js", "/sense"),
    ):
        print(f"  {name:10}{(BUNDLE.parent / name).stat().st_size:8} bytes  {about}")


def spent_ms(session: Any, on: str = "ScriptDuration") -> float:
    """What the page's thread has spent on something so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    seconds: float = next(m["value"] for m in metrics if m["name"] == on)
    return 1000 * seconds


def watched(page: Page) -> Any:
    """A session that counts the thread's own time, in which others' work does not show."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    return session


def first_picture(browser: Any, url: str) -> None:
    times, own = [], []
    for _ in range(LOADS):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(NOTED)
        session = watched(page)
        page.goto(url)
        page.wait_for_function("() => window.first_ms > 0")
        own.append(spent_ms(session, "TaskDuration"))
        times.append(page.evaluate("first_ms"))
        page.close()
    best, median, worst = min(times), float(np.median(times)), max(times)
    print(
        f"first picture after the address: best {best:.0f} ms, median {median:.0f}, "
        f"worst {worst:.0f} of {LOADS}; mark: 300; work of the page's thread until it is noticed: "
        f"best {min(own):.0f} ms"
    )


def frames(page: Page, about: str) -> None:
    session = watched(page)
    page.evaluate("() => { window.frames_ms.length = 0; }")
    before = spent_ms(session)
    page.wait_for_timeout(1000 * WATCHED_S)
    spent = spent_ms(session) - before
    found = np.array(page.evaluate("frames_ms"))
    session.detach()
    p50, p95, p99 = np.quantile(found, [0.5, 0.95, 0.99])
    print(
        f"script a frame, {about}: {spent / len(found):.2f} ms of the processor (mark: 4); by the "
        f"clock p50 {p50:.2f} ms, p95 {p95:.2f}, p99 {p99:.2f}, of {len(found) / WATCHED_S:.0f} "
        "frames a second"
    )


def heap_mb(page: Page) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    session.detach()
    return used


def memory(page: Page, minutes: int) -> None:
    found = []
    for _ in range(minutes + 1):
        page.evaluate("() => { window.frames_ms.length = 0; }")
        found.append(heap_mb(page))
        if len(found) <= minutes:
            page.wait_for_timeout(60_000)
    print("memory by the minute, MB:", " ".join(f"{value:.1f}" for value in found))


def hidden(page: Page) -> None:
    received = 0

    def count(_: Any) -> None:
        nonlocal received
        received += 1

    session = watched(page)
    session.on("Network.webSocketFrameReceived", count)
    session.send("Network.enable")
    page.evaluate(HIDE)
    page.wait_for_timeout(2000)
    received, before = 0, spent_ms(session)
    page.wait_for_timeout(1000 * HIDDEN_S)
    spent = spent_ms(session) - before
    print(
        f"hidden: {received / HIDDEN_S:.1f} messages a second (its status), "
        f"{spent / HIDDEN_S:.2f} ms of script a second"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=2, help="for memory; the mark is of 10")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        return asyncio.run(serve())
    sizes()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.page", "--serve"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert url, "the server did not start; what it says is above"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            first_picture(browser, f"{url}/#stream=twenty")
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.add_init_script(NOTED)
            page.goto(f"{url}/#stream=twenty&lines={ALL}&window=600")
            expect(page.locator("#chart canvas")).to_be_visible(timeout=1000 * WITHIN_S)
            page.wait_for_timeout(1000 * WATCHED_S)
            frames(page, f"{SERIES} series, {STREAMS} streams in the list")
            memory(page, given.minutes)
            hidden(page)
            browser.close()
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
