"""/live: how often viewers get frames."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from streamrnn_server import live
from streamrnn_server.live import FEW, FRAMES_HZ, LEAST_HZ, Live

from tests.server.fakes import hub


@dataclass(eq=False)
class Connection:
    """One that takes everything."""

    waiting_bytes = 0
    taken: bytes = b""

    def write(self, frames):
        self.taken += frames


@pytest.mark.parametrize(
    ("share", "count", "hz"),
    [
        (1e12, 100, FRAMES_HZ),
        (1e-12, 100, LEAST_HZ),
        (1e-12, 2 * FEW, FRAMES_HZ / 2),
        (1e-12, 1, FRAMES_HZ),
    ],
)
def test_ticks_are_fewer_where_a_crowd_makes_them_take_more_than_their_share(
    monkeypatch, share, count, hz
):
    monkeypatch.setattr(live, "SHARE", share)

    async def main():
        of = hub()
        viewers = Live(of, lambda kind, path, why: None)
        for _ in range(count):
            viewers._viewers[Connection()] = of.join()
        before = asyncio.get_running_loop().time()
        viewers._tick()
        assert before + 1 / hz <= viewers._next <= asyncio.get_running_loop().time() + 1 / hz
        told = {connection.taken for connection in viewers._viewers}
        assert len(told) == 1 and b'"hello"' in told.pop()

    asyncio.run(main())
