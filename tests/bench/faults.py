"""Which faults the detector tells, and how soon; --write puts the table in the docs.

Each fault begins at several rows of several backgrounds (tests/test_detect.py). It is told when an
alarm comes within 200 rows of its onset; an alarm before counts as false.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

import streamrnn as srnn
from tests.test_detect import BACKGROUNDS

PAGE = Path(__file__).parents[2] / "docs" / "forecast.md"
BEGIN, END = "<!-- python -m tests.bench.faults --write -->\n", "<!-- end faults -->\n"
WITHIN = 200  # rows
ONSETS = (2000, 2345, 2690, 3035)
WEEK = 2016  # rows of 5 minutes

Array = np.ndarray
Fault = Callable[[Array, int, float, float, np.random.Generator], None]


def spike(x: Array, at: int, width: float, change: float, random: np.random.Generator) -> None:
    x[at] += width


def step(x: Array, at: int, width: float, change: float, random: np.random.Generator) -> None:
    x[at:] += 0.6 * width


def ramp(x: Array, at: int, width: float, change: float, random: np.random.Generator) -> None:
    x[at : at + 100] += np.linspace(0, width, 100)
    x[at + 100 :] += width


def variance(x: Array, at: int, width: float, change: float, random: np.random.Generator) -> None:
    x[at:] += 4 * change * random.normal(size=len(x) - at)


def stuck(x: Array, at: int, width: float, change: float, random: np.random.Generator) -> None:
    x[at:] = x[at]


def dropout(x: Array, at: int, width: float, change: float, random: np.random.Generator) -> None:
    x[at : at + 20] = x.min() - 0.1 * width


def lost_cycle(x: Array, at: int, width: float, change: float, random: np.random.Generator) -> None:
    x[at:] = np.median(x[:at]) + 0.5 * change * random.normal(size=len(x) - at)


FAULTS: dict[str, Fault] = {
    "spike, as wide as the range": spike,
    "step of 0.6 ranges": step,
    "ramp of a range in 100 rows": ramp,
    "variance, four times the changes added": variance,
    "stuck value": stuck,
    "drop-out, 0.1 ranges below": dropout,
    "lost cycle or course": lost_cycle,
}


def table() -> str:
    lines = ["| fault | told | median delay, rows |", "| --- | --: | --: |"]
    early = rows = 0
    for name, fault in FAULTS.items():
        delays, cases = [], 0
        for number, make in enumerate(BACKGROUNDS.values()):
            for onset in ONSETS:
                x = make(onset + WITHIN).astype(float)
                before = x[:onset]
                width = float(np.subtract(*np.quantile(before, [0.99, 0.01])))
                change = float(abs(np.diff(before)).mean())
                fault(x, onset, width, change, np.random.default_rng([number, onset]))
                alarms = np.flatnonzero(srnn.Detector().run(x).alarm)
                cases += 1
                delays += [int(t) - onset for t in alarms if t >= onset][:1]
                early += int((alarms < onset).sum())
                rows += onset
        delay = f"{np.median(delays):.0f}" if delays else ""
        lines.append(f"| {name} | {len(delays)} of {cases} | {delay} |")
    lines.append(f"\nFalse alarms meanwhile: {WEEK * early / rows:.2f} in {WEEK} rows.")
    return "\n".join(lines) + "\n"


def main() -> None:
    text = table()
    print(text, end="")
    if "--write" in sys.argv[1:]:
        before, rest = PAGE.read_text("utf-8").split(BEGIN)
        PAGE.write_text(before + BEGIN + text + END + rest.split(END)[1], "utf-8")


if __name__ == "__main__":
    main()
