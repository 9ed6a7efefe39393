"""A server in a process of its own, to be killed: says when its first source is connected.

python -m tests.server.serving CONFIG COUNT     says "done" when its journal holds COUNT samples
"""

import asyncio
import signal
import sys

from streamrnn_server.build import build

import streamrnn.streams.broker as broker


async def main() -> None:
    server = build(sys.argv[1])

    async def tell() -> None:
        while not (server.sources and server.sources[0].figures["connected"]):
            await asyncio.sleep(0.01)
        print("connected", flush=True)
        assert server.recorder is not None
        while server.recorder.journal.counts.sum() < int(sys.argv[2]):
            await asyncio.sleep(0.01)
        print("done", flush=True)

    telling = asyncio.create_task(tell())
    await server.run()
    await telling


if __name__ == "__main__":
    broker.RETRY_S = (0.05,)
    signal.alarm(60)  # whoever waits for a word that never comes shall not wait for ever
    asyncio.run(main())
