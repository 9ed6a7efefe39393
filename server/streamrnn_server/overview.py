"""The newest of every stream in a few columns: what the list of streams shows.

`update` takes what a batch brought; `survey`, twice a second, notes which streams changed;
`message` gives a viewer the streams that changed since the survey it saw last, encoded once for all
viewers in the same place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn_server import binary

if TYPE_CHECKING:
    from streamrnn.streams.groups import Group

SPARK = 60  # values of past surveys kept for the sparkline of a new viewer
RATE_S = 5.0  # time constant of the rate

_ROW = np.dtype(
    [
        *((name, dtype) for name, dtype in binary.OVERVIEW_COLUMNS),
        ("dirty", "?"),  # has news since the last survey
        ("changed", "i8"),  # number of the survey that saw its last news
        ("marked", "i8"),  # samples, and ...
        ("marked_t", "f8"),  # ... arrival of the newest, where its rate was last computed
        ("sparks", "i8"),  # values that went into ...
        ("spark", "f4", (SPARK,)),  # ... this ring
    ]
)


class News(NamedTuple):
    """What a batch of N samples brought: columns (N,), NaN where a step does not say."""

    arrived: float
    t: NDArray[np.float64]
    value: NDArray[np.float32]
    forecast: NDArray[np.float32]
    error_ratio: NDArray[np.float32]
    score: NDArray[np.float32]
    alarm: NDArray[np.bool]


class Reader:
    """Finds in a group's rows (rings.row_dtype) what the overview shows of them."""

    def __init__(self, group: Group) -> None:
        self._target = group.target
        self._columns = {
            kind: next((i for i, o in enumerate(group.outputs) if o.kind == kind), None)
            for kind in ("error", "error_persistence", "score", "alarm", "surprise")
        }
        self._columns["forecast"] = next(
            (
                i
                for i, o in enumerate(group.outputs)
                if (o.kind, o.channel, o.ahead) == ("forecast", group.target, 1)
            ),
            None,
        )

    def __call__(self, rows: NDArray[Any], arrived: float) -> News:
        missing = np.full(len(rows), np.nan, np.float32)

        def column(kind: str) -> NDArray[np.float32]:
            i = self._columns[kind]
            return missing if i is None else rows["y"][:, i]

        # A token's number says nothing about how the stream is doing; its surprise does.
        tokens = self._columns["surprise"] is not None
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = column("error") / column("error_persistence")
        return News(
            arrived,
            rows["t"],
            column("surprise") if tokens else rows["x"][:, self._target],
            column("forecast"),
            ratio,
            column("score"),
            column("alarm") > 0.5,
        )


class Overviews:
    """One row a stream, in the order in which streams appeared: row = stream id."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.surveys = 0
        self._n = 0
        self._rows = np.empty(0, _ROW)
        self._messages: dict[int, bytes | None] = {}  # by survey seen; of one moment only:
        self._sent = math.nan

    def add(self) -> None:
        """A row for one more stream."""
        if self._n == len(self._rows):
            more = np.zeros(max(64, self._n), _ROW)
            more["id"] = np.arange(self._n, self._n + len(more))
            for name in ("alarm_t", "rate_hz", "marked_t"):
                more[name] = math.nan
            self._rows = np.concatenate([self._rows, more])
        self._n += 1

    def update(self, ids: NDArray[np.int64], news: News) -> None:
        """News of streams `ids` (N,), in order: of a stream that comes twice the last stays."""
        rows = self._rows
        for name in ("arrived", "t", "value", "forecast", "error_ratio", "score"):
            rows[name][ids] = getattr(news, name)
        rows["alarm_t"][ids[news.alarm]] = news.t[news.alarm]
        rows["dirty"][ids] = True

    def survey(self, counts: NDArray[np.int64]) -> None:
        """Note what changed since the last survey. `counts` (streams,): samples so far of each."""
        rows = self._rows
        ids = np.flatnonzero(rows["dirty"])
        if not len(ids):
            return
        self.surveys += 1
        self._messages.clear()
        self._rate(ids, counts[ids])
        rows["seq"][ids] = counts[ids] - 1
        rows["spark"][ids, rows["sparks"][ids] % SPARK] = rows["value"][ids]
        rows["sparks"][ids] += 1
        rows["changed"][ids] = self.surveys
        rows["dirty"][ids] = False

    def message(self, seen: int, sent: float) -> bytes | None:
        """The streams that changed after survey `seen` (0: all that any survey saw), or None."""
        if sent != self._sent:
            self._sent = sent
            self._messages.clear()
        if seen not in self._messages:
            rows = self._rows[self._rows["changed"] > seen]
            columns = {name: rows[name] for name, _ in binary.OVERVIEW_COLUMNS}
            overview = binary.Overview(self.epoch, sent, columns)
            self._messages[seen] = binary.encode_overview(overview) if len(rows) else None
        return self._messages[seen]

    def spark(self, stream: int) -> list[float | None]:
        """At most SPARK values of past surveys, newest last, rounded to five digits."""
        row = self._rows[stream]
        n = int(row["sparks"])
        values = row["spark"][np.arange(max(0, n - SPARK), n) % SPARK].tolist()
        return [float(f"{v:.5g}") if math.isfinite(v) else None for v in values]

    def _rate(self, ids: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Samples over the time between the arrivals that two surveys saw, smoothed over RATE_S.

        Counting per survey would show a stream of one sample in 10 s as 2 Hz, then as 0 Hz.
        """
        rows = self._rows
        elapsed = rows["arrived"][ids] - rows["marked_t"][ids]
        moved = ~(elapsed <= 0)  # NaN counts as moved: the first survey of a stream only marks it
        ids, counts, elapsed = ids[moved], counts[moved], elapsed[moved]
        rate, now = rows["rate_hz"][ids], (counts - rows["marked"][ids]) / elapsed
        keep = np.exp(-elapsed / RATE_S)
        rows["rate_hz"][ids] = np.where(np.isnan(rate), now, keep * rate + (1 - keep) * now)
        rows["marked"][ids] = counts
        rows["marked_t"][ids] = rows["arrived"][ids]
