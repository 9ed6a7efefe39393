"""Who may talk to the server: hosts, origins, token.

A server on loopback is still reached by every web page the user opens: by a name that an attacker
points to 127.0.0.1 (DNS rebinding; the Host header tells), or by a script that opens a WebSocket
across origins (no same-origin rule holds there; the Origin header tells). So both are checked on
every request, and beyond loopback a token is asked for as well.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

TOKEN_LEAST = 16  # characters, beyond loopback
_WILDCARDS = ("", "0.0.0.0", "::")
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d+)?", re.ASCII)  # name or address, port


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server bound to `host`."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


class Access:
    """What a server bound to `host` lets in.

    hosts    more names under which people reach it, without port
    origins  pages of other sites that may use it, like "https://dash.example.org"
    token    what viewers and senders have to show; "" for none
    """

    def __init__(
        self, host: str, *, hosts: Sequence[str] = (), origins: Sequence[str] = (), token: str = ""
    ) -> None:
        self._bound = host
        self._hosts = {h.lower() for h in hosts}
        self._origins = {o.lower() for o in origins}
        self._token = token.encode()

    def refusal(self, host: str | None, origin: str | None) -> str | None:
        """Why a request with these headers is not answered, or None. Page files included."""
        name = _hostname(host)
        if name is None:
            return f"expected a Host header, got {host!r}"
        if not self._knows(name):
            return (
                f"the host name {name!r} is not one of this server's; to allow it, start "
                f'`streamrnn serve` with hosts = ["{name}"] under [server]'
            )
        if origin is None or origin.lower() in self._origins or _same(origin, host or ""):
            return None  # programs send no Origin, browsers do
        return (
            f"pages of {origin} may not use this server; to allow them, start "
            f'`streamrnn serve` with origins = ["{origin}"] under [server]'
        )

    def token_refusal(self, authorization: str | None, subprotocols: Iterable[str]) -> str | None:
        """Why the token is not accepted, or None.

        Programs send `Authorization: Bearer TOKEN`; browsers, which cannot set headers on a
        WebSocket, offer the subprotocol token.BASE64URL. A URL would end up in logs.
        """
        if not self._token:
            return None
        shown = _bearer(authorization) or _offered(subprotocols)
        if shown is None:
            return "this server asks for a token"
        if not hmac.compare_digest(shown, self._token):
            return "the token is wrong"
        return None

    def _knows(self, name: str) -> bool:
        if name == "localhost" or name in self._hosts or name == self._bound.lower():
            return True
        address = _address(name)
        if address is None:
            return False
        # Rebinding needs a name: an address in the Host header is one that the user typed.
        return address.is_loopback or self._bound in _WILDCARDS


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _hostname(host: str | None) -> str | None:
    """The name in a Host header, lower case, without port and brackets."""
    match = _HOST.fullmatch(host or "")
    return match[1].strip("[]").lower() if match else None


def _same(origin: str, host: str) -> bool:
    """Whether an origin is the server itself. A proxy before it may speak TLS, so any scheme."""
    try:
        page = urlsplit(origin)
        here = urlsplit(f"//{host}")
        default = _PORTS.get(page.scheme)
        return (
            default is not None
            and page.hostname == here.hostname
            and (page.port or default) == (here.port or default)
        )
    except ValueError:
        return False


def _bearer(authorization: str | None) -> bytes | None:
    scheme, _, token = (authorization or "").partition(" ")
    # latin-1 gives back the bytes that were sent: so websockets decodes headers
    return token.strip().encode("latin-1", "replace") if scheme.lower() == "bearer" else None


def _offered(subprotocols: Iterable[str]) -> bytes | None:
    for name in subprotocols:
        if name.startswith("token."):
            text = name.removeprefix("token.")
            try:
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            except ValueError:
                return b""
    return None
