"""The page's files over HTTP: a fixed table, so that no path can lead out of it."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from importlib import resources

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/index.html": ("index.html", "text/html; charset=utf-8"),
    "/sense": ("sense.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/dist/app.js": ("dist/app.js", "text/javascript; charset=utf-8"),
    "/dist/views.js": ("dist/views.js", "text/javascript; charset=utf-8"),
    "/dist/sense.js": ("dist/sense.js", "text/javascript; charset=utf-8"),
    "/dist/app.css": ("dist/app.css", "text/css; charset=utf-8"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
UNBUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>streamrnn</title>
<h1>The page is not built</h1>
<p>This is a checkout without the bundle dist/app.js. The server itself runs: /live, /ingest,
<a href="/healthz">/healthz</a> and <a href="/metrics">/metrics</a> work.</p>
<p>To build the page, run <code>pip install -e .</code> in the checkout, then load it again.</p>
</html>
"""


def page(request: Request, path: str) -> Response:
    """The response for one of FILES, or why there is none."""
    if path not in FILES:
        return text(request, HTTPStatus.NOT_FOUND, f"there is nothing at {path}\n")
    name, content_type = FILES[path]
    body = read(name)
    if name.endswith(".html") and read("dist/app.js") is None:
        body = UNBUILT.encode()
    if body is None:
        return text(request, HTTPStatus.NOT_FOUND, f"{name} is not built\n")
    # Always asked for anew, answered with the body only if it changed: an upgraded server never
    # meets an old script.
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    # Safari before 15.4 does not count ws: as 'self'. The host was checked, see access.py.
    host = request.headers["Host"]
    headers = {
        "ETag": etag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": f"{POLICY}; connect-src 'self' ws://{host} wss://{host}",
    }
    if any(etag in value for value in request.headers.get_all("If-None-Match")):
        return respond(request, HTTPStatus.NOT_MODIFIED, content_type, b"", headers)
    return respond(request, HTTPStatus.OK, content_type, body, headers)


def read(name: str) -> bytes | None:
    """A file of the page, or None if it was not built."""
    try:
        return resources.files("streamrnn_web").joinpath(*name.split("/")).read_bytes()
    except (FileNotFoundError, ModuleNotFoundError):
        return None


def text(request: Request, status: HTTPStatus, body: str) -> Response:
    return respond(request, status, "text/plain; charset=utf-8", body.encode())


def respond(
    request: Request,
    status: HTTPStatus,
    content_type: str,
    body: bytes,
    headers: dict[str, str] | None = None,
) -> Response:
    """A response with the headers that all of them carry; to HEAD without its body."""
    all_headers = {
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Connection": "close",
    }
    all_headers |= headers or {}
    if status is HTTPStatus.NOT_MODIFIED:
        del all_headers["Content-Length"], all_headers["Content-Type"]
    sent = b"" if request.method == "HEAD" else body
    return Response(status.value, status.phrase, Headers(all_headers), sent)
