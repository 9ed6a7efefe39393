"""Slow, obvious second implementations of forecaster and running error.

They keep every row they have seen and index it by time, where the kernels keep rings; the constants
are the kernels' own.
"""

import math
from datetime import UTC, datetime

import numpy as np

from streamrnn import forecast as settings
from streamrnn.kernels import calendar as D
from streamrnn.kernels import channels as U
from streamrnn.kernels import cycle as Y
from streamrnn.kernels import error as E
from streamrnn.kernels import forecast as K
from streamrnn.kernels import interval as I
from streamrnn.kernels import mix as X
from streamrnn.kernels import rtrl as R


def usable(x):
    return math.isfinite(x) and abs(x) <= U.HUGE


def clip(x, limit):
    return float(np.clip(x, -limit, limit))


def running_size(mean, size, n, rate):
    if mean == 0:
        return size
    if n * rate < 1:
        return mean ** (1 - 1 / n) * size ** (1 / n)
    return (1 - rate) * mean + rate * min(size, U.OUTLIER * mean)


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
        self.size = running_size(self.size, abs(self.change), self.n, U.SLOW)
        away = x - self.mean
        if away != 0:
            self.spread = running_size(self.spread, abs(away), self.n, U.SLOW)
        self.mean += max(1 / self.n, U.SLOW) * clip(away, U.OUTLIER * self.spread)
        ratio = abs(self.change) / self.size
        self.strange = self.strange + 1 if ratio < 1 / U.APART or ratio > U.APART else 0
        if self.strange == U.STRANGERS or self.spread > U.APART * self.size:
            self.n, self.strange, self.mean = 1, 0, x
            self.spread = self.size = abs(self.change)

    def features(self):
        level = (self.x - self.mean) / max(self.spread, U.TINY)
        return [clip(level, K.CLIP), clip(self.change / max(self.size, U.TINY), K.CLIP)]


def at_most(size, factor, limit):
    return min(factor, limit / size)


class Cycle:
    """The period of a stream, by looking at every period again in every row."""

    def __init__(self):
        self.values, self.away = [], {}
        self.day = self.period = 0
        self.usual = self.week = self.week_rows = self.naive = 0

    def observe(self, y, unit):
        self.values.append(y)
        v, rows = self.values, len(self.values)
        if rows <= Y.SPAN + Y.FIRST:
            return

        def change(ago):
            return v[rows - 1 - ago] - v[rows - 1 - ago - Y.SPAN]

        def distance(p):
            return min(abs(change(0) - change(p)) / unit, Y.DEVIANT)

        slow, n = Y.RATE / Y.TURNS, rows - Y.SPAN - Y.FIRST
        size = min(abs(change(0)) / unit, Y.DEVIANT)
        self.usual += max(1 / n, slow) * (size - self.usual)
        for p in range(Y.FIRST, min(Y.LAST, rows - Y.SPAN - 1) + 1):
            if (p - Y.FIRST) % Y.TURNS == rows % Y.TURNS:
                rate = max(Y.RATE, Y.TURNS / (rows - Y.SPAN - p + Y.TURNS - 1))
                self.away[p] = self.away.get(p, 0) + rate * (distance(p) - self.away.get(p, 0))
        if self.day and 7 * self.day + Y.SPAN < min(Y.RING, rows):
            self.week_rows += 1
            rate = max(1 / self.week_rows, slow)
            self.week += rate * (distance(7 * self.day) - self.week)
        if 0 < self.period < rows:
            size = abs(y - v[rows - 1 - self.period])
            self.naive = running_size(self.naive, size, 1 / Y.NAIVE_RATE, Y.NAIVE_RATE)
        if rows % Y.LOOK == 0:
            before = self.period
            self.choose(rows)
            if self.period != before:
                self.naive = 0

    def choose(self, rows):
        found, least, away = 0, math.inf, self.away
        for p in range(Y.FIRST + 1, Y.LAST):
            known = rows - Y.SPAN - p
            if known < max(Y.LOOK, min(p, Y.SURE)):
                break
            if away[p] <= min(away[p - 1], away.get(p + 1, 0)) and away[p] < Y.SHORTER * least:
                found, least = p, away[p]
        if found and found != self.day and least < self.usual:
            if not self.day or least < Y.BETTER * away[self.day]:
                self.day, self.week, self.week_rows = found, 0, 0
        elif self.day and away[self.day] > Y.LOST * self.usual:
            self.day = self.week = self.week_rows = 0
        self.period = self.day
        if self.day and self.week_rows >= min(7 * self.day, Y.SURE):
            if self.week < Y.SHORTER * away[self.day]:
                self.period = 7 * self.day

    def features(self, H, unit):
        p, v = self.period, self.values
        now, turns = len(v) - 1, []
        for turn in range(1, Y.CYCLES + 1):
            if p and turn * p < min(Y.RING, len(v)):
                then = now - turn * p
                knots = [1, max(1, H // 4), max(1, H // 2), H]
                after = [v[then + 1 + (knot - 1) % p] - v[then] for knot in knots]
                turns.append([*after, v[now] - v[then]])
        mean = np.mean(turns, axis=0) / unit if turns else np.zeros(Y.KNOTS + 1)
        return np.clip(mean, -8, 8)


class Mixture:
    """The members' weights at one horizon."""

    def __init__(self, D):
        self.a = np.array([X.SHARE] * (D - 1) + [0.0])
        self.P = X.VARIANCE * np.eye(D)

    def differences(self, said, miss):
        return np.clip(np.append(said[1:], 0.0) - said[0], -X.APART * miss, X.APART * miss)

    def learn(self, said, change, miss):
        """change None: nothing was said; the weights become less sure, within their limit."""
        f, wrong = np.zeros(len(self.a)), 0.0
        if change is not None and miss > 0:
            f = self.differences(said, miss) / miss
            wrong = clip((change - said[0]) / miss - self.a @ f, X.HUBER)
        k = self.P @ f / (X.FORGETTING + f @ self.P @ f)
        self.a = self.a + k * wrong
        self.P = self.P - np.outer(k, f @ self.P)
        self.P *= at_most(np.trace(self.P), 1 / X.FORGETTING, X.VARIANCE * len(f))

    def forecast(self, said, miss):
        return said[0] + self.a @ self.differences(said, miss)


class Member:
    """Least squares on some of the features."""

    def __init__(self, which, forgetting, H):
        self.which, self.forgetting = which, forgetting
        d = which.stop - which.start
        self.P, self.W = K.PRIOR * np.eye(d), np.zeros((d, H))

    def gain(self, f):
        f = f[self.which]
        k = self.P @ f / (self.forgetting + f @ self.P @ f)
        self.P = self.P - np.outer(k, f @ self.P)
        self.P *= at_most(np.trace(self.P), 1 / self.forgetting, K.TRACE_LIMIT)
        return k

    def say(self, f):
        return f[self.which] @ self.W


class Width:
    """How wide the interval at horizon h is."""

    def __init__(self, h):
        self.h, self.size, self.w = h, 0.0, np.array([0, 0, I.HALF])
        self.out, self.low, self.high = 2 * I.OUTSIDE, -I.WIDE, I.WIDE

    def scale(self, x):
        return self.size * np.clip(1 + self.w @ x, I.SMALLEST, I.LARGEST)

    def bounds(self, scale):
        stray = self.out - 2 * I.OUTSIDE
        excess = np.sign(stray) * max(abs(stray) - I.STRAY, 0)
        return np.array([self.low, self.high]) * scale * (1 + I.GIVE * excess)

    def learn(self, n, error, scale, x):
        if scale > 0:
            low, high = self.bounds(scale)
            self.out += I.LAST * ((not low <= error <= high) - self.out)
            step = I.RATE + 0.5 / n
            below, above = error < self.low * scale, error > self.high * scale
            out = step * max(-self.low, I.NEAR) * (0.95 if below else -0.05)
            self.low = np.clip(self.low - out, -I.WIDEST, 0)
            out = step * max(self.high, I.NEAR) * (0.95 if above else -0.05)
            self.high = np.clip(self.high + out, 0, I.WIDEST)
            rate = max(I.LEARNING / math.sqrt(self.h), 1 / (n + 20))
            surprise = min(abs(error) / scale - 1, I.SURPRISE)
            self.w = np.clip(self.w + rate * surprise * x / (1 + x @ x), -I.WEIGHT, I.WEIGHT)

    def follow(self, n, size, miss):
        if self.size == 0:
            self.size = size
        else:
            rate = max(I.SLOW, 1 / n)
            usual = (1 - rate) * self.size + rate * min(size, I.OUTLIER * self.size)
            self.size = min(usual, I.OUTLIER * miss)


class Calendar:
    """What usually changes by the time of the day; rows come steadily, or without times."""

    def __init__(self, H):
        self.usual, self.w, self.P = {}, np.zeros(H), np.full(H, D.VARIANCE)

    @staticmethod
    def part(t):
        date = datetime.fromtimestamp(t, UTC)
        seconds = 3600 * date.hour + 60 * date.minute + date.second + date.microsecond / 1e6
        return date.weekday() >= 5, int(seconds * D.PARTS / D.DAY)

    def observe(self, t, interval, change):
        mean, n = self.usual.get(part := self.part(t - interval / 2), (0.0, 0))
        rate = max(min(interval * D.PARTS / D.DAY, 1) / D.DAYS, 1 / (n + 1))
        self.usual[part] = mean + rate * (change - mean), n + 1

    def beyond(self, t, interval, said, miss):
        """What it says beyond the others, who say `said`, (H,)."""
        parts = [self.part(t + (i + 0.5) * interval) for i in range(len(said))]
        found = np.zeros(len(said))
        for i in range(len(said)):
            if all(part in self.usual for part in parts[: i + 1]):
                usual = sum(self.usual[part][0] for part in parts[: i + 1])
                found[i] = clip(usual - said[i], D.APART * miss[i])
        return found

    def learn(self, i, beyond, missed, miss):
        """The others missed the change at horizon i + 1 by `missed`."""
        x, error = beyond / miss, clip((missed - self.w[i] * beyond) / miss, D.HUBER)
        k = self.P[i] * x / (D.FORGETTING + x * self.P[i] * x)
        self.w[i] = np.clip(self.w[i] + k * error, 0, 1)
        self.P[i] = min((1 - k * x) * self.P[i] / D.FORGETTING, D.VARIANCE)


class Waves:
    """The recurrences: what they make of the drive, and how that follows v and u."""

    def __init__(self):
        periods = np.array(settings.PERIODS)
        self.v, self.u = -np.log(settings.LASTING * periods), np.log(2 * np.pi / periods)
        self.h, self.by_v, self.by_u = np.zeros((3, len(periods)), complex)
        self.squares = np.zeros((2, len(periods)))

    @property
    def poles(self):
        return np.exp(-np.exp(self.v) + 1j * np.exp(self.u))

    def advance(self, drive):
        poles, gain = self.poles, 2 * (1 - abs(self.poles))
        turned = poles * self.h
        self.by_v = poles * self.by_v - np.exp(self.v) * turned
        self.by_v += 2 * np.exp(self.v) * abs(poles) * drive
        self.by_u = poles * self.by_u + 1j * np.exp(self.u) * turned
        self.h = turned + gain * drive

    def learn(self, gradients):
        """gradients (2, R), of less error by v and by u."""
        self.squares += R.SLOW * (gradients**2 - self.squares)
        with np.errstate(invalid="ignore"):  # 0 / 0: nothing learned so far
            moves = R.RATE * np.nan_to_num(np.clip(gradients / np.sqrt(self.squares), -1, 1))
        bounds = np.array([R.LOWEST, R.HIGHEST])[..., None]
        self.v, self.u = np.clip([self.v, self.u] + moves, *bounds)


class Forecaster:
    def __init__(self, channels=1, target=0, horizon=12, *, rtrl=False):
        self.target, self.H = target, horizon
        self.channels = [Channel() for _ in range(channels)]
        self.changes = []  # of the target, oldest first
        self.rtrl, self.waves = rtrl, Waves()
        self.others = min(channels - 1, settings.OTHERS)
        self.lags = settings.LAGS - 2 * self.others
        self.cycle = Cycle()
        self.rows = []  # of each row: y or None, unit, f, gains, said (M, H), forecast (3, H)
        self.begin()

    def begin(self):
        for row in self.rows:
            row["y"] = None
        B, H = self.others, self.H
        late = 2 * len(settings.PERIODS) + self.lags - 6 + B
        level = late + 6 + 5 + 2
        parts = [(0, level + B), (late, level + B + 7), (late + 1, level), (late + 1, level)]
        self.members = [
            Member(slice(*part), forgetting, H)
            for part, forgetting in zip(parts, K.FORGETTING, strict=True)
        ]
        self.mixtures = [Mixture(len(parts)) for _ in range(H)]
        self.miss, self.stayed = np.zeros(H), np.zeros(H)
        self.widths = [Width(h) for h in range(1, H + 1)]
        self.calendar = Calendar(H)

    def step(self, row, t=None, interval=None):
        """t: the time of the row; interval: what is known of it from the rows before, None: none"""
        y, channel = row[self.target], self.channels[self.target]
        known = channel.n > 0
        if usable(y) and known:
            if self.rtrl:
                self.learn_waves(y)
            for h in range(1, self.H + 1):
                self.learn(y, h)
        for c, x in zip(self.channels, row, strict=True):
            c.change = 0.0
            if usable(x):
                c.observe(x)
        if not usable(y) and known:
            expected = self.rows[-1]["forecast"][0, 0]
            channel.change, channel.x = expected - channel.x, expected
        self.changes.append(channel.change)
        unit = max(channel.size, U.TINY)
        if usable(y) or known:
            self.cycle.observe(channel.x, unit)
        f = self.features(unit)
        if usable(y) and channel.n == 1:
            self.begin()
        gains = [np.zeros(len(member.W)) for member in self.members]
        if usable(y) and channel.n > K.START:
            gains = [member.gain(f) for member in self.members]
        bound = K.CLIP * (channel.spread + channel.size)
        said = np.clip([unit * member.say(f) for member in self.members], -bound, bound)
        kept = {}
        if usable(y):
            timed = interval is not None and interval <= D.LONGEST
            if timed and self.rows and usable(self.rows[-1]["value"]):
                limit = D.OUTLIER * (channel.spread + channel.size)
                self.calendar.observe(t, interval, clip(channel.change, limit))
            forecast, kept = self.forecast(y, f, said, bound, (t, interval, timed))
        elif known:
            last = self.rows[-1]["forecast"]
            forecast = np.concatenate([last[:, 1:], last[:, -1:]], axis=1)
        else:
            forecast = np.full((3, self.H), np.nan)
        origin = y if usable(y) else None
        self.rows.append(
            {
                "y": origin,
                "value": y,
                "unit": unit,
                "f": f,
                "k": gains,
                "said": said,
                "forecast": forecast,
            }
            | {"by": (self.waves.by_v, self.waves.by_u)}
            | kept
        )
        return forecast

    def learn_waves(self, y):
        """Down the gradient of the full member's squared errors, before its weights learn."""
        member, n = self.members[0], len(settings.PERIODS)
        gradients = np.zeros((2, n))
        for i in range(min(self.H, len(self.rows))):
            then = self.rows[-1 - i]
            if then["y"] is None or self.miss[i] == 0:
                continue
            missed = y - then["y"] - then["unit"] * member.say(then["f"])[i]
            error = clip(clip(missed, K.HUBER * self.miss[i]) / then["unit"], 100)
            re, im = member.W[:n, i], member.W[n : 2 * n, i]
            gradients += error * np.array([re * by.real + im * by.imag for by in then["by"]])
        self.waves.learn(gradients)

    def learn(self, y, h):
        """y is the label, h rows ahead, of the row h rows ago."""
        i = h - 1
        then = self.rows[-h] if len(self.rows) >= h else None
        if then is None or then["y"] is None:
            self.mixtures[i].learn(None, None, 0)
            return
        channel = self.channels[self.target]
        n, change, error = max(channel.n - i, 1), y - then["y"], y - then["forecast"][0, i]
        said = self.changing(then["forecast"][0, i] - then["y"], i)
        x = np.array([then["level"], said, then["recent"]])
        self.widths[i].learn(channel.n, error, then["scales"][i], x)
        size = max(abs(error), 1e-3 * channel.size)
        if size > 0:
            self.miss[i] = running_size(self.miss[i], size, n, K.FAST)
            self.widths[i].follow(n, size, self.miss[i])
        if change != 0:
            self.stayed[i] = running_size(self.stayed[i], abs(change), n, K.FAST)
        self.mixtures[i].learn(then["said"][:, i], change, self.miss[i])
        if self.miss[i] == 0:
            return
        if then["beyond"][i]:
            missed = change - then["mixed"][i]
            self.calendar.learn(i, then["beyond"][i], missed, self.miss[i])
        for member, k in zip(self.members, then["k"], strict=True):
            learned = then["unit"] * member.say(then["f"])[i]
            error = clip(change - learned, K.HUBER * self.miss[i]) / then["unit"]
            member.W[:, i] += k * clip(error, 100)

    def learn_late(self, y, ago):
        """The target of the row `ago` before the newest, missing then, was y."""
        row = self.rows[-1 - ago]
        if row["y"] is not None or "late" in row:
            return False
        row["late"] = y
        for h in range(1, self.H - ago):
            then = self.rows[-1 - ago - h] if len(self.rows) > ago + h else None
            if then is None or then["y"] is None or self.miss[h - 1] == 0:
                continue
            for member, k in zip(self.members, then["k"], strict=True):
                learned = then["unit"] * member.say(then["f"])[h - 1]
                error = clip(y - then["y"] - learned, K.HUBER * self.miss[h - 1]) / then["unit"]
                member.W[:, h - 1] += k * clip(error, 100)
        return True

    def features(self, unit):
        pairs = [c.features() for c in self.channels]
        own = pairs.pop(self.target)[0]
        self.waves.advance(own)
        recent = [0.0] * self.lags + self.changes
        lags = np.array([clip(recent[-1 - a] / unit, K.CLIP) for a in range(self.lags)])
        levels, changes = np.zeros(self.others), np.zeros(self.others)
        for b in range(self.others):  # channels that share a feature are averaged
            level, change = np.transpose(pairs[b :: self.others])
            share = math.sqrt(math.ceil(len(pairs) / self.others))
            levels[b], changes[b] = sum(level) / share, sum(change) / share
        curves = [*(abs(lags[:4]) - 1), *np.clip(own * lags[:2], -8, 8), min(own * own, 8)]
        return np.concatenate(
            [
                *(self.waves.h.real, self.waves.h.imag, lags[6:], changes, lags[5::-1]),
                *(self.cycle.features(self.H, unit), [1.0, own], levels, curves),
            ]
        )

    def changing(self, change, i):
        """The size of a change that is forecast, beside what changes usually."""
        return min(abs(change) / max(self.stayed[i], U.TINY), I.MANY) - 0.5

    def forecast(self, y, f, said, bound, when):
        """Mean, lower, upper (3, H), and what widths and calendar are told and say."""
        channel, level = self.channels[self.target], f[self.members[-1].which.stop - 1]
        usual = sum(width.size for width in self.widths)
        recent = min(self.miss.sum() / usual, I.MANY) - 1 if usual else 0.0
        forecast, scales, beyond = np.zeros((3, self.H)), np.zeros(self.H), np.zeros(self.H)
        mixed = np.array(
            [m.forecast(said[:, i], self.miss[i]) for i, m in enumerate(self.mixtures)]
        )
        t, interval, timed = when
        if timed:
            beyond = self.calendar.beyond(t, interval, mixed, self.miss)
        for i, width in enumerate(self.widths):
            change = clip(mixed[i] + self.calendar.w[i] * beyond[i], bound)
            scales[i] = width.scale(np.array([level, self.changing(change, i), recent]))
            low, high = width.bounds(scales[i])
            if scales[i] == 0:
                low, high = np.array([-1, 1]) * I.WIDE * channel.size * math.sqrt(i + 1)
            forecast[:, i] = y + change + np.array([0, low, high])
        widths = {"level": level, "recent": recent, "scales": scales}
        return forecast, widths | {"mixed": mixed, "beyond": beyond}


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
