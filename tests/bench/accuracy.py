"""How good the forecasts are on the recordings of tests/recordings.py; --write puts it in the docs.

Errors are mean absolute errors over persistence's, each forecast made before its value was known;
beside them those of recursive least squares on 24 lags (tests/recordings.py), and of river's and
reservoirpy's forecasters where these are installed (extra `bench`).
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np

import streamrnn as srnn
from streamrnn.evaluate import became, inside, persistence, scores
from tests.bench import into_docs
from tests.recordings import lag_ratio, office, road, server, weather

HORIZONS = (1, 12)
DIVERGED = 10.0  # times persistence's error
KNOWN = 50  # rows from which the deviation of a stream is roughly known

Array = np.ndarray
STREAMS: dict[str, Callable[[], Array]] = {
    "weather station, temp": lambda: weather("temp"),
    "weather station, humid": lambda: weather("humid"),
    "weather station, pressure": lambda: weather("pressure"),
    "weather station, wind_speed": lambda: weather("wind_speed"),
    "office temperature": office,
    "road occupancy": road,
    "server CPU": server,
}


def echo_state(y: Array) -> Array:
    """Forecasts (T, 12) of reservoirpy's echo state network of 100 units, read by its RLS.

    It reads y in running deviations from its running mean, and learns what became of each row once
    the twelfth after it has come.
    """
    from reservoirpy.nodes import RLS, Reservoir

    n = np.arange(1, len(y) + 1)
    mean = np.cumsum(y) / n
    deviation = np.sqrt(np.maximum(np.cumsum(y * y) / n - mean**2, 1e-12))
    z = ((y - mean) / deviation).clip(-8, 8)
    states = Reservoir(100, lr=0.3, sr=0.9, seed=0).run(z[:, None])
    f = np.column_stack([states, z, np.ones(len(y))])
    readout = RLS(alpha=10.0, forgetting=0.9995, fit_bias=False)  # with its own bias it diverges
    said = np.tile(y[:, None], (1, 12))
    for t in range(KNOWN + 12, len(y)):
        change = (y[t - 11 : t + 1] - y[t - 12]) / deviation[t - 12]
        readout.partial_fit(f[t - 12 : t - 11], change[None])
        said[t] += deviation[t] * readout.run(f[t : t + 1])[0]
    return said


def peers(y: Array, period: int) -> dict[str, Array]:
    """Forecasts (T, 12) of those that are installed."""
    found = {}
    if find_spec("river") is not None:
        from streamrnn import river

        for name, model in river.peers(period).items():
            found[name] = np.array([*river.forecasts(model, y, 12)])
    if find_spec("reservoirpy") is not None:
        found["echo state"] = echo_state(y)
    return found


def row(X: Array) -> tuple[dict[str, list[float]], list[float]]:
    """Ratios to persistence of each model at HORIZONS, and shares within our intervals."""
    y, forecaster = X[:, 0], srnn.Forecaster(X.shape[1])
    forecast, known = forecaster.run(X), became(X[:, 0], 12)
    stayed = scores(persistence(y, 12), known).mae
    means = {"streamrnn": forecast.mean} | peers(y, forecaster.explain().period)
    told = {name: scores(mean, known).mae / stayed for name, mean in means.items()}
    ratios = {name: [ratio[h - 1] for h in HORIZONS] for name, ratio in told.items()}
    ratios["lags"] = [lag_ratio(X, h) for h in HORIZONS]
    share = inside(forecast.lower, forecast.upper, known)
    return ratios, [share[h - 1] for h in HORIZONS]


def table() -> str:
    lines: list[str] = []
    all_ratios = []
    for name, make in STREAMS.items():
        X = make()
        ratios, share = row(X)
        if not lines:
            lines.append(f"| stream | channels | {' | '.join(ratios)} | inside |")
            lines.append(f"| --- |{' --: |' * (len(ratios) + 2)}")
        within = " / ".join(f"{x:.1%}" for x in share)
        lines.append(f"| {name} | {X.shape[1]} | {numbers([*ratios.values()])} | {within} |")
        all_ratios.append([*ratios.values()])
    whole = np.where(np.array(all_ratios) < DIVERGED, all_ratios, np.inf)
    mean = np.exp(np.log(whole).mean(axis=0))
    lines.append(f"| geometric mean | | {numbers(mean.tolist())} | |")
    packages = [name for name in ("numba", "numpy", "river", "reservoirpy") if find_spec(name)]
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    lines.append(f"\n{datetime.now(UTC):%Y-%m-%d}, streamrnn {srnn.__version__}, {versions}")
    return "\n".join(lines) + "\n"


def numbers(models: list[list[float]]) -> str:
    cells = (
        " / ".join(f"{x:.3f}" if x < DIVERGED else "diverged" for x in ratios) for ratios in models
    )
    return " | ".join(cells)


def main() -> None:
    text = table()
    print(text, end="")
    if "--write" in sys.argv[1:]:
        into_docs("forecast.md", "python -m tests.bench.accuracy --write", text)


if __name__ == "__main__":
    main()
