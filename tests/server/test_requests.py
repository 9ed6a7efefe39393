"""Plain requests, and who may make them."""

from __future__ import annotations

import asyncio
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families
from streamrnn_server import binary, pages
from streamrnn_server import protocol as p
from streamrnn_server.access import Access, is_loopback
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.clients import (
    address,
    is_a,
    request,
    run,
    send,
    sender,
    server,
    stalled,
    until,
    viewer,
)

BUILT = pages.read("dist/app.js") is not None


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/sense", "text/html; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
        *(
            pytest.param(
                script,
                "text/javascript; charset=utf-8",
                marks=pytest.mark.skipif(not BUILT, reason="the page is not built"),
            )
            for script in ("/dist/app.js", "/dist/views.js", "/dist/sense.js")
        ),
    ],
)
def test_page_files(path, content_type):
    async def main():
        async with server() as s:
            status, headers, body = await request(s, path)
            assert (status, headers["content-type"]) == (200, content_type)
            assert headers["content-length"] == str(len(body)) != "0"
            assert headers["cache-control"] == "no-cache"
            assert headers["x-content-type-options"] == "nosniff"
            host, port = address(s)
            assert headers["content-security-policy"] == (
                "default-src 'self'; base-uri 'none'; form-action 'self'; "
                "frame-ancestors 'none'; object-src 'none'; "
                f"connect-src 'self' ws://{host}:{port} wss://{host}:{port}"
            )
            head_status, head_headers, nothing = await request(s, path, "HEAD")
            assert (head_status, nothing) == (200, b"")
            assert head_headers["content-length"] == headers["content-length"]
            again, _, nothing = await request(s, path, If_None_Match=headers["etag"])
            assert (again, nothing) == (304, b"")
            assert (await request(s, path, If_None_Match='"old"'))[0] == 200

    run(main())


def test_a_checkout_without_the_bundle_says_how_to_build_it(monkeypatch):
    monkeypatch.setattr(
        pages, "read", lambda name: None if name.startswith("dist/") else b"<!doctype html>"
    )

    async def main():
        async with server() as s:
            status, _, body = await request(s, "/")
            assert status == 200
            assert b"<code>pip install -e .</code>" in body
            assert await request(s, "/dist/app.js") == (
                404,
                *(await request(s, "/dist/app.js"))[1:],
            )

    run(main())


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/../pyproject.toml",
        "/dist/../../pyproject.toml",
        "/%2e%2e/pyproject.toml",
        "/..%2fpyproject.toml",
        "//etc/passwd",
        "/dist/",
        "/__init__.py",
        "/dist/app.js/",
        "//[",
        "*",
        "http://127.0.0.1/",
    ],
)
def test_nothing_else_is_served(path):
    async def main():
        async with server() as s:
            assert (await request(s, path))[0] == 404

    run(main())


def test_other_methods_are_refused():
    async def main():
        async with server() as s:
            status, _, body = await request(s, "/", "DELETE")
            assert (status, body) == (405, b"expected GET or HEAD\n")

    run(main())


def test_a_large_file_arrives_whole(monkeypatch):
    large = bytes(3_000_000)  # far more than sockets buffer
    monkeypatch.setattr(pages, "read", lambda name: large)

    async def main():
        async with server() as s:
            assert (await request(s, "/dist/app.js"))[2] == large

    run(main())


def test_healthz():
    async def main():
        async with server() as s, sender(s) as tx:
            await s.ready()
            await send(tx, {"stream": "a", "value": 1})
            s.pipeline.flush()
            status, headers, body = await request(s, "/healthz")
            assert (status, headers["content-type"]) == (200, "application/json")
            assert json.loads(body) == {"state": "live", "detail": "", "streams": 1}

    run(main())


def test_metrics():
    async def main():
        async with server() as s, sender(s) as tx, viewer(s) as rx:
            await send(tx, {"stream": "a", "value": 1}, {"stream": "a", "value": "hot"}, "{")
            await until(rx, is_a(binary.Overview))
            status, headers, body = await request(s, "/metrics")
            assert status == 200
            assert headers["content-type"].startswith("text/plain; version=0.0.4")
            found = {
                (sample.name, *sample.labels.values()): sample.value
                for family in text_string_to_metric_families(body.decode())
                for sample in family.samples
            }
            assert found["streamrnn_samples_total",] == 1
            assert found["streamrnn_refused_total", "json"] == 1
            assert found["streamrnn_refused_total", "value"] == 1
            assert found["streamrnn_viewers",] == 1
            assert found["streamrnn_streams",] == 1
            assert found["streamrnn_frames_total",] == 1
            assert found["streamrnn_gaps_total",] == 0
            assert found["streamrnn_ring_bytes",] > 0
            assert found["streamrnn_latency_seconds_count",] == 1
            assert found["streamrnn_latency_seconds_bucket", "+Inf"] == 1

    run(main())


# --- hosts and origins ----------------------------------------------------------------------------

NOT_HOST = (
    "the host name {0!r} is not one of this server's; to allow it, start `streamrnn serve` "
    'with hosts = ["{0}"] under [server]'
)
NOT_ORIGIN = (
    "pages of {0} may not use this server; to allow them, start `streamrnn serve` "
    'with origins = ["{0}"] under [server]'
)


@pytest.mark.parametrize(
    ("bound", "host", "origin", "refusal"),
    [
        ("127.0.0.1", "127.0.0.1:8765", None, None),
        ("127.0.0.1", "localhost:8765", None, None),
        ("127.0.0.1", "LOCALHOST", None, None),
        ("127.0.0.1", "[::1]:8765", None, None),
        ("127.0.0.1", "127.8.9.1:1", None, None),
        ("127.0.0.1", "dash.example.org:8765", None, None),
        ("127.0.0.1", "evil.example:8765", None, NOT_HOST.format("evil.example")),
        ("127.0.0.1", "localhost.evil.example", None, NOT_HOST.format("localhost.evil.example")),
        ("127.0.0.1", "127.0.0.1.evil.example", None, NOT_HOST.format("127.0.0.1.evil.example")),
        ("127.0.0.1", "192.168.1.5:8765", None, NOT_HOST.format("192.168.1.5")),
        ("0.0.0.0", "192.168.1.5:8765", None, None),
        ("0.0.0.0", "evil.example:8765", None, NOT_HOST.format("evil.example")),
        ("192.168.1.5", "192.168.1.5:8765", None, None),
        ("192.168.1.5", "192.168.1.6:8765", None, NOT_HOST.format("192.168.1.6")),
        ("127.0.0.1", None, None, "expected a Host header, got None"),
        ("127.0.0.1", "", None, "expected a Host header, got ''"),
        ("127.0.0.1", "[::1", None, "expected a Host header, got '[::1'"),
        ("127.0.0.1", "localhost, evil", None, "expected a Host header, got 'localhost, evil'"),
        ("127.0.0.1", "a:1, localhost", None, "expected a Host header, got 'a:1, localhost'"),
        ("127.0.0.1", "evil@localhost", None, "expected a Host header, got 'evil@localhost'"),
        ("127.0.0.1", "localhost:8765", "http://localhost:8765", None),
        ("127.0.0.1", "localhost", "http://localhost:80", None),
        ("127.0.0.1", "dash.example.org", "https://dash.example.org", None),
        ("127.0.0.1", "dash.example.org:443", "https://dash.example.org", None),
        ("127.0.0.1", "localhost:8765", "https://Friend.example", None),
        ("127.0.0.1", "localhost:8765", "http://localhost:3000", "http://localhost:3000"),
        ("127.0.0.1", "localhost:8765", "http://evil.example", "http://evil.example"),
        ("127.0.0.1", "localhost:8765", "null", "null"),
        ("127.0.0.1", "localhost:8765", "file://", "file://"),
        ("127.0.0.1", "localhost:8765", "http://[", "http://["),
        ("127.0.0.1", "localhost:8765", "", ""),
    ],
)
def test_host_and_origin(bound, host, origin, refusal):
    access = Access(bound, hosts=["dash.example.org"], origins=["https://friend.example"])
    if refusal is not None and origin is not None:
        refusal = NOT_ORIGIN.format(refusal)
    assert access.refusal(host, origin) == refusal


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/dist/app.js"])
def test_a_foreign_host_gets_nothing(path):
    async def main():
        async with server() as s:
            status, _, body = await request(s, path, Host="evil.example")
            assert status == 403
            assert body.decode() == NOT_HOST.format("evil.example") + "\n"
            assert s.pipeline.refused == {"access": 1}

    run(main())


@pytest.mark.parametrize("open_one", [viewer, sender])
def test_a_foreign_origin_gets_no_websocket(open_one):
    async def main():
        async with server() as s:
            with pytest.raises(InvalidStatus) as caught:
                await open_one(s, origin="http://evil.example")
            assert caught.value.response.status_code == 403
            assert (
                caught.value.response.body.decode()
                == NOT_ORIGIN.format("http://evil.example") + "\n"
            )
            async with open_one(s, origin=s.url):
                pass

    run(main())


def test_a_second_host_header_does_not_help():
    async def main():
        async with server() as s:
            host, port = address(s)
            status, _, _ = await request(s, "/", Host=f"{host}:{port}\r\nHost: evil.example")
            assert status == 403

    run(main())


def test_what_only_this_machine_reaches():
    assert [is_loopback(h) for h in ("localhost", "127.0.0.1", "127.3.2.1", "::1")] == [True] * 4
    assert [is_loopback(h) for h in ("", "0.0.0.0", "::", "10.0.0.1", "example.org")] == [False] * 5


# --- the token ------------------------------------------------------------------------------------

TOKEN = "sésame-ouvre-toi"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (None, "this server asks for a token"),
        ("wrong", "the token is wrong"),
        ("", "the token is wrong"),
    ],
)
def test_without_the_token_a_viewer_is_told_so(token, reason):
    async def main():
        async with server(token=TOKEN) as s, viewer(s, token=token) as rx:
            assert rx.subprotocol == p.SUBPROTOCOL  # a browser closes without it
            with pytest.raises(ConnectionClosed):
                await rx.recv()
            assert (rx.close_code, rx.close_reason) == (4401, reason)
            assert s.pipeline.refused == {"access": 1}

    run(main())


def test_with_the_token_everything_opens():
    bearer = {"Authorization": f"Bearer {TOKEN}".encode().decode("latin-1")}

    async def main():
        async with server(token=TOKEN) as s:
            async with viewer(s, token=TOKEN) as rx:
                await until(rx, is_a(p.Hello))
            async with viewer(s, additional_headers=bearer) as rx:
                await until(rx, is_a(p.Hello))
            async with sender(s) as tx:
                with pytest.raises(ConnectionClosed):
                    await tx.recv()
                assert tx.close_code == 4401
            async with sender(s, additional_headers=bearer) as tx:
                assert (await send(tx, {"stream": "a", "value": 1}))["taken"] == 1
            status, headers, body = await request(s, "/metrics")
            assert (status, body) == (401, b"this server asks for a token\n")
            assert headers["www-authenticate"] == "Bearer"
            assert (await request(s, "/"))[0] == 200  # page files are no secret
            assert (await request(s, "/healthz"))[0] == 200

    run(main())


def test_the_token_is_compared_as_bytes():
    access = Access("127.0.0.1", token="0123456789abcdef")
    assert access.token_refusal("Bearer 0123456789abcdef", []) is None
    assert access.token_refusal("bearer  0123456789abcdef ", []) is None
    assert access.token_refusal("Basic 0123456789abcdef", []) == "this server asks for a token"
    assert access.token_refusal("Bearer 0123456789abcde\u20ac", []) == "the token is wrong"
    assert access.token_refusal(None, ["token.MDEyMzQ1Njc4OWFiY2RlZg"]) is None
    assert access.token_refusal(None, ["token.%%%"]) == "the token is wrong"
    assert access.token_refusal(None, ["token.é"]) == "the token is wrong"


def test_a_request_that_is_none_does_not_disturb_others():
    async def main():
        async with server() as s:
            for garbage in (b"\x16\x03\x01\x00\xa5", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n{}"):
                reader, writer = await asyncio.open_connection(*address(s))
                writer.write(garbage + b"\r\n\r\n")
                await reader.read()
                writer.close()
                await writer.wait_closed()
            (await stalled(s)).close()
            assert (await request(s, "/"))[0] == 200

    run(main())
