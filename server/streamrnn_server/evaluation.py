"""Forecasts of a recording, and those of persistence, seasonal naive and river's models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.evaluate import Scores, became, inside, persistence, scores, seasonal
from streamrnn.forecast import Forecast, Forecaster
from streamrnn.streams.table import Table

Array = NDArray[np.float64]
Progress = Callable[[str, float], object]  # what is done now, and which share of it

TEACH = 100  # rows whose forecasts do not count
SCORED = 50  # rows that should, at least
CHUNK = 256  # rows between two looks at the progress


class EvaluationError(ValueError):
    """What a recording lacks to be evaluated; the text says what to do."""


class Judged(NamedTuple):
    """One model's forecasts (T, H) and how far they were off."""

    name: str
    mean: Array
    scores: Scores


class Evaluation(NamedTuple):
    """y (T,) the target; became (T, H) what it became; forecast (T, H); period in rows, 0: none.

    judged   streamrnn, persistence, seasonal naive where there is a period, then river's
    inside   (H,) share of the values within the 90 % interval, second half
    """

    y: Array
    became: Array
    forecast: Forecast
    period: int
    judged: list[Judged]
    inside: Array


def evaluate(
    table: Table, target: str, horizon: int, period: int, peers: bool, progress: Progress
) -> Evaluation:
    """Forecast the target of a recording; each forecast is made before its values are known.

    period  rows of the seasonal naive's season; 0: the one that the forecaster found by the end

    Raises EvaluationError for a recording without that target, or too short.
    """
    if target not in table.channels:
        raise EvaluationError(
            f"there is no column {target}, expected one of {', '.join(table.channels)}"
        )
    column = table.channels.index(target)
    y, least = table.x[:, column], TEACH + horizon + SCORED
    if np.isfinite(y).sum() < least:
        raise EvaluationError(
            f"{target} has {np.isfinite(y).sum()} values, expected at least {least}: the first "
            f"{TEACH} rows only teach, the last {horizon} have no future to compare with"
        )
    forecaster = Forecaster(len(table.channels), column, horizon)
    parts = []
    for n in range(0, len(y), CHUNK):
        t = None if table.t is None else table.t[n : n + CHUNK]
        parts.append(forecaster.run(table.x[n : n + CHUNK], t))
        progress("streamrnn", min(n + CHUNK, len(y)) / len(y))
    forecast = Forecast(*map(np.concatenate, zip(*parts, strict=True)))
    found = became(y, horizon, table.at, TEACH)
    if np.isnan(found).all(axis=0).any():
        raise EvaluationError(
            f"{target} has no two values {horizon} rows apart: a row every {table.interval:g} s "
            "by the median of the times; is that the interval?"
        )
    period = period or forecaster.explain().period
    means = {"streamrnn": forecast.mean, "persistence": persistence(y, horizon)}
    if period:
        means[f"seasonal naive, {period} rows"] = seasonal(y, horizon, period, table.at)
    if peers:
        from streamrnn import river

        for name, model in river.peers(period).items():
            means[name] = _run(model, y, horizon, name, progress)
    judged = [Judged(name, mean, scores(mean, found)) for name, mean in means.items()]
    share = inside(forecast.lower, forecast.upper, found)
    return Evaluation(y, found, forecast, period, judged, share)


def _run(model: Any, y: Array, horizon: int, name: str, progress: Progress) -> Array:
    from streamrnn import river

    mean = np.full((len(y), horizon), np.nan)
    for n, ahead in enumerate(river.forecasts(model, y, horizon), start=1):
        mean[n - 1] = ahead
        if n % CHUNK == 0 or n == len(y):
            progress(name, n / len(y))
    return mean
