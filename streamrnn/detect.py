"""Detector: a score for every row of a stream, and one alarm at the onset of an event.

>>> detector = Detector()
>>> for t in range(1000):
...     quiet = detector.step(20 + np.sin(t / 10))
>>> seen = detector.step(35.0)
>>> round(seen.score, 2), seen.alarm, seen.reason
(0.98, True, 'outside the range seen')
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.forecast import Forecast, Learner
from streamrnn.kernels import detect as kernel
from streamrnn.kernels import watch
from streamrnn.step import Output

Array = NDArray[np.float64]


class Detection(NamedTuple):
    """What a row was like, after all before it.

    score     0 .. 1, high in the row where an event begins; an alarm from 0.5
    alarm     an event begins here
    drift     by now it is sure that an event, told of before, has changed the stream for good
    reason    of the alarm or the drift, as text; "" without either
    channel   index of the channel to blame; -1 without either
    forecast  of the next rows
    """

    score: float
    alarm: bool
    drift: bool
    reason: str
    channel: int
    forecast: Forecast


class Detections(NamedTuple):
    """A Detection of each of T rows: arrays (T,), texts T, the forecast's arrays (T, horizon)."""

    score: Array
    alarm: NDArray[np.bool_]
    drift: NDArray[np.bool_]
    reason: tuple[str, ...]
    channel: NDArray[np.int64]
    forecast: Forecast


class Detector(Learner):
    """Tells when a stream behaves as it never did, on any channel, from all rows before.

    channels, target, horizon   as for Forecaster, which it contains

    The target is judged by the errors of its forecasts, the other channels by their own past.
    Strictly causal: a score is final when it is given. The first 100 rows only teach. An event is
    told once, at its onset, and again within 100 rows only when it gets clearly stronger. 320 rows
    after an alarm it is known whether level or variance stay what they have become: `drift`.

    The object keeps the state of one stream for `step` and `run`. Many streams: `Bank`.
    """

    reasons = kernel.REASONS
    extra_outputs = kernel.TOLD
    _advance = staticmethod(kernel.advance)
    _newest = kernel.NEWEST

    @property
    def extra_fields(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Names and shapes of what the state holds beside the forecaster's."""
        shapes = (kernel.NEWS_SIZE,), (self.channels, kernel.WATCH_SIZE), (watch.KINDS,)
        return tuple(zip(kernel.FIELDS, shapes, strict=True))

    def step(self, row: ArrayLike, t: float | None = None) -> Detection:
        """Learn from row (channels,), for one channel a number will do, and judge it.

        t   its time in seconds, see `Forecaster.step`

        Raises ValueError or TypeError when the row has another shape or is not of numbers.
        """
        ahead = (self._door or self._open())(row) if t is None else None
        if ahead is None:
            ahead = self._step(row, t)
        return self._detection(self._told.tolist(), ahead)

    def run(self, X: ArrayLike, t: ArrayLike | None = None) -> Detections:
        """Advance by X (T, channels), oldest first, at times t (T,); the bits of T `step` calls."""
        return self.detections(self._run(X, t))

    def detection(self, y: Array) -> Detection:
        """What a row of y (outputs,) says, as `advance` writes it."""
        return self._detection(y[-kernel.TOLD :].tolist(), self._forecast(y))

    def _detection(self, told: list[float], ahead: Forecast) -> Detection:
        score, alarm, drift, reason, channel = told
        because = self.reasons[int(reason)]
        # as Detection(...) does, in half the time
        return tuple.__new__(Detection, (score, alarm > 0, drift > 0, because, int(channel), ahead))

    def detections(self, y: Array) -> Detections:
        """What rows of y (T, outputs) say."""
        score, alarm, drift, reason, channel = y[:, -kernel.TOLD :].T
        because = tuple(self.reasons[int(code)] for code in reason)
        blamed = channel.astype(np.int64)
        return Detections(score, alarm > 0, drift > 0, because, blamed, self._forecast(y))

    def describe(self, channels: tuple[str, ...]) -> tuple[Output, ...]:
        """What each column of y means, for channels of these names."""
        told = ("score", "alarm", "drift", "reason", "channel")
        return (*super().describe(channels), *(Output(kind, kind, self.target) for kind in told))
