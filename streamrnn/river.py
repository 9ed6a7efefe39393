"""Forecaster, regressor and anomaly detector as models of river, for its pipelines and evaluations.

Needs the extra `river`. They are cloned, copied and pickled by river's rules.

>>> from river import datasets, evaluate, metrics
>>> evaluate.progressive_val_score(datasets.TrumpApproval(), Regressor(), metrics.MAE())
MAE: 0.185...
"""

import zlib
from collections.abc import Hashable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn import detect, forecast
from streamrnn.bank import Bank
from streamrnn.kernels import channels
from streamrnn.kernels import regress as kernel
from streamrnn.step import flat

try:
    from river import base, linear_model, optim, preprocessing, time_series
except ImportError as error:
    text = f'streamrnn.river needs river ({error}): pip install "streamrnn[river]"'
    raise ImportError(text) from None

Array = NDArray[np.float64]
Features = Mapping[Hashable, Any]

FARTHEST = 100.0  # halves of an interval: what is farther off scores just below an alarm


class Forecaster(time_series.base.Forecaster):
    """Forecasts a series, learning as it goes: `streamrnn.Forecaster` as river's models are called.

    horizon  the most that `forecast` may ask for

    The numbers among the first row's features become channels: they are read to forecast, as they
    were in the rows so far. Where one is absent later it is missing; others, and the features of
    rows to come, `xs`, are not used. A datetime among the features is the row's time: rows that
    lack between two times count as missing. A y of None or NaN is missing.

    >>> from river import datasets, evaluate, metrics
    >>> model = Forecaster(horizon=2)
    >>> errors = evaluate.evaluate(datasets.WaterFlow(), model, metrics.MAE(), horizon=2)
    >>> [round(error.get(), 1) for error in errors.metrics]
    [1.1, 1.5]
    """

    def __init__(self, horizon: int = 24) -> None:
        self.horizon = horizon
        self._names: list[Hashable] = []
        self._model: forecast.Forecaster | None = None
        self._ahead: Array | None = None

    def learn_one(self, y: float | None, x: Features | None = None) -> None:
        """The next value is y, in a row with features x."""
        x = x or {}
        if self._model is None:
            self._names = ordered(name for name, value in x.items() if is_number(value))
            self._model = forecast.Forecaster(1 + len(self._names), horizon=self.horizon)
        row = [number("y", y), *(number(name, x.get(name)) for name in self._names)]
        times = [x[name] for name in ordered(x) if isinstance(x[name], datetime)]
        self._ahead = self._model.step(row, seconds(times[0]) if times else None).mean

    def forecast(self, horizon: int, xs: list[dict[Hashable, Any]] | None = None) -> list[float]:
        """The next `horizon` values; 0 before anything is learned.

        Raises ValueError beyond the horizon that the model was made with.
        """
        if horizon > self.horizon:
            raise ValueError(
                f"horizon is {horizon}, expected at most {self.horizon}: make the model with "
                f"Forecaster(horizon={horizon})"
            )
        if self._ahead is None:
            return [0.0] * horizon
        return [float(value) for value in self._ahead[:horizon]]


class AnomalyDetector(base.AnomalyDetector):
    """Scores rows from 0 to 1 by how unlike all rows before they are.

    Each feature is judged by a `streamrnn.Detector` of its own, and the row's score is the highest.
    From 0.5 on it is that of an alarm, which is raised once for an event. Below it says how far the
    feature is from its forecast: 0.25 is four times as far as the end of the 90 % interval.

    Features may appear and vanish; one that is None or NaN, or not there, is not judged. The first
    100 rows of a feature raise no alarm.

    >>> model = AnomalyDetector()
    >>> for t in range(500):
    ...     model.learn_one({"level": 20 + np.sin(t / 10)})
    >>> usual = model.score_one({"level": 20 + np.sin(500 / 10)})
    >>> usual < 0.25 < 0.9 < model.score_one({"level": 35})
    True
    """

    def __init__(self) -> None:
        detector = detect.Detector()
        self._bank = Bank(detector)
        self._score = [output.kind for output in detector.describe(("value",))].index("score")

    def score_one(self, x: Features) -> float:
        """How unlike the rows before this one is; changes nothing."""
        known = {name: value for name, value in x.items() if name in self._bank}
        values, rows = _values(known), self._bank.rows(known)
        # `flat`, since NumPy copies structured rows field by field
        states = flat(self._bank.states)[rows].view(self._bank.model.layout).reshape(-1)
        mean, lower, upper = np.moveaxis(states["now"][:, :, 0], 1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            off = np.abs(values[:, 0] - mean) / ((upper - lower) / 2)
        y = np.empty((len(known), self._bank.model.outputs))
        self._bank.model.advance(states, np.arange(len(known)), values, y)
        graded = 0.5 - 0.5 * 2 ** -(np.minimum(np.nan_to_num(off), FARTHEST) / 4)
        return float(np.maximum(y[:, self._score], graded).max(initial=0.0))

    def learn_one(self, x: Features) -> None:
        """Go on by row x."""
        values, y = _values(x), np.empty((len(x), self._bank.model.outputs))
        self._bank.advance(self._bank.rows(x), values, y)


def _values(x: Features) -> Array:
    return np.array([number(name, value) for name, value in x.items()]).reshape(-1, 1)


class Regressor(base.Regressor):
    """Predicts a number from the features that come with it and from the rows before.

    Nothing is to be set. See kernels/regress.py for what it is made of: least squares on the
    features, on their changes, and on recurrent units, and persistence. Features may appear, vanish
    and come back at any time, in any order; one that is absent, None or NaN counts as average. The
    time for a row grows with the square of the number of features ever seen. Before anything is
    learned the prediction is 0.

    >>> from river import datasets
    >>> model = Regressor()
    >>> for x, y in datasets.TrumpApproval():
    ...     model.learn_one(x, y)
    >>> round(model.predict_one(x), 1), round(y, 1)
    (41.7, 41.7)
    """

    def __init__(self) -> None:
        self._slots: dict[Hashable, int] = {}
        random = np.random.default_rng(0)
        E = kernel.ECHO
        self._drive = np.empty((0, kernel.FIXED + E))
        self._fixed = (
            random.uniform(-1, 1, kernel.FIXED + E),
            0.5 * random.normal(size=(E, E)) / np.sqrt(E),
            0.3 * random.normal(size=E),
            random.uniform(0.05, 0.5, E),
        )
        self._inputs = np.empty((0, channels.CHANNEL_SIZE))
        self._target = np.zeros(channels.CHANNEL_SIZE)
        self._past, self._h = np.zeros(kernel.PAST), np.zeros(E)
        self._miss = np.zeros(len(kernel.MEMBERS) + 1)
        sizes = kernel.sizes(0)
        self._W = tuple(np.zeros(d) for d in sizes)
        self._P = tuple(_grown(np.empty(0), 0, d) for d in sizes)

    def predict_one(self, x: Features) -> float:
        """The target of features x, a number each; ones that were never learned do not count."""
        row = self._row(x)
        _, F, z, said = self._work()
        return float(kernel.predict(*self._model(row), self._miss, self._W, F, z, said))

    def learn_one(self, x: Features, y: float) -> None:
        """The target of features x is y; raises ValueError unless it is finite."""
        if not abs(y) <= channels.HUGE:
            raise ValueError(f"y is {y!r}, expected a number within ±{channels.HUGE:g}")
        x = {name: number(name, value) for name, value in x.items()}
        if new := ordered(name for name in x if name not in self._slots):
            self._grow(new)
        row = self._row(x)
        K, F, z, said = self._work()
        inputs, row, *rest = self._model(row)
        kernel.learn(inputs, row, float(y), *rest, self._miss, self._W, self._P, K, F, z, said)

    def _model(self, row: Array) -> tuple[Any, ...]:
        network = (self._drive, *self._fixed)
        return self._inputs, row, network, self._target, self._past, self._h

    def _work(self) -> tuple[tuple[Array, ...], tuple[Array, ...], Array, Array]:
        """What the kernels work in: gains, features of the members, of the row, predictions."""
        K, F = (tuple(np.empty(len(w)) for w in self._W) for _ in range(2))
        return K, F, np.empty((len(self._slots), 2)), np.empty(len(self._miss))

    def _row(self, x: Features) -> Array:
        row = np.full(len(self._slots), np.nan)
        for name, value in x.items():
            slot = self._slots.get(name)
            if slot is not None:
                row[slot] = number(name, value)
        return row

    def _grow(self, names: list[Hashable]) -> None:
        """Room for features that were never seen, behind those that were."""
        for name in names:
            self._slots[name] = len(self._slots)
        sizes = kernel.sizes(len(self._slots))
        before = [len(w) for w in self._W]
        self._P = tuple(map(_grown, self._P, before, sizes))
        self._W = tuple(
            np.pad(w, (0, d - n)) for w, n, d in zip(self._W, before, sizes, strict=True)
        )
        more = (0, len(names)), (0, 0)
        self._inputs = np.pad(self._inputs, more)
        # By name, not by order: so a model is the same whichever feature it meets first.
        seeds = [zlib.crc32(repr(name).encode()) for name in names]
        drives = [np.random.default_rng(seed).normal(size=self._h.size * 2) for seed in seeds]
        self._drive = np.concatenate([self._drive, 0.7 * np.array(drives)])


def _grown(P: Array, before: int, d: int) -> Array:
    """The covariance of d weights, as kernels/rls.py keeps it, from that of the first of them."""
    rows, at = [], 0
    for i in range(d):
        first = i - i % 4
        row = np.zeros(d - first)
        if i < before:
            row[: before - first] = P[at : at + before - first]
            at += before - first
        else:
            row[i - first] = kernel.VARIANCE
        rows.append(row)
    return np.concatenate(rows)


def ordered(names: Iterable[Hashable]) -> list[Hashable]:
    """Names in an order that does not depend on that of a dict."""
    return sorted(names, key=lambda name: (type(name).__name__, str(name)))


def is_number(value: Any) -> bool:
    return isinstance(value, Real | np.bool_)


def seconds(time: datetime) -> float:
    """Since 1970; a time without zone is UTC."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def number(name: Hashable, value: Any) -> float:
    """A feature's value, None as NaN. Raises TypeError for what is no number."""
    if value is None:
        return np.nan
    if is_number(value):
        return float(value)
    raise TypeError(
        f"feature {name!r} is {value!r}, expected a number, or None where it is missing; "
        "river's preprocessing.OneHotEncoder makes numbers of texts"
    )


def peers(period: int = 0) -> dict[str, time_series.base.Forecaster]:
    """river's own forecasters, to compare with; `period` is of the season in rows, 0: none.

    With SNARIMAX's default regressor, whose learning rate is 0.01, it diverges on many sensors.
    """
    line = linear_model.LinearRegression(optimizer=optim.SGD(0.001), intercept_lr=0.001)
    bayes = linear_model.BayesianLinearRegression()
    season = {"gamma": 0.1, "seasonality": period} if period else {}
    return {
        "SNARIMAX": time_series.SNARIMAX(24, 1, 0, regressor=preprocessing.StandardScaler() | line),
        "SNARIMAX, Bayesian": time_series.SNARIMAX(24, 1, 0, regressor=bayes),
        "HoltWinters": time_series.HoltWinters(alpha=0.9, beta=0.01, **season),
    }


def forecasts(model: time_series.base.Forecaster, y: Array, horizon: int) -> Iterator[list[float]]:
    """What a forecaster of river forecasts in each row; a missing value is given as the last one.

    Until it can forecast, which for HoltWinters takes two seasons, it is persistence.
    """
    last, one = 0.0, {"one": 1.0}  # BayesianLinearRegression has no intercept of its own
    for value in y.tolist():
        last = value if abs(value) <= channels.HUGE else last
        model.learn_one(last, one)
        try:
            yield model.forecast(horizon, [one] * horizon)
        except IndexError:
            yield [last] * horizon
