"""/sense in a real Chromium whose pointer moves."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect
from streamrnn_server import binary, protocol
from streamrnn_server.build import build
from websockets.sync.client import connect

from tests.web.conftest import BUNDLE, WITHIN_S, Served
from tests.web.test_page import GONE

expect.set_options(timeout=1000 * WITHIN_S)

READY = "body[data-face=ready]"
RADIANS_PER_S = 3.0
SMALL = {"width": 480, "height": 420}

# For each frame whether the middle of what is blue, the forecast, lies ahead of the point as it
# moves: its way since the frame before times the way from the point to that middle.
WATCH = """() => {
  const pad = document.getElementById("sense-pad"), canvas = pad.querySelector("canvas");
  let point = null, before = null;
  window.found = [];
  pad.addEventListener("pointermove", ({ offsetX, offsetY }) => (point = [offsetX, offsetY]));
  const look = () => {
    requestAnimationFrame(look);
    if (point === null || before === null || point === before) return (before = point);
    const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let [n, x, y] = [0, 0, 0];
    for (let at = 0; at < data.length; at += 4) {
      if (data[at + 3] === 0 || data[at + 2] < data[at] + 60) continue;
      n++;
      x += (at / 4) % width;
      y += Math.floor(at / 4 / width);
    }
    const way = point.map((value, k) => value - before[k]);
    if (n > 0) window.found.push(way[0] * (x / n - point[0]) + way[1] * (y / n - point[1]));
    before = point;
  };
  look();
}"""


def around(page: Any, turns: float, begin: float = 0.0) -> float:
    """Moves the mouse in circles, as fast on any machine; returns the angle where it is then."""
    box = page.locator("#sense-pad").bounding_box()
    radius = 0.35 * min(box["width"], box["height"])
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    angle, started = begin, time.perf_counter()
    while angle < begin + turns * 2 * math.pi:
        angle = begin + RADIANS_PER_S * (time.perf_counter() - started)
        page.mouse.move(middle[0] + radius * math.cos(angle), middle[1] + radius * math.sin(angle))
    return angle


def samples(served: Served, key: str) -> tuple[protocol.Group, binary.Chunk]:
    """All that the server has of a stream."""
    url = served.url.replace("http", "ws") + "/live"
    subprotocol = [protocol.SUBPROTOCOL]
    with connect(url, subprotocols=subprotocol, compression=None, proxy=None) as socket:  # type: ignore[arg-type]
        hello = protocol.decode_control(str(socket.recv(WITHIN_S)))
        assert isinstance(hello, protocol.Hello)
        stream = next(stream for stream in hello.streams if stream.key == key)
        socket.send(protocol.encode(protocol.Watch([protocol.WatchStream(stream.id)])))
        while True:
            message = socket.recv(WITHIN_S)
            frame = binary.decode_binary(message) if isinstance(message, bytes) else None
            if isinstance(frame, binary.Samples):
                return hello.groups[stream.group], frame.chunks[0]


def test_the_forecast_lies_ahead_of_the_pointer(
    served: Served, open_page: Callable[..., Any]
) -> None:
    page = open_page(served.url + "/sense#theme=light", expected=("getImageData",), viewport=SMALL)
    expect(page.locator(READY)).to_be_attached()
    expect(page.locator("#sense-hint")).to_be_visible()
    angle = around(page, 3)
    expect(page.locator("#sense-hint")).to_be_hidden()
    page.evaluate(WATCH)
    while page.evaluate("found.length") < 60:
        angle = around(page, 1, angle)
    found = np.array(page.evaluate("found"))
    # Behind the pointer by the time it takes to come back, where it would lie if it said that the
    # pointer stays where it was, it would be ahead in none.
    assert (found > 0).mean() > 0.6
    error = page.locator("#sense-error").inner_text()
    ours, _, stayed, better = re.findall(r"\d+(?:\.\d)?", error)
    assert "% better" in error and float(ours) < float(stayed) and float(better) > 0
    expect(page.locator("#twin")).to_contain_text("percent from the left")
    expect(page.locator("#sense-reach")).to_have_text("at rest, nothing is sent")


def test_arrow_keys_move_the_point(served: Served, open_page: Callable[..., Any]) -> None:
    page = open_page(served.url + "/sense", viewport=SMALL)
    expect(page.locator(READY)).to_be_attached()
    page.focus("#sense-pad")
    page.keyboard.down("ArrowRight")
    expect(page.locator("#sense-reach")).to_contain_text("beyond now")
    page.keyboard.up("ArrowRight")
    expect(page.locator("#sense-reach")).to_have_text("at rest, nothing is sent")
    key = page.locator("#sense-stream").inner_text()
    assert re.fullmatch(r"sense/\d+/x", key)
    group, x = samples(served, key)
    assert [channel.name for channel in group.channels] == ["x", "y"]
    assert (np.diff(x.x[0]) >= 0).all() and x.x[0, -1] > 0.55  # from the middle to the right
    assert x.x[1] == pytest.approx(0.5)
    np.testing.assert_allclose(np.diff(x.t), 1 / 60, atol=2e-4)  # sent with four decimals
    group, y = samples(served, key[:-1] + "y")
    assert [channel.name for channel in group.channels] == ["y", "x"]
    assert y.t.tolist() == x.t.tolist() and y.x[::-1].tolist() == x.x.tolist()


def test_visitors_have_places_of_their_own(served: Served, open_page: Callable[..., Any]) -> None:
    keys = []
    for _ in range(3):
        page = open_page(served.url + "/sense", viewport=SMALL)
        expect(page.locator(READY)).to_be_attached()
        around(page, 0.2)
        expect(page.locator("#sense-stream")).to_be_visible()
        keys.append(page.locator("#sense-stream").inner_text())
        page.reload()  # the same visitor
        expect(page.locator("#sense-stream")).to_have_text(keys[-1])
    assert len(set(keys)) == 3


def test_somebody_else_in_the_same_place_makes_it_another(
    served: Served, open_page: Callable[..., Any]
) -> None:
    page = open_page(served.url + "/sense", viewport=SMALL)
    expect(page.locator(READY)).to_be_attached()
    angle = around(page, 0.2)
    stream = page.locator("#sense-stream")
    expect(stream).to_be_visible()
    before = stream.inner_text()
    served.send({"stream": before, "x": 0.1, "y": 0.2})
    around(page, 0.2, angle)
    expect(stream).not_to_have_text(before)
    expect(stream).to_be_visible()


def test_a_server_with_a_token_asks_for_it(
    own_server: Callable[..., Served], open_page: Callable[..., Any]
) -> None:
    server = own_server(token="correct horse battery")
    page = open_page(server.url + "/sense", viewport=SMALL, expected=("WebSocket",))
    expect(page.locator("#token-reason")).to_have_text("this server asks for a token")
    page.fill("#token", "correct horse battery")
    page.click("#token-form button")
    expect(page.locator(READY)).to_be_attached()
    around(page, 0.2)
    expect(page.locator("#sense-stream")).to_be_visible()


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("boiler/*", "no rule is for this stream; the patterns are boiler/*"),
        ("sense/?*", "/x is not forecast here"),  # by a step that does something else
    ],
)
def test_a_server_that_does_not_forecast_it_says_what_to_add(
    own_server: Callable[..., Served],
    open_page: Callable[..., Any],
    tmp_path: Path,
    pattern: str,
    why: str,
) -> None:
    server = own_server(pattern=pattern)
    page = open_page(server.url + "/sense", viewport=SMALL)
    expect(page.locator(READY)).to_be_attached()
    around(page, 0.2)
    expect(page.locator("#sense-face h2:visible")).to_have_text(
        "This server does not forecast the point"
    )
    expect(page.locator(".sense-error:visible")).to_contain_text(why)
    path = tmp_path / "added.toml"
    path.write_text(page.locator("#config").inner_text())
    (rule,) = build(path).pipeline.rules
    assert rule.match == "sense/*"
    assert rule.step(("x", "y")).horizon == 24


def test_it_goes_on_when_the_server_has_the_rule(
    own_server: Callable[..., Served], open_page: Callable[..., Any]
) -> None:
    server = own_server(pattern="many/*")
    page = open_page(server.url + "/sense", viewport=SMALL, expected=GONE)
    expect(page.locator(READY)).to_be_attached()
    angle = around(page, 0.2)
    expect(page.locator(".sense-error:visible")).to_contain_text("no rule is for this stream")
    server.kill()
    server.pattern = "*"
    server.again()
    expect(page.locator(READY)).to_be_attached()
    while page.locator("#sense-stream").is_hidden():  # it may take a second until it sends again
        angle = around(page, 0.2, angle)


def test_a_server_that_takes_nothing_says_why(
    served: Served, open_page: Callable[..., Any]
) -> None:
    full = True

    def route(page: Any) -> None:
        def pass_on(socket: Any) -> None:
            if full:
                socket.close(code=1013, reason="100 senders are connected; see limits.senders")
            else:
                socket.connect_to_server()

        page.route_web_socket(re.compile("/ingest$"), pass_on)

    page = open_page(served.url + "/sense", viewport=SMALL, before=route)
    expect(page.locator(".sense-error:visible")).to_have_text(
        "100 senders are connected; see limits.senders"
    )
    full = False
    page.click("#sense-face .again:visible")
    expect(page.locator(READY)).to_be_attached()
    around(page, 0.3)
    expect(page.locator("#sense-stream")).to_be_visible()


def test_it_goes_on_when_the_server_comes_back(
    own_server: Callable[..., Served], open_page: Callable[..., Any]
) -> None:
    server = own_server()
    page = open_page(server.url + "/sense", viewport=SMALL, expected=GONE)
    expect(page.locator(READY)).to_be_attached()
    angle = around(page, 0.2)
    expect(page.locator("#sense-stream")).to_be_visible()
    server.kill()
    expect(page.locator("#sense-gone")).to_contain_text("Gone since")
    server.again()
    expect(page.locator(READY)).to_be_attached()
    around(page, 0.5, angle)
    expect(page.locator("#sense-stream")).to_be_visible()


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_it_is_not_wider_than_the_screen(
    served: Served, open_page: Callable[..., Any], width: int
) -> None:
    page = open_page(served.url + "/sense", viewport={"width": width, "height": 800})
    expect(page.locator(READY)).to_be_attached()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#sense-pad").bounding_box()["height"] > 400


def test_its_script_keeps_its_budget() -> None:
    script = BUNDLE.parent / "sense.js"
    if not script.exists():
        pytest.skip("the page is not built")
    assert script.stat().st_size <= 24_000
