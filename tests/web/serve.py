"""A server for the browser tests, in a process of its own that they can kill: prints its address.

    python serve.py PORT TOKEN

Streams come from the tests, through /ingest.
"""

from __future__ import annotations

import asyncio
import sys

from streamrnn_server.app import Server, Settings

import streamrnn as srnn
from streamrnn.streams import Pipeline, Rule
from streamrnn.text import Reader
from streamrnn.vocabulary import Vocabulary
from tests.leaky import Leaky

VOCABULARY = Vocabulary("\n \"'#()abcdefghijklmnopqrstuvwxyz")


def rules() -> list[Rule]:
    size = len(VOCABULARY)
    model = srnn.LSTM(size, 16, size, num_layers=2, tokens=True)
    reader = Reader(model, VOCABULARY)
    return [
        Rule("text/*", lambda names: reader, ("character",), kind="tokens"),
        Rule("many/*", lambda names: Leaky(1), ("level",), ("m",)),
        Rule(
            "boiler/*",
            lambda names: srnn.Detector(len(names)),
            ("temp", "load", "flow"),
            ("°C", "kW", "l/s"),
        ),
        Rule("*", lambda names: srnn.Detector(len(names))),
    ]


async def serve(port: int, token: str) -> None:
    server = Server(Pipeline(rules()), settings=Settings(port=port, token=token, name="test"))
    await server.run(lambda server: print(server.url, flush=True))


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
