"""Rows on a grid of time: what sensors say each by itself, or too often, as one row every so often.

The row of time b, a multiple of `every`, holds what has times from b - every up to b, without b: at
b it is known. A channel of which nothing came is missing; where nothing came at all, there is no
row.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

How = Literal["last", "first", "mean", "min", "max", "sum"]

_HOW: dict[str, Callable[[Sequence[float]], float]] = {
    "last": lambda values: values[-1],
    "first": lambda values: values[0],
    "mean": lambda values: math.fsum(values) / len(values),
    "min": min,
    "max": max,
    "sum": math.fsum,
}
HOWS = tuple(_HOW)


def row_time(t: float, every: float) -> float:
    """The time of the row that a sample of time t is in.

    >>> row_time(119.9, 60.0), row_time(120.0, 60.0), row_time(-1.0, 60.0), row_time(7.5, 0.0)
    (120.0, 180.0, 0.0, 7.5)
    """
    return (math.floor(t / every) + 1) * every if every else t


def joined(samples: Sequence[Sequence[float]], how: How) -> list[float]:
    """The row of some samples, in order of time.

    >>> joined([[20.0, math.nan], [22.0, math.nan], [math.nan, 3.0]], "mean")
    [21.0, 3.0]
    """
    columns = np.array(samples).T
    values = [column[~np.isnan(column)].tolist() for column in columns]
    return [_HOW[how](column) if column else math.nan for column in values]
