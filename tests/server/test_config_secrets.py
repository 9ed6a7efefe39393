"""What may be a secret is looked at before anything runs, and never shown."""

from __future__ import annotations

import pytest
from streamrnn_server.config import ConfigError

from tests.server.test_config import MQTT, STREAM, folder, made  # noqa: F401  folder: a fixture

HOOK = STREAM + '[[sinks]]\nkind = "webhook"\n'

PRINTABLE = (
    "expected printable ASCII, with %20 for a space and a host like xn--bcher-kva.de; character"
)
SCHEME = "expected http://... or https://..."
HOST = "expected a host after http://, and a port from 1 to 65535 or none"
NAME = "expected names of letters, digits and !#$%&'*+-.^_`|~; name"
VALUE = "expected characters up to U+00FF and no end of line or control character; character"

ADDRESSES = {
    "http://hook/rain now": f"{PRINTABLE} 17 is none",
    "http://hook/rain\r\n": f"{PRINTABLE} 17 is none",
    "http://b\u00fccher/rain": f"{PRINTABLE} 9 is none",
    "//hook/rain": SCHEME,
    "ftp://hook/rain": SCHEME,
    "http://[::1/rain": SCHEME,
    "http:///rain": HOST,
    "http://?rain": HOST,
    "http://:80/rain": HOST,
    "http://hook..rain/": HOST,
    "http://hook%20rain/": HOST,
    "http://hook:0/rain": HOST,
    "http://hook:65536/rain": HOST,
    "http://hook:rain/": HOST,
    "http://me:rain@hook/": "expected no user and password in it; a header can have them: "
    "Authorization",
}
HEADERS = {
    '{ "X Key" = "rain" }': f": {NAME} 1 is none",
    '{ "" = "rain" }': f": {NAME} 1 is none",
    '{ a = "b", "Authorization: rain" = "" }': f": {NAME} 2 is none",
    '{ Key = "rain\\r\\n" }': f".Key: {VALUE} 5 is another",
    '{ Key = "rain\\u0000" }': f".Key: {VALUE} 5 is another",
    '{ "X.Key" = "${RAIN}" }': f'."X.Key": {VALUE} 5 is another',
    '{ Key = "\u20ac rain" }': f".Key: {VALUE} 1 is another",
    '{ key = "rain", Key = "rain" }': ".Key: is the same as key; leave one out",
    '{ Content-Length = "12" }': ".Content-Length: goes with each request by itself; leave it out",
}


def problem(folder, text):  # noqa: F811
    with pytest.raises(ConfigError) as caught:
        made(folder, text)
    return str(caught.value)


@pytest.mark.parametrize("url", ADDRESSES)
def test_the_address_of_a_webhook_is_checked(folder, monkeypatch, url):  # noqa: F811
    monkeypatch.setenv("HOOK", url)
    said = problem(folder, HOOK + 'url = "${HOOK}"')
    assert said == f"c.toml: sinks[0].url: {ADDRESSES[url]}"


@pytest.mark.parametrize(
    "url",
    [
        "http://hook",
        "HTTPS://hook.example:8443/a%20b?c=d#e",
        "http://[fe80::1%eth0]:80/",
        "http://a_b:/",
    ],
)
def test_other_addresses_are_taken(folder, url):  # noqa: F811
    made(folder, HOOK + f'url = "{url}"')


@pytest.mark.parametrize("headers", HEADERS)
def test_headers_of_a_webhook_are_checked(folder, monkeypatch, headers):  # noqa: F811
    monkeypatch.setenv("RAIN", "rain\nAdmin: yes")
    said = problem(folder, HOOK + f'url = "http://hook"\nheaders = {headers}')
    assert said == f"c.toml: sinks[0].headers{HEADERS[headers]}"


def test_other_headers_are_taken(folder):  # noqa: F811
    made(folder, HOOK + 'url = "http://hook"\nheaders = { "X.a" = "", B-c_d = "\u00fc\\t~ x" }')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\ntoken = 123456", "server.token: expected a text, got a number"),
        (
            MQTT + 'url = "mqtt://a"\npassword = ["rain"]\ntopics = [{ topic = "a" }]',
            "sources[0].password: expected a text, got a list",
        ),
        (
            '[[sinks]]\nkind = "webhook"\nurl = { rain = 1 }',
            "sinks[0].url: expected a text that is not empty, got a table",
        ),
        (
            '[[sinks]]\nkind = "webhook"\nurl = "http://a"\nheaders = "Authorization: rain"',
            "sinks[0].headers: expected a table of texts, got a text",
        ),
        (
            '[[sinks]]\nkind = "webhook"\nurl = "http://a"\nheaders = { Key = 2026-01-31 }',
            "sinks[0].headers.Key: expected a text, got a date or time",
        ),
    ],
)
def test_a_secret_of_another_kind_is_not_shown(folder, text, said):  # noqa: F811
    assert problem(folder, STREAM + text) == f"c.toml: {said}"
