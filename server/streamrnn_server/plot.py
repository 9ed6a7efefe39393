"""A picture of an evaluation: the recording's end with its forecast, and the errors over time."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.streams.table import Table
from streamrnn_server.evaluation import TEACH, Evaluation, Judged

Array = NDArray[np.float64]
ENDINGS = (".svg", ".png", ".pdf")
SHOWN = 10  # horizons of the past beside the forecast
WINDOW = 200  # rows whose errors are averaged


def problem(path: Path) -> str:
    """Why no picture can be written there, "" if it can."""
    if path.suffix.lower() not in ENDINGS:
        return f"--plot {path}: ends in {path.suffix!r}, expected {', '.join(ENDINGS)}"
    if not path.absolute().parent.is_dir():
        return f"--plot {path}: there is no folder {path.absolute().parent}"
    if find_spec("matplotlib") is None:
        return '--plot needs matplotlib: pip install "streamrnn[plot]"'
    return ""


def write(path: Path, table: Table, target: str, evaluation: Evaluation) -> None:
    """Write the picture, in the format that the name's ending says."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2)
    _end(above, table, target, evaluation)
    _errors(below, table, target, evaluation)
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}  # the same file again
    figure.savefig(path, metadata=metadata)


def _end(axes: Any, table: Table, target: str, evaluation: Evaluation) -> None:
    y, forecast = evaluation.y, evaluation.forecast
    T, H = forecast.mean.shape
    shown = np.arange(max(0, T - SHOWN * H), T)
    x = _times(table, table.at[shown])
    axes.plot(x, y[shown], color="black", label=target)
    before = shown[1:] - 1
    axes.plot(
        x[1:], forecast.mean[before, 0], color="#0072B2", lw=0.8, label="forecast, 1 row ahead"
    )
    ahead = _times(table, table.at[-1] + 1 + np.arange(H))
    axes.plot(ahead, forecast.mean[-1], color="#D55E00", marker=".", label=f"the next {H} rows")
    band = dict(color="#D55E00", alpha=0.2, lw=0, label="90 % interval")
    axes.fill_between(ahead, forecast.lower[-1], forecast.upper[-1], **band)
    axes.set(ylabel=target, title="the end, and what is to come")
    axes.legend(fontsize="small")


def _errors(axes: Any, table: Table, target: str, evaluation: Evaluation) -> None:
    H = evaluation.became.shape[1]
    x = _times(table, table.at)
    chosen: list[Judged] = evaluation.judged[:2]
    for h, style in ((0, "-"), (H - 1, "--")) if H > 1 else ((0, "-"),):
        for judged, colour in zip(chosen, ("#0072B2", "gray"), strict=True):
            off = np.abs(judged.mean[:, h] - evaluation.became[:, h])
            label = f"{judged.name}, {h + 1} ahead"
            axes.plot(x, rolling(off), style, color=colour, lw=0.8, label=label)
    axes.set(ylabel="mean absolute error", title=f"errors, of {WINDOW} rows each")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize="small")


def rolling(off: Array) -> Array:
    """Mean of the last WINDOW errors that there were, (T,); NaN while there are none."""
    known = ~np.isnan(off)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, off, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    first = np.maximum(np.arange(len(off)) + 1 - WINDOW, 0)
    n = count[1:] - count[first]
    mean: Array = np.where(n > 0, (total[1:] - total[first]) / np.maximum(n, 1), np.nan)
    mean[: min(TEACH, len(mean))] = np.nan
    return mean


def _times(table: Table, at: NDArray[np.int64]) -> NDArray[Any]:
    """Where rows of the grid lie on the axis: times, or numbers of rows."""
    if table.t is None:
        return at
    seconds = np.interp(at, table.at, table.t)
    beyond = np.maximum(at - table.at[-1], 0) * table.interval
    times: NDArray[Any] = ((seconds + beyond) * 1e3).astype("datetime64[ms]")
    return times
