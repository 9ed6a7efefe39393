"""Detector: a score for every row of a stream, and one alarm at the onset of an event.

>>> detector = Detector()
>>> for t in range(1000):
...     quiet = detector.step(20 + np.sin(t / 10))
>>> seen = detector.step(35.0)
>>> round(seen.score, 2), seen.alarm, seen.reason
(1.0, True, 'outside the range seen so far')
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.forecast import Forecast, Learner
from streamrnn.kernels import detect as kernel
from streamrnn.step import Output

Array = NDArray[np.float64]


class Detection(NamedTuple):
    """What a row was like, after all before it.

    score     0 .. 1, high in the row where an event begins; an alarm from 0.5
    alarm     an event begins here
    reason    why, as text; "" without alarm
    forecast  of the next rows
    """

    score: float
    alarm: bool
    reason: str
    forecast: Forecast


class Detections(NamedTuple):
    """A Detection of each of T rows: arrays (T,), texts T, the forecast's arrays (T, horizon)."""

    score: Array
    alarm: NDArray[np.bool_]
    reason: tuple[str, ...]
    forecast: Forecast


class Detector(Learner):
    """Tells when one channel of a stream behaves as it never did, from the forecaster's errors.

    channels, target, horizon   as for Forecaster, which it contains

    Strictly causal: a score is final when it is given. The first 100 rows only teach. An event is
    told once, at its onset, and again within 100 rows only when it gets clearly stronger. A row
    whose target is missing scores 0.

    The object keeps the state of one stream for `step` and `run`. Many streams: `Bank`.
    """

    reasons = kernel.REASONS
    extra_fields = (("detect", (kernel.SIZE,)),)
    extra_outputs = 3
    _advance = staticmethod(kernel.advance)

    def initial(self) -> NDArray[Any]:
        """The state of a stream that has not begun, 0-d of `layout`."""
        state = super().initial()
        state["detect"][kernel.TAIL] = kernel.TAIL_AT_FIRST
        return state

    def step(self, row: ArrayLike, t: float | None = None) -> Detection:
        """Learn from row (channels,), for one channel a number will do, and judge it.

        t   its time in seconds, see `Forecaster.step`

        Raises ValueError or TypeError when the row has another shape or is not of numbers.
        """
        y = self._step(row, t)
        score, alarm, reason = y[-3:].tolist()
        return Detection(score, alarm > 0, self.reasons[int(reason)], self._forecast(y))

    def run(self, X: ArrayLike, t: ArrayLike | None = None) -> Detections:
        """Advance by X (T, channels), oldest first, at times t (T,); the bits of T `step` calls."""
        y = self._run(X, t)
        reasons = tuple(self.reasons[int(code)] for code in y[:, -1])
        return Detections(y[:, -3], y[:, -2] > 0, reasons, self._forecast(y))

    def describe(self, channels: tuple[str, ...]) -> tuple[Output, ...]:
        """What each column of y means, for channels of these names."""
        verdict = (Output(kind, kind, self.target) for kind in ("score", "alarm", "reason"))
        return (*super().describe(channels), *verdict)
