"""Slow, obvious second implementation of streamrnn.river's Regressor, of the same random units."""

import numpy as np

from streamrnn.kernels import regress as K
from tests.naive_forecast import Channel, clip, running_size, usable


class Member:
    def __init__(self, forgetting):
        self.forgetting = forgetting
        self.w, self.P = np.zeros(0), np.zeros((0, 0))

    def grow(self, d):
        more = d - len(self.w)
        self.w = np.r_[self.w, np.zeros(more)]
        corner = np.zeros((len(self.P), more))
        self.P = np.block([[self.P, corner], [corner.T, K.VARIANCE * np.eye(more)]])

    def learn(self, f, error, rows):
        memory = min(self.forgetting, 1 - 1 / (K.BEGIN + K.GROW * rows))
        k = self.P @ f / (memory + f @ self.P @ f)
        P = self.P - np.outer(k, self.P @ f)
        self.P = P * min(1 / memory, K.TRACE / np.trace(P))
        self.w = self.w + k * error


class Regressor:
    """`drive` (n, U) are the units' weights of each feature of the whole stream, by name."""

    def __init__(self, names, drive, bias, echo, back, leak):
        self.names, self.drive, self.bias, self.echo = names, drive, bias, echo
        self.back, self.leak = back, leak
        self.seen = []
        self.channels = {name: Channel() for name in names}
        self.target, self.spreads = Channel(), [0.0] * 3
        self.means, self.h = np.zeros(3), np.zeros(K.ECHO)
        self.members = [Member(forgetting) for forgetting in K.FORGETTING]
        self.miss = np.zeros(4)

    def features(self, x):
        z = np.zeros((len(self.seen), 2))
        for i, name in enumerate(self.seen):
            channel, value = self.channels[name], x.get(name, np.nan)
            if usable(value) and channel.spread > 0:
                now, before = (clip((v - channel.mean) / channel.spread, K.LIMIT)
                               for v in (value, channel.x))  # fmt: skip
                z[i] = now, now - before
        chosen = [self.names.index(name) for name in self.seen]
        u = z[:, 0] @ self.drive[chosen] / np.sqrt(max(len(self.seen), 1)) + self.bias
        now, one, two = self.spreads
        u[K.FIXED :] += self.echo @ self.h + self.back * now
        u = np.tanh(u)
        u[K.FIXED :] = (1 - self.leak) * self.h + self.leak * u[K.FIXED :]
        past = np.r_[self.spreads, self.means]
        changes = np.r_[now, one - now, two - one, self.means - now]
        f = [np.r_[1, z[:, 0]], np.r_[1, changes, z.ravel()], np.r_[1, past, u, z[:, 0]]]
        return f, u[K.FIXED :]

    def say(self, f):
        said = [member.w @ one for member, one in zip(self.members, f, strict=True)]
        last = self.target.x
        return np.array([said[0], said[1] + last, said[2], last])

    def predict(self, x):
        if not self.seen:
            return 0.0
        said = self.say(self.features(x)[0])
        weights = np.array([1.0 if m == min(self.miss) else (min(self.miss) / m) ** 8
                            for m in self.miss])  # fmt: skip
        return weights @ said / weights.sum()

    def learn(self, x, y):
        self.seen += sorted(name for name in x if name not in self.seen)
        for member, d in zip(self.members, K.sizes(len(self.seen)), strict=True):
            member.grow(d)
        (f, h), rows, limit = self.features(x), self.target.n, np.inf
        said = self.say(f)
        if rows == 0:
            said[1] = y
        else:
            for m, error in enumerate(abs(y - said)):
                if error > 0:
                    self.miss[m] = running_size(self.miss[m], error, rows, K.RATE)
            if rows > K.UNSURE:
                limit = 8 * max(self.miss.min(), 1e-9 * self.target.spread)
        for member, one, own in zip(self.members, f, said, strict=False):
            member.learn(one, clip(y - own, limit), rows)
        for name, value in x.items():
            if usable(value):
                self.channels[name].observe(value)
        self.target.observe(y)
        if self.target.n < rows:
            self.miss = np.zeros(4)
            for member in self.members:
                d = len(member.w)
                member.w, member.P = np.zeros(d), K.VARIANCE * np.eye(d)
        self.h = h
        now = self.spreads[0]
        if self.target.spread > 0:
            now = clip((y - self.target.mean) / self.target.spread, K.LIMIT)
        self.spreads = [now, *self.spreads[:2]]
        self.means = self.means + np.array(K.MEANS) * (now - self.means)
