"""How honest the 90 % intervals are, over the second half of each recording in the package.

Coverage at every horizon, the least and most that 500 rows in a row had, and the interval score
(Winkler 1972: width, and 20 times what a value is outside by) over that of intervals between the
5 % and 95 % quantiles of all the errors of the forecast so far.
"""

from bisect import insort
from typing import NamedTuple

import numpy as np

import streamrnn as srnn
from tests.recordings import office, road, server, weather

ROLLING = 500
OUTSIDE = 0.05


class Honesty(NamedTuple):
    """Each (H,)."""

    inside: np.ndarray
    least: np.ndarray
    most: np.ndarray
    score: np.ndarray


def winkler(lower: np.ndarray, y: np.ndarray, upper: np.ndarray) -> float:
    """Mean interval score; smaller is better."""
    below, above = np.maximum(lower - y, 0), np.maximum(y - upper, 0)
    return float((upper - lower + (below + above) / OUTSIDE).mean())


def quantile(ordered: list[float], share: float) -> float:
    """As np.quantile, which sorts every time."""
    at = share * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


def quantiles_so_far(error: np.ndarray, late: int, first: int) -> np.ndarray:
    """(2, T - first) the outer quantiles of error[: t - late] for t = first .. T - 1."""
    ordered = sorted(error[: first - late].tolist())
    found = np.empty((2, len(error) - first))
    for n, new in enumerate(error[first - late : len(error) - late].tolist()):
        found[:, n] = quantile(ordered, OUTSIDE), quantile(ordered, 1 - OUTSIDE)
        insort(ordered, new)
    return found


def honesty(X: np.ndarray, target: int = 0) -> Honesty:
    ahead, y, rows = srnn.Forecaster(X.shape[1], target).run(X), X[:, target], []
    for h in range(1, ahead.mean.shape[1] + 1):
        mean, lower, upper, then = (*(end[:-h, h - 1] for end in ahead), y[h:])
        # the errors of forecasts h rows ahead are known h rows later
        known = np.isfinite(then)
        mean, lower, upper, then = (v[known] for v in (mean, lower, upper, then))
        half = len(then) // 2
        low, high = quantiles_so_far(then - mean, h, half)
        mean, lower, upper, then = (v[half:] for v in (mean, lower, upper, then))
        inside = (lower <= then) & (then <= upper)
        rolling = np.convolve(inside, np.full(ROLLING, 1 / ROLLING), "valid")
        score = winkler(lower, then, upper) / winkler(mean + low, then, mean + high)
        rows.append((inside.mean(), rolling.min(), rolling.max(), score))
    return Honesty(*np.array(rows).T)


def line(name: str, found: Honesty) -> str:
    inside, least, most, score = found
    return (
        f"{name:28}{inside.min():8.1%} ..{inside.max():6.1%}{least.min():10.1%} ..{most.max():6.1%}"
        f"{score[0]:9.3f}{score[-1]:9.3f}{score.max():9.3f}{score.mean():9.3f}"
    )


def main() -> None:
    heads = ("score, 1", "12", "worst", "mean")
    print(
        f"{'':28}{'inside':>16}{f'in {ROLLING} rows':>20}{''.join(f'{head:>9}' for head in heads)}"
    )
    for name in ("temp", "humid", "pressure", "wind_speed"):
        print(line(f"weather station, {name}", honesty(weather(name))))
    for name, recording in (
        ("office temperature", office),
        ("road occupancy", road),
        ("server CPU", server),
    ):
        print(line(name, honesty(recording())))


if __name__ == "__main__":
    main()
