"""Steps as streamz nodes: `stream.rnn(model)`, `stream.forecast(...)`, `stream.detect(...)`.

    source.rnn(model).sink(print)

A node takes one stream's samples as numbers (one channel), rows (C,) or arrays of consecutive rows
(T, C), or a Batch of many streams, and emits the same shape. With `mode=` the stream consists of
sequences (marked.py), and a node emits what counts of each. An element that it cannot take is
refused: counted, logged, reported to `on_refused`, and the stream goes on. Raising would not do: an
exception in a streamz graph stops the source for good, while `source.stopped` stays False.

Keep the end of a chain: streamz holds what comes after a node by weak references only (streamz#71),
so a chain that ends neither in a sink nor in a variable is gone at once.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from streamz import Stream

from streamrnn.bank import Bank
from streamrnn.detect import Detection, Detections, Detector
from streamrnn.forecast import Forecast, Forecaster
from streamrnn.keys import Keys
from streamrnn.model import Model
from streamrnn.sequences import Sequences
from streamrnn.step import Step, scalar
from streamrnn.streams.batch import Batch
from streamrnn.streams.marked import Marked, answer, rows_of
from streamrnn.streams.refused import Refusals, Refused, failed, shown
from streamrnn.streams.undo import Undo
from streamrnn.threads import Copies


@Stream.register_api()
class rnn(Stream):  # type: ignore[misc]  # streamz has no types
    """Advance a step, or a Bank of one, by every element; emits y.

    >>> from streamz import Stream
    >>> import streamrnn as srnn, streamrnn.streams
    >>> source = Stream()
    >>> found = source.rnn(srnn.GRU(input_size=2, hidden_size=8, output_size=1)).sink_to_list()
    >>> source.emit([0.5, 1.0])
    >>> source.emit("junk")  # refused, with a warning in the log
    >>> source.emit([[0.5, 1.0], [0.2, float("nan")]])
    >>> [y.shape for y in found]
    [(1,), (2, 1)]

    key    the stream in the bank that elements without keys belong to
    mode   the stream consists of sequences, which are one_to_one, one_to_many, many_to_one,
           many_to_many or synced; `Marked` elements say where they start and end
    classes, end, length   with mode: as of `Sequences`; what is written has at most `length` rows

    >>> from streamrnn.streams import Marked
    >>> found = source.rnn(srnn.GRU(2, 8, 3), mode="many_to_one").sink_to_list()
    >>> source.emit([0.5, 1.0])
    >>> source.emit(Marked([0.2, 0.1], end=True))
    >>> [y.shape for y in found]
    [(3,)]
    """

    def __init__(
        self,
        upstream: Stream,
        model: Step | Bank,
        *,
        key: Hashable = "",
        mode: str | None = None,
        classes: bool = False,
        end: int | None = None,
        length: int = 100,
        **kwargs: Any,
    ) -> None:
        self.sequences: Sequences | None = None
        if mode is not None:
            if not isinstance(model, Model):
                raise TypeError(f"mode is {mode!r}, which is for a model, got {model!r}")
            if length < 1:
                raise ValueError(f"length is {length}, expected a whole number of at least 1")
            model = self.sequences = Sequences(model, mode, classes=classes, end=end)
        self.bank = model if isinstance(model, Bank) else Bank(model)
        self.key = key
        self.length = length
        self.undo = Undo(self.bank)
        self.holding = False  # somebody else says when the states of past elements are let go
        self._refusals = Refusals()
        super().__init__(upstream, **kwargs)

    @property
    def refused(self) -> Counter[str]:
        """How many elements were refused, by kind."""
        return self._refusals.counts

    def on_refused(self, callback: Callable[[Refused], object]) -> None:
        """`callback(refused)` is called whenever an element is refused."""
        self._refusals.on_refused(callback)

    def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        bank = self.bank
        try:
            keys, columns, ndim = self._checked(x)
            touched = rows = bank.rows(keys.names if isinstance(keys, Keys) else keys)
        except Exception as error:  # an element can be any object, and raise whatever it likes
            self._refusals.add(Refused("value", self._where(), str(error)))
            return []
        if not self.holding:
            self.undo.clear()
        before = len(self.undo)
        numbers = np.zeros(len(rows), np.int64)
        if isinstance(keys, Keys):
            numbers = keys.numbers
            rows = touched[numbers]
        elif len(rows) > 1:
            touched, numbers = np.unique(rows, return_inverse=True)
        copies = Copies(touched, numbers, self.undo.room(touched))
        y = np.empty((len(rows), bank.model.outputs), columns.dtype)
        try:
            bank.advance(rows, columns, y, x.t if isinstance(x, Batch) else None, copies=copies)
        except Exception as error:
            self.undo.put_back(before)
            self._refusals.add(failed(self._where(), error, len(keys)))
            return []
        try:
            element = self._element(x, columns, y, ndim)
            return [] if element is None else self._emit(element, metadata=metadata)
        except BaseException:
            # What came after failed: the element has not happened, and may be emitted again.
            self.undo.put_back(before)
            raise

    def learn(
        self, keys: Sequence[Hashable], y: NDArray[np.float64], t: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """`Bank.learn`, which can be taken back like an element. Raises what the step raises."""
        if not self.holding:
            self.undo.clear()
        before = len(self.undo)
        self.undo.copy(self.bank.rows(dict.fromkeys(keys)))
        try:
            return self.bank.learn(keys, y, t)
        except BaseException:
            self.undo.put_back(before)
            raise

    # A node that reads other columns or shows its results otherwise overrides these three.

    def columns(self, batch: Batch) -> Any:
        """What the step reads of a batch, (N, inputs)."""
        return batch.x

    def joined(self, batch: Batch, y: NDArray[Any]) -> Batch:
        """The batch with what the step wrote, y (N, outputs)."""
        return batch._replace(y=y)

    def shaped(self, y: NDArray[Any]) -> Any:
        """What is emitted for y (outputs,) or (T, outputs); it makes the same of a Batch's y."""
        return y

    def _checked(self, x: Any) -> tuple[Sequence[Hashable], NDArray[Any], int]:
        """Keys (N,), columns (N, inputs) in the step's scalar dtype, and the dimensions of x."""
        step = None if isinstance(x, Batch) else self.sequences
        start = end = False
        if step is not None and isinstance(x, Marked):
            x, start, end = x
        array = _numbers(self.columns(x) if isinstance(x, Batch) else x)
        ndim, shape = array.ndim, array.shape
        inputs = self.bank.model.inputs - (step is not None)  # without the column of marks
        if ndim < 2:
            array = array.reshape(1, -1)
        if array.ndim != 2 or array.shape[1] != inputs:
            raise ValueError(
                f"expected {inputs} channel{'s' if inputs > 1 else ''}: a row ({inputs},) or "
                f"consecutive rows (T, {inputs}), got shape {shape}"
            )
        if step is not None:
            array = rows_of(array, start, end, step, self.length)
        keys = x.keys if isinstance(x, Batch) else [self.key] * len(array)
        if len(keys) != len(array):
            raise ValueError(f"expected a key for each row, got {len(keys)} for {len(array)} rows")
        with np.errstate(over="ignore"):
            columns = np.ascontiguousarray(array, scalar(self.bank.model.layout))
        if np.isinf(columns).any():
            # inf would turn the state into NaN for good
            raise ValueError("expected finite numbers or NaN, got an infinite one")
        return keys, columns, ndim

    def _element(self, x: Any, columns: NDArray[Any], y: NDArray[Any], ndim: int) -> Any:
        """What is emitted for the element x, None: nothing."""
        if isinstance(x, Batch):
            return self.joined(x, y)
        if self.sequences is not None:
            return answer(columns, y, ndim, self.sequences)
        return self.shaped(y if ndim == 2 else y[0])

    def _where(self) -> str:
        return f"{type(self).__name__} node" + (f" {self.name}" if self.name else "")


def _numbers(x: Any) -> NDArray[Any]:
    """x as an array of numbers, None as NaN; not "1.5", which NumPy would read as a number."""
    try:
        array = np.asarray(x)
    except ValueError:
        raise ValueError(f"expected numbers in rows of one length, got {shown(x)}") from None
    if array.dtype == object and array.ndim and all(v is None or _real(v) for v in array.flat):
        array = array.astype(np.float64)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"expected numbers, NaN or None where missing, got {shown(x)}")
    return array


def _real(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


@Stream.register_api()
class forecast(rnn):
    """Learn from every element and forecast the next; emits a Forecast.

    For a Batch of any number of streams, each of which learns on its own, it is the Batch with the
    Forecast's columns as y; `node.shaped(batch.y)` makes a Forecast of them again, arrays (N, H).

    >>> from streamz import Stream
    >>> import streamrnn.streams
    >>> source = Stream()
    >>> found = source.forecast(channels=1, horizon=3).sink_to_list()
    >>> for value in (1.0, 2.0, 3.0):
    ...     source.emit(value)
    >>> found[-1].mean.shape
    (3,)
    """

    def __init__(
        self,
        upstream: Stream,
        channels: int = 1,
        target: int = 0,
        horizon: int = 12,
        *,
        key: Hashable = "",
        **kwargs: Any,
    ) -> None:
        model = Forecaster(channels=channels, target=target, horizon=horizon)
        super().__init__(upstream, model, key=key, **kwargs)

    def shaped(self, y: NDArray[Any]) -> Forecast:
        return Forecast(*np.split(y, 3, axis=-1))


@Stream.register_api()
class detect(rnn):
    """Score every row from 0 to 1, alarm at the onset of an event; emits a Detection.

    For an array of rows it is Detections, for a Batch of any number of streams the Batch with its
    columns as y, of which `node.shaped(batch.y)` makes Detections again.

    >>> from streamz import Stream
    >>> import streamrnn.streams
    >>> source = Stream()
    >>> found = source.detect().sink_to_list()
    >>> for value in [*[20.0, 21.0] * 100, 95.0]:
    ...     source.emit(value)
    >>> found[-1].alarm, found[-1].reason
    (True, 'outside the range seen')
    """

    def __init__(
        self,
        upstream: Stream,
        channels: int = 1,
        target: int = 0,
        horizon: int = 12,
        *,
        key: Hashable = "",
        **kwargs: Any,
    ) -> None:
        self._detector = Detector(channels=channels, target=target, horizon=horizon)
        super().__init__(upstream, self._detector, key=key, **kwargs)

    def shaped(self, y: NDArray[Any]) -> Detection | Detections:
        return self._detector.detection(y) if y.ndim == 1 else self._detector.detections(y)
