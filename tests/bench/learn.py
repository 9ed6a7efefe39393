"""What a row costs that is learned from, forecast from and judged:  python -m tests.bench.learn

Needs the extra `bench`: river's SNARIMAX learns and forecasts the same rows. One core, where all of
a line take turns, and each one's best run counts. All horizons are learned, state included.
--write puts the table, with versions and date, into docs/forecast.md.
"""

import argparse
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import cycle

import numpy as np
from river import time_series

import streamrnn as srnn
from tests.bench import best, into_docs, processor

STREAMS, HORIZON = 1000, 12
# rows in a turn, and in one of river's: a millisecond at most, which is often left undisturbed
ROWS, FEW = 100, 5
KNOWN = 350  # rows of each stream before: by then all that is learned is
SECONDS = 3.0  # of each, best of many turns


def line(kind: type[srnn.Forecaster | srnn.Detector], channels: int) -> str:
    X = np.random.default_rng(0).normal(size=(STREAMS, channels))
    stepped, recorded, model = (kind(channels, horizon=HORIZON) for _ in range(3))
    bank, each, y = srnn.Bank(model), list(X), np.empty((STREAMS, model.outputs))
    streams = bank.rows(range(STREAMS))
    stepped.run(X)
    recorded.run(X)
    for shift in range(KNOWN):
        bank.advance(streams, np.roll(X, shift, axis=0), y)
    places = cycle(range(STREAMS - ROWS + 1))  # in X: not the same rows each time
    parts = cycle(np.split(streams, STREAMS // ROWS))

    def steps() -> None:
        begin = next(places)
        for x in each[begin : begin + ROWS]:
            stepped.step(x)

    def runs() -> None:
        begin = next(places)
        recorded.run(X[begin : begin + ROWS])

    def banks() -> None:
        begin = next(places)
        bank.advance(next(parts), X[begin : begin + ROWS], y[:ROWS])

    step, run, many = best(steps, runs, banks, seconds=SECONDS)
    cells = (
        kind.__name__,
        f"{channels}",
        f"{step / ROWS * 1e6:.2f} us",
        f"{run / ROWS * 1e6:.2f} us",
        f"{ROWS / many / 1000:.0f} 000 rows/s",
        f"{model.layout.itemsize / 1024:.1f} KiB",
    )
    return f"| {' | '.join(cells)} |"


def beside_river() -> str:
    """A row of one channel: learn its value, then forecast 12."""
    values = np.random.default_rng(0).normal(size=KNOWN).tolist()
    peer, stepped, recorded = (
        time_series.SNARIMAX(p=24, d=1, q=0),
        *(srnn.Forecaster(horizon=HORIZON) for _ in range(2)),
    )
    stepped.run(values)
    recorded.run(values)
    for value in values:
        peer.learn_one(value)

    def rivers() -> None:
        for value in values[:FEW]:
            peer.learn_one(value)
            peer.forecast(horizon=HORIZON)

    def steps() -> None:
        for value in values[:ROWS]:
            stepped.step(value)

    theirs, step, run = best(rivers, steps, lambda: recorded.run(values[:ROWS]), seconds=SECONDS)
    theirs, step, run = theirs / FEW, step / ROWS, run / ROWS
    return (
        f"river's SNARIMAX (p=24, d=1) takes {theirs * 1e6:.0f} us to learn a row and forecast "
        f"{HORIZON}: {theirs / step:.0f} x a `step` of Forecaster, {theirs / run:.0f} x a row of "
        "its `run`."
    )


def table() -> str:
    kinds = (srnn.Forecaster, srnn.Detector)
    packages = ("streamrnn", "numba", "numpy", "river")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return "\n".join(
        [
            f"| | channels | `step` | a row of `run` | bank of {STREAMS} streams | state |",
            "| --- | --: | --: | --: | --: | --: |",
            *(line(kind, channels) for kind in kinds for channels in (1, 8)),
            "",
            beside_river(),
            "",
            f"Measured {datetime.now(UTC):%Y-%m-%d} on one core of a {processor()}: "
            f"Python {platform.python_version()}, {versions}.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="into docs/forecast.md")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    text = table()
    print(text)
    if arguments.write:
        into_docs("forecast.md", "python -m tests.bench.learn --write", text)


if __name__ == "__main__":
    main()
