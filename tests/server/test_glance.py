"""The past at a glance: the smallest and largest value of each pixel, read or not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamrnn_server import compaction
from streamrnn_server.decimate import glance
from streamrnn_server.history import History
from streamrnn_server.past import NoPast, answer

from streamrnn.streams import Rule
from tests.leaky import Leaky
from tests.server.clients import request, run, send, sender, server
from tests.server.test_compaction import turn
from tests.server.test_journal import Run
from tests.server.test_restart import lines, started

NAN = float("nan")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """900 samples in chunks of 50, 100 in the log; times are out of order now and then."""
    folder = tmp_path_factory.mktemp("journal")
    run = Run(folder, Rule("*", lambda channels: Leaky(2), ("temp", "load")))
    draw = np.random.default_rng(0)
    t = np.arange(1000.0) + draw.integers(-3, 3, 1000)
    x = np.where(draw.random((1000, 2)) < 0.1, NAN, draw.normal(0, 10, (1000, 2)))
    before, compaction.CHUNK = compaction.CHUNK, 50
    for n in range(1000):
        run.pipeline.take("a", x[n].tolist(), float(t[n]))
        if n == 899:
            run.pipeline.flush()
            turn(run)
    run.pipeline.flush()
    compaction.CHUNK = before
    run.die()
    return folder, t, x


@settings(max_examples=40, deadline=None)
@given(begin=st.integers(-50, 1050), length=st.integers(1, 1100), pixels=st.integers(1, 60))
def test_each_pixel_has_its_smallest_and_largest(recorded, begin, length, pixels):
    folder, t, x = recorded
    end = begin + length
    with History(folder) as past:
        found = glance(past, "a", float(begin), float(end), pixels)
    low, high = found.values["temp"]
    at = ((t - begin) * (pixels / length)).astype(int)
    for pixel in range(pixels):
        own = x[(t >= begin) & (t < end) & (at == pixel), 0]
        own = own[~np.isnan(own)].astype(np.float32)
        want = (own.min(), own.max()) if len(own) else (NAN, NAN)
        assert np.array_equal([low[pixel], high[pixel]], want, equal_nan=True)
    assert found.samples == ((t >= begin) & (t < end)).sum()


def test_without_bounds_it_is_everything(recorded):
    folder, t, x = recorded
    with History(folder) as past:
        found = glance(past, "a", None, None, 7)
        assert (found.first, found.last, found.samples) == (t.min(), t.max(), 1000)
        assert [*found.values] == ["temp", "load", "y0", "y1"]
        assert np.nanmax(found.values["load"][1]) == np.nanmax(x[:, 1]).astype(np.float32)


def test_chunks_within_a_pixel_are_not_read(recorded, monkeypatch):
    folder, _, _ = recorded
    reads = []
    monkeypatch.setattr(History, "_read", lambda self, rowid: reads.append(rowid))
    with History(folder) as past:
        glance(past, "a", None, None, 1)
    assert reads == []


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("stream=b", 404, "the journal has no stream 'b'"),
        ("stream=a&pixels=0", 400, "expected pixels from 1 to 4096, got 0"),
        ("stream=a&from=5&to=5", 400, "expected a time from before to, got 5 and 5"),
        ("stream=a&from=nan", 400, "expected a time from before to, got nan and inf"),
        ("stream=a&from=-inf&to=5", 400, "expected finite times, got -inf and 5"),
        (f"stream=a&pixels={'9' * 5000}", 400, f"expected pixels from 1 to 4096, got {'9' * 20}"),
        ("stream=a&pixels=x", 400, "expected pixels from 1 to 4096, got x"),
        ("stream=a&from=soon", 400, "expected seconds since 1970 or an ISO 8601 time, got 'soon'"),
    ],
)
def test_what_cannot_be_answered_is_said(recorded, query, status, why):
    with pytest.raises(NoPast) as error:
        answer(recorded[0], query)
    assert (error.value.status, str(error.value)) == (status, why)


def test_a_server_answers_from_its_journal(tmp_path):
    async def main():
        async with started(tmp_path) as s, sender(s) as tx:
            await send(tx, *lines(40))
            status, headers, body = await request(s, "/past?stream=a&from=10&to=20&pixels=2")
            assert (status, headers["content-type"]) == (200, "application/json")
            found = json.loads(body)
            assert found["values"]["value"] == {"low": [40.0, 60.0], "high": [56.0, 76.0]}
            assert [found[n] for n in ("first", "last", "from", "to")] == [0, 39, 10, 20]
            assert (await request(s, "/past?stream=b"))[0] == 404
        async with server() as s:
            status, _, body = await request(s, "/past?stream=a")
            assert (status, body) == (404, b"there is no journal; see [journal] in docs/serve.md\n")
        async with server(token="a token of sixteen") as s:
            assert (await request(s, "/past?stream=a"))[0] == 401

    run(main())
