"""The wire, held to tests/golden_frames.json, which web/src/protocol.ts is held to as well.

`python tests/server/test_protocol.py` writes the file anew after a deliberate change of the wire.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamrnn_server import binary
from streamrnn_server import ingest_protocol as i
from streamrnn_server import protocol as p
from streamrnn_server.rings import row_dtype

GOLDEN = Path(__file__).parent.parent / "golden_frames.json"
NAN = math.nan


def f4(rows: list[list[float]]) -> np.ndarray[Any, Any]:
    return np.array(rows, np.float32)


def u4(numbers: list[int]) -> np.ndarray[Any, Any]:
    return np.array(numbers, np.uint32)


SENSOR = p.Group(
    id=0,
    kind="sensor",
    channels=[p.Channel("temp", "°C"), p.Channel("load", "kW")],
    target=0,
    outputs=[
        p.Column("temp +1", "forecast", 0, 1),
        p.Column("temp +1 lower", "lower", 0, 1),
        p.Column("score", "score", -1, 0),
    ],
    units=2,
    layers=1,
    reasons=["", "outside the range seen"],
    vocabulary=None,
    mode="many_to_one",
    pictured=True,
    writes=False,
    explains=True,
)
TOKENS = p.Group(
    id=1,
    kind="tokens",
    channels=[p.Channel("token", "")],
    target=0,
    outputs=[
        p.Column("surprise", "surprise", -1, 0),
        p.Column("next 1", "next", -1, 1),
        p.Column("p 1", "next_p", -1, 1),
    ],
    units=6,
    layers=2,
    reasons=[],
    vocabulary=["a", "\n", '"', "é"],
    mode="synced",
    pictured=False,
    writes=True,
    explains=False,
)
BOILER = p.StreamInfo(id=0, key="boiler/7", group=0, seq=41, spark=[20.5, NAN, 21.25])
CODE = p.StreamInfo(id=1, key="code", group=1, seq=-1, spark=[])

TO_VIEWER: dict[str, p.ToViewer] = {
    "hello, empty": p.Hello(
        version=1,
        epoch=1,
        name="streamrnn",
        server="streamrnn 0.1.0",
        now=1700000000.5,
        started=1700000000.0,
        groups=[],
        streams=[],
    ),
    "hello": p.Hello(
        version=1,
        epoch=4000000000,
        name='plant "A" <b>',
        server="streamrnn 0.1.0",
        now=1700000000.5,
        started=1699990000.0,
        groups=[SENSOR, TOKENS],
        streams=[BOILER, CODE],
    ),
    "streams": p.Streams(groups=[TOKENS], streams=[CODE]),
    "status, starting": p.Status(
        now=1700000000.5,
        state="starting",
        detail="compiling the kernels",
        samples=0,
        samples_per_s=0.0,
        latency_p50_s=None,
        latency_p99_s=None,
        viewers=1,
        refused=p.RefusedCounts(0, {}, None),
        sources=[p.SourceInfo("host", "waiting", "")],
    ),
    "status": p.Status(
        now=1700000060.5,
        state="live",
        detail="",
        samples=123456,
        samples_per_s=2057.5,
        latency_p50_s=0.0015,
        latency_p99_s=0.0215,
        viewers=3,
        refused=p.RefusedCounts(
            3,
            {"json": 2, "channels": 1},
            p.LastRefused(1700000059.25, "channels", "/ingest line 3", "x has 3 channels"),
        ),
        sources=[
            p.SourceInfo("host", "running", ""),
            p.SourceInfo("replay weather.csv", "ended", "after 1000 rows"),
            p.SourceInfo("follow a.csv", "failed", "a.csv: no such file"),
        ],
    ),
    "gap": p.Gap(stream=7, first=1000, last=2999),
    "picture, an image": p.Picture(
        stream=3,
        seq=41,
        image=p.Image(height=2, width=3, pixels=bytes([0, 127, 255, 1, 2, 3])),
        row=1,
        points=[],
        text="seven",
        truth="one",
        likely=[p.Guess("seven", 0.75), p.Guess("one", 0.25)],
        step=1,
        reads=True,
        emits=False,
    ),
    "picture, points": p.Picture(
        stream=4,
        seq=0,
        image=None,
        row=None,
        points=[p.Spot("ball 1", 0.5, 0.25, "turning"), p.Spot("ball 2", 1.0, 0.0, "")],
        text="",
        truth="",
        likely=[],
        step=0,
        reads=True,
        emits=True,
    ),
    "written": p.Written(stream=1, after=41, tokens=[0, 3, 1], done=False),
    "written, the end": p.Written(stream=1, after=-1, tokens=[2], done=True),
    "reset": p.WasReset(stream=1, seq=41),
    "example": p.Example(
        vocabulary=["a", "b"],
        weight_ih=[[0.5, -0.25]],
        weight_hh=[[2.0]],
        bias_h=[0.0],
        weight_ho=[[1.0], [-1.0]],
        bias_o=[0.0, 0.5],
        moments=[p.Moment(x=1, h_before=[0.5], h=[0.75], y=[1.0, -0.5], p=[0.75, 0.25])],
    ),
    "explanation": p.Explanation(
        stream=1,
        ahead=[1, 3],
        members={"full": [0.75, 1.25], "persistence": [0.25, -0.25]},
        parts={"lags": [0.5, None]},
        lags=[[0.5, 0.125], [-0.25, 0.0]],
        period=24,
        error=[0.5, 0.75, None],
        persistence=[1.0, 1.5, 2.0],
        seasonal=None,
    ),
    "error": p.Error(f"{p.EXPECTED}: JSON is malformed"),
}
FROM_VIEWER: dict[str, p.FromViewer] = {
    "watch, newest": p.Watch(epoch=None, streams=[p.WatchStream(0), p.WatchStream(1)]),
    "watch, go on": p.Watch(epoch=4000000000, streams=[p.WatchStream(0, after=41)], history=500),
    "watch nothing": p.Watch(epoch=4000000000, streams=[]),
    "ack": p.Ack(frames=24),
    "pause": p.Pause(),
    "resume": p.Resume(),
    "write": p.Write(stream=1, after=41, temperature=0.75, length=200),
    "write from the beginning": p.Write(stream=1, after=-1, temperature=0.0, length=1),
    "stop": p.Stop(),
    "reset": p.Reset(stream=1),
    "explain": p.Explain(stream=1),
    "example": p.ShowExample(),
}
TO_SENDER = {
    "known": i.Known(line=1234),
    "taken": i.Taken(message=1, taken=2, refused=[]),
    "taken, some refused": i.Taken(
        message=2, taken=1, refused=[i.RefusedLine(2, "channels", "x has 3 channels")]
    ),
    "taken, known in part": i.Taken(
        message=3,
        taken=8,
        refused=[
            i.RefusedLine(3, "time", "a: expected a time", row=7),
            i.RefusedLine(4, "value", "b: expected numbers", count=5),
        ],
        line=1238,
        repeated=2,
    ),
}
EMPTY = binary.Chunk(
    stream=3,
    first=0,
    t=np.empty(0),
    x=np.empty((2, 0), np.float32),
    y=np.empty((1, 0), np.float32),
    h=np.empty((0, 2), np.int8),
)
LIVE = binary.Chunk(
    stream=0,
    first=42,
    t=np.array([1700000000.0, 1700000000.25, 1700000000.5]),
    x=f4([[20.5, NAN, 21.25], [1.5, 2.5, -3.5]]),
    y=f4([[20.75, 20.5, 21.5], [NAN, 20.0, 21.0], [0.0, 0.125, 1.0]]),
    h=np.array([[-128, -128], [127, -127], [0, 64]], np.int8),
    arrived=1700000000.625,
)
TOKEN = binary.Chunk(
    stream=1,
    first=2**40,  # beyond what 32 bits count
    t=np.array([1700000001.0]),
    x=f4([[3.0]]),
    y=f4([[2.5], [1.0], [0.75]]),
    h=np.empty((1, 0), np.int8),
    flags=binary.HISTORY,
)
BINARY: dict[str, binary.Samples | binary.Overview] = {
    "samples, none": binary.Samples(1, 1700000000.5, []),
    "samples, empty chunk": binary.Samples(1, 1700000000.5, [EMPTY]),
    "samples, one row": binary.Samples(4000000000, 1700000001.5, [TOKEN]),
    "samples, two chunks": binary.Samples(4000000000, 1700000001.5, [LIVE, TOKEN]),
    "overview, none": binary.Overview(
        1, 1700000000.5, {n: np.empty(0) for n, _ in binary.OVERVIEW_COLUMNS}
    ),
    "overview": binary.Overview(
        4000000000,
        1700000000.5,
        {
            "seq": np.array([44.0, 2.0**40]),
            "t": np.array([1700000000.5, 1700000001.0]),
            "alarm_t": np.array([1699999999.0, NAN]),
            "arrived": np.array([1700000000.625, 1700000001.125]),
            "id": np.array([0, 1]),
            "value": np.array([21.25, 2.5]),
            "forecast": np.array([21.5, NAN]),
            "rate_hz": np.array([4.0, 60.0]),
            "error_ratio": np.array([0.75, NAN]),
            "score": np.array([1.0, NAN]),
        },
    ),
}


FROM_SENDER: dict[str, i.Columns] = {
    "columns, one sample": i.Columns(["a"], None, np.array([NAN]), f4([[20.5]]), u4([0])),
    "columns, two channels": i.Columns(
        ["boiler/7", "Köln ✓"],
        ["temp", "load"],
        np.array([1700000000.0, 1700000000.25, 1700000000.5]),
        f4([[20.5, NAN, 21.25], [1.5, 2.5, -3.5]]),
        u4([0, 1, 0]),
    ),
    "columns, float64": i.Columns(
        ["a", "b"], None, np.array([1.0, 2.0]), np.array([[0.1, 1e30]]), u4([1, 1])
    ),
}


def plain(value: Any) -> Any:
    """JSON form of a binary message: arrays as lists, NaN as null."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, binary.Samples):
        return {"kind": "samples"} | {k: plain(v) for k, v in value._asdict().items()}
    if isinstance(value, binary.Overview):
        columns = {k: plain(v) for k, v in value.columns.items()}
        return {"kind": "overview", "epoch": value.epoch, "sent": value.sent} | columns
    if isinstance(value, binary.Chunk | i.Columns):
        return {k: plain(v) for k, v in value._asdict().items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def encoded(message: binary.Samples | binary.Overview) -> bytes:
    if isinstance(message, binary.Overview):
        return binary.encode_overview(message)
    return binary.encode_samples(message.epoch, message.sent, [*map(chunk, message.chunks)])


def chunk(of: binary.Chunk) -> bytes:
    sizes = len(of.x), len(of.y), of.h.shape[1]
    rows = np.empty(len(of.t), row_dtype(*sizes))
    rows["t"], rows["x"], rows["y"], rows["h"] = of.t, of.x.T, of.y.T, of.h
    raw = rows.view(np.uint8).reshape(len(rows), rows.itemsize)
    return binary.encode_chunk(of.stream, of.first, raw, sizes, of.arrived, of.flags)


def golden() -> dict[str, Any]:
    def texts(messages: dict[str, Any]) -> list[dict[str, Any]]:
        encode = i.encode if messages is TO_SENDER else p.encode
        return [{"name": k, "message": json.loads(encode(m))} for k, m in messages.items()]

    return {
        "about": "Messages of the wire, see protocol.py, binary.py and ingest_protocol.py in "
        "server/streamrnn_server. null is NaN.",
        "to_viewer": texts(TO_VIEWER),
        "from_viewer": texts(FROM_VIEWER),
        "to_sender": texts(TO_SENDER),
        "from_sender": [
            {"name": k, "message": plain(m), "hex": i.encode_columns(m).hex()}
            for k, m in FROM_SENDER.items()
        ],
        "binary": [
            {"name": k, "message": plain(m), "hex": encoded(m).hex()} for k, m in BINARY.items()
        ],
    }


FILE = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}


def test_every_message_is_encoded_as_in_the_golden_file():
    assert golden() == FILE


@pytest.mark.parametrize("frame", FILE.get("binary", []), ids=lambda f: f["name"])
def test_binary_golden_frames_decode_to_their_json(frame):
    assert plain(binary.decode_binary(bytes.fromhex(frame["hex"]))) == frame["message"]


@given(
    st.integers(0, 9), st.integers(0, 40), st.integers(0, 33), st.sampled_from([1, 2, 3, 40, 300])
)
def test_chunks_of_any_size_come_back(C, O, U, n):  # noqa: E741
    draw = np.random.default_rng(n)
    x, y = (draw.normal(size=(columns, n)).astype(np.float32) for columns in (C, O))
    h = draw.integers(-128, 128, (n, U)).astype(np.int8)
    sent = binary.Chunk(3, 70, np.arange(n) + 0.5, x, y, h, 1.0, binary.HISTORY)
    got = binary.decode_binary(encoded(binary.Samples(1, 2.0, [sent, sent])))
    for chunk in got.chunks:
        assert plain(chunk) == plain(sent)


@pytest.mark.parametrize("frame", FILE.get("from_viewer", []), ids=lambda f: f["name"])
def test_viewer_messages_decode(frame):
    assert p.decode_viewer(json.dumps(frame["message"])) == FROM_VIEWER[frame["name"]]


@pytest.mark.parametrize("frame", FILE.get("to_viewer", []), ids=lambda f: f["name"])
def test_control_messages_survive_a_round_trip(frame):
    assert json.loads(p.encode(p.decode_control(json.dumps(frame["message"])))) == frame["message"]


@pytest.mark.parametrize("frame", FILE.get("from_sender", []), ids=lambda f: f["name"])
def test_columns_of_senders_decode_to_their_json(frame):
    columns = i.decode_columns(bytes.fromhex(frame["hex"]))
    assert plain(columns) == frame["message"]
    assert columns.x.dtype == FROM_SENDER[frame["name"]].x.dtype


def test_columns_of_a_sender_byte_by_byte():
    # Written by hand from the layout in ingest_protocol.py, to hold the golden file's own maker.
    names = b'{"streams":["a","b"],"channels":["x"]}  '
    expected = (
        "03 01 0100 02000000 28000000 04000000"  # columns, v1, C 1, n 2, 40 bytes of names, f32
        + names.hex()
        + "000000000000f03f 000000000000f87f"  # t 1.0, now
        "0000803f 0000c07f"  # x 1.0 NaN
        "01000000 00000000"  # of b, of a
    )
    columns = i.Columns(["a", "b"], ["x"], np.array([1.0, NAN]), f4([[1.0, NAN]]), u4([1, 0]))
    assert i.encode_columns(columns) == bytes.fromhex(expected)


def test_a_sample_frame_byte_by_byte():
    # Written by hand from the layout in binary.py, to hold the golden file's own maker.
    expected = (
        "01 01 0100 07000000 000000000000f83f"  # samples, v1, 1 chunk, epoch 7, sent 1.5
        "05000000 02000000 0000000000002240"  # stream 5, n 2, first 9.0
        "0100 0100 0300 0100 0000000000000040"  # C 1, O 1, U 3, history, arrived 2.0
        "000000000000f03f 0000000000000040"  # t 1.0 2.0
        "0000803f 0000c07f"  # x 1.0 NaN
        "00000040 000000c0"  # y 2.0 -2.0
        "7f 00 81 80 80 80 0000"  # h 127 0 -127, not sampled; padding
    )
    of = binary.Chunk(
        stream=5,
        first=9,
        t=np.array([1.0, 2.0]),
        x=f4([[1.0, NAN]]),
        y=f4([[2.0, -2.0]]),
        h=np.array([[127, 0, -127], [-128, -128, -128]], np.int8),
        arrived=2.0,
        flags=binary.HISTORY,
    )
    assert binary.encode_samples(7, 1.5, [chunk(of)]) == bytes.fromhex(expected)


@pytest.mark.parametrize("message", BINARY.values(), ids=BINARY.keys())
def test_every_length_is_a_multiple_of_8(message):
    assert len(encoded(message)) % 8 == 0


def lines(value: dict[str, Any]) -> str:
    """JSON with one message a line: a changed message is one line of a diff."""

    def rows(items: list[Any]) -> str:
        return ",\n".join("  " + json.dumps(i, ensure_ascii=False) for i in items)

    parts = [
        f'"{k}": [\n{rows(v)}\n ]' if isinstance(v, list) else f'"{k}": {json.dumps(v)}'
        for k, v in value.items()
    ]
    return "{\n " + ",\n ".join(parts) + "\n}\n"


if __name__ == "__main__":
    GOLDEN.write_text(lines(golden()), encoding="utf-8")
