"""Sinks, from the [[sinks]] of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from streamrnn_server.build_sources import broker
from streamrnn_server.config import Wrong
from streamrnn_server.config_sinks import AnySink, MqttSink, StdoutSink, WebhookSink
from streamrnn_server.outlets import StandardOutput, Topics, Webhook
from streamrnn_server.schema import shown
from streamrnn_server.sinks import Alarms, Predictions, Sink

MakeSink = Callable[[], Sink]


def sink(place: str, table: AnySink, folder: Path) -> MakeSink:
    name = name_of(table)
    match table:
        case StdoutSink():
            return partial(Alarms, name, table.match, StandardOutput())
        case WebhookSink():
            try:
                parts = urlsplit(table.url)
                good = (
                    parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
                )
            except ValueError:
                good = False
            if not good:
                raise Wrong(f"{place}.url", "expected http://... or https://...")
            return partial(Alarms, name, table.match, Webhook(table.url, table.headers))
        case MqttSink():
            if {"+", "#"} & set(table.topic):
                raise Wrong(f"{place}.topic", "expected a topic without + and #")
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
