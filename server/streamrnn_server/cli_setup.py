"""`streamrnn discover` and `check`: a configuration for what is there, and what one will do."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamrnn_server.terminal import err, fail, out

if TYPE_CHECKING:
    from streamrnn_server.survey import SeenTopic


def discover(
    source: Annotated[
        str, typer.Argument(help="mqtt://host, mqtts://host, or a CSV or NDJSON file")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write, a new one")] = Path(
        "config.toml"
    ),
    seconds: Annotated[float, typer.Option(min=0.1, help="how long to watch a broker")] = 60.0,
    topic: Annotated[str, typer.Option(help="pattern of the topics to watch")] = "#",
    user: Annotated[str, typer.Option(help="for a broker that asks")] = "",
    password: Annotated[
        str, typer.Option(envvar="MQTT_PASSWORD", help="better in the environment")
    ] = "",
    ca: Annotated[Path | None, typer.Option(help="certificates to trust, for mqtts")] = None,
) -> None:
    """Watch a broker for a minute, or read a file, and write a configuration for what is there."""
    from streamrnn.streams import Refused
    from streamrnn_server import discover as looking

    if output.exists():
        fail(f"{output} exists, and nothing is overwritten: name another file with --output")
    if not output.parent.is_dir():
        fail(f"{output}: no such folder as {output.parent}")
    try:
        if "://" in source:
            text = _watched(source, seconds, topic, user, password, ca)
        else:
            text = _read(Path(source), output)
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except (looking.NothingFound, Refused, OSError, ValueError) as error:
        fail(error)
    out.print(f"{output} is written; `streamrnn check {output}` says what it does", markup=False)


def _read(source: Path, output: Path) -> str:
    from streamrnn_server.cli_text import progress
    from streamrnn_server.discover import file

    with progress() as bars:
        task = bars.add_task("reading", total=1.0)
        return file(source, output, lambda share: bars.update(task, completed=share))


def _watched(
    url: str, seconds: float, topic: str, user: str, password: str, ca: Path | None
) -> str:
    from importlib.util import find_spec

    from streamrnn.streams.broker import MISSING, Broker, place
    from streamrnn_server.discover import watch
    from streamrnn_server.draft import of_topics
    from streamrnn_server.process import on_signals

    host, port, tls = place(url)
    if find_spec("paho") is None:
        fail(MISSING)
    name = f"streamrnn-{secrets.token_hex(3)}"
    broker = Broker(host, port, tls, client_id=name, user=user, password=password, ca=ca)
    broker.context()  # says what is wrong with certificates
    with err.status("connecting") as status:

        def progress(messages: int, topics: int, state: str) -> None:
            status.update(f"{messages} messages of {topics} topics; {state}; Ctrl+C: enough")

        async def watched() -> dict[str, SeenTopic]:
            enough = asyncio.Event()
            with on_signals(enough.set):
                return await watch(broker, topic, seconds, progress, enough)

        topics = asyncio.run(watched())
    return of_topics(topics.values(), url, name, user=user, ca=ca, seconds=seconds)


def check(
    config: Annotated[Path, typer.Argument(help="as for serve", show_default=False)],
) -> None:
    """Say what a configuration will do, and all that is wrong in it; exit code 1 if anything is."""
    from streamrnn_server.build import planned
    from streamrnn_server.check import said
    from streamrnn_server.config import ConfigError

    try:
        plan = planned(config)
        sections = list(said(config, plan))
    except ConfigError as error:
        fail(error)
    for heading, lines in sections:
        out.print(heading, style="bold")
        for line in lines:
            out.print(f"  {line}", markup=False)
