"""Forecaster: learns one channel of a stream as it goes, and forecasts its next rows.

>>> forecaster = Forecaster(channels=1, horizon=12)
>>> for t in range(1000):
...     ahead = forecaster.step(20 + np.sin(t / 10))
>>> ahead.mean.shape, round(float(ahead.mean[0]), 2), round(float(20 + np.sin(1000 / 10)), 2)
((12,), 19.49, 19.49)
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.kernels import calendar, channels, clock, cycle, door, features, late
from streamrnn.kernels import forecast as kernel
from streamrnn.kernels import rtrl as recurrences
from streamrnn.kernels.jit import CFunction
from streamrnn.kernels.ring import waits
from streamrnn.step import OneStream, Output, allocate, check_row, check_rows, flat, padded

Array = NDArray[np.float64]
ONE_ROW = np.zeros(1, np.int64)

PERIODS = (12.0, 24.0, 48.0, 96.0, 144.0, 288.0)  # of the waves, in rows
LAGS = 25
OTHERS = 7  # channels beside the target that have features of their own; more share these
LASTING = 8.0  # periods in which a wave fades to 1 / e
UNITS = 32  # features shown at most


class Forecast(NamedTuple):
    """The next rows of the target, each array (horizon,); from `run` each (T, horizon).

    lower and upper bound a 90 % interval: about 5 % of the values come out below it, 5 % above.
    """

    mean: Array
    lower: Array
    upper: Array


class Explanation(NamedTuple):
    """What carries the newest forecast, and how good forecasts have been; H = horizon.

    change       (H,) forecast minus the present value
    members      name -> (H,) its weight; "persistence" is one of them; they add up to 1
    parts        name -> (H,) what these features account for of the change, in the target's unit:
                 waves, lags, cycle, level, others (channels), curves; bounds is what keeping
                 members within bounds took from their sum; cycle is also what the time tells
    lags (L, H)  weight of each of the last changes, newest first
    period       rows of the cycle that is used, 0: none
    error, persistence (H,)   running mean absolute errors of the forecasts, and of persistence
    seasonal     the same of the value one period before, NaN without a cycle
    """

    change: Array
    members: dict[str, Array]
    parts: dict[str, Array]
    lags: Array
    period: int
    error: Array
    persistence: Array
    seasonal: float


class Learner(OneStream):
    """What Forecaster and Detector share: arguments, layout, and the state of one stream.

    channels  values in a row
    target    index of the channel that is forecast
    horizon   rows ahead: 1 .. horizon
    """

    extra_outputs = 0
    parallel = 256  # samples, of about 4 us each; see `Step`
    timed = True

    def __init__(self, channels: int = 1, target: int = 0, horizon: int = 12) -> None:
        for name, value, least in (
            ("channels", channels, 1),
            ("target", target, 0),
            ("horizon", horizon, 1),
        ):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ValueError(
                    f"{name} is {value!r}, expected a whole number of at least {least}"
                )
        if target >= channels:
            raise ValueError(
                f"target is {target}, expected the index of one of {channels} channels, "
                f"0 to {channels - 1}"
            )
        self.channels, self.target, self.horizon = int(channels), int(target), int(horizon)
        self.metadata: dict[str, str] = {}
        self.inputs = self.channels
        self.outputs = 3 * self.horizon + self.extra_outputs
        R, B = len(PERIODS), min(self.channels - 1, OTHERS)
        L = LAGS - 2 * B  # the others' features take the place of as many lags
        spans = features.spans(R, L, B)
        shapes = kernel.shapes(self.channels, self.horizon, R, L, spans)
        fields = [*zip(kernel.FIELDS, shapes, strict=True), *self.extra_fields]
        self.layout = padded(fields, np.float64)
        at = np.cumsum([0, *(math.prod(shape) for _, shape in fields)])
        blank = np.full(self.channels, np.nan)
        self._plan = self.target, np.array([R, L, B]), np.array(spans), at, _turn(), blank
        self._states = allocate(self.layout, 1)
        self._x, self._y = np.empty((1, self.inputs)), np.empty((1, self.outputs))
        self._t = np.full(1, np.nan)
        self._view()
        self.reset()

    def _view(self) -> None:
        """Look at the arrays that are there now; the door to them is made when it is needed."""
        H = self.horizon
        self._flat = flat(self._states)
        self._door: Callable[[Any], Forecast | None] | None = None
        *self._now, self._told = np.split(self._y[0], [H, 2 * H, 3 * H])

    def __getstate__(self) -> dict[str, Any]:
        views = ("_flat", "_door", "_now", "_told")
        return {name: value for name, value in self.__dict__.items() if name not in views}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._view()

    @property
    def _advance(self) -> Callable[..., None]:
        """The kernel that moves states."""
        raise NotImplementedError

    @property
    def _newest(self) -> CFunction:
        """The same by one row, for kernels/door.py."""
        raise NotImplementedError

    @property
    def extra_fields(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Names and shapes of what the state holds after kernel.FIELDS."""
        return ()

    @property
    def config(self) -> dict[str, int]:
        """The arguments that make another one like this."""
        return {"channels": self.channels, "target": self.target, "horizon": self.horizon}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.config.items())})"

    def advance(self, states: NDArray[Any], rows: NDArray[np.int64], x: Array, y: Array) -> None:
        """Move rows of `states` (S,) by x (N, channels) and write y (N, outputs); see `Step`.

        A further last column of x holds the time of each row in seconds, NaN where it is not known.
        """
        t = np.full(len(rows), np.nan)
        if x.shape[1] > self.inputs:
            x, t = np.ascontiguousarray(x[:, :-1]), np.ascontiguousarray(x[:, -1])
        self._advance(*self._plan, flat(states), rows, t, x, y)

    def learn_labels(
        self, states: NDArray[Any], rows: NDArray[np.int64], y: Array, t: Array
    ) -> NDArray[np.int64]:
        """Rows of `states` (S,) learn values y (N,) of the target that came too late for their row.

        t (N,)  the time of that row; where a stream's rows came without times: 0 for its newest
                row, -1 for the one before it, ...

        Returns how many rows ago each of them was (N,), negative where it cannot be learned: when
        the target was not missing there, or so long ago that nothing is kept of it.
        """
        time, interval, timed = states["clock"][rows][:, [clock.TIME, clock.INTERVAL, clock.ROWS]].T
        with np.errstate(divide="ignore", invalid="ignore"):
            ago = np.where(t == time, 0.0, (time - t) / interval)  # of one row no interval is known
        ago = np.where(timed > 0, ago, -t)
        ago = np.rint(ago)
        kept = (abs(ago) < self.horizon) & (abs(y) <= channels.HUGE)
        whole = np.where(kept, ago, -1).astype(np.int64)
        unit = states["ahead"][rows, kernel.UNIT, np.maximum(whole, 0)]
        whole[unit == 0] = -1  # there has been no such row
        late.learn(*self._plan[2:4], flat(states), rows, y, whole)
        return whole

    def learn(self, value: float, t: float) -> None:
        """Learn the target of an earlier row, which was missing when that came.

        t   the time of that row in seconds; where rows came without times: 0 for the newest row,
            -1 for the one before it, ...

        The forecasts for that row are scored no more, but the members learn from it what they would
        have learned. Raises ValueError for a row so long ago that nothing is kept of it, or whose
        target is known.

        >>> forecaster = Forecaster()
        >>> _ = forecaster.run([*np.sin(np.arange(50) / 5), np.nan])
        >>> forecaster.learn(np.sin(50 / 5), t=0)
        """
        ago = self.learn_labels(self._states, ONE_ROW, np.array([value]), np.array([t]))
        if ago[0] < 0:
            raise ValueError(
                f"the value {value!r} of t={t!r} cannot be learned: expected a number for one of "
                f"the newest {self.horizon - 1} rows, whose target was missing when it came and "
                "has not been learned since"
            )

    def initial(self) -> NDArray[Any]:
        """The state of a stream that has not begun, 0-d of `layout`."""
        state = np.zeros((), self.layout)
        state["now"] = state["ahead"][kernel.ORIGIN] = np.nan
        return state

    def _features(self, states: NDArray[Any]) -> Array:
        """The features of the newest row of each of states (S,), (S, u)."""
        place = (states["cycle"][:, cycle.ROWS].astype(np.int64) - 1) % self.horizon
        features: Array = states["F"][np.arange(len(states)), place]
        return features

    def units(self, states: NDArray[Any]) -> NDArray[np.float32]:
        """What the forecasts are made of, for display: waves, then recent changes, (S, U <= 32)."""
        shown: NDArray[np.float32] = np.tanh(self._features(states)[:, :UNITS]).astype(np.float32)
        return shown

    def describe(self, channels: tuple[str, ...]) -> tuple[Output, ...]:
        """What each column of y means, for channels of these names."""
        if len(channels) != self.channels:
            raise ValueError(
                f"{len(channels)} names, expected one for each of {self.channels} channels"
            )
        name = channels[self.target]
        return tuple(
            Output(f"{name} +{ahead}{suffix}", kind, self.target, ahead)
            for kind, suffix in (("forecast", ""), ("lower", " lower"), ("upper", " upper"))
            for ahead in range(1, self.horizon + 1)
        )

    def at(self, seconds: ArrayLike) -> Forecast:
        """The newest forecasts for so many seconds after the newest row, each array (N,).

        Between rows they are interpolated. Raises ValueError where no times were given, or for a
        time beyond the horizon.
        """
        state, after = self._states[0], np.atleast_1d(np.asarray(seconds, np.float64))
        interval = state["clock"][clock.INTERVAL]
        reach = self.horizon * interval
        if not interval > 0:
            raise ValueError("seconds need an interval: give the rows' times, as step(row, t=...)")
        if not ((after >= 0) & (after <= reach)).all():
            raise ValueError(
                f"seconds are {after.tolist()}, expected 0 to {reach:g}: a horizon of "
                f"{self.horizon} rows, {interval:g} s apart"
            )
        value = state["channels"][self.target, channels.VALUE]
        ahead = np.column_stack([np.full(3, value), state["now"]])
        rows = np.arange(self.horizon + 1) * interval
        return Forecast(*(np.interp(after, rows, line) for line in ahead))

    def explain(self) -> Explanation:
        """What carries the newest forecast, and how good forecasts have been; see `Explanation`."""
        return self.explanation(self._states[0])

    def explanation(self, state: Any) -> Explanation:
        """The same of a stream in a bank, whose state, 0-d of `layout`, is `bank[key]`."""
        unit = state["ahead"][kernel.UNIT, 0]
        M = len(kernel.MEMBERS)
        mix = state["mix"][:M]
        share = np.concatenate([1.0 - mix.sum(axis=0, keepdims=True), mix])
        R, L, B = self._plan[1]
        spans = self._plan[2]
        f = self._features(np.atleast_1d(state))[0]
        W = np.zeros((len(f), self.horizon))
        weights = np.split(state["W"].T, np.cumsum([end - begin for begin, end in spans])[:-1])
        for weight, own, (begin, end) in zip(share, weights, spans, strict=False):
            W[begin:end] += weight * own
        products = unit * W * f[:, None]
        late = 2 * R + L - 6 + B
        level = late + 6 + cycle.KNOTS + 1
        groups = {
            "waves": slice(0, 2 * R),
            "lags": [*range(2 * R, 2 * R + L - 6), *range(late, late + 6)],
            "cycle": slice(late + 6, level),
            "level": slice(level, level + 2),
            "others": [*range(2 * R + L - 6, late), *range(level + 2, level + 2 + B)],
            "curves": slice(level + 2 + B, None),
        }
        parts = {name: products[which].sum(axis=0) for name, which in groups.items()}
        place = int(state["cycle"][cycle.ROWS] - 1) % self.horizon
        usual = state["usual"].reshape(-1, 2)[:, calendar.BEYOND]
        told = usual[[waits.py_func(h, place, self.horizon) for h in range(self.horizon)]]
        parts["cycle"] += state["told"][calendar.WEIGHT] * told
        change = state["now"][0] - state["channels"][self.target, channels.VALUE]
        return Explanation(
            change=change,
            members=dict(zip((*kernel.MEMBERS, "persistence"), share, strict=True)),
            parts=parts | {"bounds": change - sum(parts.values())},
            lags=W[[*range(late + 5, late - 1, -1), *range(2 * R, 2 * R + L - 6)]],
            period=int(state["cycle"][cycle.PERIOD]),
            error=state["ahead"][kernel.MISS].copy(),
            persistence=state["ahead"][kernel.STAYED].copy(),
            seasonal=float(state["cycle"][cycle.NAIVE]) or math.nan,
        )

    def _step(self, row: ArrayLike, t: float | None) -> Forecast:
        """Move by a row that comes with a time, or that the door does not take as it is."""
        self._t[0] = math.nan if t is None else t
        try:
            ahead = (self._door or self._open())(row)
            if ahead is None:
                self._x[0] = check_row(row, self)
                self._advance(*self._plan, self._flat, ONE_ROW, self._t, self._x, self._y)
                ahead = self._forecast(self._y[0].copy())
        finally:
            self._t[0] = math.nan
        return ahead

    def _open(self) -> Callable[[Any], Forecast | None]:
        move: Callable[[Any], Forecast | None] = _shut
        if door.available():
            target, *plan = self._plan
            arrays = (*plan, self._flat, ONE_ROW, self._t, self._x, self._y)
            move = door.mover(self._newest, target, arrays, self._x, Forecast, self._now)
        self._door = move
        return move

    def _run(self, X: ArrayLike, t: ArrayLike | None) -> Array:
        x = check_rows(X, self)
        times = np.full(len(x), np.nan) if t is None else np.array(t, np.float64)
        if times.shape != (len(x),):
            raise ValueError(
                f"t has shape {times.shape}, expected ({len(x)},): a time for each row"
            )
        y = np.empty((len(x), self.outputs))
        rows = np.zeros(len(x), np.int64)
        self._advance(*self._plan, self._flat, rows, times, x, y)
        return y

    def _forecast(self, y: Array) -> Forecast:
        H = self.horizon
        return Forecast(y[..., :H], y[..., H : 2 * H], y[..., 2 * H : 3 * H])


def _shut(row: object) -> None:
    return None


def _turn() -> Array:
    """The waves' recurrences: r cos w, r sin w and 2 (1 - r) of each, (3, R)."""
    periods = np.array(PERIODS)
    r, w = np.exp(-1 / (LASTING * periods)), 2 * np.pi / periods
    return np.array([r * np.cos(w), r * np.sin(w), 2 * (1 - r)])


class Forecaster(Learner):
    """Forecasts the next rows of one channel, learning from every row that comes.

    channels  values in a row; all of them are read to forecast one
    target    index of the one that is forecast
    horizon   rows ahead: 1 .. horizon
    rtrl      learn the periods of the oscillators too, and how fast they fade

    Its forecast is the present value plus a change. Four members learn that by recursive least
    squares, from damped oscillators, recent changes, levels and the cycle that the stream is found
    to keep; how much each of them counts is learned too. What it has learned is part of the state,
    so each stream learns on its own. One configuration serves all streams: nothing is to be tuned.

    A missing value is NaN. While the target is missing, what was forecast for these rows stands in
    for it; before its first value all forecasts are NaN. An infinite value, or one beyond 1e100,
    counts as missing.

    The object keeps the state of one stream for `step` and `run`. Many streams: `Bank`.
    """

    def __init__(
        self, channels: int = 1, target: int = 0, horizon: int = 12, *, rtrl: bool = False
    ) -> None:
        if not isinstance(rtrl, bool):
            raise TypeError(f"rtrl is {rtrl!r}, expected True or False")
        self.rtrl = rtrl
        super().__init__(channels, target, horizon)

    @property
    def _advance(self) -> Callable[..., None]:
        advance: Callable[..., None] = recurrences.advance if self.rtrl else kernel.advance
        return advance

    @property
    def _newest(self) -> CFunction:
        return recurrences.NEWEST if self.rtrl else kernel.NEWEST

    @property
    def extra_fields(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Names and shapes of what the state holds beside that of a forecaster without rtrl."""
        shapes = recurrences.shapes(len(PERIODS), self.horizon)
        return tuple(zip(recurrences.FIELDS, shapes, strict=True)) if self.rtrl else ()

    @property
    def config(self) -> dict[str, int]:
        """The arguments that make another one like this."""
        # only where it is on: what is kept of streams without it stays theirs
        return super().config | ({"rtrl": True} if self.rtrl else {})

    def initial(self) -> NDArray[Any]:
        """The state of a stream that has not begun, 0-d of `layout`."""
        state = super().initial()
        if self.rtrl:
            periods = np.array(PERIODS)
            state["speeds"] = -np.log(LASTING * periods), np.log(2 * np.pi / periods)
            state["turn"] = _turn()
        return state

    def step(self, row: ArrayLike, t: float | None = None) -> Forecast:
        """Learn from row (channels,), for one channel a number will do, then forecast.

        t   its time in seconds. The interval of the rows is learned from it, and where whole rows
            are lacking they pass as missing, so that lags and cycles stay where they belong.

        Raises ValueError or TypeError when the row has another shape or is not of numbers.
        """
        ahead = (self._door or self._open())(row) if t is None else None
        return self._step(row, t) if ahead is None else ahead

    def run(self, X: ArrayLike, t: ArrayLike | None = None) -> Forecast:
        """Advance by X (T, channels), oldest first; the forecasts of row t in row t, (T, horizon).

        t (T,) may hold the rows' times in seconds, see `step`. The same bits as T calls of `step`.
        """
        return self._forecast(self._run(X, t))
