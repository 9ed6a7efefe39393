"""How good the forecasts are on the recordings that the package ships; --write puts it in the docs.

Errors are mean absolute errors over persistence's, each forecast made before its value was known;
beside them the same of recursive least squares on 24 lags (tests/recordings.py), and of river's
SNARIMAX where river is installed (extra `bench`).
"""

import sys
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import streamrnn as srnn
from streamrnn.evaluate import progressive
from tests.recordings import lag_ratio, office, weather

PAGE = Path(__file__).parents[2] / "docs" / "forecast.md"
BEGIN, END = "<!-- python -m tests.bench.accuracy --write -->\n", "<!-- end -->\n"
HORIZONS = (1, 12)
DIVERGED = 10.0  # times persistence's error


def coverage(X: np.ndarray, ahead: int) -> float:
    """Share of the values within the 90 % interval, over the second half."""
    forecast, half = srnn.Forecaster(X.shape[1]).run(X), len(X) // 2
    y = X[half + ahead :, 0]
    lower, upper = (end[half:-ahead, ahead - 1] for end in (forecast.lower, forecast.upper))
    return float(((lower <= y) & (y <= upper)).mean())


def snarimax(X: np.ndarray) -> list[float]:
    """Errors of river's SNARIMAX on 24 lags, differenced once, over persistence's.

    With the regressor it has by default, a learning rate of 0.01, it diverges on these streams.
    """
    from river import linear_model, optim, preprocessing, time_series

    line = linear_model.LinearRegression(optimizer=optim.SGD(0.001), intercept_lr=0.001)
    regressor = preprocessing.StandardScaler() | line
    model, y = time_series.SNARIMAX(p=24, d=1, q=0, regressor=regressor), X[:, 0]
    mean = np.full((len(y), 12), np.nan)
    for t, value in enumerate(y.tolist()):
        model.learn_one(value)
        if t >= 99:
            mean[t] = model.forecast(horizon=12)
    return [
        float(abs(mean[100:-h, h - 1] - y[100 + h :]).mean() / abs(y[100:-h] - y[100 + h :]).mean())
        for h in HORIZONS
    ]


def table() -> str:
    streams = {f"weather station, {name}": weather(name) for name in ("temp", "humid", "pressure")}
    streams |= {
        "weather station, wind_speed": weather("wind_speed"),
        "office temperature": office(),
    }
    ratios, peers = [], find_spec("river") is not None
    names = ["1 ahead", "12 ahead", "lags, 1", "lags, 12"] + ["SNARIMAX, 1", "12"] * peers
    lines = [
        f"| stream | channels | {' | '.join(names)} | inside, 1 | inside, 12 |",
        f"| --- |{' --: |' * (len(names) + 3)}",
    ]
    for name, X in streams.items():
        ours = progressive(srnn.Forecaster(X.shape[1]), X)
        row = [ours[h - 1] for h in HORIZONS] + [lag_ratio(X, h) for h in HORIZONS]
        row += snarimax(X) if peers else []
        inside = " | ".join(f"{coverage(X, h):.1%}" for h in HORIZONS)
        ratios.append(row)
        lines.append(f"| {name} | {X.shape[1]} | {numbers(row)} | {inside} |")
    whole = np.where(np.array(ratios) < DIVERGED, ratios, np.inf)
    mean = np.exp(np.log(whole).mean(axis=0))
    lines.append(f"| geometric mean | | {numbers(mean)} | | |")
    packages = ["numba", "numpy", *(["river"] if peers else [])]
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    lines.append(f"\n{datetime.now(UTC):%Y-%m-%d}, streamrnn {srnn.__version__}, {versions}")
    return "\n".join(lines) + "\n"


def numbers(row: list[float]) -> str:
    return " | ".join(f"{x:.3f}" if x < DIVERGED else "diverged" for x in row)


def main() -> None:
    text = table()
    print(text, end="")
    if "--write" in sys.argv[1:]:
        before, rest = PAGE.read_text("utf-8").split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}{text}{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
