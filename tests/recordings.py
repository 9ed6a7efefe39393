"""Recordings of the package and of the tests, and what plain least squares on lags makes of them.

Their origins and licences are in SOURCES.md beside them.
"""

import csv
from collections import deque
from pathlib import Path

import numpy as np

import streamrnn

DEMOS = Path(streamrnn.__file__).parent / "demos" / "data"
TESTS = Path(__file__).parent / "data"


def recording(path, first):
    """All columns of numbers, the one named `first` first; a gap is filled with the last value."""
    with path.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    names = [first, *(name for name in rows[0] if name not in (first, "time_hour", "timestamp"))]
    X = np.array([[float(row[name] or "nan") for name in names] for row in rows])
    for t in range(1, len(X)):
        X[t] = np.where(np.isnan(X[t]), X[t - 1], X[t])
    return X


def weather(target):
    """A year of a weather station, every hour, 8 channels."""
    return recording(DEMOS / "weather_ewr_2013.csv", target)


def office():
    """The temperature of an office, every hour."""
    return recording(DEMOS / "ambient_temperature.csv", "value")


def road():
    """How much of the time a road loop is occupied, every 5 minutes."""
    return recording(TESTS / "occupancy_6005.csv", "value")


def server():
    """The CPU use of a server, every 5 minutes."""
    return recording(TESTS / "ec2_cpu_utilization_5f5533.csv", "value")


class LagRLS:
    """Least squares on 24 lags for one horizon, as one would write it without much thought."""

    def __init__(self, channels, ahead, lags=24, forgetting=0.9995):
        self.P = 10 * np.eye(lags + channels)
        self.w = np.zeros(lags + channels)
        self.forgetting, self.ahead = forgetting, ahead
        self.mean, self.square, self.n = np.zeros(channels), np.zeros(channels), 0
        self.lags, self.waiting = None, deque()

    def step(self, row):
        self.n += 1
        away = row - self.mean
        self.mean = self.mean + away / self.n
        self.square = self.square + away * (row - self.mean)
        deviation = np.sqrt(self.square / self.n) + 1e-6
        if len(self.waiting) == self.ahead:
            f, y = self.waiting.popleft()
            k = self.P @ f / (self.forgetting + f @ self.P @ f)
            self.w += k * ((row[0] - y) / deviation[0] - self.w @ f)
            self.P = (self.P - np.outer(k, f @ self.P)) / self.forgetting
            self.P *= min(1, 1e5 / np.trace(self.P))
        lags = self.lags = np.r_[row[0], row[0].repeat(23) if self.lags is None else self.lags[:-1]]
        changes, levels = (lags[1:] - row[0]) / deviation[0], (row - self.mean) / deviation
        f = np.r_[np.clip(changes, -8, 8), np.clip(levels, -8, 8), 1.0]
        self.waiting.append((f, row[0]))
        return row[0] + deviation[0] * np.clip(self.w @ f, -8, 8)


def lag_ratio(X, ahead):
    """Error of LagRLS beside persistence's."""
    reference = LagRLS(X.shape[1], ahead)
    mean = np.array([reference.step(row) for row in X])[100:-ahead]
    y, now = X[100 + ahead :, 0], X[100:-ahead, 0]
    return abs(mean - y).mean() / abs(now - y).mean()
