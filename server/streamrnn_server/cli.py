"""The `streamrnn` command: demo, serve, send; others in cli_*.py."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamrnn_server import cli_evaluate, cli_journal, cli_models, cli_setup, cli_text
from streamrnn_server.cli_run import run_server
from streamrnn_server.terminal import err, fail, out

if TYPE_CHECKING:
    from streamrnn_server.send import Sender

# Everything else is imported by the command that needs it: `send` and --help start without NumPy.

app = typer.Typer(
    help="Recurrent networks on live data streams.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_text.train, name="train")
app.command()(cli_text.sample)
app.command()(cli_evaluate.evaluate)
app.command()(cli_journal.export)
app.command()(cli_journal.replay)
app.command()(cli_journal.warm)
app.command()(cli_journal.backup)
app.command()(cli_journal.restore)
app.command()(cli_models.inspect)
app.command()(cli_models.convert)
app.command()(cli_setup.discover)
app.command()(cli_setup.check)

Token = Annotated[str, typer.Option(envvar="STREAMRNN_TOKEN", help="what viewers and senders show")]


def main() -> None:
    """Run the command line."""
    app()


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from streamrnn import __version__

        out.print(f"streamrnn {__version__}")
        raise typer.Exit


@app.command()
def demo(
    name: Annotated[
        str, typer.Argument(help="which one, see --list; none: four real streams")
    ] = "",
    list: Annotated[bool, typer.Option("--list", help="name the demos and exit")] = False,
    train: Annotated[
        bool, typer.Option("--train", help="train its networks anew, within two minutes")
    ] = False,
    host: Annotated[str, typer.Option(help="address to bind")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port")] = 8765,
    token: Token = "",
    open: Annotated[bool, typer.Option(help="open the page in the browser")] = True,
) -> None:
    """Show networks on live streams in the browser, without the internet.

    Without NAME: four real streams, predicted as they come; those of `streamrnn send` join them.
    """
    from streamrnn_server.build import token_problem

    if problem := token_problem(host, token):
        fail(f"{problem}; for example --token {secrets.token_urlsafe(18)}")
    from streamrnn import demos
    from streamrnn.streams import Pipeline
    from streamrnn_server import cli_demo
    from streamrnn_server.app import Server, Settings

    if list:
        for line in cli_demo.listed():
            out.print(line, markup=False)
        return
    try:
        models = cli_demo.networks(name, err, anew=train)
        shown = demos.shown(name, models)
    except (ValueError, OSError) as error:
        fail(error)
    rules = [*shown.rules]
    if not name:  # to compile them takes long, and the other demos don't need it
        rules += cli_demo.welcome()
    server = Server(
        Pipeline(rules),
        [partial(source, asynchronous=True) for source in shown.sources],
        settings=Settings(host=host, port=port, token=token, name=name or "demo"),
    )
    run_server(server, open_page=open, show_token=True)


@app.command()
def serve(
    config: Annotated[
        Path, typer.Argument(help="what runs, see docs/serve.md", show_default=False)
    ],
) -> None:
    """Run the streams that a configuration file describes."""
    from streamrnn_server.build import build
    from streamrnn_server.config import ConfigError, read
    from streamrnn_server.config_sinks import StdoutSink

    try:
        server = build(config)
        alone = any(isinstance(table, StdoutSink) for table in read(config).sinks)
    except ConfigError as error:
        fail(error)
    run_server(server, say=err if alone else out)


@app.command()
def send(
    url: Annotated[str, typer.Option(help="the server")] = "http://127.0.0.1:8765",
    stream: Annotated[
        str, typer.Option(help="name of the stream, for lines that have none", show_default=False)
    ] = "",
    token: Token = "",
    csv: Annotated[bool, typer.Option("--csv", help="lines are CSV with a header")] = False,
    keep: Annotated[
        Path | None,
        typer.Option(help="folder for lines until they are acknowledged", show_default=False),
    ] = None,
) -> None:
    """Send lines from standard input to a server.

    A line is a number, or JSON like {"stream": "boiler/7", "t": 1700000000, "temp": 20.5}.

    With --keep each line is taken once, whatever happens to this program, the network and a server
    with a journal: the next call with the same folder sends first what was on its way.
    """
    from streamrnn_server.send import Sender, SendError
    from streamrnn_server.spool import Spool, SpoolError

    if sys.stdin is None or sys.stdin.isatty():
        err.print("reading lines from the keyboard; end with Ctrl+D (Windows: Ctrl+Z, Enter)")
    try:
        spool = None if keep is None else Spool(keep)
    except SpoolError as error:
        fail(error)
    sender = Sender(url, stream=stream or None, token=token, notice=err.print, spool=spool)
    started = time.monotonic()
    failure = ""
    try:
        asyncio.run(_send(sender, csv))
    except (SendError, SpoolError) as error:
        failure = str(error)
    except KeyboardInterrupt:
        failure = "interrupted"
    refused = sum(sender.refused.values())
    err.print(f"{sender.taken} lines taken in {time.monotonic() - started:.1f} s")
    if refused:
        kinds = ", ".join(f"{kind} {n}" for kind, n in sender.refused.most_common())
        err.print(f"{refused} refused: {kinds}")
        for example in sender.examples:
            err.print(f"  {example}", markup=False)
    if failure:
        fail(failure)
    if refused:
        raise typer.Exit(1)


async def _send(sender: Sender, csv: bool) -> None:
    from streamrnn_server import send

    convert = send.csv_to_json(sender) if csv else lambda lines: lines
    sending = asyncio.ensure_future(sender.send(send.read(0, convert, sender.refuse)))
    with err.status("connecting") as status:
        while not sending.done():
            await asyncio.wait({sending}, timeout=0.2)
            status.update(f"{sender.taken} lines taken, {sum(sender.refused.values())} refused")
    await sending
