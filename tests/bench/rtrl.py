"""What learning the recurrences themselves brings a forecaster; --write puts it in the docs.

The error with rtrl=True over that without it, 1 and 12 rows ahead, each forecast made before its
value was known: on the recordings, on sensors of tests/sensors.py, and on cycles of which no period
is one that a forecaster's waves begin with.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import numpy as np

import streamrnn as srnn
from streamrnn.evaluate import became, scores
from tests.bench import into_docs
from tests.bench.accuracy import HORIZONS, STREAMS
from tests.sensors import PLAIN, SENSORS, Sensor

T = 8000

Array = np.ndarray


def noise(size: float) -> Array:
    return size * np.random.default_rng(0).normal(size=T)


def three_sines() -> Array:
    phase = 2 * np.pi * np.arange(T)
    return np.sin(phase / 19) + np.sin(phase / 61) + np.sin(phase / 410) + noise(0.5)


def chirp() -> Array:
    """A wave whose period goes from 25 to 55 rows and back."""
    return np.sin(np.cumsum(2 * np.pi / (40 + 15 * np.sin(np.arange(T) / 1500)))) + noise(0.3)


def resonance(period: float) -> Array:
    """An oscillator that noise drives; it forgets its phase within two periods."""
    keep, random = np.exp((-0.5 + 2j * np.pi) / period), np.random.default_rng(0)
    x, h = np.empty(T), 0j
    for t, (re, im) in enumerate(random.normal(size=(T, 2)).tolist()):
        h = keep * h + complex(re, im)
        x[t] = h.real
    return x


def every_15_minutes(sensor: Sensor) -> Callable[[], Array]:
    return lambda: sensor(T, 900.0, np.random.default_rng(1))


KINDS: dict[str, dict[str, Callable[[], Array]]] = {
    "recordings": STREAMS,
    "sensors, every 15 minutes": {name: every_15_minutes(make) for name, make in SENSORS.items()},
    "plain processes": {name: partial(make, T) for name, make in PLAIN.items()},
    "driven oscillators": {
        f"of {period} rows": partial(resonance, period) for period in (7, 17, 35, 70, 120, 200, 400)
    },
    "steady cycles": {"three sines": three_sines, "chirp": chirp},
}


def ratio(x: Array) -> list[float]:
    """Error with rtrl over that without it, at HORIZONS."""
    X = x.reshape(len(x), -1)
    known = became(X[:, 0], 12)
    plain, tuned = (
        scores(srnn.Forecaster(X.shape[1], rtrl=rtrl).run(X).mean, known).mae
        for rtrl in (False, True)
    )
    return [float(tuned[h - 1] / plain[h - 1]) for h in HORIZONS]


def numbers(ratios: Array) -> str:
    return " / ".join(f"{x:.3f}" for x in ratios)


def table() -> str:
    lines = ["| streams | number | with rtrl over without | best | worst |"]
    lines.append("| --- | --: | --: | --: | --: |")
    every = []
    for kind, streams in KINDS.items():
        found = np.array([ratio(make()) for make in streams.values()])
        every.append(found)
        lines.append(line(kind, found))
    lines.append(line("all", np.concatenate(every)))
    lines.append(f"\n{datetime.now(UTC):%Y-%m-%d}, streamrnn {srnn.__version__}")
    return "\n".join(lines) + "\n"


def line(kind: str, found: Array) -> str:
    mean = np.exp(np.log(found).mean(axis=0))
    cells = (numbers(x) for x in (mean, found.min(axis=0), found.max(axis=0)))
    return f"| {kind} | {len(found)} | {' | '.join(cells)} |"


def main() -> None:
    text = table()
    print(text, end="")
    if "--write" in sys.argv[1:]:
        into_docs("forecast.md", "python -m tests.bench.rtrl --write", text)


if __name__ == "__main__":
    main()
