"""What the page says of the sources, in a real Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.web.conftest import WITHIN_S, Served, waves

expect.set_options(timeout=1000 * WITHIN_S)

SOURCES = [
    {"name": "replay plant.csv", "state": "running", "detail": "row 7"},
    {"name": "mqtt", "state": "waiting", "detail": "broker:1883, connection refused"},
    {"name": "stdin", "state": "ended", "detail": "after 3 rows"},
    {"name": "follow a.csv", "state": "failed", "detail": "a.csv: not a table"},
]


def with_sources(page: Any) -> None:
    """Let the server say that it has these."""

    def pass_on(socket: Any) -> None:
        server = socket.connect_to_server()

        def say(message: str | bytes) -> None:
            if isinstance(message, str) and '"type":"status"' in message:
                message = json.dumps(json.loads(message) | {"sources": SOURCES})
            socket.send(message)

        server.on_message(say)

    page.route_web_socket(re.compile("/live$"), pass_on)


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (1440, ["replay plant.csv", "mqtt", "stdin", "follow a.csv"]),
        (390, ["mqtt", "follow a.csv"]),  # where there is little room, what needs somebody
    ],
)
def test_a_source_that_does_not_run_says_why(
    served: Served, open_page: Callable[..., Any], width: int, told: list[str]
) -> None:
    served.send(*waves(f"boiler/source {width}", 20))
    page = open_page(
        served.url + f"/#stream=boiler/source {width}",
        before=with_sources,
        viewport={"width": width, "height": 800},
    )
    sources = page.locator(".source:visible")
    expect(sources).to_have_count(len(told))
    texts = sources.all_inner_texts()
    assert [text for text, name in zip(texts, told, strict=True) if not text.startswith(name)] == []
    small = dict(
        zip(told, sources.evaluate_all("all => all.map(s => s.children.length)"), strict=True)
    )
    assert small == {name: int(name != "replay plant.csv") for name in told}
    expect(page.locator('[data-state="waiting"] small')).to_have_text(
        "waiting: broker:1883, connection refused"
    )
    expect(page.locator('[data-state="failed"] small')).to_have_text("failed: a.csv: not a table")
    expect(page.locator('[data-state="ended"] small')).to_have_text("ended")
