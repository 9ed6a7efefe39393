"""Which faults the detector tells, how soon, and how often it tells of nothing.

--write puts both tables in the docs. Each fault begins at several rows of several backgrounds
(tests/sensors.py), sensors at 5 minutes. It is told when an alarm comes within 200 rows of its
onset; an alarm before counts as false.
"""

import sys
from collections import Counter
from collections.abc import Callable

import numpy as np

import streamrnn as srnn
from tests.bench import into_docs
from tests.sensors import CYCLIC, PLAIN, SENSORS, Sensor

WITHIN = 200  # rows
ONSETS = (2000, 2345, 2690, 3035)
DAY, WEEK = 86400, 604800
WEEKS = {1: 1, 10: 2, 60: 4, 300: 12, 900: 26, 3600: 50}  # by interval

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


def gap(x: Array, at: int, width: float, change: float, random: np.random.Generator) -> None:
    x[at : at + 20] = np.nan


def lost_cycle(x: Array, at: int, width: float, change: float, random: np.random.Generator) -> None:
    x[at:] = np.median(x[:at]) + 0.5 * change * random.normal(size=len(x) - at)


FAULTS: dict[str, Fault] = {
    "spike, as wide as the range": spike,
    "step of 0.6 ranges": step,
    "ramp of a range in 100 rows": ramp,
    "variance, four times the changes added": variance,
    "stuck value": stuck,
    "drop-out, 0.1 ranges below": dropout,
    "drop-out, values missing": gap,
    "lost cycle": lost_cycle,
}


def backgrounds() -> dict[str, Callable[[int], Array]]:
    return {**PLAIN, **{name: every_5_minutes(sensor) for name, sensor in SENSORS.items()}}


def every_5_minutes(sensor: Sensor) -> Callable[[int], Array]:
    random = np.random.default_rng(7)
    return lambda T: sensor(T, 300, random)


def faults() -> str:
    lines = ["| fault | told | median delay, rows | not told, of 4 |", "| --- | --: | --: | --- |"]
    early = rows = 0
    longest = {
        name: make(ONSETS[-1] + WITHIN).astype(float) for name, make in backgrounds().items()
    }
    for name, fault in FAULTS.items():
        delays, cases, missed = [], 0, Counter[str]()
        for number, (background, whole) in enumerate(longest.items()):
            if fault is lost_cycle and background not in CYCLIC:
                continue
            for onset in ONSETS:
                x = whole[: onset + WITHIN].copy()
                before = x[:onset]
                width = float(np.subtract(*np.quantile(before, [0.99, 0.01])))
                change = float(abs(np.diff(before)).mean())
                fault(x, onset, width, change, np.random.default_rng([number, onset]))
                alarms = np.flatnonzero(srnn.Detector().run(x).alarm)
                found = [int(t) - onset for t in alarms if t >= onset][:1]
                cases += 1
                delays += found
                missed[background] += not found
                early += int((alarms < onset).sum())
                rows += onset
        delay = f"{np.median(delays):.0f}" if delays else ""
        where = ", ".join(f"{name} {count}" for name, count in missed.items() if count)
        lines.append(f"| {name} | {len(delays)} of {cases} | {delay} | {where} |")
    lines.append(f"\nFalse alarms meanwhile: {2016 * early / rows:.2f} in 2016 rows.\n")
    return "\n".join(lines) + "\n"


def quiet() -> str:
    """Alarms where nothing happens, on each sensor, whose rows have times."""
    lines = [
        "| interval | first day | first week | a week after the first day | most, of a sensor |",
        "| --- | --: | --: | --: | --- |",
    ]
    for interval, weeks in WEEKS.items():
        first, later = [], {}  # in the first day and in the first week; in a week after the day
        for number, (name, sensor) in enumerate(SENSORS.items()):
            random = np.random.default_rng([number, interval])
            x = sensor(int(weeks * WEEK) // interval, interval, random)
            alarm = srnn.Detector().run(x, interval * np.arange(len(x))).alarm
            first.append([alarm[: span // interval].sum() for span in (DAY, WEEK)])
            later[name] = alarm[DAY // interval :].sum() / (weeks - DAY / WEEK)
        worst = max(later, key=later.__getitem__)
        means = [*np.mean(first, axis=0), np.mean(list(later.values()))]
        row = f"{interval} s", *(f"{mean:.2f}" for mean in means)
        lines.append(f"| {' | '.join(row)} | {worst} {later[worst]:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    text = faults() + "\nAlarms where nothing happens, a sensor:\n\n" + quiet()
    print(text, end="")
    if "--write" in sys.argv[1:]:
        into_docs("forecast.md", "python -m tests.bench.faults --write", text)


if __name__ == "__main__":
    main()
