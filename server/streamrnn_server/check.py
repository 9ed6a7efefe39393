"""Says what a configuration will do, before it does: in words, without a secret's value."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streamrnn.step import Step
from streamrnn.streams import Rule
from streamrnn.streams.broker import place
from streamrnn_server import schema
from streamrnn_server.access import is_loopback
from streamrnn_server.build import Plan
from streamrnn_server.build_sinks import name_of
from streamrnn_server.config_sinks import MqttSink, StdoutSink, WebhookSink
from streamrnn_server.config_sources import (
    FollowSource,
    HostSource,
    MqttSource,
    ReplaySource,
    StdinSource,
    TextSource,
)
from streamrnn_server.journal import FILE


def said(path: Path, plan: Plan) -> Iterator[tuple[str, list[str]]]:
    """What a person should know of it: headings, each with lines."""
    yield "serves", _serves(plan)
    yield (
        "streams, each by the first that matches",
        [line for n in range(len(plan.rules)) for line in _stream(plan, n)],
    )
    sources = [line for table in plan.read.sources for line in _source(table)]
    yield "sources", sources or ["none: senders only"]
    yield "sinks", [_sink(table) for table in plan.read.sinks] or ["none: the page only"]
    yield "journal", _journal(plan)
    yield "secrets and variables", list(_secrets(_raw(path))) or ["none"]


def _serves(plan: Plan) -> list[str]:
    settings = plan.settings
    if is_loopback(settings.host):
        who = "only this machine reaches it"
    else:
        who = "other machines reach it, and there is no TLS: put a proxy before it that has"
    asked = f"of {len(settings.token)} characters" if settings.token else "none"
    port = f"port {settings.port}" if settings.port else "any free port"
    lines = [f"{settings.host}, {port}: {who}", f"token: {asked}"]
    lines += [f"hosts: {', '.join(settings.hosts)}"] if settings.hosts else []
    lines += [f"pages of other sites: {', '.join(settings.origins)}"] if settings.origins else []
    limits = plan.read.limits
    lines.append(
        f"at most {limits.streams} streams, {limits.viewers} viewers, {limits.senders} senders"
    )
    return lines


def _stream(plan: Plan, n: int) -> Iterator[str]:
    table, rule = plan.read.streams[n], plan.rules[n]
    runs = table.model or table.text or table.step or ("detector" if table.detect else "forecaster")
    yield f"{rule.match}: {runs}"
    channels = _channels(rule)
    named = ", ".join(channels) if rule.channels else "as the first sample names them"
    yield f"  channels: {named}"
    if rule.every:
        yield f"  a row every {rule.every:g} s of the {rule.how} of each channel"
    if rule.lateness:
        yield f"  samples may be {rule.lateness:g} s late"
    step = rule.step(channels)
    parameters = sum(array.size for array in getattr(step, "parameters", {}).values())
    if parameters:
        yield f"  {type(step).__name__}, {parameters:,} parameters"
    per = (
        "" if rule.channels else f", with {len(channels)} channel{'s' if len(channels) > 1 else ''}"
    )
    yield f"  a stream takes {_size(step.layout.itemsize)} of memory{per}"


def _source(table: Any) -> Iterator[str]:
    match table:
        case ReplaySource():
            pace = f"{table.rate_hz:g} a second" if table.rate_hz else f"speed {table.speed or 1:g}"
            yield f"replay {table.path}, {pace}{', again and again' if table.loop else ''}"
        case FollowSource():
            yield f"follow {table.path}"
        case StdinSource():
            yield f"standard input, as stream {table.key}"
        case HostSource():
            yield f"this machine's figures, {table.rate_hz:g} a second"
        case TextSource():
            yield f"text of {', '.join(table.files)}, {table.rate_hz:g} characters a second"
        case MqttSource():
            topics = ", ".join(topic.topic for topic in table.topics)
            yield f"MQTT {table.version} {table.url} as {table.client_id}{_user(table)}: {topics}"
            timeless = [topic.topic for topic in table.topics if topic.time is None and topic.qos]
            if timeless:
                yield f"  without times: {', '.join(timeless)}; what waits at the broker counts as"
                yield "  taken when it comes, so name its time, or give its streams every"


def _sink(table: Any) -> str:
    of = "" if table.match == "*" else f" of {table.match}"
    match table:
        case MqttSink():
            who = f"MQTT {table.version} {table.url} as {table.client_id}{_user(table)}"
            return f"{name_of(table)}: {table.what}{of} to {who}: {table.topic}"
        case WebhookSink():  # an address often holds a secret after the host
            host = "/".join(table.url.split("/")[:3])
            return f"{name_of(table)}: alarms{of} by POST to {host}/..."
        case StdoutSink():
            return f"{name_of(table)}: alarms{of} to standard output"
    return str(table)


def _user(table: Any) -> str:
    if not table.user:
        return ", without a user"
    host, _, tls = place(table.url)
    clear = " (not encrypted: use mqtts://)" if not tls and not is_loopback(host) else ""
    return f", user {table.user}{clear}"


def _journal(plan: Plan) -> list[str]:
    table = plan.read.journal
    if table is None:
        return ["none: what was learned is lost when the server stops"]
    folder = (plan.folder / table.path).resolve()
    file = folder / FILE
    there = f"holds {_size(file.stat().st_size)}" if file.is_file() else "will be made"
    lines = [f"{folder}: {there}"]
    lines.append(f"keeps {table.keep_days:g} days, at most {table.keep_gb:g} GB")
    for rule in plan.rules:
        channels = _channels(rule)
        size = _sample(rule, rule.step(channels), len(channels))
        year = size * 525_960
        lines.append(
            f"{rule.match}: at most {size} bytes a sample, "
            f"{_size(year)} a year for a stream with one sample a minute"
        )
    return lines


def _sample(rule: Rule, step: Step, channels: int) -> int:
    """Bytes of a sample with its predictions before they are packed (columns.py)."""
    outputs = len(rule.outputs) if rule.outputs is not None else step.outputs + 2  # running errors
    return 8 + 4 + 8 * channels + 4 * outputs


def _channels(rule: Rule) -> tuple[str, ...]:
    """Those of the rule, or as many as it needs at least."""
    if rule.kind == "tokens":
        return ("token",)
    return rule.channels or tuple(f"x{n}" for n in range(rule.target + 1))


def _raw(path: Path) -> Any:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _secrets(value: Any, place: str = "") -> Iterator[str]:
    """Where the file takes something from elsewhere, and where from."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _secrets(part, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for n, part in enumerate(value):
            yield from _secrets(part, f"{place}[{n}]")
    elif isinstance(value, str):
        for file, name in schema.VARIABLE.findall(value):
            yield f"{place}: " + (f"file {file}" if file else f"environment variable {name}")


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.3g} {unit}" if unit != "bytes" else f"{count:.0f} bytes"
        count /= 1000
    raise AssertionError
