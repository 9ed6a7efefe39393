"""Slow, obvious second implementation of the detector, over that of the forecaster.

It keeps every row it has seen and looks at all of them again where the kernels keep running
extremes; the constants are the kernels' own.
"""

import math

import numpy as np

from streamrnn.kernels import calendar as A
from streamrnn.kernels import channels as U
from streamrnn.kernels import cycle as Y
from streamrnn.kernels import detect as D
from streamrnn.kernels import watch as W
from tests.naive_forecast import Forecaster, usable


def steady(n):
    return math.log(n + 1)


def margin(kind, n):
    """c over the log of how many independent rows were above the quantile."""
    return W.MARGIN[kind] * steady(n) / W.USUAL_LOG / max(steady(n) + log_share(kind), 1)


def log_share(kind):
    return math.log(W.SHARE / W.TAU[kind])


def counts(kind, n, days):
    """How much evidence of this kind counts in row n, after so many days; None: not known."""
    late = min(1, (W.LATE_LOG / steady(n)) ** 2) if n else 1
    if days is None:
        return late * min(1, n / W.EARLY)
    c, least = W.RECORD, W.LEAST_DAYS
    if kind == W.ERROR:
        c, least = W.RECORD_ERROR, W.LEAST_DAYS_ERROR
    short = max(0, math.log(W.WEEK / max(days, least)))
    return min(late, c / (c + short)) * min(1, n / W.EARLY_DAYS)


def rate(n, slowest):
    return min(1, max(slowest, 3 / n))


class Mean:
    """A running mean of sizes, with the outliers cut."""

    def __init__(self):
        self.now = 0.0

    def add(self, size, n):
        share = max(1 / n, W.SLOW)
        if self.now == 0:
            self.now = size
        else:
            self.now = (1 - share) * self.now + share * min(size, U.OUTLIER * self.now)


class Range:
    def __init__(self, kind):
        self.kind, self.values, self.first = kind, [], 0
        self.bottom = self.top = None

    def known(self):
        """The values that count as the range by now."""
        n, B = len(self.values), int(W.BLOCK)
        until = max((n - 1) // B * B - B, min(n, W.START) - 1)
        return self.values[self.first : self.first + 1] + self.values[self.first : until + 1]

    def within(self, y, channel):
        """As much of y as counts."""
        if not self.values:
            return y
        low, high = min(self.known()), max(self.known())
        grow = high - low + U.OUTLIER * channel.size
        return min(max(y, low - grow), high + grow)

    def reach(self, y, channel, moved):
        n = len(self.values)
        if n == 0:
            self.values, self.bottom, self.top = [y], y, y
            return 0.0
        low, high = min(self.known()), max(self.known())
        width, c = high - low, margin(self.kind, n)
        least = max(W.WIDTHS[self.kind] * width, W.WANDER * moved)
        far = 0.0
        if y > high:
            far = (y - high) / max(least, c * (high - self.top))
        if y < low:
            far = (low - y) / max(least, c * (self.bottom - low))
        self.values.append(self.within(y, channel))
        if width > W.ABSURD * channel.size:
            self.first = n
        move = rate(n, W.RANGE_RATE) * max(channel.spread, 0.05 * width)
        y = self.values[-1]
        bottom = self.bottom - move * (1 - W.SHARE if y < self.bottom else -W.SHARE)
        top = self.top + move * (1 - W.SHARE if y > self.top else -W.SHARE)
        low, high = min(self.known()), max(self.known())
        self.top = min(max(top, low), high)
        self.bottom = min(max(bottom, low), self.top)
        return far if far < 1 else 1 + math.log(far)


class Tail:
    def __init__(self, kind):
        self.kind, self.q, self.most = kind, 0.0, 0.0
        self.block, self.last = [0.0], [0.0]

    def excess(self, X, n, block_ends):
        if self.q == 0:
            self.q, self.most = X, 1.5 * X
            return 0.0
        q, most = self.q, max(self.most, self.q * W.LEAST)
        reached = math.log(most / q)
        full = reached * (1 + margin(self.kind, n))
        far = math.log(X / q) / full if X > q else 0.0
        self.q = q + q * rate(n, W.QUANTILE_RATE) * (1 - W.SHARE if X > q else -W.SHARE)
        if n > W.START:
            X = min(X, q * math.exp(min(full, 5)))
        else:
            most = max(most, X)
        if X > q or block_ends:
            self.most = most
        self.block.append(X)
        if block_ends:
            self.most = max(most * (1 - min(0.5, W.FADE * W.BLOCK * reached / n)), *self.last)
            self.last, self.block = self.block, [0.0]
        return far


class Run:
    """How long something has lasted, and the longest of the times before."""

    def __init__(self):
        self.now = self.longest = 0

    def lasts(self, so):
        self.longest = self.longest if so else max(self.longest, self.now)
        self.now = self.now + 1 if so else 0
        return self.now

    def longer(self, least):
        return self.now == least + W.MORE * self.longest


class Watch:
    def __init__(self):
        self.n, self.values = 0, []
        self.ranges = [Range(kind) for kind in range(W.RANGES)]
        self.tails = {kind: Tail(kind) for kind in range(W.RANGES, W.KINDS)}
        self.X = dict.fromkeys(self.tails, 0.0)
        self.scale, self.far, self.cycle, self.moved = Mean(), Mean(), Mean(), Mean()
        self.period = self.cycle_rows = 0
        self.same, self.floor, self.gap, self.fell = Run(), Run(), Run(), False
        self.since, self.alarmed = 0, None

    def mean(self, kind, value):
        self.X[kind] = (1 - 1 / W.TAU[kind]) * self.X[kind] + value / W.TAU[kind]

    def stays(self, y):
        """How often it has come to the end of its range where it stays, 0 where it does not."""
        self.values.append(y)
        before = [None, *self.values[:-1]]
        if before[-1] != y or min(self.values) < y < max(self.values):
            return 0
        pairs = zip(before, self.values, strict=True)
        return sum(came == y and last != y for last, came in pairs)

    def weigh(self, y, staying, channel, error, miss, far, away, period, days):
        """The strengths (KINDS,) of what is odd about y; what is not known is None."""
        n, block_ends = self.n, self.n % W.BLOCK == 0
        if n == 0:
            self.fast = self.slow = self.before = y
        held = self.ranges[W.VALUE].within(y, channel)
        self.fast += (held - self.fast) / W.TAU[W.MEAN]
        self.slow += (held - self.slow) / W.TAU[W.LEVEL]
        if block_ends and n > 0:
            self.moved.add(abs(self.slow - self.before), min(n / W.BLOCK, 100))
            self.before = self.slow
        values = y, self.fast, self.slow
        strengths = [
            kept.reach(value, channel, self.moved.now)
            for kept, value in zip(self.ranges, values, strict=True)
        ]
        if error is not None and miss > 0:
            ratio = float(np.clip(error / miss, -W.WORST, W.WORST))
            self.X[W.ERROR] = abs(ratio)
            self.mean(W.SUM, ratio)
            self.mean(W.DRIFT, ratio)
            self.scale.now = self.scale.now or max(abs(error), miss)
            ratio = min(abs(error) / self.scale.now, W.WORST)
            self.mean(W.LOUD, ratio)
            if not staying:
                self.mean(W.QUIET, ratio)
                self.scale.add(abs(error), n)
        if far is not None:
            if not staying:
                self.far.add(abs(far), n)
            if self.far.now > 0:
                self.mean(W.FAR, min(abs(far) / self.far.now, W.WORST))
        if period != self.period:
            self.period, self.cycle_rows, self.cycle = period, 0, Mean()
            for kind in (W.OFF, W.APART):
                self.X[kind], self.tails[kind] = 0.0, Tail(kind)
        if away is not None:
            self.cycle_rows += 1
            if not staying:
                self.cycle.add(abs(away), self.cycle_rows)
            if self.cycle.now > 0:
                ratio = float(np.clip(away / self.cycle.now, -W.WORST, W.WORST))
                self.mean(W.OFF, ratio)
                self.mean(W.APART, abs(ratio))
        for kind, tail in self.tails.items():
            rows, least = (self.cycle_rows, W.SURE) if kind >= W.OFF else (n, 0)
            X = abs(self.X[kind])
            if kind == W.QUIET:
                X = 1 / max(X, W.QUIETEST)
            judged = rows >= 20 and not (kind == W.QUIET and staying)
            far = tail.excess(X, rows, block_ends) if judged else 0.0
            strengths.append(far if rows >= least else 0.0)
        self.n += 1
        strengths = [far * counts(kind, n, days) for kind, far in enumerate(strengths)]
        return [
            far**2 if kind >= W.RANGES and far < 1 else far for kind, far in enumerate(strengths)
        ]

    def dropped(self, y, same):
        low = min(self.ranges[W.VALUE].known())
        if not self.floor.lasts(same and y <= low):
            self.fell = y <= low and self.X[W.ERROR] > 1
        return self.fell and self.floor.longer(W.DROPPED_ROWS - 1)

    def frozen(self, same, staying):
        run = self.same.lasts(same)
        longest = W.FROZEN_ROWS + W.MORE * self.same.longest
        if staying > W.OFTEN:
            longest = max(longest, math.floor(W.STAY * (self.n - run)))
        return run == longest

    def gone(self, absent):
        self.gap.lasts(absent)
        return self.n > W.START and absent and self.gap.longer(W.DROPPED_ROWS)

    def remember(self):
        if not self.since:
            known = self.ranges[W.MEAN].known()
            quiet, loud = self.tails[W.QUIET].most, self.tails[W.LOUD].most
            self.since, self.outside = 1, []
            self.alarmed = min(known), max(known), 1 / max(quiet, 1e-3), loud

    def lasting(self):
        if not self.since:
            return 0
        self.since += 1
        low, high, quietest, loudest = self.alarmed
        if self.since > D.SETTLED:
            noise = self.X[W.QUIET] < quietest or self.X[W.LOUD] > loudest
            self.outside.append((not low <= self.fast <= high, noise))
        if self.since < D.JUDGED:
            return 0
        self.since = 0
        level, noise = np.mean(self.outside, axis=0) >= D.LASTING
        return D.SHIFT if level else D.CHANGED if noise else 0


class Detector:
    def __init__(self, channels=1, target=0, horizon=12, *, interval=None):
        """interval: seconds between rows, if they come with times."""
        self.interval = interval
        self.forecaster, self.target = Forecaster(channels, target, horizon), target
        self.watches = [Watch() for _ in range(channels)]
        self.events = [(-math.inf, 0.0)]  # row and strength
        self.t = 0

    def step(self, row, t=None):
        """(score, alarm, drift, reason code, channel, forecast (3, H)); t: the time of the row."""
        self.t += 1
        verdict = self.judge(row)
        interval = self.interval if self.t > 1 else None  # as it is known from the rows before
        return *verdict, self.forecaster.step(row, t, interval)

    def faded(self, t):
        """How strong the last event still counts in row t."""
        when, peak = self.events[-1]
        return peak * D.FADE ** max(0, t - when - D.HOLD) if peak else 0.0

    def judge(self, row):
        best, reason, blamed = 0.0, 0, 0
        sudden = drift = None
        for c, (y, watch) in enumerate(zip(row, self.watches, strict=True)):
            channel, n = self.forecaster.channels[c], watch.n
            if watch.gone(not usable(y)):
                sudden = D.DROPPED, c
            if not usable(y):
                continue
            same = n > 0 and y == channel.x
            staying = watch.stays(y)
            days = n * self.interval / A.DAY if self.interval else None
            strengths = watch.weigh(y, staying, channel, *self.errors(c, y), days)
            if watch.dropped(y, same) and n > W.START:
                sudden = D.DROPPED, c
            if watch.frozen(same, staying) and n > W.START:
                sudden = D.FROZEN, c
            lasts = watch.lasting()
            if lasts:
                drift = lasts, c
            if self.faded(self.t - 1) >= 1:
                strengths = [
                    s if kind in (W.VALUE, W.ERROR) else 0 for kind, s in enumerate(strengths)
                ]
            if n >= W.START and max(strengths) > best:
                best, reason, blamed = max(strengths), D.BECAUSE[int(np.argmax(strengths))], c
                if strengths[W.VALUE] >= 1:
                    reason = D.RANGE
                if y == 0 < min(watch.ranges[W.VALUE].known()):
                    reason = D.DROPPED
        best = min(best, W.WORST)
        peak = self.faded(self.t)
        new = best > D.CLEARLY * peak or best >= 1 > peak
        if new:
            self.events.append((self.t, best))
            peak = best
        if sudden and (sudden[0] == D.FROZEN or new or peak < 1):
            new, best, (reason, blamed) = True, max(best, 1.0), sudden
            self.events.append((self.t, max(peak, 1.0)))
        score = 1 - 0.5**best if new else 0.0
        alarm = new and best >= 1
        if alarm:
            self.watches[blamed].remember()
        told = (reason, blamed) if alarm else drift or (0, -1)
        return score, alarm, drift is not None, *told

    def errors(self, c, y):
        """Error, its usual size, error of the farthest horizon, distance from the cycle, period."""
        forecaster, channel = self.forecaster, self.forecaster.channels[c]
        if c != self.target:
            return (y - channel.x if channel.n else None), channel.size, None, None, 0
        near, far = (self.made(h) for h in (1, forecaster.H))
        cycle = forecaster.cycle
        v, p = cycle.values, cycle.period
        turns = [k for k in range(1, W.TURNS + 1) if p and k * p < min(Y.RING, len(v))]
        away = y - np.mean([v[len(v) - k * p] for k in turns]) if turns else None
        error, far = (None if then is None else y - then for then in (near, far))
        return error, forecaster.miss[0] if near is not None else 0.0, far, away, p

    def made(self, h):
        """The forecast made h rows ago for the row that comes."""
        rows = self.forecaster.rows
        if len(rows) < h or rows[-h]["y"] is None or self.forecaster.miss[h - 1] == 0:
            return None
        return rows[-h]["forecast"][0, h - 1]
