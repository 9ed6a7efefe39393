"""How good the forecasts are on the recordings that the package ships; --write puts it in the docs.

Errors are mean absolute errors over persistence's, each forecast made before its value was known;
beside them the same of recursive least squares on 24 lags (tests/recordings.py).
"""

import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

import streamrnn as srnn
from streamrnn.evaluate import progressive
from tests.recordings import lag_ratio, office, weather

PAGE = Path(__file__).parents[2] / "docs" / "forecast.md"
BEGIN, END = "<!-- python -m tests.bench.accuracy --write -->\n", "<!-- end -->\n"
HORIZONS = (1, 12)


def coverage(X: np.ndarray, ahead: int) -> float:
    """Share of the values within the 90 % interval, over the second half."""
    forecast, half = srnn.Forecaster(X.shape[1]).run(X), len(X) // 2
    y = X[half + ahead :, 0]
    lower, upper = (end[half:-ahead, ahead - 1] for end in (forecast.lower, forecast.upper))
    return float(((lower <= y) & (y <= upper)).mean())


def table() -> str:
    streams = {f"weather station, {name}": weather(name) for name in ("temp", "humid", "pressure")}
    streams |= {
        "weather station, wind_speed": weather("wind_speed"),
        "office temperature": office(),
    }
    ratios = []
    lines = [
        "| stream | channels | 1 ahead | 12 ahead | lags, 1 | lags, 12 | inside, 1 | inside, 12 |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name, X in streams.items():
        ours = progressive(srnn.Forecaster(X.shape[1]), X)
        row = [ours[h - 1] for h in HORIZONS] + [lag_ratio(X, h) for h in HORIZONS]
        inside = " | ".join(f"{coverage(X, h):.1%}" for h in HORIZONS)
        ratios.append(row)
        lines.append(f"| {name} | {X.shape[1]} | {numbers(row)} | {inside} |")
    mean = np.exp(np.log(ratios).mean(axis=0))
    lines.append(f"| geometric mean | | {numbers(mean)} | | |")
    versions = ", ".join(f"{name} {version(name)}" for name in ("streamrnn", "numba", "numpy"))
    lines.append(f"\n{datetime.now(UTC):%Y-%m-%d}, {versions}")
    return "\n".join(lines) + "\n"


def numbers(row: list[float]) -> str:
    return " | ".join(f"{x:.3f}" for x in row)


def main() -> None:
    text = table()
    print(text, end="")
    if "--write" in sys.argv[1:]:
        before, rest = PAGE.read_text("utf-8").split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}{text}{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
