"""Commands on a journal. All but warm may run beside its server."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from streamrnn_server.terminal import err, fail, out

Where = Annotated[
    Path, typer.Argument(help="folder of the journal, or a configuration that names it")
]
Stream = Annotated[
    list[str] | None, typer.Option(help="only streams that match, like 'boiler/*'; may be repeated")
]
From = Annotated[
    str, typer.Option("--from", help="event time, like 2026-01-31 or seconds since 1970")
]
To = Annotated[str, typer.Option("--to", help="event time, exclusive")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="file to write to")]
Format = Annotated[str, typer.Option(help="csv, ndjson or parquet")]


def export(
    journal: Where,
    stream: Stream = None,
    begin: From = "",
    end: To = "",
    format: Format = "csv",
    output: Output = None,
    predictions: Annotated[
        bool | None,
        typer.Option("--predictions/--no-predictions", help="with what was predicted, as usual"),
    ] = None,
    late: Annotated[
        bool,
        typer.Option("--late", help="samples that came too late to be used, and when, instead"),
    ] = False,
) -> None:
    """Write recorded samples with their predictions, to standard output or a file."""
    from streamrnn_server import export as to
    from streamrnn_server.database import opened_to_read, told_if_damaged
    from streamrnn_server.history import History, each
    from streamrnn_server.journal import FILE

    _known(format)
    if late and predictions:
        fail("--late: nothing was predicted of samples that came too late; drop --predictions")
    first, last = _time("--from", begin, -math.inf), _time("--to", end, math.inf)
    if not first < last:
        fail(f"--from: expected a time before --to, got {begin} and {end or 'none'}")
    with _told(), ExitStack() as stack:
        folder = _folder(journal)
        if late:
            with History(folder, stream or ()):  # whether there is such a stream
                pass
            path = folder / FILE
            db = stack.enter_context(closing(opened_to_read(path)))
            with told_if_damaged(path):
                names = to.late_names(db)
            rows = each(path, to.late(db, names, first, last, stream or ()))
        else:
            past = stack.enter_context(History(folder, stream or ()))
            names = to.names_of(past.kinds.values(), predictions=predictions is not False)
            rows = to.records(past.samples(first, last), names)
        file = stack.enter_context(output.open("wb")) if output else sys.stdout.buffer
        count = to.export(rows, names.columns, file, format)  # type: ignore[arg-type]
        file.flush()
    err.print(f"{count} samples")


def replay(
    config: Annotated[Path, typer.Argument(help="what shall run over the past, as for serve")],
    journal: Annotated[
        Path | None, typer.Option(help="its folder; default: the configuration's own")
    ] = None,
    stream: Stream = None,
    format: Format = "csv",
    output: Output = None,
    page: Annotated[bool, typer.Option(help="show it on a page instead")] = False,
) -> None:
    """Run a configuration over the recorded past, as fast as it goes; nothing is recorded.

    Prints how well the next value was forecast, then and now; --output writes all predictions.
    """
    from streamrnn_server import export as to
    from streamrnn_server.build import build
    from streamrnn_server.history import History
    from streamrnn_server.journal import Kind
    from streamrnn_server.played import Errors, comparable, folded, groups_of

    _known(format)
    with _told(), ExitStack() as stack:
        past = stack.enter_context(History(_folder(journal or config), stream or ()))
        server = build(config, past=past)
        if page:
            from streamrnn_server.cli_run import run_server

            return run_server(server)
        groups, refused = groups_of(server.pipeline, past)
        for error in refused:
            err.print(f"left out: {error}", markup=False)
        then, now = Errors(), Errors()

        def told() -> Any:
            for recorded, replayed in folded(server.pipeline, past, groups):
                if comparable(recorded, replayed):
                    then.add(recorded)
                now.add(replayed)
                yield replayed

        if output is None:
            for _ in told():
                pass
        else:
            names = to.names_of(
                Kind(group.channels, tuple(map(tuple, group.outputs))) for group in groups.values()
            )
            file = stack.enter_context(output.open("wb"))
            to.export(to.records(told(), names), names.columns, file, format)  # type: ignore[arg-type]
    _table([(key, then.of(key), now.of(key)) for key in groups])


def warm(
    config: Annotated[Path, typer.Argument(help="what runs, as for serve; its server is stopped")],
    files: Annotated[
        list[Path], typer.Argument(help="CSV or NDJSON, in order; as for a replay source")
    ],
    stream: Annotated[
        str, typer.Option(help="of lines that name none; default: the file's name")
    ] = "",
) -> None:
    """Load recordings into the journal as fast as it goes, so that a server begins with their past.

    Ctrl+C ends it; all that was loaded stays.
    """
    import asyncio

    from streamrnn_server.build import build
    from streamrnn_server.warm import warmed

    for file in files:  # before a journal is made
        if not file.is_file():
            fail(f"there is no file {file}")
    with _told():
        server = build(config)
        if server.recorder is None:
            fail(f"{config}: has no [journal] table, so nothing would stay")
        loaded = asyncio.run(warmed(server.pipeline, server.recorder, files, stream or None))
    for line in loaded.problems:
        err.print(line, style="red", markup=False)
    out.print(f"{loaded.samples} samples in {loaded.seconds:.1f} s")
    if loaded.problems:
        raise typer.Exit(1)


def backup(
    journal: Where,
    into: Annotated[Path, typer.Argument(help="a new folder")],
) -> None:
    """Copy a journal as it is at this moment; its server may go on."""
    from streamrnn_server import backup as backups

    with _told():
        size = backups.backup(_folder(journal), into)
    again = f"`streamrnn restore {into} FOLDER` makes it a journal again"
    out.print(f"{into} holds {size / 1e6:.1f} MB; {again}", markup=False)


def restore(
    copied: Annotated[Path, typer.Argument(help="what backup has made")],
    folder: Annotated[Path, typer.Argument(help="folder of the journal, where there is none yet")],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="though no state can be made as it was")
    ] = False,
) -> None:
    """Make a journal of a backup, after a look whether it is whole."""
    from streamrnn_server import backup as backups

    with _told():
        restored = backups.restore(copied, folder, anyway=anyway)
    for line in restored.told:
        err.print(line, style="red", markup=False)
    out.print(f"{folder} holds {restored.size / 1e6:.1f} MB", markup=False)


def _table(rows: list[tuple[str, Any, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None)
    for name in ("stream", "samples", "error then", "error now", "persistence"):
        table.add_column(name, justify="left" if name == "stream" else "right")
    for key, then, now in rows:
        cells = (then.error, now.error, now.persistence)
        table.add_row(key, str(now.samples), *(_number(cell) for cell in cells))
    out.print(table)
    out.print("error: mean absolute error of the forecast of the next value")


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"


def _folder(given: Path) -> Path:
    """The journal's folder; of a configuration, where that says."""
    from streamrnn_server import config

    if given.is_dir() or given.suffix != ".toml":
        return given
    read = config.read(given)
    if read.journal is None:
        fail(f"{given}: has no [journal] table; name the journal's folder instead")
    return given.parent / read.journal.path


def _time(option: str, text: str, default: float) -> float:
    from streamrnn.streams import event_time

    try:
        return event_time(text) if text else default
    except ValueError as error:
        fail(f"{option}: {error}")


def _known(format: str) -> None:
    from streamrnn_server.export import FORMATS

    if format not in FORMATS:
        fail(f"--format: expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, got {format}")


@contextmanager
def _told() -> Iterator[None]:
    """Ends with what went wrong as one line in red, not with a traceback."""
    from streamrnn_server.config import ConfigError
    from streamrnn_server.database import JournalError
    from streamrnn_server.export import ExportError

    try:
        yield
    except BrokenPipeError:  # who read standard output has had enough
        sys.stderr.close()
        raise typer.Exit(1) from None
    except (ConfigError, JournalError, ExportError, OSError) as error:
        fail(error)
