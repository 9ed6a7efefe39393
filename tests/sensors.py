"""Synthetic streams on which nothing happens: plain processes, and sensors of many kinds.

A sensor is a function (T, interval in seconds, random) -> (T,). Days begin at midnight, weeks on
Monday; units are those of the usual sensor.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Random = np.random.Generator


def autoregression(T: int, phi: float = 0.9, seed: int = 0) -> Array:
    noise = np.random.default_rng(seed).normal(size=T)
    x = np.zeros(T)
    for t in range(1, T):
        x[t] = phi * x[t - 1] + noise[t]
    return x


def daily(T: int) -> Array:
    """A day of 96 rows, quieter on two days of seven, with slow noise; and what drives it."""
    t = np.arange(T)
    drive = np.sin(2 * np.pi * t / 96)
    week = np.where(t // 96 % 7 < 5, 1.0, 0.5)
    noise = np.random.default_rng(3).normal(size=T)
    return np.stack([50 + 10 * week * drive + autoregression(T, 0.95, 4), drive + 0.1 * noise], 1)


def wave(T: int) -> Array:
    random = np.random.default_rng(2)
    return 50 + 10 * np.sin(np.arange(T) / 8) + 0.5 * random.normal(size=T)


def bursts(T: int) -> Array:
    return np.convolve(np.random.default_rng(1).exponential(size=T) ** 3, [1, 2, 1])[:T]


PLAIN: dict[str, Callable[[int], Array]] = {
    "daily": lambda T: daily(T)[:, 0],
    "autoregression": autoregression,
    "wave": wave,
    "noise": lambda T: np.random.default_rng(1).normal(size=T),
    "heavy tails": lambda T: np.random.default_rng(1).standard_t(4, size=T),
    "bursts": bursts,
    "walk": lambda T: np.cumsum(np.random.default_rng(1).normal(size=T)),
}


def fading(pushes: Array, hours: float, interval: float) -> Array:
    """Each push fades to 1 / e within so many hours."""
    keep = np.exp(-interval / 3600 / hours)
    x, now = np.empty(len(pushes)), 0.0
    for t, push in enumerate(pushes.tolist()):
        x[t] = now = keep * now + push
    return x


def wander(T: int, hours: float, interval: float, random: Random) -> Array:
    """Noise of standard deviation 1 that forgets within so many hours."""
    keep = np.exp(-interval / 3600 / hours)
    return fading(np.sqrt(1 - keep**2) * random.normal(size=T), hours, interval)


def hour(T: int, interval: float) -> Array:
    return np.arange(T) * interval / 3600 % 24


def workday(T: int, interval: float) -> NDArray[np.bool_]:
    return np.arange(T) * interval // 86400 % 7 < 5


def sine(T: int, interval: float, peak: float) -> Array:
    """A day, highest at the hour `peak`."""
    return np.cos(2 * np.pi * (hour(T, interval) - peak) / 24)


def temperature(T: int, interval: float, random: Random) -> Array:
    slow, quick = wander(T, 48, interval, random), wander(T, 0.5, interval, random)
    x = 20 + 3 * sine(T, interval, 15) + 1.5 * slow + 0.2 * quick
    return np.round(x + 0.05 * random.normal(size=T), 2)


def traffic(T: int, interval: float, random: Random) -> Array:
    h, busy = hour(T, interval), np.where(workday(T, interval), 1, 0.3)
    rush = np.exp(-(((h - 8) / 1.5) ** 2)) + np.exp(-(((h - 17.5) / 2) ** 2))
    rate = 0.15 + busy * rush + 0.4 * np.exp(-(((h - 13) / 4) ** 2))
    rate *= np.exp(0.2 * wander(T, 1, interval, random))
    return random.poisson(12 * rate * max(interval, 30) / 60 + 0.2).astype(float)


def electricity(T: int, interval: float, random: Random) -> Array:
    day = sine(T, interval, 15) + 0.4 * np.sin(4 * np.pi * (hour(T, interval) - 7) / 24)
    slow, quick = wander(T, 60, interval, random), wander(T, 0.3, interval, random)
    x = 1000 + np.where(workday(T, interval), 250, 160) * day + 60 * slow + 10 * quick
    return x + 5 * random.normal(size=T)


def server(T: int, interval: float, random: Random) -> Array:
    jobs = (random.random(T) < 0.01) * random.gamma(3, 5, T)
    x = 25 + 8 * sine(T, interval, 15) + 3 * wander(T, 0.2, interval, random)
    x += 3 * random.normal(size=T) + np.convolve(jobs, [1, 0.6, 0.3])[:T]
    return np.clip(np.round(x, 2), 0, 100)


def humidity(T: int, interval: float, random: Random) -> Array:
    slow, quick = wander(T, 30, interval, random), wander(T, 0.5, interval, random)
    return np.clip(np.round(65 - 15 * sine(T, interval, 15) + 12 * slow + quick, 1), 5, 100)


def wind(T: int, interval: float, random: Random) -> Array:
    gusts = 1 + 0.2 * wander(T, 0.05, interval, random)
    x = 5 * np.exp(0.5 * wander(T, 10, interval, random)) * gusts
    return np.round(np.abs(x + 0.3 * random.normal(size=T)), 1)


def pressure(T: int, interval: float, random: Random) -> Array:
    return np.round(1013 + 8 * wander(T, 60, interval, random) + 0.03 * random.normal(size=T), 2)


def flow(T: int, interval: float, random: Random) -> Array:
    """Water that is drawn now and then."""
    drawn = (random.random(T) < interval / 21600) * random.gamma(3, 1, T)
    return np.round(2 + fading(drawn, 5, interval) + 0.05 * random.normal(size=T), 3)


def air(T: int, interval: float, random: Random) -> Array:
    """Fine dust, with two rush hours."""
    slow, quick = wander(T, 20, interval, random), wander(T, 0.3, interval, random)
    rush = 0.3 * np.sin(2 * np.pi * (hour(T, interval) - 7) / 12)
    x = 0.5 * slow + rush + 0.1 * quick + 0.05 * random.normal(size=T)
    return np.round(12 * np.exp(x), 1)


Sensor = Callable[[int, float, Random], Array]
SENSORS: dict[str, Sensor] = {
    "temperature": temperature,
    "traffic": traffic,
    "electricity": electricity,
    "server": server,
    "humidity": humidity,
    "wind": wind,
    "pressure": pressure,
    "flow": flow,
    "air": air,
}
CYCLIC = ("daily", "wave", "temperature", "traffic", "electricity", "server", "humidity")
