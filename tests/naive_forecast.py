"""Slow, obvious second implementations of forecaster, detector and running error.

They keep every row they have seen and index it by time, where the kernels keep rings; the constants
are the kernels' own.
"""

import math

import numpy as np

from streamrnn import forecast as settings
from streamrnn.kernels import detect as D
from streamrnn.kernels import error as E
from streamrnn.kernels import forecast as K


def usable(x):
    return math.isfinite(x) and abs(x) <= K.HUGE


def clip(x, limit):
    return float(np.clip(x, -limit, limit))


def running_size(mean, size, n, rate):
    if mean == 0:
        return size
    if n * rate < 1:
        return mean ** (1 - 1 / n) * size ** (1 / n)
    return (1 - rate) * mean + rate * min(size, K.OUTLIER * mean)


class Channel:
    def __init__(self):
        self.n = self.strange = 0
        self.x = self.change = self.mean = self.spread = self.size = 0.0

    def observe(self, x):
        self.n += 1
        if self.n == 1:
            self.x = self.mean = x
            return
        self.change, self.x = x - self.x, x
        if abs(self.change) <= 1e-12 * abs(x):
            return
        self.size = running_size(self.size, abs(self.change), self.n, K.SLOW)
        away = x - self.mean
        if away != 0:
            self.spread = running_size(self.spread, abs(away), self.n, K.SLOW)
        self.mean += max(1 / self.n, K.SLOW) * clip(away, K.OUTLIER * self.spread)
        ratio = abs(self.change) / self.size
        self.strange = self.strange + 1 if ratio < 1 / K.APART or ratio > K.APART else 0
        if self.strange == K.STRANGERS or self.spread > K.APART * self.size:
            self.n, self.strange, self.mean = 1, 0, x
            self.spread = self.size = abs(self.change)

    def features(self):
        level = (self.x - self.mean) / max(self.spread, K.TINY)
        return [clip(level, K.CLIP), clip(self.change / max(self.size, K.TINY), K.CLIP)]


class Forecaster:
    def __init__(self, channels=1, target=0, horizon=12):
        self.target, self.H = target, horizon
        self.channels = [Channel() for _ in range(channels)]
        self.changes = []  # of the target, oldest first
        periods = np.array(settings.PERIODS)
        self.poles = np.exp((-1 / settings.LASTING + 2j * np.pi) / periods)
        self.waves = np.zeros(len(periods), complex)
        self.d = 2 * len(periods) + settings.LAGS + 2 * channels
        self.rows = []  # of each row: y or None, unit, f, k, forecast (3, H)
        self.begin()

    def begin(self):
        for row in self.rows:
            row["y"] = None
        self.P, self.W = K.PRIOR * np.eye(self.d), np.zeros((self.d, self.H))
        self.miss, self.trust = np.zeros(self.H), np.zeros(self.H)
        self.tail = np.full((2, self.H), [[-K.WIDE], [K.WIDE]])

    def step(self, row):
        y, channel = row[self.target], self.channels[self.target]
        known = channel.n > 0
        if usable(y) and known:
            for h in range(1, self.H + 1):
                self.learn(y, h)
        for c, x in zip(self.channels, row, strict=True):
            c.change = 0.0
            if usable(x):
                c.observe(x)
        if usable(y) and channel.n == 1:
            self.begin()
        if not usable(y) and known:
            expected = self.rows[-1]["forecast"][0, 0]
            channel.change, channel.x = expected - channel.x, expected
        self.changes.append(channel.change)
        f, k = self.features(), np.zeros(len(self.W))
        if usable(y) and channel.n > K.START:
            k = self.gain(f)
        unit = max(channel.size, K.TINY)
        if usable(y):
            forecast = self.forecast(y, f, unit)
        elif known:
            last = self.rows[-1]["forecast"]
            forecast = np.concatenate([last[:, 1:], last[:, -1:]], axis=1)
        else:
            forecast = np.full((3, self.H), np.nan)
        origin = y if usable(y) else None
        self.rows.append({"y": origin, "unit": unit, "f": f, "k": k, "forecast": forecast})
        return forecast

    def learn(self, y, h):
        """y is the label, h rows ahead, of the row h rows ago."""
        if len(self.rows) < h or self.rows[-h]["y"] is None:
            return
        then, channel, i = self.rows[-h], self.channels[self.target], h - 1
        mean, lower, upper = then["forecast"][:, i]
        self.tail[0, i] += K.TAIL_RATE * (-0.95 if y < lower else 0.05)
        self.tail[1, i] += K.TAIL_RATE * (0.95 if y > upper else -0.05)
        self.tail[:, i] = np.clip(self.tail[:, i], [-K.WIDEST, 0], [0, K.WIDEST])
        size = max(abs(y - mean), 1e-3 * channel.size)
        if size > 0:
            n = max(channel.n - i, 1)
            self.miss[i] = running_size(self.miss[i], size, n, K.FAST)
        if self.miss[i] == 0:
            return
        change = y - then["y"]
        learned = then["unit"] * (self.W[:, i] @ then["f"])
        rate = max(K.TRUST_RATE, K.TRUST_START / channel.n)
        sign = 1 if change > self.trust[i] * learned else -1
        trust = self.trust[i] + rate * sign * clip(learned / self.miss[i], 2)
        self.trust[i] = np.clip(trust, 0, 1)
        error = clip(clip(change - learned, K.HUBER * self.miss[i]) / then["unit"], 100)
        self.W[:, i] += then["k"] * error

    def features(self):
        pairs = [c.features() for c in self.channels]
        drive = pairs[self.target][0]
        self.waves = self.poles * self.waves + 2 * (1 - abs(self.poles)) * drive
        recent = [0.0] * settings.LAGS + self.changes
        unit = max(self.channels[self.target].size, K.TINY)
        lags = [clip(recent[-1 - a] / unit, K.CLIP) for a in range(settings.LAGS)]
        pairs[self.target][1] = 1.0
        return np.concatenate([self.waves.real, self.waves.imag, lags, *pairs])

    def gain(self, f):
        k = self.P @ f / (K.FORGETTING + f @ self.P @ f)
        self.P = (self.P - np.outer(k, f @ self.P)) / K.FORGETTING
        self.P *= min(1, K.TRACE_LIMIT / np.trace(self.P))
        return k

    def forecast(self, y, f, unit):
        channel = self.channels[self.target]
        forecast = np.zeros((3, self.H))
        for i in range(self.H):
            change = self.trust[i] * unit * (self.W[:, i] @ f)
            mean = y + clip(change, K.CLIP * (channel.spread + channel.size))
            width = self.miss[i] or channel.size * math.sqrt(i + 1)
            forecast[:, i] = mean + width * np.array([0, self.tail[0, i], self.tail[1, i]])
        return forecast


class Detector:
    def __init__(self, channels=1, target=0, horizon=12):
        self.forecaster, self.target = Forecaster(channels, target, horizon), target
        self.low = self.high = None
        self.smooth = self.mean = self.variance = 0.0
        self.tail, self.peak, self.event, self.t = D.TAIL_AT_FIRST, 0.0, 0, 0
        self.run = self.longest = 0

    def step(self, row):
        """(score, alarm, reason code, forecast (3, H))."""
        y = row[self.target]
        verdict = self.judge(y) if usable(y) else (0.0, False, 0)
        return *verdict, self.forecaster.step(row)

    def judge(self, y):
        self.t += 1
        forecaster, channel = self.forecaster, self.forecaster.channels[self.target]
        if self.t == 1:
            self.low = self.high = y
            return 0.0, False, 0
        n, miss = self.t - 1, forecaster.miss[0]
        expected = forecaster.rows[-1]["forecast"][0, 0]
        error = min(abs(y - expected) / miss, D.WORST) if miss > 0 else 0.0
        strengths = {
            D.RANGE: D.RANGE_WEIGHT * self.outside(y, channel.size),
            D.MISSED: D.TAIL_WEIGHT * self.beside_tail(error, n),
            D.KEEPS_MISSING: D.SMOOTH_WEIGHT * self.smoothed(error, n),
            D.FROZEN: 1.0 if self.frozen(y == channel.x) else 0.0,
        }
        if n < D.START:
            return 0.0, False, 0
        reason = max(strengths, key=strengths.get)  # the first of equals
        strength = min(strengths[reason], D.WORST)
        waited = max(0, self.t - self.event - D.HOLD)
        if strength <= D.CLEARLY * self.peak * D.FADE**waited:
            return 0.0, False, 0
        self.peak, self.event = strength, self.t
        return 1 - 0.5**strength, strength >= 1, reason if strength >= 1 else 0

    def outside(self, y, size):
        low, high = self.low, self.high
        width = high - low
        self.high = max(high, min(y, high + width + K.OUTLIER * size))
        self.low = min(low, max(y, low - width - K.OUTLIER * size))
        if width > D.ABSURD * size:
            self.low = self.high = y
        if low <= y <= high:
            return 0.0
        return max(y - high, low - y) / width if width > 0 else math.inf

    def smoothed(self, error, n):
        self.smooth = (1 - D.SMOOTH_RATE) * self.smooth + D.SMOOTH_RATE * error
        away, deviation = self.smooth - self.mean, math.sqrt(self.variance)
        z = away / deviation if deviation > 0 else 0.0
        if n > D.START:
            away = clip(away, K.OUTLIER * deviation)
        rate = max(1 / n, D.SLOW)
        self.mean += rate * away
        self.variance = (1 - rate) * self.variance + rate * away**2
        return z

    def beside_tail(self, error, n):
        tail = self.tail
        rate = max(D.TAIL_RATE, min(1, 10 / n))
        moved = tail * math.exp(rate * (0.99 if error > tail else -0.01))
        self.tail = float(np.clip(moved, 1, D.WORST))
        return error / tail

    def frozen(self, same):
        if not same:
            self.longest, self.run = max(self.longest, self.run), 0
            return False
        self.run += 1
        return self.run == D.FROZEN_ROWS + 4 * self.longest


def running_error(values, predictions):
    """Errors after each row: (T, 2) of the predictions and of persistence, by the definition."""
    errors, out = [], []
    last = math.nan
    for t, value in enumerate(values):
        if usable(value):
            if t and usable(last) and usable(predictions[t - 1]):
                errors.append([abs(value - predictions[t - 1]), abs(value - last)])
            last = value
        mean = np.full(2, np.nan)
        for n, pair in enumerate(errors, start=1):
            rate = max(1 / n, E.RATE)
            mean = np.array(pair) if n == 1 else mean + rate * (np.array(pair) - mean)
        out.append(mean)
    return np.array(out)
