"""The past on the page: a journal's samples, at whatever stretch of time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Served, waves

SERVE = """
import asyncio, sys
from streamrnn_server.build import build
asyncio.run(build(sys.argv[1]).run(lambda server: print(server.url, flush=True)))
"""
CONFIG = '[server]\nport = 0\n[[streams]]\nmatch = "*"\nforecast = true\n'


class Kept(Served):
    """A server with a journal."""

    def __init__(self, folder: Path, journal: str) -> None:
        self.config = folder / "plant.toml"
        self.config.write_text(CONFIG + journal)
        super().__init__()

    def start(self, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(self.config)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Callable[[str], Kept]]:
    servers: list[Kept] = []

    def start(journal: str) -> Kept:
        servers.append(Kept(tmp_path, journal))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


def test_the_whole_past_is_shown_and_can_be_looked_into(
    kept: Callable[[str], Kept], open_page: Callable[..., Any]
) -> None:
    server = kept("[journal]\n")
    server.send(*waves("boiler", 3000))
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    server = kept("[journal]\n")  # what is shown was there before this one
    page = open_page(f"{server.url}/#stream=boiler&view=past&zone=utc")
    about = page.locator("#past-about")
    # waves(): 20 + 5 sin + 0.3 sin, a minute apart from 14 November 2023 22:13:20 on
    expect(about).to_have_text(re.compile(r"^3\.00k samples, temp 14\.\d+ to 25\.\d+$"))
    expect(page.locator("#past-from")).to_have_text("14\u202fNov\u202f2023 22:13")
    expect(page.locator("#past-to")).to_have_text("17\u202fNov\u202f2023 00:12")
    for _ in range(5):
        page.click("#past-in")
    expect(about).to_have_text(re.compile(r"^9[34]\.?\d* samples, temp "))
    middle = page.locator("#past-from").inner_text()
    page.locator("#past-chart").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#past-from")).not_to_have_text(middle)
    expect(about).to_have_text(re.compile(r"^9[34]\.?\d* samples, temp "))
    page.keyboard.press("Home")
    expect(about).to_have_text(re.compile(r"^3\.00k samples, temp "))
    inked = page.evaluate(
        """() => {
            const canvas = document.querySelector("#past-chart canvas");
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return data.filter((value, k) => k % 4 === 3 && value > 200).length / width;
        }"""
    )
    assert inked > 5  # of each column some pixels are drawn


def test_without_a_journal_the_page_says_so(
    kept: Callable[[str], Kept], open_page: Callable[..., Any]
) -> None:
    server = kept("")
    server.send(*waves("boiler", 30))
    page = open_page(
        f"{server.url}/#stream=boiler&view=past", expected=("status of 404 (Not Found)",)
    )
    says = "there is no journal; see [journal] in docs/serve.md"
    expect(page.locator("#past-about")).to_have_text(says)
    expect(page.locator("#past-tools")).to_be_hidden()
