"""The view of a text in a real Chromium: its colours, its units, and what its network writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.web.conftest import WITHIN_S, Served
from tests.web.serve import VOCABULARY

expect.set_options(timeout=1000 * WITHIN_S)

TEXT = "def greet(name)\n    say('hello' name) # politely\n" * 12
READ = "".join(c if c in VOCABULARY else " " for c in TEXT)
IDS = VOCABULARY.encode(READ).tolist()


def send(served: Served, key: str, first: int = 0, last: int = len(IDS)) -> None:
    """Characters first..last - 1 of READ, at their times."""
    rows = range(first, last)
    served.send(*({"stream": key, "t": 1.7e9 + k / 10, "x": [IDS[k]]} for k in rows))


def test_the_network_writes_on_from_the_newest_character(
    served: Served, open_page: Callable[..., Any]
) -> None:
    send(served, "text/newest")
    page = open_page(served.url + "/#stream=text/newest")
    page.select_option("#length", "200")
    page.click("#write")
    expect(page.locator("#write-state")).to_have_text("200 characters at temperature 0.8")
    prime, said = page.locator("#written span").all_text_contents()
    assert prime == READ[-60:]
    assert len(said) == 200 and set(said) <= set(VOCABULARY)


def test_at_temperature_0_the_same_point_is_written_on_in_the_same_way(
    served: Served, open_page: Callable[..., Any]
) -> None:
    send(served, "text/point")
    page = open_page(served.url + "/#stream=text/point")
    page.locator("#temperature").fill("0")
    page.select_option("#length", "200")
    page.locator("#token-pane span").nth(100).click()
    page.mouse.move(5, 5)  # elsewhere: the caret stays where it was pressed
    expect(page.locator("#write-from")).to_have_text("after the caret")
    written = []
    for _ in range(2):
        page.click("#write")
        expect(page.locator("#write-state")).to_have_text("200 characters at temperature 0.0")
        prime, said = page.locator("#written span").all_text_contents()
        assert prime == READ[41:101]
        written.append(said)
    assert written[0] == written[1] and len(written[0]) == 200
    page.keyboard.press("Escape")
    expect(page.locator("#write-from")).to_have_text("after the newest")


def test_writing_can_be_stopped(served: Served, open_page: Callable[..., Any]) -> None:
    send(served, "text/stop")
    page = open_page(served.url + "/#stream=text/stop")
    page.select_option("#length", "2000")
    page.click("#write")
    expect(page.locator("#write-state")).to_have_text(re.compile(r"^[1-9]\d* characters$"))
    page.click("#write")
    expect(page.locator("#write-state")).to_contain_text("stopped after")
    expect(page.locator("#write")).to_have_text("Write on")
    said = page.locator("#written span").last.text_content()
    before = page.locator("#now-about").inner_text()
    send(served, "text/stop", 0, 41)  # the server has had time for more
    expect(page.locator("#now-about")).not_to_have_text(before)
    assert page.locator("#written span").last.text_content() == said


def test_a_point_that_is_no_longer_kept_is_refused_in_place(
    served: Served, open_page: Callable[..., Any]
) -> None:
    def route(page: Any) -> None:
        def pass_on(socket: Any) -> None:
            server = socket.connect_to_server()
            socket.on_message(
                lambda text: server.send(re.sub('"after":[0-9]+,', '"after":99999,', text))
            )

        page.route_web_socket(re.compile("/live$"), pass_on)

    send(served, "text/gone")
    page = open_page(served.url + "/#stream=text/gone", before=route)
    page.click("#write")
    expect(page.locator("#write-state")).to_have_text(
        f"write: expected a sample of text/gone from -1 to {len(IDS) - 1}, got 99999"
    )
    expect(page.locator("#write")).to_have_text("Write on")


def test_a_reset_is_shown_where_it_happened(served: Served, open_page: Callable[..., Any]) -> None:
    send(served, "text/reset", 0, 20)
    page = open_page(served.url + "/#stream=text/reset")
    expect(page.locator("#token-pane span")).to_have_count(20)
    page.click("#reset")
    expect(page.locator("#notice")).to_contain_text(
        "the state of text/reset was put back to its beginning"
    )
    send(served, "text/reset", 20, 40)
    expect(page.locator("#token-pane span")).to_have_count(40)
    marks = page.locator("#token-pane span.after-reset")
    expect(marks).to_have_count(1)
    expect(marks).to_have_attribute("data-row", "20")


def test_surprise_colours_the_text_and_the_address_says_so(
    served: Served, open_page: Callable[..., Any]
) -> None:
    send(served, "text/surprise")
    page = open_page(served.url + "/#stream=text/surprise")
    spans = page.locator("#token-pane span")
    colour = "span => span.style.backgroundColor"
    by_unit = spans.nth(30).evaluate(colour)
    page.click("#colour button[value=surprise]")
    expect(page).to_have_url(re.compile("colour=surprise"))
    expect(page.locator("#surprise-scale")).to_be_visible()
    assert spans.nth(30).evaluate(colour) != by_unit
    again = open_page(served.url + "/#stream=text/surprise&colour=surprise")
    expect(again.locator("#colour button[value=surprise]")).to_have_attribute(
        "aria-checked", "true"
    )
    assert spans.nth(30).evaluate(colour) == again.locator("#token-pane span").nth(30).evaluate(
        colour
    )
    again.locator(".unit-cell").nth(3).click()  # a unit that is chosen colours
    expect(again.locator("#colour button[value=unit]")).to_have_attribute("aria-checked", "true")


def test_units_that_follow_something_are_listed_and_choose_themselves(
    served: Served, open_page: Callable[..., Any]
) -> None:
    page = open_page(served.url + "/#stream=text/follows")
    send(served, "text/follows", 0, 1)
    expect(page.locator("#token-pane span")).to_have_count(1)
    for k in range(1, len(IDS)):  # units come only with what is read while somebody looks
        send(served, "text/follows", k, k + 1)
    button = page.locator("#follows li", has_text="inside quotes").locator("button").first
    expect(button).to_be_visible()
    name = button.get_attribute("aria-label")
    assert re.fullmatch(
        r"unit \d+: correlation .?0\.\d\d with inside quotes, over \d+ characters", name
    )
    button.click()
    unit = button.get_attribute("data-unit")
    expect(page).to_have_url(re.compile(f"unit={unit}$"))
    expect(page.locator("#unit-about")).to_contain_text(f"unit {unit}")
    expect(page.locator("#units p")).to_have_text(["layer 1, 16 units", "layer 2, 16 units"])


def test_on_a_phone_the_newest_text_is_in_view(
    served: Served, open_page: Callable[..., Any]
) -> None:
    send(served, "text/phone")
    page = open_page(served.url + "/#stream=text/phone", viewport={"width": 390, "height": 844})
    expect(page.locator("#token-pane .text-line").nth(23)).to_be_in_viewport()
    height = page.locator("#token-pane").bounding_box()["height"]
    assert abs(height - 0.4 * 844) < 1  # whole pixels
