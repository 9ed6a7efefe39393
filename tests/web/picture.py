"""Takes README's picture: the demo as a new user sees it after half a minute.

    python -m tests.web.picture [docs/page.png]

The picture is small enough for the repository: 250 kB at most.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.web.conftest import FLAGS, chromium

MOST_BYTES = 250_000
SHOWN = "/#stream=weather/newark&lines=c0,c1&zone=utc&theme=light"
WATCHED_S = 30


def take(path: Path) -> None:
    main = "from streamrnn_server.cli import main; main()"
    command = [sys.executable, "-c", main, "demo", "--no-open", "--port", "0"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert demo.stdout is not None
        url = demo.stdout.readline().split("/ ")[0]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(
                viewport={"width": 1280, "height": 760}, device_scale_factor=1.25
            )
            page.goto(url + SHOWN)
            expect(page.locator("#chart canvas")).to_be_visible(timeout=60_000)
            page.wait_for_timeout(1000 * WATCHED_S)
            page.screenshot(path=path)
    finally:
        demo.terminate()
        demo.wait()
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{path} has {size} bytes, expected at most {MOST_BYTES}")


if __name__ == "__main__":
    take(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/page.png"))
