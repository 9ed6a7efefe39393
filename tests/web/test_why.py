"""What carries a forecast, as the page tells it, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.web.conftest import WITHIN_S, Served, waves

expect.set_options(timeout=1000 * WITHIN_S)


def numbers(text: str) -> list[float]:
    """All numbers of a text; the page writes them with a real minus."""
    return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text.replace("\u2212", "-"))]


def look(served: Served, open_page: Callable[..., Any], key: str, rows: int, **options: Any) -> Any:
    """The page at what carries the forecasts of a stream, when all its samples are predicted."""
    served.send(*waves(key, rows))
    page = open_page(served.url + f"/#stream={key}", **options)
    expect(page.locator("#now-value")).not_to_have_text("\u2013")
    served.sample(key, rows - 1)
    page.click("#tab-why")
    expect(page.locator("#why-all")).to_be_visible()
    return page


def asked(page: Any) -> list[str]:
    """What the page says to the server from now on about explanations."""
    said: list[str] = []

    def heard(socket: Any) -> None:
        socket.on("framesent", lambda frame: said.append(frame) if "explain" in frame else None)

    page.on("websocket", heard)
    return said


def test_the_page_tells_what_the_server_says(served: Served, open_page: Callable[..., Any]) -> None:
    page = look(served, open_page, "boiler/why", 400)
    told = served.explanation("boiler/why")
    # waves() come every minute: 12 steps are 12 minutes
    expect(page.locator("#why-at")).to_contain_text("12 steps ahead, 12\u202fmin: off by")
    steps, minutes, error, share, stayed = numbers(page.locator("#why-at").inner_text())[:5]
    assert (steps, minutes) == (12, 12)
    assert error == pytest.approx(told.error[-1], abs=0.00051)  # three decimals
    assert stayed == pytest.approx(told.persistence[-1], abs=0.00051)
    assert share == pytest.approx(100 * (1 - told.error[-1] / told.persistence[-1]), abs=0.5)
    rows = page.locator("#why-members tbody tr")
    assert rows.locator("th span").all_inner_texts() == list(told.members)
    for row, weights in zip(rows.all(), told.members.values(), strict=True):
        shown = [numbers(text)[0] for text in row.locator(".number").all_inner_texts()]
        assert shown == pytest.approx(weights, abs=0.0051)  # two decimals
    assert ("cycle of" in page.locator("#why-cycle").inner_text()) == (told.period > 0)


def test_the_parts_add_up_to_the_forecast(served: Served, open_page: Callable[..., Any]) -> None:
    page = look(served, open_page, "boiler/parts", 300)
    group, newest = served.sample("boiler/parts", 299)
    ahead = {o.ahead: newest.y[k, -1] for k, o in enumerate(group.outputs) if o.kind == "forecast"}
    rows = page.locator("#why-parts tbody tr")
    expect(rows.last.locator("th span")).to_have_text("together")
    texts = rows.locator(".number").all_inner_texts()
    assert all(text.endswith("\u202f°C") for text in texts)
    near, far = (numbers(text)[0] for text in texts[-2:])
    assert near == pytest.approx(ahead[1] - newest.x[0, -1], abs=0.006)
    assert far == pytest.approx(ahead[12] - newest.x[0, -1], abs=0.006)


def test_keys_choose_the_distance(served: Served, open_page: Callable[..., Any]) -> None:
    page = look(served, open_page, "boiler/distance", 200)
    slider = page.get_by_role("slider", name="steps ahead")
    expect(slider).to_have_attribute("aria-valuenow", "12")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator("#why-at")).to_contain_text("1 step ahead, 60\u202fs: off by")
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuenow", "2")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^2 steps ahead, 2\u202fmin"))
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuenow", "12")


def test_it_follows_the_stream_and_stands_still_when_paused(
    served: Served, open_page: Callable[..., Any]
) -> None:
    page = look(served, open_page, "boiler/follows", 200)
    together = page.locator("#why-parts tbody tr").last.locator(".number").last
    before = together.inner_text()
    served.send(*waves("boiler/follows", 5, start=200))
    expect(together).not_to_have_text(before)
    page.click("#why-at")  # the focus is on the tab, which the space bar would press
    page.keyboard.press("Space")
    before = together.inner_text()
    served.send(*waves("boiler/follows", 7, start=205))
    expect(page.locator("#badge")).to_have_text("7")
    assert together.inner_text() == before
    page.keyboard.press("Space")
    expect(together).not_to_have_text(before)


def test_nothing_is_asked_for_unless_somebody_looks(
    served: Served, open_page: Callable[..., Any]
) -> None:
    said: list[list[str]] = []
    served.send(*waves("boiler/quiet", 100))
    url = served.url + "/#stream=boiler/quiet"
    page = open_page(url, before=lambda page: said.append(asked(page)))
    served.send(*waves("boiler/quiet", 5, start=100))
    expect(page.locator("#now-about")).to_contain_text("measured")
    page.wait_for_function("() => performance.now() > 2500")  # two statuses have been drawn
    assert said == [[]]
    page.click("#tab-why")
    expect(page.locator("#why-all")).to_be_visible()
    assert len(said[0]) > 0
    page.click("#tab-forecast")
    expect(page.locator("#chart canvas")).to_be_visible()
    count = len(said[0])
    served.send(*waves("boiler/quiet", 1, start=105))
    later = page.evaluate("performance.now()") + 1500
    page.wait_for_function("later => performance.now() > later", arg=later)
    assert len(said[0]) == count


def test_a_step_that_cannot_say_has_no_such_tab(
    served: Served, open_page: Callable[..., Any]
) -> None:
    served.send({"stream": "many/plain", "level": 1.0})
    page = open_page(served.url + "/#stream=many/plain&view=why")
    expect(page.locator("#tab-forecast")).to_have_attribute("aria-selected", "true")
    assert page.locator("#tab-why").is_hidden() and page.locator("#why").is_hidden()


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_it_is_not_wider_than_the_screen(
    served: Served, open_page: Callable[..., Any], width: int
) -> None:
    size = {"width": width, "height": 800}
    page = look(served, open_page, f"boiler/wide {width}", 200, viewport=size)
    assert page.locator("#why").evaluate("e => e.scrollWidth <= e.clientWidth")
