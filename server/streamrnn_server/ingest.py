"""/ingest: samples from senders, each message acknowledged.

Lines of NDJSON, many in a message:

    {"stream": "boiler/7", "t": 1700000000.0, "x": [20.5, null]}
    {"stream": "boiler/7", "t": "2023-11-14T22:13:20Z", "temp": 20.5, "load": null}
    {"stream": "boiler/8", "value": 20.5}
    20.5                                       with /ingest?stream=boiler/8
    {"stream": "boiler/8", "t": [1700000001, 1700000002], "x": [[20.5], [20.7]]}
    {"stream": "boiler/7", "t": 1700000000.0, "label": 20.5}    the target of that row, later

A JSON array of such records is one line, and so is a binary message (ingest_protocol.py). A line
is taken as a whole: what it holds goes into one commit, but for samples of it that are refused.

A line that is refused does not stop the others. A message is acknowledged when what it brought is
durable, in order; the next ones are read meanwhile, as long as not too much is on its way. Beyond
that TCP slows the sender down.

A sender that gives its name, /ingest?sender=NAME, is told up to which line it is known, and each of
its lines is taken once: they count from the line after that, or from N with &from=N.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec
import numpy as np

from streamrnn.keys import Keys
from streamrnn.streams import Batch, Pipeline, Refused
from streamrnn.streams.marks import SENDER
from streamrnn_server import ingest_protocol
from streamrnn_server.ingest_protocol import COLUMNS, ColumnsError, RefusedLine, Taken

TOLD = 100  # refused lines that one acknowledgement tells of
MOST = 8192  # samples in one line: they are predicted at once, and everybody waits for that
_AT_ONCE = 256  # lines before others get their turn
MOST_DIGITS = 15  # of the number of a line: the journal holds 18


class Halted(Exception):
    """Nothing is taken at present, such as when the journal's disk is full; the text says why."""


class Answer(NamedTuple):
    """What to tell a sender, once `settled` is done with "" and not with a reason against it."""

    taken: Taken
    settled: asyncio.Future[str]


def arguments(query: str) -> tuple[str | None, str | None, int | None]:
    """stream, sender and first of an Ingest, from the address. Raises ValueError."""
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    sender, first = given.get("sender"), given.get("from")
    if sender is not None and not (len(sender) <= 200 and sender.isprintable()):
        raise ValueError("expected sender= with a name of 1 to 200 printable characters")
    if first is not None:
        # isdecimal() takes the digits of all scripts, and int() a number of any length
        known = first.isascii() and first.isdecimal() and len(first) <= MOST_DIGITS
        if sender is None or not known or int(first) < 1:
            raise ValueError(
                "expected from= with the number of a line, from 1, beside sender= "
                f"(of at most {MOST_DIGITS} digits)"
            )
    return given.get("stream"), sender, None if first is None else int(first)


class Ingest:
    """One sender's connection.

    stream   key for lines that name none
    sender   name, under which its lines are counted
    first    number of its first line on this connection; None: it goes on where it is known
    """

    def __init__(
        self,
        pipeline: Pipeline,
        stream: str | None = None,
        sender: str | None = None,
        first: int | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._stream = stream
        self._mark = None if sender is None else f"{SENDER}{sender}"
        self._messages = 0
        self._halts = pipeline.halts
        self._next = self.known() + 1 if first is None else first
        self._refused: list[RefusedLine] = []  # of the message that is being taken

    def known(self) -> int:
        """The last line of this sender that has been taken."""
        return 0 if self._mark is None else self._pipeline.marked(self._mark)

    async def take(self, message: str | bytes) -> Answer:
        """Put the lines of one message into the pipeline; the answer says what became of them.

        Raises Halted if that stopped at one of them.
        """
        self._messages += 1
        self._refused = []
        taken = repeated = 0
        for number, line in enumerate(_lines(message), 1):
            await self._turn(number)
            self._check()
            if self._mark is not None and self._next <= self.known():
                self._next += 1
                repeated += 1
                continue
            with self._pipeline.together():
                if self._mark is not None:
                    self._pipeline.mark(self._mark, self._next)
                    self._next += 1
                taken += self._line(line, number)
        await self._turn(0)
        self._check()
        if repeated:
            error = f"lines up to {self.known()} have been taken before; they are ignored"
            where = f"/ingest {self._mark}"
            self._pipeline.refuse(Refused("repeated", where, error, repeated))
        last = None if self._mark is None else self._next - 1
        answer = Taken(self._messages, taken, self._refused, last, repeated)
        return Answer(answer, self._pipeline.settled())

    def _check(self) -> None:
        """Raises Halted if anything that came on this connection may have been given up."""
        if self._pipeline.halted or self._pipeline.halts != self._halts:
            raise Halted(self._pipeline.halted or "the journal could not be written for a moment")

    async def _turn(self, number: int) -> None:
        while self._pipeline.full and not self._pipeline.halted:
            await self._pipeline.settled()
        if number and number % _AT_ONCE == 0:
            await asyncio.sleep(0)

    def _line(self, line: Any, number: int) -> int:
        """Take a line; how many samples of it."""
        where = f"/ingest line {number}"
        try:
            if isinstance(line, bytes):
                return self._columns(line, number, where)
            if isinstance(line, str):
                if not line or line.isspace():
                    return 0
                line = _decoded(where, line)
                _check_count(where, _count(line))
                return self._record(line, number, None, where)
            _check_count(where, sum(map(_count, line)))
        except Refused as refused:
            return self._refuse(refused, number, None)
        rows = enumerate(line, 1)
        return sum(self._record(record, number, row, f"{where} row {row}") for row, record in rows)

    def _record(self, record: Any, number: int, row: int | None, where: str) -> int:
        """Take one sample, or a batch; how many were taken."""
        try:
            if _is_batch(record):
                return self._batch(record, number, row, where)
            if self._is_label(record):
                return self._label(record, number, row, where)
            return self._take(*self._sample(where, record), number, row)
        except Refused as refused:
            return self._refuse(refused, number, row)
        except RecursionError:  # of what shows it in an error
            error = "expected a JSON object or a number, got one that is nested too deeply"
            return self._refuse(Refused("json", where, error), number, row)

    def _is_label(self, record: Any) -> bool:
        """A channel may be called label, too."""
        if not isinstance(record, dict) or "label" not in record:
            return False
        key = record.get("stream", self._stream)
        group = self._pipeline.group_of(key) if isinstance(key, str) else None
        channels = () if group is None else group.channels
        return record.keys() <= {"stream", "t", "label"} and "label" not in channels

    def _label(self, record: dict[str, Any], number: int, row: int | None, where: str) -> int:
        """Take the target of an earlier row."""
        key = self._stream_of(where, record.get("stream"))
        tell = partial(self._tell, number=number, row=row, told=self._refused)
        try:
            self._pipeline.learn(key, record["label"], record.get("t"), tell)
        except Refused as refused:  # counted by the pipeline
            tell(refused)
            return 0
        return 1

    def _sample(self, where: str, record: Any) -> tuple[Any, Any, Any]:
        """Stream, values and time of a record, for the pipeline to check. Raises Refused."""
        if record is None or type(record) in (int, float):  # not isinstance: True is an int
            record = {"value": record}
        if not isinstance(record, dict):
            got = msgspec.json.encode(record).decode()
            raise Refused("json", where, f"expected a JSON object or a number, got {got:.60}")
        key = self._stream_of(where, record.pop("stream", None))
        t = record.pop("t", None)
        return key, _values(record), t

    def _take(self, key: Any, x: Any, t: Any, number: int, row: int | None) -> int:
        try:
            self._pipeline.take(key, x, t)
        except Refused as refused:  # counted by the pipeline
            self._tell(refused, number, row)
            return 0
        return 1

    def _batch(self, record: dict[str, Any], number: int, row: int | None, where: str) -> int:
        """Take the samples of a record whose t and x are lists of them."""
        try:
            batch = msgspec.convert(record, _Batch)
        except msgspec.ValidationError as error:
            raise Refused("batch", where, f"expected t and x of many samples: {error}") from None
        count, names = len(batch.x), batch.channels
        stream = batch.stream
        if not isinstance(stream, list):
            stream = [self._stream_of(where, stream)] * count
        times = [None] * count if batch.t is None else batch.t
        for name, column in (("stream", stream), ("t", times)):
            if len(column) != count:
                wrong = f"expected {count} of {name}, one for each row of x, got {len(column)}"
                raise Refused("batch", where, wrong)
        if names is not None and (odd := [x for x in batch.x if len(x) != len(names)]):
            wrong = (
                f"expected {len(names)} values in each row of x, one a channel, got {len(odd[0])}"
            )
            raise Refused("batch", where, wrong)
        taken = 0
        for n, (key, t, x) in enumerate(zip(stream, times, batch.x, strict=True), 1):
            values = x if names is None else dict(zip(names, x, strict=True))
            taken += self._take(key, values, t, number, row or n)
        return taken

    def _columns(self, message: bytes, number: int, where: str) -> int:
        """Take the samples of a binary message."""
        try:
            columns = ingest_protocol.decode_columns(message)
        except ColumnsError as error:
            raise Refused("columns", where, str(error)) from None
        _check_count(where, len(columns.t))
        if not len(columns.t):
            return 0
        now = time.time()
        keys = Keys(list(columns.streams), columns.stream.astype(np.int64)).rows(slice(None))
        t = np.where(np.isnan(columns.t), now, columns.t)
        with np.errstate(invalid="ignore"):  # from a NaN that signals comes one that does not
            x = columns.x.T.astype(np.float64)
        channels = None if columns.channels is None else tuple(columns.channels)
        batch = Batch(keys, t, x, arrived=now, channels=channels)
        tell = partial(self._tell, number=number)
        return self._pipeline.take_batch(batch, tell, recorded=False)

    def _stream_of(self, where: str, named: Any) -> Any:
        key = self._stream if named is None else named
        if key is None:
            raise Refused(
                "stream",
                where,
                'expected the stream as "stream" in the line, or for all lines as '
                "/ingest?stream=NAME",
            )
        return key

    def _refuse(self, refused: Refused, number: int, row: int | None) -> int:
        self._pipeline.refuse(refused)
        self._tell(refused, number, row)
        return 0

    def _tell(
        self,
        refused: Refused,
        number: int,
        row: int | None = None,
        told: list[RefusedLine] | None = None,
    ) -> None:
        """Note it in the answer: `told` of an earlier message, for what is refused in its turn."""
        told = self._refused if told is None else told
        if len(told) < TOLD:
            told.append(RefusedLine(number, refused.kind, str(refused), row, refused.count))


class _Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Samples of one stream, or one stream for each."""

    x: list[list[float | None]]
    t: list[float | str | None] | None = None
    stream: str | list[str] | None = None
    channels: list[str] | None = None


def _lines(message: str | bytes) -> Iterator[Any]:
    """The lines of a message: texts, or a JSON array or columns, which are one."""
    if isinstance(message, bytes):
        if message[:1] == bytes([COLUMNS]):
            yield message
            return
        message = message.decode(errors="replace")
    if message.lstrip()[:1] == "[":
        try:
            yield msgspec.json.decode(message)
            return
        except (msgspec.DecodeError, RecursionError):
            pass  # lines, of which the first begins so
    yield from message.split("\n")


def _decoded(where: str, line: str) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:  # the latter: nested without end
        raise Refused("json", where, f"expected one JSON object a line: {error}") from None


def _is_batch(record: Any) -> bool:
    if not isinstance(record, dict):
        return False
    x = record.get("x")
    nested = isinstance(x, list) and len(x) > 0 and isinstance(x[0], list)
    return nested or isinstance(record.get("t"), list)


def _count(record: Any) -> int:
    """How many samples a record is of."""
    x = record.get("x") if _is_batch(record) else None
    return len(x) if isinstance(x, list) else 1


def _check_count(where: str, count: int) -> None:
    if count > MOST:
        error = f"expected at most {MOST} samples in one line or message, got {count}; send several"
        raise Refused("size", where, error, count)


def _values(record: dict[str, Any]) -> Any:
    """x of a line: its list "x", its single "value", or its other keys as channels."""
    if len(record) == 1:
        if "value" in record:
            return [record["value"]]
        if isinstance(x := record.get("x"), list):
            return x
    return record
