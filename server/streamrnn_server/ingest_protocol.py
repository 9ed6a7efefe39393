"""The wire between senders and server, and nothing about sockets. For people: docs/serve.md.

    senders  /ingest  ◀─ Known, Taken
                      ─▶ lines of NDJSON, a JSON array, or Columns (ingest.py)

Columns are a binary message, little-endian:

    u8 kind = 3, u8 version = 1, u16 channels C, u32 samples n, u32 bytes of names B, u32 width w
    B bytes of JSON, {"streams": [...], "channels": [...]}, with spaces up to a multiple of 8
    f64 t[n], NaN: now
    f32 or f64 x[C][n], as w is 4 or 8; NaN: missing
    u32 stream[n], whose sample it is: the number of its name, from 0

"channels" may be left out: then the columns are in the order of the channels.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

VERSION = 1
COLUMNS = 3  # beside the kinds of protocol.py
HEADER = struct.Struct("<BBHIII")  # kind, version, C, n, B, w


class RefusedLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was not taken: a line, or of a line that holds many samples one `row` or `count`."""

    line: int  # counted from 1 in each message
    kind: str
    error: str
    row: int | None = None  # counted from 1
    count: int = 1


class Taken(msgspec.Struct, tag_field="type", tag="ack", frozen=True, omit_defaults=True):
    """To a sender, for each of its messages: samples taken into the pipeline, and refused ones.

    A sender that gave its name may forget its lines up to `line`; `repeated` ones were known.
    """

    message: int  # counted from 1 on this connection
    taken: int
    refused: list[RefusedLine]
    line: int | None = None
    repeated: int = 0


class Known(msgspec.Struct, tag_field="type", tag="known", frozen=True):
    """To a sender that gave its name, first: its lines up to this number are taken for good."""

    line: int


_encode = msgspec.json.Encoder().encode


def encode(message: Taken | Known) -> str:
    """JSON text of a message to a sender."""
    return _encode(message).decode()


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    streams: list[str]
    channels: list[str] | None = None


class Columns(NamedTuple):
    """Samples of many streams with the same channels, oldest first."""

    streams: Sequence[str]
    channels: Sequence[str] | None
    t: NDArray[np.float64]  # (n,)
    x: NDArray[Any]  # (C, n) float32 or float64
    stream: NDArray[np.uint32]  # (n,)


class ColumnsError(ValueError):
    """A binary message that is not what this file says."""


def encode_columns(columns: Columns) -> bytes:
    """The binary message; x goes as float32 if it is, else as float64."""
    channels = None if columns.channels is None else list(columns.channels)
    names = _encode(Names(list(columns.streams), channels))
    names += b" " * (-len(names) % 8)
    width = 4 if columns.x.dtype == np.float32 else 8
    C, n = columns.x.shape
    return b"".join(
        [
            HEADER.pack(COLUMNS, VERSION, C, n, len(names), width),
            names,
            columns.t.astype("<f8", copy=False).tobytes(),
            columns.x.astype(f"<f{width}", copy=False).tobytes(),
            columns.stream.astype("<u4", copy=False).tobytes(),
        ]
    )


_names = msgspec.json.Decoder(Names)


def decode_columns(data: bytes) -> Columns:
    """The inverse. Raises ColumnsError, saying what was expected and what came."""
    if len(data) < HEADER.size:
        raise ColumnsError(f"expected a header of {HEADER.size} bytes, got {len(data)} bytes")
    kind, version, C, n, B, width = HEADER.unpack_from(data)
    if (kind, version) != (COLUMNS, VERSION):
        raise ColumnsError(
            f"expected kind {COLUMNS} in version {VERSION}, got {kind} in version {version}"
        )
    if width not in (4, 8) or B % 8:
        raise ColumnsError(
            f"expected values of 4 or 8 bytes and names of a multiple of 8 bytes, "
            f"got {width} and {B}"
        )
    size = HEADER.size + B + n * (8 + C * width + 4)
    if size != len(data):
        raise ColumnsError(
            f"expected {size} bytes for {n} samples of {C} channels and names of {B} bytes, "
            f"got {len(data)}"
        )
    try:
        names = _names.decode(data[HEADER.size : HEADER.size + B])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ColumnsError(f"names: {error}") from None
    if len(set(names.streams)) < len(names.streams):
        raise ColumnsError("names: expected each stream once")
    if names.channels is not None and len(set(names.channels)) < len(names.channels):
        raise ColumnsError("names: expected each channel once")
    if names.channels is not None and len(names.channels) != C:
        raise ColumnsError(
            f"names: expected {C} channels, as there are columns, got {len(names.channels)}"
        )
    at = HEADER.size + B
    t = np.frombuffer(data, "<f8", n, at)
    at += t.nbytes
    x = np.frombuffer(data, f"<f{width}", C * n, at).reshape(C, n)
    at += x.nbytes
    stream = np.frombuffer(data, "<u4", n, at)
    if n and stream.max() >= len(names.streams):
        raise ColumnsError(
            f"expected numbers of streams below {len(names.streams)}, got {stream.max()}"
        )
    return Columns(names.streams, names.channels, t, x, stream)
