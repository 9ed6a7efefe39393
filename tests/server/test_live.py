"""/live: how often viewers get frames."""

from __future__ import annotations

import asyncio

import pytest
from streamrnn_server import live
from streamrnn_server.live import FRAMES_HZ, LEAST_HZ, Live

from tests.server.fakes import hub


@pytest.mark.parametrize(("share", "hz"), [(1e-12, LEAST_HZ), (1e12, FRAMES_HZ)])
def test_ticks_are_fewer_where_they_take_more_than_their_share(monkeypatch, share, hz):
    monkeypatch.setattr(live, "SHARE", share)

    async def main():
        viewers = Live(hub(), lambda kind, path, why: None)
        before = asyncio.get_running_loop().time()
        viewers._tick()
        assert before + 1 / hz <= viewers._next <= asyncio.get_running_loop().time() + 1 / hz

    asyncio.run(main())
