"""Sinks, from the [[sinks]] of a configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from streamrnn_server.build_sources import broker, check_mqtt_text
from streamrnn_server.config import Wrong
from streamrnn_server.config_sinks import AnySink, MqttSink, StdoutSink, WebhookSink
from streamrnn_server.outlets import StandardOutput, Topics, Webhook
from streamrnn_server.schema import joined, shown
from streamrnn_server.sinks import Alarms, Predictions, Sink

MakeSink = Callable[[], Sink]

# What urllib and HTTP can carry; RFC 9110, 5.1 and 5.5 of headers.
_ADDRESS = re.compile(r"[!-~]*")
_HOST = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+(%[\w.-]+)?\])(:\d*)?", re.ASCII)
_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_OWN = ("content-length", "host", "transfer-encoding")  # of each request


def sink(place: str, table: AnySink, folder: Path) -> MakeSink:
    name = name_of(table)
    match table:
        case StdoutSink():
            return partial(Alarms, name, table.match, StandardOutput())
        case WebhookSink():
            _check_address(f"{place}.url", table.url)
            _check_headers(f"{place}.headers", table.headers)
            return partial(Alarms, name, table.match, Webhook(table.url, table.headers))
        case MqttSink():
            if {"+", "#"} & set(table.topic):
                raise Wrong(f"{place}.topic", "expected a topic without + and #")
            check_mqtt_text(f"{place}.topic", table.topic)
            made = broker(place, table, folder)
            to = Topics(made, table.topic, qos=table.qos, retain=table.retain)
            kind = Alarms if table.what == "alarms" else Predictions
            return partial(kind, name, table.match, to)


def name_of(table: AnySink) -> str:
    return table.name or str(table.__struct_config__.tag)


def different(tables: Sequence[AnySink]) -> None:
    """What is delivered is noted by name."""
    names = [name_of(table) for table in tables]
    for n, name in enumerate(names):
        if (first := names.index(name)) != n:
            raise Wrong(f"sinks[{n}].name", f"{shown(name)} is that of sinks[{first}]")


def _check_address(place: str, url: str) -> None:
    """What is wrong is said without the address, which may be a secret."""
    if end := _end(_ADDRESS, url):
        problem = "expected printable ASCII, with %20 for a space and a host like xn--bcher-kva.de"
        raise Wrong(place, f"{problem}; character {end} is none")
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https"):
        raise Wrong(place, "expected http://... or https://...")
    if "@" in parts.netloc:
        problem = "expected no user and password in it; a header can have them: Authorization"
        raise Wrong(place, problem)
    try:
        (parts.hostname or "").encode("idna")  # fails where a part is empty or too long
        good = _HOST.fullmatch(parts.netloc) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        problem = f"expected a host after {parts.scheme}://, and a port from 1 to 65535 or none"
        raise Wrong(place, problem)


def _check_headers(place: str, headers: Mapping[str, str]) -> None:
    """What is wrong is said without the values; a name that is none may have its value in it."""
    known: dict[str, str] = {}
    for number, (name, value) in enumerate(headers.items(), 1):
        if not _NAME.fullmatch(name):
            problem = "expected names of letters, digits and !#$%&'*+-.^_`|~"
            raise Wrong(place, f"{problem}; name {number} is none")
        own = joined(place, name)
        if name.lower() in _OWN:
            raise Wrong(own, "goes with each request by itself; leave it out")
        if (first := known.setdefault(name.lower(), name)) != name:
            raise Wrong(own, f"is the same as {first}; leave one out")
        if end := _end(_VALUE, value):
            problem = "expected characters up to U+00FF and no end of line or control character"
            raise Wrong(own, f"{problem}; character {end} is another")


def _end(pattern: re.Pattern[str], text: str) -> int:
    """Which character, from 1, is the first that does not match; 0: all do."""
    found = pattern.match(text)
    end = found.end() if found else 0
    return 0 if end == len(text) else end + 1
