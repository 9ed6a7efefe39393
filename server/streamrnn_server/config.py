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

Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1)]
Above0 = Annotated[float, Meta(gt=0)]


class ConfigError(ValueError):
    """What is wrong with a configuration: one line for each problem, beginning with its place."""

    def __init__(self, path: str | Path, problems: list[str]) -> None:
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))


class ServerTable(msgspec.Struct, frozen=True, kw_only=True):
    host: Annotated[
        Text, Meta(description="address to bind; beyond loopback a token is demanded")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="0 takes any free port")] = 8765
    token: Annotated[
        str, Meta(description='what viewers and senders show; best "${STREAMRNN_TOKEN}"')
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
        Meta(description="how far ahead of this machine's clock the time of a sent sample may be"),
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
    horizon: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None,
        Meta(description="samples ahead, for detect and forecast; default 12"),
    ] = None
    outputs: Annotated[
        tuple[OutputTable, ...] | None,
        Meta(description="what each output of model or step means; default: plain values"),
    ] = None


class ReplaySource(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="replay"):
    """A CSV or NDJSON recording."""

    path: Annotated[Text, Meta(description="the recording; paths are from this file")]
    speed: Annotated[Above0 | None, Meta(description="a multiple of real time; default 1")] = None
    rate_hz: Annotated[Above0 | None, Meta(description="or so many samples a second")] = None
    loop: Annotated[bool, Meta(description="begin again at the end")] = False
    key: Annotated[
        Text | None, Meta(description="stream of lines that name none; default: the file's name")
    ] = None
    time: Annotated[Text | None, Meta(description="the column of times; default: t, time, ...")] = (
        None
    )
    channels: Annotated[
        tuple[Text, ...] | None, Meta(description="columns to read, in order; default: all")
    ] = None


class FollowSource(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="follow"):
    """Lines that are appended to a CSV or NDJSON file."""

    path: Annotated[Text, Meta(description="the file; it may come later")]
    from_end: Annotated[bool, Meta(description="leave out what is there at the start")] = False
    poll_s: Annotated[Above0, Meta(description="seconds between looks at the file")] = 0.2
    key: Annotated[Text | None, Meta(description="as for replay")] = None
    time: Annotated[Text | None, Meta(description="as for replay")] = None
    channels: Annotated[tuple[Text, ...] | None, Meta(description="as for replay")] = None


class StdinSource(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="stdin"):
    """Lines of CSV or NDJSON from standard input."""

    key: Annotated[Text, Meta(description="stream of lines that name none")] = "stdin"
    time: Annotated[Text | None, Meta(description="as for replay")] = None
    channels: Annotated[tuple[Text, ...] | None, Meta(description="as for replay")] = None


class HostSource(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="host"):
    """This machine's processor, memory, network and disks."""

    rate_hz: Annotated[Above0, Meta(description="readings a second")] = 2.0
    prefix: Annotated[Text, Meta(description="before the names of its streams")] = "host/"


class TextSource(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="text"):
    """Characters of text files, for streams with a text model."""

    files: Annotated[tuple[Text, ...], Meta(description="read one after the other")]
    rate_hz: Annotated[Above0, Meta(description="characters a second")]
    key: Annotated[Text, Meta(description="name of the stream")] = "text"
    loop: Annotated[bool, Meta(description="begin again at the end")] = False


SourceTable = ReplaySource | FollowSource | StdinSource | HostSource | TextSource


class Config(msgspec.Struct, frozen=True, kw_only=True):
    server: ServerTable = ServerTable()
    limits: LimitsTable = LimitsTable()
    journal: JournalTable | None = None
    streams: tuple[StreamsTable, ...]
    sources: tuple[SourceTable, ...] = ()


def read(path: str | Path) -> Config:
    """The configuration in a TOML file, its variables replaced. Raises ConfigError.

    Only the form is checked; what needs other files is, when build.py opens them.
    """
    try:
        raw: Any = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(path, ["there is no such file"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, [f"cannot be read: {error}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, [f"is not TOML: {error}"]) from None
    values, problems = schema.expanded(raw)
    problems += schema.problems(values, msgspec.inspect.type_info(Config))
    if problems:
        raise ConfigError(path, problems)
    return msgspec.convert(values, Config)
