"""A configuration for what was seen: valid as it is, with comments that say what to look at."""

from __future__ import annotations

import glob
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from streamrnn_server.survey import Seen, SeenTopic, unit_of

_GRID_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)
_LISTED = 20  # topics that could not be read which a comment names


class Streams(NamedTuple):
    """Streams that one [[streams]] serves.

    seen   each channel's values
    every  seconds of a row, where channels come one by one
    rate   in words
    """

    keys: tuple[str, ...]
    channels: tuple[str, ...]
    seen: Mapping[str, Seen]
    rate: str
    every: int | None = None


class Pattern(NamedTuple):
    """One of a source's topics, in TOML."""

    topic: str
    lines: tuple[str, ...]


def of_topics(
    topics: Iterable[SeenTopic],
    url: str,
    client_id: str,
    *,
    user: str,
    ca: Path | None,
    seconds: float,
) -> str:
    """The configuration for topics of a broker."""
    good = sorted((t for t in topics if t.plain.count or t.channels), key=lambda t: t.name)
    bad = sorted((t for t in topics if not (t.plain.count or t.channels)), key=lambda t: t.name)
    shared = _shared([topic.name.split("/") for topic in good])
    patterns, streams = _by_message(good, shared)
    whole = {key for served in streams for key in served.keys}
    more, by_channel = _by_channel(good, shared)
    if any(key in whole for served in by_channel for key in served.keys):
        more, by_channel = _by_channel(good, 0)  # longer names, that differ
    streams += by_channel
    # The first that matches counts: those that leave less open come first.
    ordered = sorted({*patterns, *more}, key=lambda p: (p.topic.count("+"), p.topic))
    lines = [f"# {len(good)} topics of {url}, as seen for {seconds:g} s.", *_head()]
    lines += _streams(streams)
    lines += ["[[sources]]", 'kind = "mqtt"', f"url = {_text(url)}"]
    lines += [f"client_id = {_text(client_id)}  # of no other client: the broker keeps its session"]
    if user:
        lines += [f"user = {_text(user)}", 'password = "${MQTT_PASSWORD}"']
    if ca is not None:
        lines += [f"ca = {_text(str(ca.resolve()))}"]
    for pattern in ordered:
        lines += ["", "[[sources.topics]]", f"topic = {_text(pattern.topic)}", *pattern.lines]
    if bad:
        lines += ["", "# Left out, for neither a number came nor an object that holds one:"]
        lines += [f"#   {_text(t.name)}: {t.unreadable or 'an object'}" for t in bad[:_LISTED]]
        lines += [f"#   and {len(bad) - _LISTED} more"] if len(bad) > _LISTED else []
    return "\n".join(lines) + "\n"


def of_file(path: Path, target: Path, streams: Sequence[Streams], *, timed: bool) -> str:
    """The configuration for a recording; `timed`: it says when each sample was taken."""
    named = os.path.relpath(path, target.parent) if target.parent else str(path)
    lines = [f"# {path.name}, as it was read.", *_head(), *_streams(streams)]
    lines += ["# Played once, as the journal has it then: without [journal], at each start."]
    lines += ["[[sources]]", 'kind = "replay"  # "follow" goes on with lines that are appended']
    lines += [f"path = {_text(Path(named).as_posix())}"]
    lines += ["speed = 1  # times real time"] if timed else ["rate_hz = 1  # it has no times"]
    return "\n".join(lines) + "\n"


def _head() -> list[str]:
    return [
        "# `streamrnn check` says what it does; docs/serve.md has every key.",
        "",
        "[server]",
        'host = "127.0.0.1"  # another address needs a token: token = "${file:/run/secrets/token}"',
        "port = 8765",
        "",
        "[journal]  # nothing acknowledged is lost",
        'path = "journal"',
        "keep_days = 365",
        "keep_gb = 10",
        "",
    ]


def _streams(all_streams: Sequence[Streams]) -> list[str]:
    """[[streams]] tables, so that each stream is served by its own."""
    tables = [(_match(streams.keys), streams) for streams in all_streams]
    tables.sort(key=lambda table: (-len(table[0].replace("*", "")), table[0]))
    matches = [match for match, _ in tables]
    lines: list[str] = []
    wide: list[str] = []
    for match, streams in tables:
        first = [next((m for m in matches if fnmatchcase(key, m)), match) for key in streams.keys]
        alone = matches.count(match) == 1 and all(m == match for m in first)
        if alone:
            wide += _table(match, streams)
        else:  # patterns overlap: name each
            for key in streams.keys:
                lines += _table(glob.escape(key), streams)
    return lines + wide


def _table(match: str, streams: Streams) -> list[str]:
    count = f"{len(streams.keys)} streams" if len(streams.keys) > 1 else "one stream"
    channels = streams.channels
    units = [unit_of(channel) for channel in channels]
    lines = ["[[streams]]", f"match = {_text(match)}  # {count}, {streams.rate}", "channels = ["]
    lines += [f"  {_text(channel)},  # {streams.seen[channel].range}" for channel in channels]
    lines += ["]"]
    if any(units):
        pairs = zip(channels, units, strict=True)
        named = ", ".join(f"{_text(channel)} = {_text(unit)}" for channel, unit in pairs if unit)
        lines += [f"units = {{ {named} }}  # as the names say"]
    if len(channels) > 1:
        lines += [f"target = {_text(channels[0])}  # the channel that matters most"]
    if streams.every:
        lines += [f"every = {streams.every}  # seconds of a row: channels come one by one"]
        lines += ['how = "last"  # or "mean", "min", "max", "sum"']
    return [*lines, "detect = true  # or forecast = true", ""]


def _by_channel(topics: Sequence[SeenTopic], shared: int) -> tuple[list[Pattern], list[Streams]]:
    """Topics of a number each, whose last level names the channel: many have the same names."""
    names: dict[tuple[str, ...], dict[str, SeenTopic]] = {}
    for topic in topics:
        if topic.plain.count and not topic.channels:
            *before, name = topic.name.split("/")
            names.setdefault(tuple(before), {})[name] = topic
    alike: dict[tuple[int, tuple[str, ...]], list[tuple[str, ...]]] = {}
    for place, own in names.items():
        alike.setdefault((len(place), tuple(sorted(own))), []).append(place)
    patterns: list[Pattern] = []
    streams: list[Streams] = []
    rest: list[SeenTopic] = []
    for (_, channels), places in alike.items():
        if len(channels) > 1 and len(places) > 1:
            size = len(places[0])
            used = range(min(shared, size - 1), size)
            key = "/".join(f"{{{n}}}" for n in used)
            for channel in channels:
                lines = (f"key = {_text(key)}", f'channel = "{{{size}}}"')
                patterns.append(Pattern("/".join([*_general(places), channel]), lines))
            seen = {c: Seen.joined(names[place][c].plain for place in places) for c in channels}
            slowest = max(
                (t.every for place in places for t in names[place].values() if t.live > 1),
                default=60.0,
            )
            every = next((s for s in _GRID_S if s >= 0.95 * slowest), _GRID_S[-1])
            keys = tuple("/".join(place[n] for n in used) for place in places)
            rate = f"a row every {every} s"
            streams.append(Streams(keys, channels, seen, rate, every))
        else:
            rest += [topic for place in places for topic in names[place].values()]
    for group in _alike(rest):
        found, served = _whole(group, ("value",), topics, shared)
        patterns += found
        streams.append(served)
    return patterns, streams


def _alike(topics: Sequence[SeenTopic]) -> list[list[SeenTopic]]:
    """Topics that have as many levels and the same last one, or else all but the last the same."""
    by_last: dict[tuple[int, str], list[SeenTopic]] = {}
    for topic in topics:
        *before, last = topic.name.split("/")
        by_last.setdefault((len(before), last), []).append(topic)
    groups = [group for group in by_last.values() if len(group) > 1]
    by_place: dict[str, list[SeenTopic]] = {}
    for group in by_last.values():
        if len(group) == 1:
            by_place.setdefault(group[0].name.rpartition("/")[0], []).append(group[0])
    return groups + list(by_place.values())


def _by_message(topics: Sequence[SeenTopic], shared: int) -> tuple[list[Pattern], list[Streams]]:
    """Topics whose messages hold all channels of a stream; those with most fields in common."""
    groups: list[list[SeenTopic]] = []
    for topic in sorted(topics, key=lambda topic: (-len(topic.channels), topic.name)):
        if topic.channels:
            like = next((group for group in groups if _same_kind(group[0], topic)), None)
            groups.append([topic]) if like is None else like.append(topic)
    patterns, streams = [], []
    for group in groups:
        group.sort(key=lambda topic: topic.name)
        channels = tuple(dict.fromkeys(channel for topic in group for channel in topic.channels))
        found, served = _whole(group, channels, topics, shared)
        patterns += found
        streams.append(served)
    return patterns, streams


def _same_kind(one: SeenTopic, other: SeenTopic) -> bool:
    """At least half of their channels are the same: a sensor may leave out what has not changed."""
    a, b = set(one.channels), set(other.channels)
    same = (one.name.count("/"), one.times, set(one.ids))
    return same == (other.name.count("/"), other.times, set(other.ids)) and 2 * len(a & b) >= len(
        a | b
    )


def _whole(
    group: Sequence[SeenTopic],
    channels: tuple[str, ...],
    topics: Sequence[SeenTopic],
    shared: int,
) -> tuple[list[Pattern], Streams]:
    """One pattern for a group, or one for each where it would take others' topics, too."""
    pattern, streams = _single(group, channels, shared)
    general = pattern.topic.split("/")
    if any(t not in group and _matches(general, t.name.split("/")) for t in topics):
        return [_single([topic], channels, shared)[0] for topic in group], streams
    return [pattern], streams


def _single(
    topics: Sequence[SeenTopic], channels: tuple[str, ...], shared: int
) -> tuple[Pattern, Streams]:
    levels = [tuple(topic.name.split("/")) for topic in topics]
    used = range(min(shared, len(levels[0]) - 1), len(levels[0]))
    lines = [f"key = {_text('/'.join(f'{{{n}}}' for n in used))}"]
    first = topics[0]
    if first.channels:
        lines.append(f"fields = [{', '.join(map(_text, channels))}]")
        if first.times:
            path, unit = next(iter(first.times.items()))
            lines.append(f"time = {_text(path)}")
            lines += ['time_unit = "ms"'] if unit == "ms" else []
        if first.ids and first.objects > 1:
            lines.append(f"# id = {_text(next(iter(first.ids)))}  # it counts on; see docs/mqtt.md")
        seen = {c: Seen.joined(t.fields[c] for t in topics if c in t.fields) for c in channels}
    else:
        seen = {"value": Seen.joined(topic.plain for topic in topics)}
    keys = tuple("/".join(level[n] for n in used) for level in levels)
    pattern = Pattern("/".join(_general(levels)), tuple(lines))
    return pattern, Streams(keys, channels, seen, _rate([t.every for t in topics]))


def _general(levels: Sequence[tuple[str, ...]]) -> list[str]:
    """Their pattern: + where they differ."""
    return [column[0] if len(set(column)) == 1 else "+" for column in zip(*levels, strict=True)]


def _matches(pattern: Sequence[str], levels: Sequence[str]) -> bool:
    return len(pattern) == len(levels) and all(
        p in ("+", level) for p, level in zip(pattern, levels, strict=True)
    )


def _shared(levels: Sequence[Sequence[str]]) -> int:
    """How many levels at the beginning are the same in all."""
    return len(os.path.commonprefix([list(own) for own in levels])) if levels else 0


def _match(keys: Sequence[str]) -> str:
    """A pattern for their names."""
    if len(keys) == 1:
        return glob.escape(keys[0])
    begin = os.path.commonprefix(list(keys))
    rest = [key[len(begin) :][::-1] for key in keys]
    end = os.path.commonprefix(rest)[::-1]
    return f"{glob.escape(begin)}*{glob.escape(end)}"


def _rate(every: Sequence[float]) -> str:
    known = sorted(seconds for seconds in every if not math.isnan(seconds))
    if not known:
        return "too rare to tell how often"
    middle = known[len(known) // 2]
    if middle >= 1:
        return f"a message every {middle:.0f} s"
    return f"{1 / max(middle, 1e-3):.0f} messages a second"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML forbids it raw
