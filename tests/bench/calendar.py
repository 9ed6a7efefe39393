"""What the rows' times add to the forecasts of the sensors in tests/sensors.py, over four weeks.

Mean absolute error with times over that without, 1 and 12 rows ahead.
"""

import numpy as np

from streamrnn.evaluate import became, scores
from streamrnn.forecast import Forecaster
from tests.sensors import SENSORS

MONDAY = 1704067200  # 2024-01-01
WEEKS = 4


def main() -> None:
    ratios = []
    for interval in (3600, 900, 300):
        t = MONDAY + np.arange(0.0, WEEKS * 7 * 86400, interval)
        for name, sensor in SENSORS.items():
            x = sensor(len(t), interval, np.random.default_rng(interval))
            known = became(x, 12)
            timed, plain = (scores(Forecaster().run(x, when).mean, known).mae for when in (t, None))
            ratios.append((timed / plain)[[0, 11]])
            print(f"{name + f', {interval} s':24}{ratios[-1][0]:8.3f}{ratios[-1][1]:8.3f}")
    for name, found in (
        ("geometric mean", np.exp(np.log(ratios).mean(axis=0))),
        ("best", np.min(ratios, axis=0)),
        ("worst", np.max(ratios, axis=0)),
    ):
        print(f"{name:24}{found[0]:8.3f}{found[1]:8.3f}")


if __name__ == "__main__":
    main()
