"""The page in a real Chromium, beside a real server."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.web.conftest import BUNDLE, WITHIN_S, Served, waves

expect.set_options(timeout=1000 * WITHIN_S)

# Chromium's own words on a dead server
GONE = ("ERR_CONNECTION_REFUSED", "WebSocket connection to")


def number(text: str) -> float:
    return float(text.replace("\u2212", "-"))


def shows(page: Any, selector: str, value: float) -> None:
    """The element comes to show `value`, rounded to any number of decimals."""
    texts = {f"{value:.{decimals}f}".replace("-", "\u2212") for decimals in range(7)}
    expect(page.locator(selector)).to_have_text(
        re.compile(f"^({'|'.join(map(re.escape, texts))})$")
    )


def saved_rows(page: Any) -> list[dict[str, str]]:
    """The window as CSV."""
    with page.expect_download() as download:
        page.click("#save-csv")
    with open(download.value.path(), newline="") as file:
        return list(csv.DictReader(file))


def test_the_chart_moves_when_samples_come(served: Served, open_page: Callable[..., Any]) -> None:
    served.send(*waves("boiler/moves", 120))
    page = open_page(served.url + "/#stream=boiler/moves")
    expect(page.locator("#link-word")).to_have_text("live")
    expect(page.locator("#now-value")).not_to_have_text("\u2013")
    canvases = page.locator("#chart canvas"), page.locator("#heatmap canvas")
    before = [canvas.screenshot() for canvas in canvases]
    value = page.locator("#now-value").inner_text()
    served.send(*waves("boiler/moves", 20, start=120))
    expect(page.locator("#now-value")).not_to_have_text(value)
    after = [canvas.screenshot() for canvas in canvases]
    assert before[0] != after[0] and before[1] != after[1]


def test_values_are_those_that_the_server_computed(
    served: Served, open_page: Callable[..., Any]
) -> None:
    served.send(*waves("boiler/values", 200))
    page = open_page(served.url + "/#stream=boiler/values&zone=utc")
    group, newest = served.sample("boiler/values", 199)
    y = {(output.kind, output.ahead): newest.y[k, -1] for k, output in enumerate(group.outputs)}
    shows(page, "#now-value", newest.x[0, -1])
    shows(page, "#next-value", y["forecast", 1])
    shows(page, "#error-value", y["error", 1])
    assert page.locator("#now-unit").inner_text() == "°C"
    expect(page.locator("#now-about")).to_have_text(re.compile(r"measured · 15.Nov.2023 01:32"))
    interval = page.locator("#next-about").inner_text().partition("%")[2]
    assert [number(text) for text in interval.split("to")] == pytest.approx(
        [y["lower", 1], y["upper", 1]], abs=0.006
    )
    rows = saved_rows(page)
    for name, output in zip(list(rows[-1])[5:], range(len(group.outputs)), strict=True):
        assert rows[-1][name] == "" or float(rows[-1][name]) == newest.y[output, -1]


def test_the_forecast_of_a_sample_is_the_one_made_before_it(
    served: Served, open_page: Callable[..., Any]
) -> None:
    served.send(*waves("boiler/shift", 150))
    page = open_page(served.url + "/#stream=boiler/shift")
    shows(page, "#now-value", served.sample("boiler/shift", 149)[1].x[0, -1])
    before, last = saved_rows(page)[-2:]
    said = page.locator("#readout").inner_text()
    forecast = number(re.search(r"forecast was ([\u2212\d.]+)", said)[1])  # type: ignore[index]
    first = next(name for name in before if name not in ("seq", "time") and "(" not in name)
    assert forecast == pytest.approx(float(before[first]), abs=0.006)
    assert forecast != pytest.approx(float(last[first]), abs=0.006)


def test_a_killed_server_comes_back_and_the_page_goes_on(
    own_server: Callable[..., Served], open_page: Callable[..., Any]
) -> None:
    server = own_server()
    server.send(*waves("boiler/1", 60))
    page = open_page(server.url + "/#stream=boiler/1", expected=GONE)
    shows(page, "#now-value", server.sample("boiler/1", 59)[1].x[0, -1])
    server.kill()
    expect(page.locator("#link-word")).to_have_text("server gone")
    expect(page.locator("#notice")).to_contain_text("Server gone since")
    expect(page.locator("#chart canvas")).to_be_visible()
    server.again()
    server.send(*waves("boiler/1", 5, start=100))
    expect(page.locator("#notice")).to_contain_text("server restarted")
    expect(page.locator("#link-word")).to_have_text("live")
    expect(page.locator("#now-about")).to_contain_text("Nov")
    shows(page, "#now-value", server.sample("boiler/1", 4)[1].x[0, -1])
    rows = saved_rows(page)
    assert [int(row["seq"]) for row in rows] == [*range(60), *range(5)]


def test_a_lost_connection_leaves_no_gap_and_no_duplicate(
    served: Served, open_page: Callable[..., Any]
) -> None:
    sockets: list[Any] = []
    cut = False

    def route(page: Any) -> None:
        def pass_on(socket: Any) -> None:
            sockets.append(socket)
            if cut:
                socket.close()
            else:
                socket.connect_to_server()

        page.route_web_socket(re.compile("/live$"), pass_on)

    served.send(*waves("boiler/lost", 50))
    page = open_page(served.url + "/#stream=boiler/lost", before=route)
    expect(page.locator("#now-value")).not_to_have_text("\u2013")
    for k in range(3):
        cut = True
        sockets[-1].close()
        expect(page.locator("#link-word")).to_have_text("server gone")
        served.send(*waves("boiler/lost", 10, start=50 + 10 * k))
        served.sample("boiler/lost", 59 + 10 * k)
        cut = False
        expect(page.locator("#notice")).to_contain_text("connection back, 10 samples caught up")
    served.send(*waves("boiler/lost", 1, start=80))
    shows(page, "#now-value", served.sample("boiler/lost", 80)[1].x[0, -1])
    assert [int(row["seq"]) for row in saved_rows(page)] == [*range(81)]


HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_hidden_tab_gets_nothing_and_catches_up(
    served: Served, open_page: Callable[..., Any]
) -> None:
    heard: list[str | bytes] = []

    def listen(page: Any) -> None:
        def take(message: str | bytes) -> None:  # playwright cannot mark a builtin as handler
            heard.append(message)

        page.on("websocket", lambda socket: socket.on("framereceived", take))

    def frames_until(statuses: int) -> int:
        """How many binary frames there were when so many statuses more have come."""
        told = [isinstance(message, str) for message in heard].count(True)
        while [isinstance(message, str) for message in heard].count(True) < told + statuses:
            page.evaluate("new Promise(requestAnimationFrame)")
        return [isinstance(message, bytes) for message in heard].count(True)

    served.send(*waves("boiler/hidden", 30))
    page = open_page(served.url + "/#stream=boiler/hidden", before=listen)
    expect(page.locator("#now-value")).not_to_have_text("\u2013")
    page.evaluate(HIDE, True)
    before = frames_until(statuses=1)
    served.send(*waves("boiler/hidden", 41, start=30))
    assert frames_until(statuses=2) == before
    page.evaluate(HIDE, False)
    expect(page.locator("#notice")).to_contain_text("41 samples caught up")
    shows(page, "#now-value", served.sample("boiler/hidden", 70)[1].x[0, -1])
    assert [int(row["seq"]) for row in saved_rows(page)] == [*range(71)]


def test_paused_drawing_stands_still_and_counts_what_waits(
    served: Served, open_page: Callable[..., Any]
) -> None:
    served.send(*waves("boiler/paused", 80))
    page = open_page(served.url + "/#stream=boiler/paused")
    expect(page.locator("#now-value")).not_to_have_text("\u2013")
    page.keyboard.press("Space")
    expect(page.locator("#link-word")).to_have_text("paused")
    value = page.locator("#now-value").inner_text()
    picture = page.locator("#chart canvas").screenshot()
    served.send(*waves("boiler/paused", 25, start=80))
    expect(page.locator("#badge")).to_have_text("25")
    assert page.locator("#now-value").inner_text() == value
    assert page.locator("#chart canvas").screenshot() == picture
    page.keyboard.press("Space")
    expect(page.locator("#now-value")).not_to_have_text(value)
    expect(page.locator("#badge")).to_be_hidden()


def test_everything_goes_by_keyboard(served: Served, open_page: Callable[..., Any]) -> None:
    served.send(*waves("boiler/key-1", 90), *waves("boiler/key-2", 90))
    page = open_page(served.url + "/#stream=boiler/key-1&zone=utc")
    expect(page.locator("#stream-key")).to_have_text("boiler/key-1")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#stream-key")).to_have_text("boiler/key-2")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#stream-key")).to_have_text("boiler/key-1")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#readout")).to_contain_text("23:40")  # row 87 of 22:13 + row minutes
    page.keyboard.press("ArrowRight")
    expect(page.locator("#readout")).to_contain_text("23:41")
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile(r"window=100"))
    page.keyboard.press("-")
    page.keyboard.press("-")
    expect(page).to_have_url(re.compile(r"window=225"))
    page.keyboard.press("/")
    page.keyboard.type("key-2")
    page.keyboard.press("Enter")
    expect(page.locator("#stream-key")).to_have_text("boiler/key-2")
    page.keyboard.press("?")
    expect(page.locator("#help-dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help-dialog")).to_be_hidden()


def test_scrolling_back_stops_at_what_was_received_and_l_goes_live(
    served: Served, open_page: Callable[..., Any]
) -> None:
    served.send(*waves("boiler/back", 300))
    page = open_page(served.url + "/#stream=boiler/back&window=50")
    expect(page.locator("#now-value")).not_to_have_text("\u2013")
    box = page.locator("#chart").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 700, box["y"] + 100, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile("end="))
    expect(page.locator("#live")).to_have_attribute("aria-pressed", "false")
    rows = saved_rows(page)
    assert int(rows[-1]["seq"]) < 290
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    for _ in range(40):
        page.mouse.wheel(-2000, 0)
    expect(page).to_have_url(re.compile(r"end=17000002\d\d"))  # four rows after the oldest
    page.keyboard.press("l")
    expect(page).not_to_have_url(re.compile("end="))
    assert int(saved_rows(page)[-1]["seq"]) == 299


def test_an_address_shows_the_same_again(served: Served, open_page: Callable[..., Any]) -> None:
    served.send(*waves("boiler/address", 300))
    address = (
        "/#stream=boiler/address&window=60&end=1700006000&view=state"
        "&lines=c0,c1&theme=dark&zone=utc"
    )
    pictures = []
    for _ in range(2):
        page = open_page(served.url + address)
        expect(page.locator("#tab-state")).to_have_attribute("aria-selected", "true")
        expect(page.locator("#zone")).to_have_text("UTC")
        expect(page.locator("#theme")).to_have_text("dark")
        expect(page.locator(".line-choice[aria-pressed=true]")).to_have_count(2)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        assert page.url == served.url + address
        pictures.append(page.locator("#panels").screenshot())
    assert pictures[0] == pictures[1]


def test_what_was_refused_is_told_with_its_reason(
    own_server: Callable[..., Served], open_page: Callable[..., Any]
) -> None:
    server = own_server()
    server.send(*waves("boiler/1", 3))
    page = open_page(server.url)
    refused = server.send(
        {"stream": "boiler/1", "x": [1, 2]}, b"{", {"stream": "boiler/1", "x": [1, 2, 3]}
    )
    assert [line["line"] for line in refused] == [1, 2]
    expect(page.locator("#refused")).to_contain_text("2 refused (channels 1, json 1)")
    expect(page.locator("#refused")).to_contain_text(refused[-1]["error"])
    expect(page.locator("#link-word")).to_have_text("live")


def test_a_token_is_asked_for_and_kept_out_of_the_address(
    own_server: Callable[..., Served], open_page: Callable[..., Any]
) -> None:
    server = own_server(token="correct horse")
    server.send(*waves("boiler/1", 3))
    page = open_page(server.url)
    expect(page.locator("#link-word")).to_have_text("not allowed")
    for typed, word in (("wrong", "not allowed"), ("correct horse", "live")):
        page.fill("#token", typed)
        page.keyboard.press("Enter")
        expect(page.locator("#link-word")).to_have_text(word)
    expect(page.locator("#stream-key")).to_have_text("boiler/1")
    page = open_page(server.url + "/#token=correct%20horse&zone=utc")
    expect(page.locator("#stream-key")).to_have_text("boiler/1")
    assert "token" not in page.url and "zone=utc" in page.url


def test_a_thousand_streams_are_searched_and_sorted(
    own_server: Callable[..., Served], open_page: Callable[..., Any]
) -> None:
    served = own_server()  # a thousand streams leave little memory for the past of each
    served.send(*({"stream": f"many/{k:04}", "x": [k]} for k in range(1000)))
    page = open_page(served.url + "/#stream=many/0777")
    expect(page.locator("#stream-key")).to_have_text("many/0777")
    expect(page.locator(".stream[aria-selected=true] .name")).to_have_text("many/0777")
    assert page.locator(".stream").count() < 40
    page.fill("#query", "many /099")
    expect(page.locator("#rail-summary")).to_have_text("10 of 1000 streams")
    expect(page.locator(".stream:visible .name")).to_have_text([f"many/099{k}" for k in range(10)])
    page.fill("#query", "many")
    page.select_option("#sort", "value")
    expect(page.locator(".stream:visible .name").first).to_have_text("many/0999")


def test_text_is_shown_with_its_units_and_guesses(
    served: Served, open_page: Callable[..., Any]
) -> None:
    from tests.web.serve import VOCABULARY

    text = 'def greet(name)\n    say("hello" name) # politely\n' * 12
    ids = VOCABULARY.encode("".join(c if c in VOCABULARY else " " for c in text)).tolist()
    served.send(*({"stream": "text/1", "t": 1.7e9 + k / 10, "x": [i]} for k, i in enumerate(ids)))
    page = open_page(served.url + "/#stream=text/1")
    expect(page.locator("#tab-text")).to_have_attribute("aria-selected", "true")
    read = page.locator("#token-pane").inner_text().replace("\u21b5", "")
    assert [line.rstrip() for line in read.split("\n") if line.strip()] == [
        line.rstrip() for line in text.split("\n") if line.strip()
    ]
    group, newest = served.sample("text/1", len(ids) - 1)
    y = {(output.kind, output.ahead): newest.y[k, -1] for k, output in enumerate(group.outputs)}
    shows(page, "#error-value", y["bits", 0])
    shares = page.locator(".guess .share").all_inner_texts()
    assert [number(share.split("\u202f")[0]) for share in shares] == pytest.approx(
        [100 * y["next_p", rank] for rank in range(1, 6)], abs=0.5
    )
    page.locator(".unit-cell").nth(3).click()
    expect(page).to_have_url(re.compile("unit=3"))
    expect(page.locator("#unit-about")).to_contain_text("unit 3, layer 1")
    page.keyboard.press("ArrowRight")  # among the units, not in the text
    expect(page).to_have_url(re.compile("unit=4"))
    page.locator("#token-pane").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".caret")).to_have_count(1)
    expect(page.locator("#guess-came")).to_contain_text("then came")


def test_without_streams_the_page_says_how_to_send_the_first(
    own_server: Callable[..., Served], open_page: Callable[..., Any]
) -> None:
    server = own_server()
    page = open_page(server.url)
    expect(page.locator("#command")).to_have_text("echo 21.5 | streamrnn send --stream kitchen")
    server.send({"stream": "kitchen", "value": 21.5})
    expect(page.locator("#stream-key")).to_have_text("kitchen")
    shows(page, "#now-value", 21.5)


def test_the_chart_has_a_twin_in_words(served: Served, open_page: Callable[..., Any]) -> None:
    served.send(*waves("boiler/twin", 60))
    page = open_page(served.url + "/#stream=boiler/twin")
    expect(page.locator("#twin")).to_contain_text("boiler/twin, temp: ")
    expect(page.locator("#twin")).to_contain_text("90 percent between")
    assert page.locator("#twin").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("width, height", [(390, 844), (820, 1180), (1440, 900)])
def test_nothing_is_wider_than_the_screen(
    served: Served, open_page: Callable[..., Any], width: int, height: int
) -> None:
    served.send(*waves("boiler/narrow", 60))
    page = open_page(
        served.url + "/#stream=boiler/narrow", viewport={"width": width, "height": height}
    )
    expect(page.locator("#now-value")).not_to_have_text("\u2013")
    for selector in ("#top", "#chosen", "#tabs", "#panels", "#bottom"):
        box = page.locator(selector).bounding_box()
        assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= width), selector
    assert page.locator("#chart canvas").bounding_box()["height"] > 150


def test_the_bundle_keeps_its_budget() -> None:
    if not BUNDLE.exists():
        pytest.skip("the page is not built")
    assert BUNDLE.stat().st_size <= 120_000


def test_a_step_that_the_library_never_heard_of_is_shown(
    served: Served, open_page: Callable[..., Any]
) -> None:
    key = "many/own"  # the leaky integrator of tests/leaky.py: h' = h + (x - h) / 4
    served.send(*({"stream": key, "t": 1_700_000_000 + k, "level": 16} for k in range(2)))
    page = open_page(served.url + f"/#stream={key}")
    served.sample(key, 1)
    shows(page, "#now-value", 16)
    expect(page.locator("#now-unit")).to_have_text("m")
    assert [float(list(row.values())[-1]) for row in saved_rows(page)] == [4, 7]
