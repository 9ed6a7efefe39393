"""What a row costs that is learned from, forecast from and judged: all horizons, state included.

Where river is installed (extra `bench`), its SNARIMAX learns and forecasts the same rows.
"""

from importlib.util import find_spec

import numpy as np

import streamrnn as srnn
from tests.bench.step import best_ns


def snarimax_us(x: np.ndarray) -> float:
    """What river takes for a row: 24 lags, differenced once, 12 forecasts."""
    from river import time_series

    model = time_series.SNARIMAX(p=24, d=1, q=0)
    values = x.tolist()

    def run() -> None:
        for value in values:
            model.learn_one(value)
            model.forecast(horizon=12)

    for value in values[:50]:
        model.learn_one(value)
    return best_ns(run, len(values), repeats=3) / 1000


def main() -> None:
    print(
        f"{'':12}{'channels':>8}{'step, us':>10}{'run, us':>10}{'bank, us':>10}{'state, KiB':>12}"
    )
    for kind in (srnn.Forecaster, srnn.Detector):
        for channels in (1, 8):
            X = np.random.default_rng(0).normal(size=(1000, channels))
            learner = kind(channels)
            bank, keys = srnn.Bank(learner), list(range(1000))
            bank.step(keys, X)
            rows, y = bank.rows(keys), np.empty((1000, learner.outputs))
            each = list(X)

            def steps(learner: srnn.Forecaster = learner, each: list[np.ndarray] = each) -> None:
                for x in each:
                    learner.step(x)

            step = best_ns(steps, 1000) / 1000
            run = best_ns(lambda learner=learner, X=X: learner.run(X), 1000) / 1000
            many = best_ns(lambda b=bank, r=rows, X=X, y=y: b.advance(r, X, y), 1000) / 1000
            size = learner.layout.itemsize / 1024
            print(f"{kind.__name__:12}{channels:8}{step:10.2f}{run:10.2f}{many:10.2f}{size:12.1f}")
    if find_spec("river"):
        x = np.random.default_rng(0).normal(size=300)
        peer, forecaster = snarimax_us(x), srnn.Forecaster()
        each = list(x)

        def steps() -> None:
            for value in each:
                forecaster.step(value)

        own = best_ns(steps, len(each)) / 1000
        print(f"river's SNARIMAX: {peer:.0f} us a row, {peer / own:.0f} x a step of Forecaster")


if __name__ == "__main__":
    main()
