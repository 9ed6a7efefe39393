"""What runs: `streamrnn serve config.toml` and `run("config.toml", steps={...})`.

The structs below are the file's definition: docs/serve.md has its reference from them, schema.py
checks a file against them, build.py makes what they describe. No key names code to import: a step
of one's own is passed in by the Python program that runs the server.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from streamrnn_server import schema
from streamrnn_server.config_sinks import AnySink
from streamrnn_server.config_sources import SourceTable
from streamrnn_server.schema import SECRET, Above0, Count, Text


class ConfigError(ValueError):
    """What is wrong with a configuration: one line for each problem, beginning with its place."""

    def __init__(self, path: str | Path, problems: list[str]) -> None:
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))


class Wrong(ValueError):
    """One problem, at its place."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")


def check_file(place: str, path: Path) -> None:
    if not path.is_file():
        raise Wrong(place, f"there is no file {path}")


class ServerTable(msgspec.Struct, frozen=True, kw_only=True):
    host: Annotated[
        Text, Meta(description="address to bind; beyond loopback a token is demanded")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="0 takes any free port")] = 8765
    token: Annotated[
        str,
        Meta(description='what viewers and senders show; best "${STREAMRNN_TOKEN}"', extra=SECRET),
    ] = ""
    hosts: Annotated[
        tuple[Text, ...],
        Meta(description="more names under which browsers reach the server, without port"),
    ] = ()
    origins: Annotated[
        tuple[Text, ...],
        Meta(description='sites whose pages may use the server, like "https://dash.example.org"'),
    ] = ()
    name: Annotated[Text, Meta(description="what the page calls this server")] = "streamrnn"


class LimitsTable(msgspec.Struct, frozen=True, kw_only=True):
    viewers: Annotated[Count, Meta(description="connected at once")] = 100
    senders: Annotated[Count, Meta(description="connected at once")] = 100
    streams: Annotated[Count, Meta(description="further ones are refused")] = 10_000
    channels: Annotated[Count, Meta(description="of one stream")] = 256
    ring_mb: Annotated[
        Count,
        Meta(description="memory for recent samples, shared by all streams; each keeps 256"),
    ] = 64
    states_mb: Annotated[
        Count,
        Meta(description="memory for states of streams; those of idle ones wait in a file"),
    ] = 1024
    message_kb: Annotated[Count, Meta(description="size of one message")] = 1024
    future_s: Annotated[
        Annotated[float, Meta(ge=0)],
        Meta(description="how far ahead of this machine's clock the time of a sample may be"),
    ] = 86_400.0


class JournalTable(msgspec.Struct, frozen=True, kw_only=True):
    """With this table, even an empty one, nothing that was acknowledged is lost."""

    path: Annotated[
        Text, Meta(description="folder of the journal; from this file, like all paths")
    ] = "journal"
    durability: Annotated[
        Literal["process", "power"],
        Meta(
            description="what it outlives: the death of the process, or a loss of power, too, for "
            "a sync of the disk at every commit"
        ),
    ] = "process"
    keep_days: Annotated[Above0, Meta(description="older samples are dropped")] = 365.0
    keep_gb: Annotated[
        Above0, Meta(description="the oldest samples are dropped when the journal is larger")
    ] = 10.0


class OutputTable(msgspec.Struct, frozen=True, kw_only=True):
    channel: Annotated[
        Text | None, Meta(description="the channel it speaks of; needed unless kind is value")
    ] = None
    ahead: Annotated[Count, Meta(description="how many samples after this one")] = 1
    kind: Annotated[
        Literal["forecast", "lower", "upper", "score", "alarm", "value"] | None,
        Meta(description="default: forecast if there is a channel, else value"),
    ] = None
    name: Annotated[Text | None, Meta(description="how the page calls it")] = None


class StreamsTable(msgspec.Struct, frozen=True, kw_only=True):
    match: Annotated[
        Text,
        Meta(
            description="stream names it serves, `* ? [abc]` as in a shell; the first match counts"
        ),
    ]
    channels: Annotated[
        tuple[Text, ...] | None,
        Meta(
            description="names in order; default: as the first sample names them, "
            "of a model value or x0, x1, ..."
        ),
    ] = None
    units: Annotated[
        tuple[str, ...] | dict[str, str] | None,
        Meta(description="a list beside channels, or a table by channel"),
    ] = None
    target: Annotated[
        Text | Annotated[int, Meta(ge=0)],
        Meta(description="the channel that matters most: its name, or its number from 0"),
    ] = 0
    detect: Annotated[
        bool, Meta(description="learn to forecast the target and score what is unusual")
    ] = False
    forecast: Annotated[bool, Meta(description="learn to forecast the target")] = False
    model: Annotated[
        Text | None, Meta(description="a model file of streamrnn.save; paths are from this file")
    ] = None
    text: Annotated[
        Text | None, Meta(description="a model file with its vocabulary, that reads characters")
    ] = None
    step: Annotated[
        Text | None, Meta(description="a name in `steps` of run(config, steps={...})")
    ] = None
    lateness: Annotated[
        Annotated[float, Meta(ge=0)],
        Meta(description="seconds for which samples may come out of order; 0: used as they come"),
    ] = 0.0
    every: Annotated[
        Above0 | None,
        Meta(
            description="seconds: what comes in so long makes one row, and a sample may be of some "
            "channels only; default: each sample is a row"
        ),
    ] = None
    how: Annotated[
        Literal["last", "first", "mean", "min", "max", "sum"] | None,
        Meta(description="a channel's samples make its value in a row; default last"),
    ] = None
    horizon: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None,
        Meta(description="samples ahead, for detect and forecast; default 12"),
    ] = None
    outputs: Annotated[
        tuple[OutputTable, ...] | None,
        Meta(description="what each output of model or step means; default: plain values"),
    ] = None


class Config(msgspec.Struct, frozen=True, kw_only=True):
    server: ServerTable = ServerTable()
    limits: LimitsTable = LimitsTable()
    journal: JournalTable | None = None
    streams: tuple[StreamsTable, ...]
    sources: tuple[SourceTable, ...] = ()
    sinks: tuple[AnySink, ...] = ()


def read(path: str | Path) -> Config:
    """The configuration in a TOML file, its variables replaced. Raises ConfigError.

    Only the form is checked; what needs other files is, when build.py opens them.
    """
    try:
        raw: Any = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(path, ["there is no such file"]) from None
    except OSError as error:
        raise ConfigError(path, [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(path, [f"cannot be read: {error}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, [f"is not TOML: {error}"]) from None
    values, problems = schema.expanded(raw, Path(path).parent)
    problems += schema.problems(values, msgspec.inspect.type_info(Config))
    if problems:
        raise ConfigError(path, problems)
    return msgspec.convert(values, Config)
