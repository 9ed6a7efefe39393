"""The picture of a stream, and "How it works", in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from streamrnn_server.example import example

from tests.web.conftest import BUNDLE, WITHIN_S, Served

expect.set_options(timeout=1000 * WITHIN_S)

# Colours in the middle of the cells of 2 x 2 pixels, as [red, green, blue]
CELLS = """canvas => [0.25, 0.75].map(y => [0.25, 0.75].map(x => Array.from(canvas.getContext("2d")
  .getImageData(x * canvas.width, y * canvas.height, 1, 1).data.slice(0, 3))))"""
PAPER, INK = [251, 251, 249], [27, 31, 36]  # style.css, light


def send_image(served: Served, key: str, step: int) -> None:
    served.send({"stream": key, "t": 1.7e9 + step, "x": [step, 1, 0, 1]})


def test_the_picture_is_what_the_rule_drew(served: Served, open_page: Callable[..., Any]) -> None:
    send_image(served, "image/1", 0)
    page = open_page(served.url + "/#stream=image/1&theme=light", expected=("getImageData",))
    expect(page.locator("#tab-picture")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#picture-text")).to_have_text("ye")
    expect(page.locator("#picture-truth")).to_have_text("should become yes")
    expect(page.locator("#picture-step")).to_have_text(
        "step 1 of its sequence: reads, says nothing yet"
    )
    upper, lower = page.locator("#picture-canvas").evaluate(CELLS)
    assert upper == [PAPER, INK]
    assert lower[0] == pytest.approx(PAPER, abs=1) and INK < lower[1] < PAPER  # not read yet: pale
    shares = page.locator("#picture-likely .share").all_inner_texts()
    assert shares == ["75\u202f%", "25\u202f%"]
    send_image(served, "image/1", 3)
    expect(page.locator("#picture-text")).to_have_text("yes")
    expect(page.locator("#picture-truth")).to_have_text("\u2713 right")
    assert page.locator("#picture-canvas").evaluate(CELLS) == [[INK, INK], [PAPER, INK]]
    assert page.locator("#picture-canvas").get_attribute("aria-labelledby") == "picture-text"


def test_a_paused_picture_stands_still(served: Served, open_page: Callable[..., Any]) -> None:
    send_image(served, "image/paused", 0)
    page = open_page(served.url + "/#stream=image/paused")
    expect(page.locator("#picture-text")).to_have_text("ye")
    page.keyboard.press("Space")
    send_image(served, "image/paused", 3)
    expect(page.locator("#badge")).to_have_text("1")
    expect(page.locator("#picture-text")).to_have_text("ye")
    page.keyboard.press("Space")
    expect(page.locator("#picture-text")).to_have_text("yes")


def test_points_leave_a_trail(served: Served, open_page: Callable[..., Any]) -> None:
    def send(x: float, t: int) -> None:
        served.send(
            {"stream": "ball/a", "t": 1.7e9 + t, "x": x, "y": 0.5},
            {"stream": "ball/b", "t": 1.7e9 + t, "x": 0.5, "y": 0.9},
        )

    inked = """canvas => { const { width, height } = canvas;
      const box = canvas.getContext("2d")
        .getImageData(0.2 * width, 0.48 * height, 0.2 * width, 0.04 * height);
      return box.data.filter((alpha, k) => k % 4 === 3 && alpha > 0).length; }"""
    send(0.1, 0)
    page = open_page(served.url + "/#stream=ball/a", expected=("getImageData",))
    expect(page.locator("#picture-text")).to_have_text("moving")
    expect(page.locator("#twin")).to_contain_text("ball/a moving, ball/b moving")
    assert page.locator("#picture-truth").is_hidden()
    send(0.9, 1)
    canvas = page.locator("#picture-canvas").element_handle()
    page.wait_for_function(f"canvas => ({inked})(canvas) > 0", arg=canvas)


def test_the_shape_of_a_stream_lights_up_with_its_steps(
    served: Served, open_page: Callable[..., Any]
) -> None:
    send_image(served, "image/shape", 1)
    page = open_page(served.url + "/#stream=image/shape&view=how")
    own = page.locator("#shapes figure.own")
    expect(own).to_have_count(1)
    expect(own.locator("b")).to_have_text("many to one")
    expect(own.locator(".step")).to_have_text("this stream, step 2: reads, says nothing yet")
    expect(own.locator(".lit")).to_have_attribute("data-column", "1")
    send_image(served, "image/shape", 3)
    expect(own.locator(".lit")).to_have_attribute("data-column", "3")
    expect(page.locator("#shapes figure")).to_have_count(5)


def test_a_step_is_taken_slowly_with_its_numbers(
    served: Served, open_page: Callable[..., Any]
) -> None:
    send_image(served, "image/slow", 0)
    page = open_page(served.url + "/#stream=image/slow&view=how", reduced_motion="reduce")
    says, computes = page.locator("#slow-says"), page.locator("#slow-computes")
    expect(says).to_contain_text("The letter \u201ch\u201d comes in")
    expect(page.locator("#slow-play")).to_have_text("Play")  # nothing moves by itself
    page.click("#slow-next")
    expect(says).to_contain_text("Nothing was read before")
    page.click("#slow-next")
    # 0.8 x + U h + b with h = 0: 0.8 - 0.3
    expect(computes).to_contain_text(
        "a\u2081 = 0.8 \u2212 0.9 \u00b7 0.00 + 0.8 \u00b7 0.00 + 2.0 \u00b7 0.00 \u2212 0.3 = 0.50"
    )
    page.click("#slow-next")
    moment = example().moments[0]
    expect(computes).to_contain_text(f"h\u2081 = tanh(0.50) = {moment.h[0]:.2f}")
    for _ in range(2):
        page.click("#slow-next")
    expect(says).to_contain_text("it expects \u201ce\u201d")
    expect(computes).to_contain_text(f"p(e) = e^{moment.y[1]:.2f} / sum = {100 * moment.p[1]:.1f}")
    page.click("#slow-next")
    expect(says).to_contain_text("The letter \u201ce\u201d comes in")
    page.click("#slow-back")
    expect(page.locator("#slow-at")).to_have_text("letter 1 of 10, stage 6 of 6")
    page.click("#slow-play")
    expect(page.locator("#slow-at")).to_have_text(re.compile("letter 2"))


@pytest.mark.parametrize("width", [390, 820, 1440])
@pytest.mark.parametrize("view", ["how", "picture"])
def test_no_view_is_wider_than_the_screen(
    served: Served, open_page: Callable[..., Any], width: int, view: str
) -> None:
    send_image(served, "image/wide", 0)
    page = open_page(
        served.url + f"/#stream=image/wide&view={view}", viewport={"width": width, "height": 800}
    )
    expect(page.locator("#shapes .own, #picture-likely .guess").first).to_be_attached()
    box = page.locator(f"#{view}")
    assert box.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert box.bounding_box()["width"] <= width


def test_views_that_are_opened_later_keep_their_budget() -> None:
    views = BUNDLE.parent / "views.js"
    if not views.exists():
        pytest.skip("the page is not built")
    assert views.stat().st_size <= 27_000
