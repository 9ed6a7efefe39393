"""A server for the browser tests, in a process of its own that they can kill: prints its address.

    python serve.py PORT TOKEN [PATTERN]

With a PATTERN it has only the rule for that. Streams come from the tests, through /ingest.
"""

from __future__ import annotations

import asyncio
import sys

from streamrnn_server.app import Server, Settings

import streamrnn as srnn
from streamrnn.streams import Batch, Picture, Pipeline, Point, Rule
from streamrnn.text import Reader
from streamrnn.vocabulary import Vocabulary
from tests.leaky import Leaky

VOCABULARY = Vocabulary("\n \"'#()abcdefghijklmnopqrstuvwxyz")


def picture(batch: Batch) -> dict[str, Picture]:
    """An image of 2 x 2 pixels, whose first says which of 4 steps this is."""
    step = int(batch.x[-1, 0])
    made = Picture(
        image=batch.x[-1].reshape(2, 2),
        row=step // 2,
        text="yes" if step == 3 else "ye",
        truth="yes",
        likely=[("yes", 0.75), ("no", 0.25)],
        step=step,
        emits=step == 3,
    )
    return {batch.keys[-1]: made}


def canvas(batch: Batch) -> dict[str, Picture]:
    """Every stream is an object of one canvas."""
    points = [Point(key, x, y, "moving") for key, (x, y) in zip(batch.keys, batch.x, strict=True)]
    return {key: Picture(points=points, text="moving") for key in batch.keys}


def rules() -> list[Rule]:
    size = len(VOCABULARY)
    model = srnn.LSTM(size, 16, size, num_layers=2, tokens=True)
    reader = Reader(model, VOCABULARY)
    return [
        Rule("text/*", lambda names: reader, ("character",), kind="tokens"),
        Rule(
            "image/*",
            lambda names: srnn.GRU(4, 4, 1),
            ("step", "a", "b", "c"),
            mode="many_to_one",
            picture=picture,
        ),
        Rule("ball/*", lambda names: srnn.GRU(2, 4, 1), ("x", "y"), picture=canvas),
        Rule("many/*", lambda names: Leaky(1), ("level",), ("m",)),
        Rule(
            "boiler/*",
            lambda names: srnn.Detector(len(names)),
            ("temp", "load", "flow"),
            ("°C", "kW", "l/s"),
        ),
        Rule("sense/*", lambda names: srnn.Detector(len(names), horizon=48)),
        Rule("*", lambda names: srnn.Detector(len(names))),
        # served only where it is the only one
        Rule("sense/?*", lambda names: Leaky(len(names)), ("x", "y")),
    ]


async def serve(port: int, token: str, pattern: str) -> None:
    served = [rule for rule in rules() if pattern in ("", rule.match)]
    server = Server(Pipeline(served), settings=Settings(port=port, token=token, name="test"))
    await server.run(lambda server: print(server.url, flush=True))


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), *sys.argv[2:]))
