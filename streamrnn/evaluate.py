"""How good forecasts are: each is made before its value is known, and compared with persistence.

Persistence forecasts that the next values equal this one. It is hard to beat on slow sensors, and
what it misses says how large an error is on this stream.
"""

from typing import Any

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
    ratios = []
    for h in sorted(ahead):
        persistence = np.abs(y[skip:-h] - y[skip + h :])
        error = np.abs(Y[skip:-h, ahead[h]] - y[skip + h :])
        both = np.isfinite(persistence)
        ratios.append(error[both].mean() / persistence[both].mean())
    return np.array(ratios)
