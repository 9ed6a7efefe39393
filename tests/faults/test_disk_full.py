"""A disk that is full: nothing is taken, everybody hears why, and it goes on when there is room.

The disk is a limit on the size of files (RLIMIT_FSIZE), which is one process's own.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import pytest

resource = pytest.importorskip("resource", reason="limits of a process are Unix's")
if sys.platform == "darwin":
    pytest.skip("SQLite maps its files there", allow_module_level=True)

from streamrnn_server import app  # noqa: E402
from streamrnn_server.app import Server, Settings  # noqa: E402
from streamrnn_server.journal import Journal  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402

from streamrnn.streams import Pipeline  # noqa: E402
from tests.server.clients import leaky, request, run, send, sender  # noqa: E402
from tests.server.test_compaction import recorded  # noqa: E402
from tests.server.test_journal import Run  # noqa: E402


@pytest.fixture
def limit_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(
        resource.RLIMIT_FSIZE, (soft if size is None else size, hard)
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_stops_acceptance_and_room_lets_it_go_on(tmp_path, limit_files, monkeypatch):
    monkeypatch.setattr(app, "SURVEY_S", 0.02)
    lines = [{"stream": "a", "t": n, "x": [n * 0.1] * 200} for n in range(100)]

    async def main():
        server = Server(Pipeline([leaky()]), settings=Settings(port=0), journal=Journal(tmp_path))
        async with server as s:
            async with sender(s, "/ingest?sender=plant") as tx:
                assert await tx.recv() == '{"type":"known","line":0}'
                assert (await send(tx, *lines))["line"] == 100
                limit_files((tmp_path / "journal.sqlite-wal").stat().st_size + 40_000)
                with pytest.raises(ConnectionClosed) as closed:
                    while True:
                        await send(tx, *lines)
                assert closed.value.rcvd.code == 1013
                assert "journal.sqlite" in closed.value.rcvd.reason
                known = s.pipeline.marks["sender plant"]
            async with sender(s, "/ingest?sender=plant") as tx:
                assert await tx.recv() == f'{{"type":"known","line":{known}}}'
                with pytest.raises(ConnectionClosed):
                    await send(tx, *lines)
            assert "nothing is taken, for the journal cannot be written" in s.status().detail
            health = json.loads((await request(s, "/healthz"))[2])
            assert health["detail"] == "nothing is taken, for the journal cannot be written"
            assert s.pipeline.refused["journal"] == 100
            limit_files(None)
            while s.pipeline.halted:
                await asyncio.sleep(0.01)
            async with sender(s, "/ingest?sender=plant") as tx:
                assert await tx.recv() == f'{{"type":"known","line":{known}}}'
                assert (await send(tx, *lines))["line"] == known + 100
            return s.pipeline.samples, known + 100

    samples, known = run(main())
    again = Run(tmp_path, leaky())
    ((_, found),) = recorded(again).items()
    assert len(found) == samples == known
    again.die()
