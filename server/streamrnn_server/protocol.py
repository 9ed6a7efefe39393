"""The wire between server and viewers: every message, and nothing about sockets.

Control messages are JSON objects told apart by "type"; samples and overviews are binary columns
(binary.py). web/src/protocol.ts is the same in TypeScript, and tests/golden_frames.json holds both
to the same bytes. For people: docs/serve.md. Senders have their own: ingest_protocol.py.

    viewers  /live    ◀─ Hello, Streams, Status, Gap, Picture, Written, WasReset, Explanation,
                         Example, Error; binary.Samples, binary.Overview
                      ─▶ Watch, Ack, Pause, Resume, Write, Stop, Reset, Explain, ShowExample

A float that is not finite is null.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

VERSION = 1
SUBPROTOCOL = "streamrnn.v1"

# Close codes of ours (4000-4999 are for applications, RFC 6455 section 7.4.2).
CLOSE_TOKEN = 4401
CLOSE_STALLED = 4408
CLOSE_FULL = 1013  # "try again later"

# Flow control counts binary messages: a viewer acknowledges every ACK_EVERY, and the server stops
# when WINDOW are not acknowledged.
WINDOW = 32
ACK_EVERY = 16

_Kind = Literal["sensor", "tokens"]
_Mode = Literal["one_to_one", "one_to_many", "many_to_one", "many_to_many", "synced"]
_State = Literal["starting", "live"]
_SourceState = Literal["waiting", "running", "ended", "failed"]


class Channel(msgspec.Struct, frozen=True):
    name: str
    unit: str


class Column(msgspec.Struct, frozen=True):
    """What one column of y means: streamrnn.step.Output."""

    name: str
    kind: str
    channel: int
    ahead: int


class Group(msgspec.Struct, frozen=True):
    """Streams with the same channels and the same step."""

    id: int
    kind: _Kind
    channels: list[Channel]
    target: int
    outputs: list[Column]
    units: int
    layers: int  # that the units are of, equally many each, the lowest layer's first
    reasons: list[str]
    vocabulary: list[str] | None
    mode: _Mode
    pictured: bool  # its streams have pictures
    writes: bool  # its streams can be asked to write and be reset
    explains: bool  # it can be asked what carries a forecast


class StreamInfo(msgspec.Struct, frozen=True):
    id: int
    key: str
    group: int
    seq: int  # of its newest sample; -1 before the first
    spark: list[float | None]  # newest last, at most 60 values of past overviews


class Hello(msgspec.Struct, tag_field="type", tag="hello", frozen=True):
    """The first message. Sequence numbers count within `epoch`, drawn when the server starts."""

    version: int
    epoch: int
    name: str
    server: str
    now: float
    started: float
    groups: list[Group]
    streams: list[StreamInfo]


class Streams(msgspec.Struct, tag_field="type", tag="streams", frozen=True):
    """Groups and streams that came up since the last such message."""

    groups: list[Group]
    streams: list[StreamInfo]


class LastRefused(msgspec.Struct, frozen=True):
    t: float
    kind: str
    where: str
    error: str


class RefusedCounts(msgspec.Struct, frozen=True):
    total: int
    kinds: dict[str, int]
    last: LastRefused | None


class SourceInfo(msgspec.Struct, frozen=True):
    name: str
    state: _SourceState
    detail: str


class Status(msgspec.Struct, tag_field="type", tag="status", frozen=True):
    """Every second. Latency: from the arrival of a sample until its prediction was published."""

    now: float
    state: _State
    detail: str
    samples: int
    samples_per_s: float
    latency_p50_s: float | None
    latency_p99_s: float | None
    viewers: int
    refused: RefusedCounts
    sources: list[SourceInfo]


class Gap(msgspec.Struct, tag_field="type", tag="gap", frozen=True):
    """Samples first..last (inclusive) of the stream will never come to this viewer."""

    stream: int
    first: int
    last: int


class Image(msgspec.Struct, frozen=True):
    """`pixels` (height, width), row by row, 255 = ink; base64 in JSON."""

    height: int
    width: int
    pixels: bytes


class Spot(msgspec.Struct, frozen=True):
    """Something at a place: x from 0, left, to 1, right; y from 0, top, to 1, bottom."""

    name: str
    x: float
    y: float
    label: str


class Guess(msgspec.Struct, frozen=True):
    text: str
    p: float


class Picture(msgspec.Struct, tag_field="type", tag="picture", frozen=True):
    """What a stream looks like after sample `seq`; comes before the samples up to it.

    Only the newest is sent: a viewer may miss some. The fields are streamrnn.streams.Picture's.
    """

    stream: int
    seq: int
    image: Image | None
    row: int | None
    points: list[Spot]
    text: str
    truth: str
    likely: list[Guess]
    step: int
    reads: bool
    emits: bool


class Written(msgspec.Struct, tag_field="type", tag="written", frozen=True):
    """Tokens that the network wrote on, after sample `after` of the stream; `done`: the last."""

    stream: int
    after: int
    tokens: list[int]
    done: bool


class WasReset(msgspec.Struct, tag_field="type", tag="reset", frozen=True):
    """After sample `seq` the state of the stream was put back to the initial one."""

    stream: int
    seq: int


class Explanation(msgspec.Struct, tag_field="type", tag="explanation", frozen=True):
    """What carries the newest forecast of a stream, and how good its forecasts have been.

    Of streamrnn.forecast.Explanation: for all H steps ahead the errors, for those in `ahead` only,
    the first and the last, members, parts and lags, one list for each name or lag.
    """

    stream: int
    ahead: list[int]
    members: dict[str, list[float | None]]
    parts: dict[str, list[float | None]]  # in the target's unit
    lags: list[list[float | None]]
    period: int
    error: list[float | None]  # (H,)
    persistence: list[float | None]  # (H,)
    seasonal: float | None


class Moment(msgspec.Struct, frozen=True):
    """One step of the example: x is the number of a letter, y its logits, p their softmax."""

    x: int
    h_before: list[float]
    h: list[float]
    y: list[float]
    p: list[float]


class Example(msgspec.Struct, tag_field="type", tag="example", frozen=True):
    """A network small enough to show every number: example.py."""

    vocabulary: list[str]
    weight_ih: list[list[float]]
    weight_hh: list[list[float]]
    bias_h: list[float]
    weight_ho: list[list[float]]
    bias_o: list[float]
    moments: list[Moment]


class Error(msgspec.Struct, tag_field="type", tag="error", frozen=True):
    error: str


class WatchStream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: int
    after: int | None = None


class Watch(msgspec.Struct, tag_field="type", tag="watch", frozen=True, forbid_unknown_fields=True):
    """Replaces the set of streams whose samples the viewer gets.

    A stream that was in the set goes on where it was. Another one goes on after sample `after`, if
    `epoch` is the server's own, and else begins with its newest `history` samples.
    """

    streams: list[WatchStream]
    epoch: int | None = None
    history: int = 2000


class Ack(msgspec.Struct, tag_field="type", tag="ack", frozen=True, forbid_unknown_fields=True):
    """`frames`: binary messages received on this connection so far."""

    frames: int


class Pause(msgspec.Struct, tag_field="type", tag="pause", frozen=True, forbid_unknown_fields=True):
    """Nothing but status, please."""


class Resume(
    msgspec.Struct, tag_field="type", tag="resume", frozen=True, forbid_unknown_fields=True
):
    pass


class Write(msgspec.Struct, tag_field="type", tag="write", frozen=True, forbid_unknown_fields=True):
    """Let the network write on from where it was after sample `after`; ends what it writes now.

    temperature  divides the logits: 1 draws as expected, 0 always takes the likeliest
    """

    stream: int
    after: int
    temperature: Annotated[float, Meta(ge=0, le=5)] = 1.0
    length: Annotated[int, Meta(ge=1, le=2000)] = 500


class Stop(msgspec.Struct, tag_field="type", tag="stop", frozen=True, forbid_unknown_fields=True):
    """Write no more."""


class Reset(msgspec.Struct, tag_field="type", tag="reset", frozen=True, forbid_unknown_fields=True):
    """Put the state of a stream back to the initial one, for all who look at it."""

    stream: int


class Explain(
    msgspec.Struct, tag_field="type", tag="explain", frozen=True, forbid_unknown_fields=True
):
    """Send an Explanation of a stream."""

    stream: int


class ShowExample(
    msgspec.Struct, tag_field="type", tag="example", frozen=True, forbid_unknown_fields=True
):
    """Send the Example."""


ToViewer = (
    Hello | Streams | Status | Gap | Picture | Written | WasReset | Explanation | Example | Error
)
FromViewer = Watch | Ack | Pause | Resume | Write | Stop | Reset | Explain | ShowExample
EXPECTED = "expected a watch, ack, pause, resume, write, stop, reset, explain or example message"

_encode = msgspec.json.Encoder().encode
_from_viewer: msgspec.json.Decoder[FromViewer] = msgspec.json.Decoder(FromViewer)
_to_viewer: msgspec.json.Decoder[ToViewer] = msgspec.json.Decoder(ToViewer)


class ProtocolError(ValueError):
    """A message that is not what this file says."""


def encode(message: ToViewer | FromViewer) -> str:
    """JSON text of a control message; a float that is not finite becomes null."""
    return _encode(message).decode()


def decode_viewer(text: str | bytes) -> FromViewer:
    """A viewer's message. Raises ProtocolError, saying where and what is wrong."""
    if isinstance(text, bytes):
        raise ProtocolError("expected a JSON text message, got a binary one")
    try:
        return _from_viewer.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:  # the latter: nested without end
        raise ProtocolError(f"{EXPECTED}: {error}") from None


def decode_control(text: str) -> ToViewer:
    """A server's control message, for viewers written in Python (tests, benchmarks)."""
    return _to_viewer.decode(text)
