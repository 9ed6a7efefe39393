"""`streamrnn evaluate`: how good forecasts of a recording are, or how well a network writes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as Lines

from streamrnn_server import cli_text
from streamrnn_server.terminal import fail, out

if TYPE_CHECKING:
    from rich.progress import TaskID

    from streamrnn.streams.table import Table
    from streamrnn_server.evaluation import Evaluation

SHOWN = (1, 2, 3, 6, 12, 24, 48, 96)  # horizons in the table, and the last


def evaluate(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="a recording: .csv, .ndjson or .parquet; or a model that writes"
        ),
    ],
    text: Annotated[
        Path | None,
        typer.Argument(metavar="TEXT", help="of a model that writes: what to judge it on"),
    ] = None,
    target: Annotated[
        str, typer.Option(help="the column to forecast, where there are several")
    ] = "",
    horizon: Annotated[int, typer.Option(min=1, max=1000, help="rows ahead")] = 12,
    channels: Annotated[
        str, typer.Option(help="the columns to read, as a,b,c; otherwise all")
    ] = "",
    time: Annotated[
        str, typer.Option(help="the column of times, unless it is called t, time, date ...")
    ] = "",
    stream: Annotated[str, typer.Option(help="whose rows, where the file has several")] = "",
    period: Annotated[
        int, typer.Option(min=0, help="rows of the seasonal naive; 0: what the forecaster finds")
    ] = 0,
    peers: Annotated[
        bool, typer.Option("--peers", help="compare with river's forecasters as well")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="a picture, .svg or .png", show_default=False)
    ] = None,
) -> None:
    """Show how good forecasts of a recording are, each made before its value is known.

    Errors stand beside those of persistence (nothing changes) and of the seasonal naive (as one
    period ago). The report tells of missing values, lacking rows and odd times too.

    Of a model that writes (`train text`): how many bits it needs for each character of TEXT.
    """
    if text is not None:
        cli_text.bits(file, text)
    elif file.suffix == ".safetensors":
        fail(f"{file} is a model; give the text to judge it on too: streamrnn evaluate MODEL TEXT")
    else:
        chosen = [name.strip() for name in channels.split(",") if name.strip()]
        _recording(file, target, horizon, chosen, time, stream, period, peers, plot)


def _recording(
    file: Path,
    target: str,
    horizon: int,
    channels: list[str],
    time: str,
    stream: str,
    period: int,
    peers: bool,
    plot: Path | None,
) -> None:
    import numpy as np

    from streamrnn.streams.table import read
    from streamrnn_server import plot as picture
    from streamrnn_server.evaluation import TEACH, evaluate

    if plot is not None and (why := picture.problem(plot)):
        fail(why)
    if channels and target and target not in channels:
        channels = [target, *channels]
    try:
        if peers:
            from streamrnn import river  # noqa: F401  # says what to install before all the work
        with _Bars() as bars:
            table = read(
                file,
                time=time or None,
                channels=channels or None,
                stream=stream or None,
                progress=lambda share: bars.show("reading", share),
            )
            if not target and len(table.channels) > 1:
                fail(f"{file}: name the column to forecast: --target {'|'.join(table.channels)}")
            target = target or table.channels[0]
            evaluation = evaluate(table, target, horizon, period, peers, bars.show)
    except ImportError as error:
        fail(f"--peers: {error}")
    except (ValueError, OSError) as error:
        hint = "; choose columns with --channels, that of times with --time"
        fail(f"{error}{hint}" if "expected a number or nothing" in str(error) else error)
    for line in report(table, target):
        out.print(line, markup=False)
    out.print(_lines(evaluation))
    counted = (~np.isnan(evaluation.became)).sum(axis=0).min()
    out.print(
        f"{counted} forecasts count at each horizon: not those of the first {TEACH} rows, nor "
        "where either value is missing; inside: share within the 90 % interval, second half"
    )
    if plot is not None:
        try:
            picture.write(plot, table, target, evaluation)
        except OSError as error:
            fail(f"--plot: {error}")
        out.print(f"picture: {plot}", markup=False)


def report(table: Table, target: str) -> list[str]:
    """What the recording is, and what was amiss with it."""
    import numpy as np

    T, C = table.x.shape
    column = table.x[:, table.channels.index(target)]
    others = [name for name in table.channels if name != target]
    using = f", using {', '.join(others)} too" if others else ""
    lines = [f"forecasting {target}{using}: {T} rows, {C} channel{'s' if C > 1 else ''}"]
    if table.t is None:
        lines.append("no times: rows are taken as equally spaced")
    else:
        lines.append(f"a row every {duration(table.interval)}, by the median of the times")
    for count, what in (
        (int(np.isnan(column).sum()), f"without a value of {target}"),
        (table.lacking, f"lacking in {table.gaps} gaps, the longest of {table.longest} rows"),
        (table.irregular, "off the grid by more than a tenth of the interval"),
        (table.duplicates, "left out, since a later one has the same time"),
        (table.unordered, "with a time before that of the row above; put in order"),
        (table.refused, f"that cannot be read, the first: {table.example or 'it has no time'}"),
    ):
        if count:
            lines.append(f"{count} row{'s' if count > 1 else ''} {what}")
    return lines


def duration(seconds: float) -> str:
    """A time as people write it.

    >>> duration(300), duration(3600), duration(0.5), duration(86400 * 7), duration(100)
    ('5 min', '1 h', '0.5 s', '7 d', '100 s')
    """
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _lines(evaluation: Evaluation) -> Lines:
    lines = Lines(box=None, header_style="bold")
    for name in ("ahead", "model", "MAE", "RMSE", "MAE / persistence", "inside"):
        lines.add_column(name, justify="left" if name == "model" else "right", no_wrap=True)
    H = evaluation.became.shape[1]
    stayed = evaluation.judged[1].scores.mae
    for ahead in [*(h for h in SHOWN if h < H), H]:
        for n, (name, _, scores) in enumerate(evaluation.judged):
            mae, rmse = scores.mae[ahead - 1], scores.rmse[ahead - 1]
            cells = [f"{x:.4g}" if math.isfinite(x) else "diverged" for x in (mae, rmse)]
            ratio = mae / stayed[ahead - 1]
            beside = "" if not math.isfinite(mae) else f"{ratio:.{'3f' if ratio < 10 else '3g'}}"
            share = f"{evaluation.inside[ahead - 1]:.1%}" if n == 0 else ""
            lines.add_row(str(ahead) if n == 0 else "", name, *cells, beside, share)
    return lines


class _Bars:
    """A progress bar for each thing that is done."""

    def __init__(self) -> None:
        self.progress = cli_text.progress()
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bars:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def show(self, name: str, share: float) -> None:
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task(name, total=1.0)
        self.progress.update(self.tasks[name], completed=share)
