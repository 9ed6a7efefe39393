"""The one idea of the library: everything that runs on a stream is a step.

    h_t, y_t = f(h_{t-1}, x_t)

A network, a running scaler, a forecaster that learns, an anomaly score: each is an object with a
layout for what one stream remembers and an `advance` that moves rows of that layout forward.
`Bank`, snapshots, pipelines and the server take any such object.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

ROW_BYTES = 64  # a cache line: rows begin on one, so neighbours never share it


class Step(Protocol):
    """What a step must offer; the optional parts are below.

    layout    structured dtype of one stream's state, made by `padded`
    inputs    columns of x
    outputs   columns of y

    Looked up where they exist:
    initial() -> state of a new stream, a 0-d array of `layout` (default: zeros)
    units(states (S,)) -> (S, U) float32 in [-1, 1], hidden units for display
    num_layers the units are of so many layers, equally many each, the lowest layer's first
    describe(channels) -> tuple[Output, ...], what each column of y means (default: kind "value")
    parallel   for how many samples a thread is worth starting; having it (a number of at least 1)
               says that `advance` may run in several threads at once, each with rows of its own:
               it releases the GIL, and writes nothing but these rows and y
    timed      having it, and it being True, says that x may have one more column, the last: the
               time of each sample in seconds since 1970, NaN where it is not known
    learn_labels(states, rows, y, t) -> how many rows ago, what labels that come late teach;
               negative, and the state as it was, for one that is of no row or teaches nothing
    reasons    texts of the codes in a "reason" column
    vocabulary texts of the token ids
    explanation(state) -> forecast.Explanation of what carries the newest forecast; state as above
    """

    @property
    def layout(self) -> np.dtype[Any]: ...
    @property
    def inputs(self) -> int: ...
    @property
    def outputs(self) -> int: ...

    def advance(
        self, states: NDArray[Any], rows: NDArray[np.int64], x: NDArray[Any], y: NDArray[Any]
    ) -> None:
        """Move row rows[n] of `states` (S,) by x[n] (inputs,) and write y[n] (outputs,), n = 0 ..

        A row may occur several times. x and y carry the scalar dtype of the layout, C-contiguous;
        the caller (`Bank`) has checked shapes. NaN is a missing value.
        """
        ...


class Output(NamedTuple):
    """What one column of y means.

    kind: "forecast", "lower", "upper" of `channel`, `ahead` samples after this one; "score" in
    0..1, "alarm" and "drift" 0 or 1, the "reason" of either a code, the "channel" to blame an index
    or -1; "error" and "error_persistence" running mean absolute
    errors; for tokens "surprise" and "bits" in bits, "next" and "next_p" of rank `ahead`;
    "value" for anything else.
    """

    name: str
    kind: str = "value"
    channel: int = -1
    ahead: int = 0


def padded(fields: Sequence[tuple[str, int | tuple[int, ...]]], scalar: DTypeLike) -> np.dtype[Any]:
    """A state layout: fields of one scalar dtype, one after the other, padded to whole cache lines.

    The padding is a field, since NumPy leaves bytes between fields undefined when it copies, and a
    state is compared, stored and sent as bytes.

    >>> padded([("h", (2, 5)), ("count", 1)], np.float64)
    dtype([('h', '<f8', (2, 5)), ('count', '<f8', (1,)), ('padding', '<f8', (5,))])
    """
    kind = np.dtype(scalar).newbyteorder("<")
    layout = [
        (name, kind, shape if isinstance(shape, tuple) else (shape,)) for name, shape in fields
    ]
    rest = -np.dtype(layout).itemsize % ROW_BYTES // kind.itemsize
    return np.dtype(layout + [("padding", kind, (rest,))] * (rest > 0))


@cache  # looking through the fields takes as long as a small step
def scalar(layout: np.dtype[Any]) -> np.dtype[Any]:
    """The scalar dtype that all fields of a layout share; x and y carry it too."""
    assert layout.fields, "a state layout has fields"
    (kind,) = {field[0].base for field in layout.fields.values()}
    return kind


def flat(states: NDArray[Any]) -> NDArray[Any]:
    """States (S,) seen as (S, row) of their scalar dtype, without a copy: what kernels work on."""
    return states.view(_row(states.dtype))


@cache
def _row(layout: np.dtype[Any]) -> np.dtype[Any]:
    kind = scalar(layout)
    return np.dtype((kind, (layout.itemsize // kind.itemsize,)))


def allocate(layout: np.dtype[Any], count: int) -> NDArray[Any]:
    """`count` zeroed items, such as states, the first of them on a cache line."""
    raw = np.zeros(count * layout.itemsize + ROW_BYTES, np.uint8)
    start = -raw.ctypes.data % ROW_BYTES
    return raw[start : start + count * layout.itemsize].view(layout)


def initial(step: Step) -> NDArray[Any]:
    """The state of a stream that has not begun, 0-d of the step's layout."""
    own = getattr(step, "initial", None)
    state: NDArray[Any] = np.zeros((), step.layout) if own is None else own()
    return state


class OneStream:
    """The state of the one stream that a step keeps when it is stepped without a key."""

    layout: np.dtype[Any]
    _states: NDArray[Any]  # (1,), made by `allocate`

    @property
    def state(self) -> NDArray[Any]:
        """A copy of all that the stream remembers, 0-d of `layout`; assign one to go back to it."""
        return self._states[0:1].copy().reshape(())

    @state.setter
    def state(self, state: NDArray[Any]) -> None:
        if getattr(state, "dtype", None) != self.layout or np.shape(state) != ():
            raise ValueError(
                f"a state of {self!r} was expected, as its .state gives it; got {state!r}"
            )
        self._states[0] = state

    def reset(self) -> None:
        """Forget the stream, with all that was learned from it: back to the initial state."""
        self._states[0] = initial(self)  # type: ignore[arg-type]  # what inherits is a Step


def check_row(x: Any, step: Step) -> NDArray[Any]:
    """One sample as a contiguous (inputs,) of the step's scalar dtype; for one input a number."""
    row = _numbers(x, step)
    if row.ndim == 0 and step.inputs == 1:
        row = row.reshape(1)
    if row.shape != (step.inputs,):
        raise ValueError(
            f"x has shape {row.shape}, expected ({step.inputs},): one number for each input of "
            f"{type(step).__name__}, NaN where one is missing"
        )
    return np.ascontiguousarray(row)


def check_rows(X: Any, step: Step, count: int | None = None) -> NDArray[Any]:
    """Samples as a contiguous (N, inputs) of the step's scalar dtype; (N,) for one input."""
    rows = _numbers(X, step)
    if rows.ndim == 1 and step.inputs == 1:
        rows = rows.reshape(-1, 1)
    if rows.ndim != 2 or rows.shape[1] != step.inputs or count not in (None, len(rows)):
        raise ValueError(
            f"X has shape {rows.shape}, expected ({'N' if count is None else count}, "
            f"{step.inputs}): a row for each sample, a column for each input of "
            f"{type(step).__name__}, NaN where a value is missing"
        )
    return np.ascontiguousarray(rows)


def _numbers(x: Any, step: Step) -> NDArray[Any]:
    kind = scalar(step.layout)
    try:
        array = np.asarray(x)
    except ValueError as error:  # ragged rows
        raise ValueError(f"x is not an array of numbers: {error}") from None
    if array.dtype == kind:
        return array
    if array.dtype.kind not in "biuf":
        what = type(x).__name__ if array.ndim == 0 else f"values of dtype {array.dtype}"
        raise TypeError(f"x holds {what}, expected numbers; write a missing value as NaN")
    with np.errstate(over="ignore"):  # 1e300 becomes inf in float32, and each step bounds it
        return array.astype(kind)
