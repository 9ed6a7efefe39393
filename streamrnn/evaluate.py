"""How good forecasts are: each is made before its value is known, and compared with persistence.

Persistence forecasts that the next values equal this one. It is hard to beat on slow sensors, and
what it misses says how large an error is on this stream.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.bank import Bank
from streamrnn.kernels import error as kernel
from streamrnn.step import Output, flat, padded

Array = NDArray[np.float64]


class RunningError:
    """Running mean absolute error of one-step predictions and of persistence, as a step.

    x (2,): the value, and the prediction made now for the next row. y (2,): the two errors, over
    the last 200 rows or so, NaN until a prediction has met its value. A missing value, NaN, changes
    neither; persistence is then the last value there was.

    >>> bank = Bank(RunningError())
    >>> bank.step(["pump"] * 3, [[10.0, 11.0], [12.0, 12.5], [13.0, 13.5]])
    array([[ nan,  nan],
           [1.  , 2.  ],
           [0.75, 1.5 ]])
    """

    layout = padded([(name, 1) for name in kernel.FIELDS], np.float64)
    inputs = 2
    outputs = 2

    def initial(self) -> NDArray[Any]:
        """The state of a stream that has not begun."""
        state = np.zeros((), self.layout)
        for name in ("value", "prediction", "error", "persistence"):
            state[name] = np.nan
        return state

    def advance(self, states: NDArray[Any], rows: NDArray[np.int64], x: Array, y: Array) -> None:
        """Move rows of `states` (S,) by x (N, 2) and write y (N, 2); see `Step`."""
        kernel.advance(flat(states), rows, x, y)

    def describe(self, channels: tuple[str, ...]) -> tuple[Output, ...]:
        """What the columns of y mean."""
        return Output("error", "error"), Output("error_persistence", "error_persistence")


class Scores(NamedTuple):
    """How far forecasts were off at each horizon, arrays (H,)."""

    mae: Array
    rmse: Array


def became(y: Array, H: int, at: NDArray[np.int64] | None = None, skip: int = 100) -> Array:
    """What forecasts made in each row for 1 .. H rows ahead are compared with, (T, H).

    y     (T,) the values
    at    (T,) the places of the rows where some are lacking in between, ascending; None: 0 .. T-1
    skip  forecasts made in the first rows do not count

    NaN where a forecast does not count: its value is missing, or the one it was made at.
    """
    T = len(y)
    places = np.arange(T) if at is None else at
    found = np.full((T, H), np.nan)
    for h in range(H):
        row = np.minimum(np.searchsorted(places, places + h + 1), T - 1)
        there = places[row] == places + h + 1
        found[there, h] = y[row[there]]
    found[:skip] = np.nan
    found[np.isnan(y)] = np.nan
    return found


def scores(mean: Array, became: Array) -> Scores:
    """Of forecasts (T, H); one that is not finite is infinitely far off."""
    counts = ~np.isnan(became)
    off = np.where(np.isfinite(mean), np.abs(mean - became), np.inf)
    off[~counts] = 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        mae: Array = off.sum(axis=0) / counts.sum(axis=0)
        rmse: Array = np.sqrt(np.square(off).sum(axis=0) / counts.sum(axis=0))
    return Scores(mae, rmse)


def inside(lower: Array, upper: Array, became: Array) -> Array:
    """Share of the values within intervals (T, H) over the second half, (H,)."""
    half = len(became) // 2
    lower, upper, became = lower[half:], upper[half:], became[half:]
    with np.errstate(invalid="ignore"):
        held = ((lower <= became) & (became <= upper)).sum(axis=0)
        share: Array = held / (~np.isnan(became)).sum(axis=0)
    return share


def persistence(y: Array, H: int) -> Array:
    """The forecasts (T, H) that nothing changes."""
    mean: Array = np.repeat(y[:, None], H, axis=1)
    return mean


def seasonal(y: Array, H: int, period: int, at: NDArray[np.int64] | None = None) -> Array:
    """The forecasts (T, H) that it will be as one period ago, or where that is missing as now."""
    T = len(y)
    places = np.arange(T) if at is None else at
    mean = persistence(y, H)
    for h in range(H):
        then = places + h + 1 - period * (h // period + 1)
        row = np.minimum(np.searchsorted(places, then), T - 1)
        there = (places[row] == then) & np.isfinite(y[row])
        mean[there, h] = y[row[there]]
    return mean


def progressive(step: Any, X: ArrayLike, target: int = 0, skip: int = 100) -> Array:
    """Mean absolute error beside persistence's for each horizon (H,); below 1 is better than it.

    step    a step whose outputs include forecasts of one channel, such as Forecaster; it starts new
    X       (T, channels), oldest first
    target  the channel it forecasts
    skip    forecasts made in the first rows do not count

    A forecast counts where both its value and the value it was made at are not missing.

    >>> hour = np.arange(1000.0)
    >>> from streamrnn.forecast import Forecaster
    >>> bool(progressive(Forecaster(horizon=3), 20 + np.sin(hour / 10)).max() < 0.1)
    True
    """
    X = np.asarray(X, np.float64).reshape(len(np.asarray(X)), -1)
    names = tuple(str(c) for c in range(X.shape[1]))
    ahead = {
        o.ahead: column for column, o in enumerate(step.describe(names)) if o.kind == "forecast"
    }
    Y, y = Bank(step).step([0] * len(X), X), X[:, target]
    mean = np.full((len(X), max(ahead)), np.nan)
    mean[:, np.array([*ahead]) - 1] = Y[:, [*ahead.values()]]
    found = became(y, max(ahead), skip=skip)
    told, stayed = scores(mean, found).mae, scores(persistence(y, max(ahead)), found).mae
    ratio: Array = (told / stayed)[np.array(sorted(ahead)) - 1]
    return ratio
