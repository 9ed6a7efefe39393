"""The models for river beside its own, on data that it brings; --write puts it in docs/river.md.

Each prediction is made before its target is learned. Mean absolute errors, and ROC AUC of the
detectors over the last 5000 rows; of each model also the CPU time of a row (median over the data).
"""

import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Any

from river import anomaly, datasets, forest, linear_model, metrics, neighbors, preprocessing, tree
from river.datasets import synth

import streamrnn as srnn
import streamrnn.river as ours
from tests.bench import into_docs

Data = dict[str, Iterable[tuple[dict[str, Any], Any]]]
Models = dict[str, Callable[[], Any]]

REGRESSION: Data = {
    "TrumpApproval": datasets.TrumpApproval(),
    "ChickWeights": datasets.ChickWeights(),
    "SP500Stocks": datasets.SP500Stocks(),
    "Friedman": list(synth.Friedman(seed=42).take(3000)),
    "FriedmanDrift": list(
        synth.FriedmanDrift("gra", (1000, 2000), transition_window=200, seed=42).take(3000)
    ),
    "Planes2D": list(synth.Planes2D(seed=42).take(3000)),
}
ANOMALIES: Data = {"Shuttle": list(datasets.Shuttle().take(10_000))}


def scaled(model: Any) -> Any:
    return preprocessing.StandardScaler() | model


REGRESSORS: Models = {
    "streamrnn": ours.Regressor,
    "LinearRegression": lambda: scaled(linear_model.LinearRegression()),
    "BayesianLinearRegression": lambda: scaled(linear_model.BayesianLinearRegression()),
    "KNNRegressor": lambda: scaled(neighbors.KNNRegressor()),
    "HoeffdingAdaptiveTree": lambda: scaled(tree.HoeffdingAdaptiveTreeRegressor(seed=1)),
    "ARFRegressor": lambda: scaled(forest.ARFRegressor(seed=1)),
}
DETECTORS: Models = {
    "streamrnn": ours.AnomalyDetector,
    "HalfSpaceTrees": lambda: preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=42),
    "LODA": lambda: preprocessing.MinMaxScaler() | anomaly.LODA(seed=42),
    "GaussianScorer, first feature": lambda: First(anomaly.GaussianScorer()),
}


class First:
    """river's GaussianScorer is for one value, and takes it as the target."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def score_one(self, x: dict[str, Any]) -> float:
        return float(self.model.score_one(None, next(iter(x.values()))))

    def learn_one(self, x: dict[str, Any]) -> None:
        self.model.learn_one(None, next(iter(x.values())))


def regression(model: Any, data: Iterable[tuple[dict[str, Any], Any]]) -> float:
    error = metrics.MAE()
    for x, y in data:
        error.update(y, model.predict_one(x))
        model.learn_one(x, y)
    return float(error.get())


def detection(model: Any, data: Iterable[tuple[dict[str, Any], Any]]) -> float:
    auc = metrics.RollingROCAUC(window_size=5000)
    for x, y in data:
        auc.update(y, model.score_one(x))
        model.learn_one(x)
    return float(auc.get())


def table(models: Models, data: Data, run: Callable[[Any, Any], float]) -> list[str]:
    lines = [f"| model | {' | '.join(data)} | us a row |", f"| --- |{' --: |' * (len(data) + 1)}"]
    for name, make in models.items():
        cells, times = [], []
        run(make(), [*next(iter(data.values()))][:50])  # compiled, imported
        for rows in data.values():
            rows = list(rows)
            begin = time.process_time()
            found = run(make(), rows)
            times.append((time.process_time() - begin) / len(rows) * 1e6)
            cells.append(f"{found:.3f}" if found < 1e3 else f"{found:.0e}")
        lines.append(f"| {name} | {' | '.join(cells)} | {median(times):.0f} |")
    return lines


def main() -> None:
    versions = f"streamrnn {srnn.__version__}, river {version('river')}"
    lines = [
        *table(REGRESSORS, REGRESSION, regression),
        "",
        *table(DETECTORS, ANOMALIES, detection),
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {versions}",
    ]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if "--write" in sys.argv[1:]:
        into_docs("river.md", "python -m tests.bench.river --write", text)


if __name__ == "__main__":
    main()
