"""Messages that are none: what is wrong with each is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from streamrnn_server import binary
from streamrnn_server import ingest_protocol as i
from streamrnn_server import protocol as p

from tests.server.test_protocol import BINARY, encoded, u4


def columns(**changes: Any) -> bytes:
    """A binary message of a sender with something wrong in its header or names."""
    names = changes.pop("names", b'{"streams":["a"]}')
    names += b" " * (-len(names) % 8)
    header = {"kind": 3, "version": 1, "C": 1, "n": 1, "B": len(names), "width": 4} | changes
    body = np.zeros(1, "<f8").tobytes() + np.zeros(1, "<f4").tobytes()
    return i.HEADER.pack(*header.values()) + names + body + u4([0]).tobytes()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"\x03\x01", "expected a header of 16 bytes, got 2 bytes"),
        (columns(kind=1), "expected kind 3 in version 1, got 1 in version 1"),
        (columns(version=2), "expected kind 3 in version 1, got 3 in version 2"),
        (
            columns(width=2),
            "expected values of 4 or 8 bytes and names of a multiple of 8 bytes, got 2 and 24",
        ),
        (
            columns(n=2**32 - 1),
            "expected 68719476760 bytes for 4294967295 samples of 1 channels and names of 24 "
            "bytes, got 56",
        ),
        (
            columns(width=8),
            "expected 60 bytes for 1 samples of 1 channels and names of 24 bytes, got 56",
        ),
        (columns(names=b"{}"), "names: Object missing required field `streams`"),
        (
            columns(names=b'{"streams":["\xff"]}'),
            "names: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
        (
            columns(names=b'{"streams":["a","a"]}'),
            "names: expected each stream once",
        ),
        (
            columns(names=b'{"streams":["a"],"channels":["x","x"]}'),
            "names: expected each channel once",
        ),
        (
            columns(names=b'{"streams":["a"],"channels":["x","y"]}'),
            "names: expected 1 channels, as there are columns, got 2",
        ),
    ],
)
def test_columns_that_are_refused(message, error):
    with pytest.raises(i.ColumnsError) as refused:
        i.decode_columns(message)
    assert str(refused.value) == error


def test_columns_of_a_stream_without_a_name_are_refused():
    whole = bytearray(columns())
    whole[-4:] = u4([7]).tobytes()
    with pytest.raises(i.ColumnsError, match="expected numbers of streams below 1, got 7"):
        i.decode_columns(bytes(whole))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"\x00", "expected a JSON text message, got a binary one"),
        (
            '{"z": ' + "[" * 100_000,
            f"{p.EXPECTED}: maximum recursion depth exceeded while deserializing an object",
        ),
        ("{", f"{p.EXPECTED}: Input data was truncated"),
        ("[]", f"{p.EXPECTED}: Expected `object`, got `array`"),
        (
            '{"type": "halt"}',
            "expected a watch, ack, pause, resume, write, stop, reset, explain or example message: "
            "Invalid value 'halt' - at `$.type`",
        ),
        (
            '{"type": "write", "stream": 0, "after": 3, "temperature": 7}',
            f"{p.EXPECTED}: Expected `float` <= 5.0 - at `$.temperature`",
        ),
        (
            '{"type": "write", "stream": 0, "after": 3, "length": 2001}',
            f"{p.EXPECTED}: Expected `int` <= 2000 - at `$.length`",
        ),
        (
            '{"type": "ack", "frames": "8"}',
            f"{p.EXPECTED}: Expected `int`, got `str` - at `$.frames`",
        ),
        (
            '{"type": "watch", "streams": [{"id": 0, "since": 3}]}',
            f"{p.EXPECTED}: Object contains unknown field `since` - at `$.streams[0]`",
        ),
    ],
)
def test_a_wrong_message_of_a_viewer_says_what_is_wrong(text, error):
    with pytest.raises(p.ProtocolError) as caught:
        p.decode_viewer(text)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "message of 0 bytes is cut off"),
        (b"\x03\x01" + bytes(14), r"expected kind 1 \(samples\) or 2 \(overview\), got 3"),
        (b"\x01\x02" + bytes(14), "expected version 1, got 2"),
        (encoded(BINARY["samples, two chunks"])[:-8], "is cut off"),
        (encoded(BINARY["samples, one row"]) + bytes(8), "expected 72 bytes for 1 chunks, got 80"),
        (encoded(BINARY["overview"]) + bytes(8), "expected 136 bytes for 2 streams, got 144"),
    ],
    ids=["nothing", "kind", "version", "shorter", "longer", "longer overview"],
)
def test_a_damaged_binary_message_is_refused(data, error):
    with pytest.raises(p.ProtocolError, match=error):
        binary.decode_binary(data)
