"""Makes what a configuration describes: rules for the pipeline, sources, settings of the server.

Here the files that it names are opened, so that all that can be wrong is said before anything runs.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

import streamrnn as srnn
from streamrnn.step import Output, Step
from streamrnn.streams import Pipeline, Rule, Source, follow, host, replay, stdin, text
from streamrnn.text import load_reader
from streamrnn_server import config
from streamrnn_server.access import TOKEN_LEAST, is_loopback
from streamrnn_server.app import Server, Settings
from streamrnn_server.database import JournalError
from streamrnn_server.history import History
from streamrnn_server.journal import Journal
from streamrnn_server.played import Played
from streamrnn_server.schema import either, shown

MakeStep = Callable[[tuple[str, ...]], Step]
MakeSource = Callable[[], Source]

RUNS = ("detect", "forecast", "model", "text", "step")


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
    read = config.read(path)
    folder = Path(path).parent
    problems: list[str] = []

    def attempt(make: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return make(*arguments)
        except Wrong as problem:
            problems.append(str(problem))

    settings = attempt(server_settings, read)
    rules = [
        attempt(_rule, f"streams[{n}]", table, folder, steps or {})
        for n, table in enumerate(read.streams)
    ]
    attempt(_different, read.streams)
    # A source is not held against streams that could not be made.
    known = None if None in rules else rules
    sources = [
        attempt(_source, f"sources[{n}]", table, folder, known)
        for n, table in enumerate(read.sources)
    ]
    attempt(_one_stdin, read.sources)
    if problems:
        raise config.ConfigError(path, problems)
    journal = None
    if past is not None:
        sources = [partial(Played, past, asynchronous=True)]
    elif read.journal is not None:
        try:
            journal = Journal(folder / read.journal.path, durability=read.journal.durability)
        except JournalError as error:
            raise config.ConfigError(path, [f"journal: {error}"]) from None
    limits = read.limits
    pipeline = Pipeline(
        rules,
        max_streams=limits.streams,
        max_channels=limits.channels,
        future_s=limits.future_s,
        state_bytes=limits.states_mb << 20,
        folder=None if journal is None else journal.folder,
    )
    return Server(pipeline, sources, settings=settings, journal=journal)


class Wrong(ValueError):
    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")


# --- [server] and [limits] ------------------------------------------------------------------------


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


# --- [[streams]] ----------------------------------------------------------------------------------


def _rule(
    place: str, table: config.StreamsTable, folder: Path, steps: Mapping[str, MakeStep]
) -> Rule:
    runs = [name for name in RUNS if getattr(table, name)]
    if len(runs) != 1:
        got = " and ".join(runs) or "none"
        raise Wrong(place, f"expected one of {', '.join(RUNS)} to say what runs, got {got}")
    allowed = {
        "detect": ("horizon", "channels", "units"),
        "forecast": ("horizon", "channels", "units"),
        "model": ("outputs", "channels", "units"),
        "text": (),
        "step": ("outputs", "channels", "units"),
    }[runs[0]]
    for name in ("horizon", "outputs", "channels", "units"):
        if getattr(table, name) is not None and name not in allowed:
            raise Wrong(f"{place}.{name}", f"goes not with {runs[0]}; leave it out")
    if runs[0] == "text":
        reader = _loaded(f"{place}.text", load_reader, folder / str(table.text))
        token = ("token",)
        return Rule(
            table.match, lambda channels: reader, token, kind="tokens", lateness=table.lateness
        )

    channels = table.channels
    make = _step_maker(place, runs[0], table, folder, steps)
    if table.model is not None:
        inputs = make(()).inputs  # a model has no channel names of its own
        channels = channels or (
            ("value",) if inputs == 1 else tuple(f"x{n}" for n in range(inputs))
        )
        if len(channels) != inputs:
            problem = f"expected {inputs}, as {table.model} has so many inputs, got {len(channels)}"
            raise Wrong(f"{place}.channels", problem)
    if channels is not None:
        _check_names(f"{place}.channels", channels)
    target = _target(f"{place}.target", table.target, channels)
    units = _units(f"{place}.units", table.units, channels)
    outputs = None
    if table.outputs is not None:
        outputs = tuple(
            _output(f"{place}.outputs[{n}]", n, output, channels)
            for n, output in enumerate(table.outputs)
        )
        if channels is not None:
            _check_count(f"{place}.outputs", _made(place, make, channels).outputs, len(outputs))
    elif channels is not None:
        _made(place, make, channels)
    return Rule(
        table.match, make, channels, units, target, outputs=outputs, lateness=table.lateness
    )


def _step_maker(
    place: str,
    runs: str,
    table: config.StreamsTable,
    folder: Path,
    steps: Mapping[str, MakeStep],
) -> MakeStep:
    if runs == "step":
        step = str(table.step)
        if step not in steps:
            names = f"{either(map(shown, steps))}, as" if steps else "what"
            problem = f"expected {names} Python passes to run(config, steps=...), got {shown(step)}"
            raise Wrong(f"{place}.step", problem)
        return steps[step]
    if runs == "model":
        model = _loaded(f"{place}.model", srnn.load, folder / str(table.model))
        if isinstance(model, srnn.Bank):
            raise Wrong(f"{place}.model", "expected the file of a model, got that of a Bank")
        return lambda channels: model
    learner = srnn.Detector if runs == "detect" else srnn.Forecaster

    def make(channels: tuple[str, ...]) -> Step:
        target = _target(f"{place}.target", table.target, channels)
        return learner(len(channels), target, table.horizon or 12)

    return make


def _made(place: str, make: MakeStep, channels: tuple[str, ...]) -> Step:
    try:
        return make(channels)
    except Wrong:
        raise
    except Exception as error:  # a step of the user's own may raise anything
        raise Wrong(place, f"no step for channels {', '.join(channels)}: {error}") from error


def _loaded(place: str, load: Callable[[Path], Any], path: Path) -> Any:
    _check_file(place, path)
    try:
        return load(path)
    except srnn.FormatError as error:
        raise Wrong(place, str(error)) from None


def _check_file(place: str, path: Path) -> None:
    if not path.is_file():
        raise Wrong(place, f"there is no file {path}")


def _check_names(place: str, names: Sequence[str]) -> None:
    for n, name in enumerate(names):
        if name in names[:n]:
            raise Wrong(f"{place}[{n}]", f"expected different names, got {shown(name)} again")
    if not names:
        raise Wrong(place, "expected at least one")


def _check_count(place: str, outputs: int, got: int) -> None:
    if got != outputs:
        raise Wrong(place, f"expected {outputs}, one for each output, got {got}")


def _target(place: str, target: str | int, channels: tuple[str, ...] | None) -> int:
    if channels is None:
        if isinstance(target, str):
            raise Wrong(place, "a name needs channels = [...] beside it; or give its number from 0")
        return target
    if target in channels:
        return channels.index(str(target))
    if isinstance(target, int) and target < len(channels):
        return target
    names = either(map(shown, channels))
    raise Wrong(place, f"expected {names}, or a number below {len(channels)}, got {shown(target)}")


def _units(
    place: str, units: tuple[str, ...] | dict[str, str] | None, channels: tuple[str, ...] | None
) -> tuple[str, ...] | dict[str, str] | None:
    if isinstance(units, dict) and channels is not None:
        for name in units:
            if name not in channels:
                raise Wrong(place, f"expected {either(map(shown, channels))}, got {shown(name)}")
    if isinstance(units, tuple):
        if channels is None:
            raise Wrong(
                place, "a list needs channels = [...] beside it; or give a table by channel"
            )
        if len(units) != len(channels):
            raise Wrong(place, f"expected {len(channels)}, one for each channel, got {len(units)}")
    return units


def _output(
    place: str, n: int, table: config.OutputTable, channels: tuple[str, ...] | None
) -> Output:
    if table.channel is None:
        if table.kind in ("forecast", "lower", "upper"):
            raise Wrong(f"{place}.channel", f"missing; a {table.kind} is of a channel")
        return Output(table.name or f"y{n}", table.kind or "value")
    if channels is None:
        raise Wrong(f"{place}.channel", "a name needs channels = [...] beside outputs")
    if table.channel not in channels:
        names = either(map(shown, channels))
        raise Wrong(f"{place}.channel", f"expected {names}, got {shown(table.channel)}")
    kind = table.kind or "forecast"
    name = table.name or f"{table.channel} {kind} +{table.ahead}"
    return Output(name, kind, channels.index(table.channel), table.ahead)


def _different(tables: Sequence[config.StreamsTable]) -> None:
    if not tables:
        raise Wrong("streams", "expected at least one [[streams]] table")
    patterns = [table.match for table in tables]
    for n, pattern in enumerate(patterns):
        if (first := patterns.index(pattern)) != n:
            raise Wrong(f"streams[{n}].match", f"{shown(pattern)} is that of streams[{first}]")


# --- [[sources]] ----------------------------------------------------------------------------------


def _source(
    place: str, table: config.SourceTable, folder: Path, rules: Sequence[Rule] | None
) -> MakeSource:
    options: dict[str, Any] = {"asynchronous": True} | msgspec.structs.asdict(table)
    match table:
        case config.ReplaySource():
            options["path"] = folder / table.path
            _check_file(f"{place}.path", options["path"])
            if table.speed is not None and table.rate_hz is not None:
                raise Wrong(place, "expected speed or rate_hz, got both")
            _served(f"{place}.key", table.key, rules)
            return partial(replay, **options)
        case config.FollowSource():
            options["path"] = path = folder / table.path
            if not path.parent.is_dir():
                raise Wrong(f"{place}.path", f"there is no folder {path.parent}")
            _served(f"{place}.key", table.key, rules)
            return partial(follow, **options)
        case config.StdinSource():
            _served(f"{place}.key", table.key, rules)
            return partial(stdin, **options)
        case config.HostSource():
            _served(f"{place}.prefix", f"{table.prefix}cpu", rules)
            return partial(host, **options)
        case config.TextSource():
            paths = [folder / name for name in options.pop("files")]
            for n, path in enumerate(paths):
                _check_file(f"{place}.files[{n}]", path)
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


def _served(place: str, key: str | None, rules: Sequence[Rule] | None) -> Rule | None:
    """The rule for a stream; None if the lines of a file name their streams themselves."""
    if key is None or rules is None:
        return None
    for rule in rules:
        if fnmatchcase(key, rule.match):
            return rule
    patterns = either(shown(rule.match) for rule in rules)
    raise Wrong(place, f"no [[streams]] has a pattern for {shown(key)}; there is {patterns}")


def _one_stdin(tables: Sequence[config.SourceTable]) -> None:
    places = [n for n, table in enumerate(tables) if isinstance(table, config.StdinSource)]
    if len(places) > 1:
        raise Wrong(f"sources[{places[1]}]", f"sources[{places[0]}] reads standard input already")
