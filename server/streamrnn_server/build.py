"""Makes what a configuration describes: rules for the pipeline, sources, settings of the server.

Here the files that it names are opened, so that all that can be wrong is said before anything runs.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from streamrnn.streams import Pipeline, Rule
from streamrnn_server import build_sinks, build_sources, build_streams, config
from streamrnn_server.access import TOKEN_LEAST, is_loopback
from streamrnn_server.app import Server, Settings
from streamrnn_server.build_sinks import MakeSink
from streamrnn_server.build_sources import MakeSource
from streamrnn_server.build_streams import MakeStep
from streamrnn_server.config import Wrong
from streamrnn_server.config_sinks import MqttSink
from streamrnn_server.config_sources import BrokerTable, MqttSource
from streamrnn_server.database import JournalError, check_folder, opened_to_read
from streamrnn_server.history import History
from streamrnn_server.journal import FILE, Journal
from streamrnn_server.played import Played
from streamrnn_server.schema import shown


class Plan(NamedTuple):
    """What a configuration says, with all that it names opened, but nothing begun."""

    read: config.Config
    folder: Path
    settings: Settings
    rules: list[Rule]
    sources: list[MakeSource]
    sinks: list[MakeSink]


def run(path: str | Path, *, steps: Mapping[str, MakeStep] | None = None) -> None:
    """Serve what the file at `path` describes until SIGINT or SIGTERM. Raises config.ConfigError.

    steps   what the names in `step = "..."` stand for: functions that make a step for channels

        from streamrnn_server.build import run

        run("config.toml", steps={"leaky": lambda channels: Leaky(len(channels))})
    """
    asyncio.run(build(path, steps).run())


def build(
    path: str | Path, steps: Mapping[str, MakeStep] | None = None, *, past: History | None = None
) -> Server:
    """The server that `run` runs.

    past   is played instead of the sources, and nothing is recorded
    """
    plan = planned(path, steps, records=past is None)
    read, sources, sinks = plan.read, plan.sources, plan.sinks
    journal = None
    if past is not None:
        sources, sinks = [partial(Played, past, asynchronous=True)], []
    elif read.journal is not None:
        try:
            journal = Journal(plan.folder / read.journal.path, durability=read.journal.durability)
        except JournalError as error:
            raise config.ConfigError(path, [f"journal: {error}"]) from None
    limits = read.limits
    pipeline = Pipeline(
        plan.rules,
        max_streams=limits.streams,
        max_channels=limits.channels,
        future_s=limits.future_s,
        state_bytes=limits.states_mb << 20,
        folder=None if journal is None else journal.folder,
    )
    return Server(pipeline, sources, sinks, settings=plan.settings, journal=journal)


def planned(
    path: str | Path, steps: Mapping[str, MakeStep] | None = None, *, records: bool = True
) -> Plan:
    """What the file at `path` says. Raises config.ConfigError with all that is wrong in it.

    records   its journal is to be written
    """
    read = config.read(path)
    folder = Path(path).parent
    problems: list[str] = []

    def attempt(make: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return make(*arguments)
        except Wrong as problem:
            problems.append(str(problem))

    settings = attempt(server_settings, read)
    if records and read.journal is not None:
        attempt(journal_folder, folder / read.journal.path)
    rules = [
        attempt(build_streams.rule, f"streams[{n}]", table, folder, steps or {})
        for n, table in enumerate(read.streams)
    ]
    attempt(build_streams.different, read.streams)
    # A source is not held against streams that could not be made.
    known = None if None in rules else rules
    sources = [
        attempt(build_sources.source, f"sources[{n}]", table, folder, known, read.limits)
        for n, table in enumerate(read.sources)
    ]
    attempt(build_sources.one_stdin, read.sources)
    clients: dict[str, BrokerTable] = {
        f"sources[{n}]": table
        for n, table in enumerate(read.sources)
        if isinstance(table, MqttSource)
    }
    sinks = [
        attempt(build_sinks.sink, f"sinks[{n}]", table, folder)
        for n, table in enumerate(read.sinks)
    ]
    attempt(build_sinks.different, read.sinks)
    clients |= {
        f"sinks[{n}]": table for n, table in enumerate(read.sinks) if isinstance(table, MqttSink)
    }
    attempt(build_sources.one_client, list(clients.values()), list(clients))
    if problems:
        raise config.ConfigError(path, problems)
    return Plan(read, folder, settings, rules, sources, sinks)


# --- [journal], [server] and [limits] -------------------------------------------------------------


def journal_folder(folder: Path) -> None:
    try:
        check_folder(folder)
        if (folder / FILE).is_file():
            opened_to_read(folder / FILE, older=True).close()
    except JournalError as error:
        raise Wrong("journal.path", str(error)) from None


def server_settings(read: config.Config) -> Settings:
    server, limits = read.server, read.limits
    for n, name in enumerate(server.hosts):
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            place = f"server.hosts[{n}]"
            raise Wrong(place, f"expected a name without scheme and port, got {shown(name)}")
    for n, origin in enumerate(server.origins):
        if not re.fullmatch(r"https?://[^/\s]+", origin):
            place = f"server.origins[{n}]"
            raise Wrong(
                place, f'expected a site like "https://dash.example.org", got {shown(origin)}'
            )
    if problem := token_problem(server.host, server.token):
        raise Wrong("server.token", problem)
    return Settings(
        **msgspec.structs.asdict(server),
        viewers=limits.viewers,
        senders=limits.senders,
        ring_bytes=limits.ring_mb << 20,
        message_bytes=limits.message_kb << 10,
        keep_days=read.journal.keep_days if read.journal else math.inf,
        keep_bytes=read.journal.keep_gb * 1e9 if read.journal else math.inf,
    )


def token_problem(host: str, token: str) -> str | None:
    """Why a server may not be bound to `host` with this token, or None. Does not show the token."""
    if is_loopback(host) or len(token) >= TOKEN_LEAST:
        return None
    got = f"{len(token)} characters" if token else "none"
    return (
        f"host {host} can be reached from other machines, so a token of at least {TOKEN_LEAST} "
        f"characters is needed, got {got}"
    )
