"""/ingest: lines of NDJSON from senders, each message acknowledged.

    {"stream": "boiler/7", "t": 1700000000.0, "x": [20.5, null]}
    {"stream": "boiler/7", "t": "2023-11-14T22:13:20Z", "temp": 20.5, "load": null}
    {"stream": "boiler/8", "value": 20.5}
    20.5                                       with /ingest?stream=boiler/8

A line that is refused does not stop the others. A message is not read before the one before it was
acknowledged, so that a sender that is too quick is slowed down by TCP.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from streamrnn.streams import Pipeline, Refused
from streamrnn_server import protocol

TOLD = 100  # refused lines that one acknowledgement tells of
_AT_ONCE = 256  # lines before others get their turn


class Ingest:
    """One sender's connection. `stream`: key for lines that name none."""

    def __init__(self, pipeline: Pipeline, stream: str | None = None) -> None:
        self._pipeline = pipeline
        self._stream = stream
        self._messages = 0

    async def take(self, message: str | bytes) -> protocol.Taken:
        """Put the lines of one message into the pipeline; the answer says what became of them."""
        self._messages += 1
        taken = 0
        refused: list[protocol.RefusedLine] = []
        text = message if isinstance(message, str) else message.decode(errors="replace")
        for number, line in enumerate(text.split("\n"), 1):
            if not line or line.isspace():
                continue
            try:
                self._line(line, number)
                taken += 1
            except Refused as error:
                if len(refused) < TOLD:
                    refused.append(protocol.RefusedLine(number, error.kind, str(error)))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return protocol.Taken(self._messages, taken, refused)

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
