"""/ingest: lines of NDJSON from senders, each message acknowledged.

    {"stream": "boiler/7", "t": 1700000000.0, "x": [20.5, null]}
    {"stream": "boiler/7", "t": "2023-11-14T22:13:20Z", "temp": 20.5, "load": null}
    {"stream": "boiler/8", "value": 20.5}
    20.5                                       with /ingest?stream=boiler/8

A line that is refused does not stop the others. A message is acknowledged when what it brought is
durable, in order; the next ones are read meanwhile, as long as not too much is on its way. Beyond
that TCP slows the sender down.

A sender that gives its name, /ingest?sender=NAME, is told up to which line it is known, and each of
its lines is taken once: they count from the line after that, or from N with &from=N.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec

from streamrnn.streams import Pipeline, Refused
from streamrnn_server import protocol

TOLD = 100  # refused lines that one acknowledgement tells of
_AT_ONCE = 256  # lines before others get their turn


class Halted(Exception):
    """Nothing is taken at present, such as when the journal's disk is full; the text says why."""


class Answer(NamedTuple):
    """What to tell a sender, once `settled` is done with "" and not with a reason against it."""

    taken: protocol.Taken
    settled: asyncio.Future[str]


def arguments(query: str) -> tuple[str | None, str | None, int | None]:
    """stream, sender and first of an Ingest, from the address. Raises ValueError."""
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    sender, first = given.get("sender"), given.get("from")
    if sender is not None and not (len(sender) <= 200 and sender.isprintable()):
        raise ValueError("expected sender= with a name of 1 to 200 printable characters")
    if first is not None and (sender is None or not first.isdecimal() or int(first) < 1):
        raise ValueError("expected from= with the number of a line, from 1, beside sender=")
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
        self._mark = None if sender is None else f"sender {sender}"
        self._messages = 0
        self._halts = pipeline.halts
        self._next = self.known() + 1 if first is None else first

    def known(self) -> int:
        """The last line of this sender that has been taken."""
        return 0 if self._mark is None else self._pipeline.marked(self._mark)

    async def take(self, message: str | bytes) -> Answer:
        """Put the lines of one message into the pipeline; the answer says what became of them.

        Raises Halted if that stopped at one of them.
        """
        self._messages += 1
        taken = repeated = 0
        refused: list[protocol.RefusedLine] = []
        text = message if isinstance(message, str) else message.decode(errors="replace")
        for number, line in enumerate(text.split("\n"), 1):
            await self._turn(number)
            self._check()
            if self._mark is not None:
                if self._next <= self.known():
                    self._next += 1
                    repeated += 1
                    continue
                self._pipeline.mark(self._mark, self._next)
                self._next += 1
            if not line or line.isspace():
                continue
            try:
                self._line(line, number)
                taken += 1
            except Refused as error:
                if len(refused) < TOLD:
                    refused.append(protocol.RefusedLine(number, error.kind, str(error)))
        await self._turn(0)
        self._check()
        last = None if self._mark is None else self._next - 1
        answer = protocol.Taken(self._messages, taken, refused, last, repeated)
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

    def _line(self, line: str, number: int) -> None:
        try:
            record = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:  # the latter: nested without end
            raise self._refused(
                "json", number, f"expected one JSON object a line: {error}"
            ) from None
        if record is None or type(record) in (int, float):  # not isinstance: True is an int
            record = {"value": record}
        if not isinstance(record, dict):
            raise self._refused(
                "json", number, f"expected a JSON object or a number, got {line.strip():.60}"
            )
        key = record.pop("stream", self._stream)
        if key is None:
            raise self._refused(
                "stream",
                number,
                'expected the stream as "stream" in the line, or for all lines as '
                "/ingest?stream=NAME",
            )
        t = record.pop("t", None)
        self._pipeline.take(key, _values(record), t)

    def _refused(self, kind: str, number: int, error: str) -> Refused:
        refused = Refused(kind, f"/ingest line {number}", error)
        self._pipeline.refuse(refused)
        return refused


def _values(record: dict[str, Any]) -> Any:
    """x of a line: its list "x", its single "value", or its other keys as channels."""
    if len(record) == 1:
        if "value" in record:
            return [record["value"]]
        if isinstance(x := record.get("x"), list):
            return x
    return record
