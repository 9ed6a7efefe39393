"""Ten million rows of everything that has broken a filter somewhere; every output is finite.

The short version is in tests/test_forecast_robust.py; tests/rough.py says what the rows are.
"""

import sys
import time

import numpy as np

import streamrnn as srnn
from tests.rough import hostile

ROWS, PART = 10_000_000, 100_000


def main() -> None:
    detector, begin, rows = srnn.Detector(), time.process_time(), 0
    detector.step(0.0)
    for seed in range(ROWS // PART):
        result = detector.run(hostile(PART, 1, seed))
        rows += PART
        good = np.isfinite(result.forecast).all(axis=(0, 2)) & np.isfinite(result.score)
        if not good.all():
            sys.exit(f"not finite: part {seed}, row {int((~good).argmax())}")
    print(f"{rows:_} rows, all outputs finite, {time.process_time() - begin:.0f} s")


if __name__ == "__main__":
    main()
