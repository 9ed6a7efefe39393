"""Benchmarks: `python -m tests.bench` prints them all; none of them is a test.

All of them, and what they compare with, run on one thread; libraries ask when they are imported.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
