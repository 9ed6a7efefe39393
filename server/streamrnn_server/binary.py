"""Samples and overviews on their way to viewers: binary columns, and nothing about sockets.

Little-endian: a header of 16 bytes (HEADER), then
    samples   for each chunk: CHUNK (32 bytes), f64 t[n], f32 x[C][n], f32 y[O][n], i8 h[n][U],
              zeros up to a multiple of 8
    overview  u32 n, u32 0, then columns of n in the order of OVERVIEW_COLUMNS, zeros likewise
NaN means missing. Every part begins at a multiple of its size, so that a browser can lay typed
arrays over a message without copying. All other messages are in protocol.py.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn_server.protocol import VERSION, ProtocolError

HISTORY = 1  # chunk flag: these samples were there before the viewer asked for the stream
NOT_SAMPLED = -128  # h of a sample whose hidden state nobody looked at; 127 = +1.0

HEADER = struct.Struct("<BBHId")  # kind, version, chunks, epoch, sent
CHUNK = struct.Struct("<IIdHHHHd")  # stream, n, first seq, C, O, U, flags, arrived
_COUNT = struct.Struct("<II")
_ZEROS = [bytes(n) for n in range(8)]
_FEW_BYTES = 2048  # of rows: to pick them one by one is quicker than three copies
SAMPLES = 1
OVERVIEW = 2


class Chunk(NamedTuple):
    """Consecutive samples of one stream: columns, as they travel."""

    stream: int
    first: int  # sequence number of the first sample
    t: NDArray[np.float64]  # (n,) event time, seconds since 1970 UTC
    x: NDArray[np.float32]  # (C, n)
    y: NDArray[np.float32]  # (O, n)
    h: NDArray[np.int8]  # (n, U)
    arrived: float = float(
        "nan"
    )  # server's clock when the newest of them came in; NaN for old ones
    flags: int = 0


class Samples(NamedTuple):
    epoch: int
    sent: float
    chunks: list[Chunk]


OVERVIEW_COLUMNS = (
    ("seq", "<f8"),
    ("t", "<f8"),
    ("alarm_t", "<f8"),
    ("arrived", "<f8"),
    ("id", "<u4"),
    ("value", "<f4"),
    ("forecast", "<f4"),
    ("rate_hz", "<f4"),
    ("error_ratio", "<f4"),
    ("score", "<f4"),
)


class Overview(NamedTuple):
    """The newest of many streams: `columns` by the names in OVERVIEW_COLUMNS, each (n,)."""

    epoch: int
    sent: float
    columns: dict[str, NDArray[Any]]


def encode_chunk(
    stream: int,
    first: int,
    rows: NDArray[np.uint8],
    sizes: tuple[int, int, int],
    arrived: float = float("nan"),
    flags: int = 0,
) -> bytes:
    """One chunk, without the header: the messages of all viewers share it.

    rows   (n, bytes of a sample) as a ring keeps them: f64 t, f32 x[C], f32 y[O], i8 h[U] of each
    sizes  C, O, U
    """
    n = len(rows)
    head = CHUNK.pack(stream, n, first, *sizes, flags, arrived)
    if n == 1:  # mostly: its columns are its row
        body = rows.tobytes()
    elif rows.size <= _FEW_BYTES:
        body = rows.ravel()[_in_columns(n, *sizes)].tobytes()
    else:
        h = 8 + 4 * (sizes[0] + sizes[1])
        values = rows[:, 8:h].view("<f4").T  # x and y: one after the other
        body = rows[:, :8].tobytes() + values.tobytes() + rows[:, h:].tobytes()
    return head + body + _ZEROS[-len(body) % 8]


@lru_cache(maxsize=256)
def _in_columns(n: int, C: int, O: int, U: int) -> NDArray[np.intp]:  # noqa: E741
    """Where each byte of a chunk's columns is among its rows."""
    h = 8 + 4 * (C + O)
    at = np.arange(n * (h + U)).reshape(n, h + U)
    values = at[:, 8:h].reshape(n, C + O, 4).transpose(1, 0, 2)
    return np.concatenate([at[:, :8].ravel(), values.ravel(), at[:, h:].ravel()])


def encode_samples(epoch: int, sent: float, chunks: Sequence[bytes]) -> bytes:
    """A binary message of chunks that encode_chunk made."""
    return b"".join([HEADER.pack(SAMPLES, VERSION, len(chunks), epoch, sent), *chunks])


def encode_overview(overview: Overview) -> bytes:
    n = len(overview.columns["id"])
    parts = [HEADER.pack(OVERVIEW, VERSION, 1, overview.epoch, overview.sent), _COUNT.pack(n, 0)]
    parts += [overview.columns[k].astype(d, copy=False).tobytes() for k, d in OVERVIEW_COLUMNS]
    whole = b"".join(parts)
    return whole + bytes(-len(whole) % 8)


def decode_binary(data: bytes) -> Samples | Overview:
    """The inverse of encode_samples and encode_overview. Raises ProtocolError."""
    try:
        kind, version, chunks, epoch, sent = HEADER.unpack_from(data)
        if version != VERSION:
            raise ProtocolError(f"expected version {VERSION}, got {version}")
        if kind == SAMPLES:
            return _decode_samples(data, chunks, epoch, sent)
        if kind == OVERVIEW:
            return _decode_overview(data, epoch, sent)
    except (struct.error, ValueError) as error:
        if isinstance(error, ProtocolError):
            raise
        raise ProtocolError(f"message of {len(data)} bytes is cut off: {error}") from None
    raise ProtocolError(f"expected kind {SAMPLES} (samples) or {OVERVIEW} (overview), got {kind}")


def _decode_samples(data: bytes, chunks: int, epoch: int, sent: float) -> Samples:
    found = []
    at = HEADER.size
    for _ in range(chunks):
        stream, n, first, C, O, U, flags, arrived = CHUNK.unpack_from(data, at)  # noqa: E741
        at += CHUNK.size
        columns: list[NDArray[Any]] = []
        for dtype, shape in (("<f8", (n,)), ("<f4", (C, n)), ("<f4", (O, n)), ("i1", (n, U))):
            count = int(np.prod(shape))
            columns.append(np.frombuffer(data, dtype, count, at).reshape(shape))
            at += count * np.dtype(dtype).itemsize
        at += -at % 8
        t, x, y, h = columns
        found.append(Chunk(stream, int(first), t, x, y, h, arrived, flags))
    if at != len(data):
        raise ProtocolError(f"expected {at} bytes for {chunks} chunks, got {len(data)}")
    return Samples(epoch, sent, found)


def _decode_overview(data: bytes, epoch: int, sent: float) -> Overview:
    at = HEADER.size
    n, _ = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    columns: dict[str, NDArray[Any]] = {}
    for name, dtype in OVERVIEW_COLUMNS:
        columns[name] = np.frombuffer(data, dtype, n, at)
        at += n * np.dtype(dtype).itemsize
    if at + -at % 8 != len(data):
        raise ProtocolError(f"expected {at + -at % 8} bytes for {n} streams, got {len(data)}")
    return Overview(epoch, sent, columns)
