"""Functions that make the sources, from the [[sources]] of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unicodedata import category

import msgspec

from streamrnn.streams import (
    Broker,
    Rule,
    Source,
    Topic,
    follow,
    host,
    mqtt,
    replay,
    stdin,
    text,
)
from streamrnn.streams.broker import MISSING
from streamrnn.streams.broker import place as broker_place
from streamrnn.streams.topics import LEVEL
from streamrnn_server.config import LimitsTable, Wrong, check_file
from streamrnn_server.config_sources import (
    BrokerTable,
    FollowSource,
    HostSource,
    MqttSource,
    ReplaySource,
    SourceTable,
    StdinSource,
    TextSource,
    TopicTable,
)
from streamrnn_server.schema import either, shown

MakeSource = Callable[[], Source]

MQTT_BYTES = 65535  # of a text in MQTT


def source(
    place: str,
    table: SourceTable,
    folder: Path,
    rules: Sequence[Rule] | None,
    limits: LimitsTable,
) -> MakeSource:
    options: dict[str, Any] = {"asynchronous": True} | msgspec.structs.asdict(table)
    match table:
        case ReplaySource():
            options["path"] = folder / table.path
            check_file(f"{place}.path", options["path"])
            if table.speed is not None and table.rate_hz is not None:
                raise Wrong(place, "expected speed or rate_hz, got both")
            _served(f"{place}.key", table.key, rules)
            return partial(replay, future_s=limits.future_s, **options)
        case FollowSource():
            options["path"] = path = folder / table.path
            if not path.parent.is_dir():
                raise Wrong(f"{place}.path", f"there is no folder {path.parent}")
            _served(f"{place}.key", table.key, rules)
            return partial(follow, future_s=limits.future_s, **options)
        case StdinSource():
            _served(f"{place}.key", table.key, rules)
            return partial(stdin, future_s=limits.future_s, **options)
        case HostSource():
            _served(f"{place}.prefix", f"{table.prefix}cpu", rules)
            return partial(host, **options)
        case TextSource():
            paths = [folder / name for name in options.pop("files")]
            for n, path in enumerate(paths):
                check_file(f"{place}.files[{n}]", path)
            if not paths:
                raise Wrong(f"{place}.files", "expected at least one")
            rule = _served(f"{place}.key", table.key, rules)
            vocabulary: Any = None  # if there is a problem with [[streams]] already
            if rule is not None:
                if rule.kind != "tokens":
                    problem = f"the streams that match {shown(table.key)} have no text model"
                    raise Wrong(f"{place}.key", problem)
                reader: Any = rule.step(("token",))
                vocabulary = reader.vocabulary
            return partial(text, paths, vocabulary, **options)
        case MqttSource():
            topics = [_topic(f"{place}.topics[{n}]", topic) for n, topic in enumerate(table.topics)]
            if not topics:
                raise Wrong(f"{place}.topics", "expected at least one")
            return partial(
                mqtt,
                broker(place, table, folder),
                topics,
                message_bytes=limits.message_kb << 10,
                future_s=limits.future_s,
                asynchronous=True,
            )


def _served(place: str, key: str | None, rules: Sequence[Rule] | None) -> Rule | None:
    """The rule for a stream; None if the lines of a file name their streams themselves."""
    if key is None or rules is None:
        return None
    for rule in rules:
        if fnmatchcase(key, rule.match):
            return rule
    patterns = either(shown(rule.match) for rule in rules)
    raise Wrong(place, f"no [[streams]] has a pattern for {shown(key)}; there is {patterns}")


def broker(place: str, table: BrokerTable, folder: Path) -> Broker:
    """Where a broker is and as whom to speak to it, looked at as far as it can be from here."""
    if find_spec("paho") is None:
        raise Wrong(place, MISSING)
    try:
        host, port, tls = broker_place(table.url)
    except ValueError as error:
        raise Wrong(f"{place}.url", str(error)) from None
    check_mqtt_text(f"{place}.client_id", table.client_id)
    check_mqtt_text(f"{place}.user", table.user)
    if table.password and not table.user:
        raise Wrong(f"{place}.password", "needs user = ... beside it")
    files = {}
    for name in ("ca", "cert", "cert_key"):
        value = getattr(table, name)
        files[name] = None if value is None else folder / value
        if value is not None and not tls:
            raise Wrong(f"{place}.{name}", 'goes not without TLS: url = "mqtts://..."')
        if value is not None:
            check_file(f"{place}.{name}", folder / value)
    if (table.cert is None) != (table.cert_key is None):
        raise Wrong(place, "expected cert and cert_key, got one of them")
    made = Broker(
        host,
        port,
        tls,
        table.version,
        table.client_id,
        table.user,
        table.password,
        keepalive_s=table.keepalive_s,
        **files,
    )
    try:
        made.context()
    except OSError as error:
        raise Wrong(place, f"its certificates cannot be used: {error}") from None
    return made


def check_mqtt_text(place: str, text: str) -> None:
    """Brokers hang up on texts with NUL, and on most with other control characters (MQTT, 1.5.4).

    What is wrong is said without the text: a user may be a secret.
    """
    for number, character in enumerate(text, 1):
        if category(character) in ("Cc", "Cs"):  # the latter: no UTF-8 in the environment
            problem = f"expected no control characters; character {number} is one"
            raise Wrong(place, problem)
    if (size := len(text.encode())) > MQTT_BYTES:
        raise Wrong(place, f"expected at most {MQTT_BYTES} bytes, got {size}")


def _topic(place: str, table: TopicTable) -> Topic:
    check_mqtt_text(f"{place}.topic", table.topic)
    levels = table.topic.split("/")
    for n, level in enumerate(levels):
        if ("+" in level or "#" in level) and len(level) > 1:
            problem = f"expected + and # as whole levels, got {shown(level)}"
            raise Wrong(f"{place}.topic", problem)
        if level == "#" and n != len(levels) - 1:
            raise Wrong(f"{place}.topic", "expected # as the last level")
    for name in ("key", "channel"):
        for number in LEVEL.findall(getattr(table, name) or ""):
            if number != "topic" and int(number) >= len(levels) and levels[-1] != "#":
                problem = f"expected levels up to {len(levels) - 1}, got {{{number}}}"
                raise Wrong(f"{place}.{name}", problem)
    fields = table.fields
    if fields is not None and not isinstance(fields, dict):
        fields = {path: path for path in fields}
    if fields is not None and not fields:
        raise Wrong(f"{place}.fields", "expected at least one")
    if table.channel is not None and fields is not None and len(fields) != 1:
        problem = f"expected one beside channel, got {len(fields)}"
        raise Wrong(f"{place}.fields", problem)
    options = msgspec.structs.asdict(table)
    return Topic(
        options.pop("topic"), unit=options.pop("time_unit"), **(options | {"fields": fields})
    )


def one_client(tables: Sequence[BrokerTable], places: Sequence[str]) -> None:
    """Two clients of one name drive each other out, or, at two brokers, share their marks."""
    first: dict[str, tuple[str, str]] = {}
    for table, place in zip(tables, places, strict=True):
        other, url = first.setdefault(table.client_id, (place, table.url))
        if other != place:
            why = "a broker takes one" if url == table.url else "what was taken is known by it"
            problem = f"{shown(table.client_id)} is that of {other}; {why}"
            raise Wrong(f"{place}.client_id", problem)


def one_stdin(tables: Sequence[SourceTable]) -> None:
    places = [n for n, table in enumerate(tables) if isinstance(table, StdinSource)]
    if len(places) > 1:
        raise Wrong(f"sources[{places[1]}]", f"sources[{places[0]}] reads standard input already")
