"""Sources that play files: a recording in its own time or faster, a text at a steady rate."""

import math
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from streamz import Stream

from streamrnn.streams.batch import DAY_S
from streamrnn.streams.lines import Lines, Row
from streamrnn.streams.places import Place, Places, digest, name_of
from streamrnn.streams.refused import Refused
from streamrnn.streams.sources import Emitted, Marks, Source, Timed, paced
from streamrnn.streams.times import TIMES


@Stream.register_api(staticmethod)
class replay(Source):
    """Samples of a CSV or NDJSON file (lines.py), as fast as they were taken or otherwise.

    speed     a multiple of real time, by the event times of the file
    rate_hz   or so many samples a second; inf: as fast as they are taken
    loop      begin again at the end; event times go on growing
    key       the stream of samples that name none; default: the file's name without ending
    time      the column of event times; channels  the columns of values (lines.py has the defaults)
    future_s  rows whose time is so far ahead of now are refused

    With a taker that has a journal it goes on after the last row that is in there.

    >>> import math, queue
    >>> from streamz import Stream
    >>> import streamrnn.streams
    >>> path = getfixture("tmp_path") / "pump.csv"
    >>> size = path.write_text("t,temp,load\\n2026-01-01 00:00,21.5,3\\n2026-01-01 00:01,21.7,\\n")
    >>> source, batches = Stream.replay(path, rate_hz=math.inf), queue.Queue()
    >>> sink = source.sink(batches.put)
    >>> source.start()
    >>> batch = batches.get(timeout=20)
    >>> batch.keys, batch.channels, batch.x.tolist()
    (['pump', 'pump'], ('temp', 'load'), [[21.5, 3.0], [21.7, nan]])
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        speed: float | None = None,
        rate_hz: float | None = None,
        loop: bool = False,
        key: str | None = None,
        time: str | None = None,
        channels: Sequence[str] | None = None,
        future_s: float = DAY_S,
        **kwargs: Any,
    ) -> None:
        if speed is not None and rate_hz is not None:
            raise ValueError("expected speed or rate_hz, got both")
        for name, value in (("speed", speed), ("rate_hz", rate_hz)):
            if value is not None and not value > 0:
                raise ValueError(f"expected {name} above 0, got {value!r}")
        self.path = Path(path)
        self.speed = 1.0 if speed is None else speed
        self.rate_hz = rate_hz
        self.looped = loop
        super().__init__(f"replay {self.path.name}", **kwargs)
        self._lines = Lines(
            str(self.path),
            self.path.stem if key is None else key,
            time=time,
            channels=channels,
            refuse=self._refusals.add,
            future_s=future_s,
        )
        self._name = name_of("played", self.path, key, channels)
        self._places = Places(self._name)

    async def batches(self) -> AsyncGenerator[Emitted, None]:
        try:
            with self.path.open("rb") as file:
                known = self._places.known(file, self.marked)
        except FileNotFoundError as error:
            raise Refused("file", str(self.path), f"cannot be read: {error.strerror}") from None
        lap = self.marked(f"{self._name} lap") if known else 0
        begin = Turn(lap, known or Place(0, 0))
        async for part in paced(self._timed(begin), self._marks_at):
            yield part

    def _marks_at(self, turn: "Turn") -> Marks:
        with self.path.open("rb") as file:
            return {f"{self._name} lap": turn.lap, **self._places.marks(file, turn.place)}

    def _timed(self, known: "Turn") -> Iterator["Timed[Turn] | None"]:
        """Rows after what is known with the seconds after the start at which they are due."""
        lap, (_, last) = known
        count, begin, shift = 0, None, 0.0
        if last:
            self.detail = f"goes on after line {last}" + f" of lap {lap + 1}" * self.looped
        if lap:  # of what length is one?
            times = Span()
            for found in self._rows():
                if found is None:
                    yield None
                elif found[0].t is not None:
                    times.add(found[0].t)
            shift = lap * times.lap
        while True:
            lines, times = 0, Span()
            before = count
            for found in self._rows():
                if found is None:
                    yield None
                    continue
                row, place = found
                lines += 1
                if row.t is not None:
                    times.add(row.t)
                    row = row._replace(t=row.t + shift)
                if place.line > last:
                    begin = row.t if begin is None else begin
                    yield self._due(count, row.t, begin), row, Turn(lap, place)
                    count += 1
            if not lines:
                error = "expected samples, found none that can be read"
                if self._refusals.last is not None:
                    error += f"; last: {self._refusals.last.error}"
                raise Refused("file", str(self.path), error)
            if not self.looped:
                if count == before:
                    self.detail = "all of it has been played; `streamrnn replay` runs it again"
                return
            lap, last = lap + 1, 0
            shift += times.lap

    def _rows(self) -> Iterator[tuple[Row, Place] | None]:
        """The rows of the file, and where each ends; None now and then, even where there are bad
        lines only.
        """
        self._lines.restart()
        with self.path.open("rb") as file:
            at = 0
            while lines := list(islice(file, 1000)):
                ends = [*accumulate(map(len, lines), initial=at)]
                first, at = self._lines.number, ends[-1]
                for row in self._lines.rows(lines):
                    line = self._lines.number
                    yield row, Place(ends[line - first], line)
                yield None

    def _due(self, count: int, t: float | None, begin: float | None) -> float:
        if self.rate_hz is not None:
            return count / self.rate_hz
        if t is None or begin is None:
            error = f"expected a column of times ({', '.join(TIMES)}); name it or give rate_hz"
            raise Refused("file", str(self.path), error)
        return (t - begin) / self.speed


class Turn(NamedTuple):
    """How far a recording was played: so many times, and up to here."""

    lap: int
    place: Place


class Span:
    """From when to when a recording is."""

    def __init__(self) -> None:
        self._first, self._last = math.inf, -math.inf
        self._moments: float = 0
        self._t = math.nan

    def add(self, t: float) -> None:
        self._moments += t != self._t
        self._t, self._first, self._last = t, min(t, self._first), max(t, self._last)

    @property
    def lap(self) -> float:
        """Its length and one mean interval: how much later it is when it is played again."""
        if self._moments < 2 or self._first == self._last:
            return 1.0
        return (self._last - self._first) * self._moments / (self._moments - 1)


class Encodes(Protocol):
    def encode(self, text: str, /) -> Iterable[int]: ...


@Stream.register_api(staticmethod)
class text(Source):
    """Characters of text files as numbers of tokens, rate_hz a second, one stream `key`.

    paths       files in order; one that cannot be read is counted and left out
    vocabulary  its encode(text) gives the numbers (streamrnn.vocabulary.Vocabulary)
    loop        begin again after the last file

    With a taker that has a journal it goes on after the last token that is in there.
    """

    def __init__(
        self,
        paths: Iterable[str | PathLike[str]],
        vocabulary: Encodes,
        *,
        rate_hz: float,
        key: str = "text",
        loop: bool = False,
        **kwargs: Any,
    ) -> None:
        if not rate_hz > 0:
            raise ValueError(f"expected rate_hz above 0, got {rate_hz!r}")
        self.paths = [Path(path) for path in paths]
        self.vocabulary = vocabulary
        self.rate_hz = rate_hz
        self.key = key
        self.looped = loop
        super().__init__(f"text {key}", **kwargs)

    def batches(self) -> AsyncGenerator[Emitted, None]:
        paths = [str(path.absolute()) for path in self.paths]
        content = digest("\n".join(f"{path} {_size(path)}" for path in self.paths).encode())
        name = f"read {self.key} {digest(chr(0).join(paths).encode()):x}"
        same = self.marked(f"{name} is") == content
        done = self.marked(name) if same else 0
        return paced(self._timed(done), lambda count: {name: count, f"{name} is": content})

    def _timed(self, done: int) -> Iterator[Timed[int]]:
        """Tokens after the first `done` with the seconds after the start at which they are due."""
        count = 0
        while True:
            before = count
            for path in self.paths:
                try:
                    tokens = self.vocabulary.encode(path.read_text(encoding="utf-8"))
                except (OSError, ValueError) as error:  # no file, no UTF-8, no such character
                    self._refusals.add(Refused("file", str(path), f"cannot be read: {error}"))
                    continue
                self.detail = path.name
                for token in tokens:
                    count += 1
                    if count > done:
                        due = (count - done - 1) / self.rate_hz
                        yield due, Row(self.key, None, (token,), ("token",)), count
            lap = count - before
            if not lap:
                raise Refused("file", str(self.name), "expected text, found none that can be read")
            if not self.looped:
                return
            count += max(0, done - count) // lap * lap


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
