"""Which step serves which stream: rules by pattern, and the groups of streams they make."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from streamz import Stream

from streamrnn.bank import Bank
from streamrnn.evaluate import RunningError
from streamrnn.keys import Keys
from streamrnn.learner import Learner
from streamrnn.step import Output, Step, allocate
from streamrnn.streams.batch import Batch
from streamrnn.streams.grid import How
from streamrnn.streams.identity import identity
from streamrnn.streams.labels import Label
from streamrnn.streams.nodes import rnn
from streamrnn.streams.picture import Draw, Mode
from streamrnn.streams.refused import Refused
from streamrnn.text import Reader

STATE_EVERY = 256  # samples: to read so many again takes milliseconds
NOT_SAMPLED = -128  # in Result.h: nobody asked for the hidden units after this sample


@dataclass(frozen=True, eq=False)
class Rule:
    """Streams whose key matches `match` (shell-style: * ? [abc]) are advanced by `step(channels)`.

    step      called once for each set of channels; all streams with that set share what it returns
    channels  names in order; None: taken from a stream's first sample
    units     one for each channel, or by channel name; None: no units
    target    the channel that matters most
    outputs   what each column of y means; None: what the step says itself
    mode      when the step reads x and when its y counts: the page draws that shape
    picture   draws an image or points for the page (picture.py)
    lateness  seconds for which samples may come out of order (lateness.py); 0: used as they come
    every     seconds: what comes in so long makes one row (grid.py), and a sample may be of some
              channels only; 0: each sample is a row
    how       each channel's samples make its value in the row
    """

    match: str
    step: Callable[[tuple[str, ...]], Step]
    channels: tuple[str, ...] | None = None
    units: tuple[str, ...] | Mapping[str, str] | None = None
    target: int = 0
    kind: Literal["sensor", "tokens"] = "sensor"
    outputs: tuple[Output, ...] | None = None
    mode: Mode = "synced"
    picture: Draw | None = None
    lateness: float = 0.0
    every: float = 0.0
    how: How = "last"

    @property
    def waits(self) -> bool:
        """Whether samples are not used as they come."""
        return self.lateness > 0.0 or self.every > 0.0

    def units_of(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        """The unit of each of `channels`, "" where it has none."""
        if isinstance(self.units, Mapping):
            return tuple(self.units.get(name, "") for name in channels)
        return self.units or ("",) * len(channels)


class Result(NamedTuple):
    """A batch of one group with its predictions.

    batch.y (N, len(group.outputs)) float32; h (N, U) hidden units, 127 = +1, all NOT_SAMPLED where
    the state after that sample was not looked at; None for a step without hidden units. states: in
    a group that `writes`, by key after its last sample, every STATE_EVERY samples of it.
    """

    group: "Group"
    batch: Batch
    h: NDArray[np.int8] | None
    states: Mapping[str, NDArray[Any]] = MappingProxyType({})


class Group:
    """Streams with the same rule and channels: one step, one bank, one streamz graph.

    source ─▶ rnn(bank) ─▶ running_error, where there is a forecast ─▶ Result ─▶ results

    outputs   what each column of y means, the running errors last
    U         hidden units that the step shows
    identity  of the states: they can go on in a group that has the same
    writes    whether its step reads tokens and can write on from a state
    """

    def __init__(
        self, id: int, rule: Rule, channels: tuple[str, ...], step: Step, results: Stream
    ) -> None:
        self.id = id
        self.rule = rule
        self.channels = channels
        self.units = rule.units_of(channels)
        self.target = rule.target
        self.step = step
        self.bank = Bank(step)
        self.reasons: tuple[str, ...] = tuple(getattr(step, "reasons", ()))
        self.vocabulary: tuple[str, ...] = tuple(getattr(step, "vocabulary", ()))
        self.outputs = described(step, channels) if rule.outputs is None else rule.outputs
        units = getattr(step, "units", None)
        self.U = 0 if units is None else units(allocate(step.layout, 1)).shape[1]
        self.writes = isinstance(step, Reader | Learner)
        self._unseen: Counter[str] = Counter()  # samples by key since its state was last given
        self._check()

        # A streamz node holds what comes before it, but not what comes after (streamz#71): the
        # chain is kept alive from its end, `results`, which the pipeline holds.
        self.source = Stream()
        self._nodes = [rnn(self.source, self.bank)]
        forecast = one_ahead(self.outputs, self.target)
        if forecast is not None:
            self._nodes.append(running_error(self._nodes[0], self.target, forecast))
            errors = RunningError().describe(channels)
            self.outputs += tuple(e._replace(channel=self.target, ahead=1) for e in errors)
        self.identity = f"{identity(step)} {self.target} {channels} {self.outputs}"
        self._nodes[-1].map(self._result).connect(results)

    def check_learns(self, key: str) -> None:
        """Raises Refused unless the step `learns`."""
        if not self.learns:
            error = (
                f"{type(self.step).__name__} of rule {self.rule.match} does not learn from labels; "
                "send them to streams of a forecaster or detector"
            )
            raise Refused("label", key, error)

    @property
    def learns(self) -> bool:
        """Whether the step learns from labels that come after their rows."""
        return hasattr(self.step, "learn_labels")

    def learn(self, labels: Sequence[Label]) -> list[bool]:
        """Learn labels of rows that have been; which of them taught something."""
        known = [label for label in labels if label.key in self.bank]
        if not known:
            return [False] * len(labels)
        y, t = (np.array(column) for column in zip(*((l.value, l.t) for l in known), strict=True))
        learned = iter(self._nodes[0].learn([label.key for label in known], y, t) >= 0)
        return [label.key in self.bank and bool(next(learned)) for label in labels]

    def on_refused(self, callback: Callable[[Refused], object]) -> None:
        """`callback(refused)` is called when the step fails on a batch."""
        for node in self._nodes:
            node.on_refused(callback)

    @property
    def banks(self) -> tuple[Bank, ...]:
        """All states of its streams: those of the step first, then those of the nodes after it."""
        return tuple(node.bank for node in self._nodes)

    def hold(self) -> None:
        """From now on every batch can be taken back, until `keep`."""
        for node in self._nodes:
            node.undo.clear()
            node.holding = True

    def keep(self) -> None:
        """The batches since `hold` stay."""
        for node in self._nodes:
            node.undo.clear()
            node.holding = False

    def put_back(self) -> None:
        """The batches since `hold` have not happened."""
        for node in self._nodes:
            node.undo.put_back()
            node.holding = False

    def in_order(self, names: tuple[str, ...] | None, x: NDArray[Any]) -> NDArray[Any]:
        """x (N, C), whose columns are called `names`, in the order of the channels."""
        if names is None or names == self.channels:
            return x
        if len(names) == len(self.channels):
            return x[:, [names.index(channel) for channel in self.channels]]
        whole = np.full((len(x), len(self.channels)), np.nan)  # the others come by themselves
        whole[:, [self.channels.index(name) for name in names]] = x
        return whole

    def good_tokens(self, x: NDArray[Any]) -> NDArray[np.bool]:
        """Which rows of x (N, C) hold the number of a token, NaN, or no token at all (N,)."""
        if not self.vocabulary:
            return np.ones(len(x), np.bool)
        token = x[:, 0]
        known = (token >= 0) & (token < len(self.vocabulary)) & (token == np.floor(token))
        good: NDArray[np.bool] = known | np.isnan(token)
        return good

    def check_token(self, key: str, token: float) -> None:
        """Raises Refused unless `token` is the number of one, or NaN: missing."""
        if not (0 <= token < len(self.vocabulary) and token == int(token)) and token == token:
            error = f"expected a token's number, 0 to {len(self.vocabulary) - 1}, got {token:g}"
            raise Refused("value", key, error)

    def _check(self) -> None:
        """Raises ValueError where rule, step and channels do not fit together."""
        fits = (
            ("inputs of the step", self.step.inputs, "channels", len(self.channels)),
            ("outputs of the step", self.step.outputs, "described outputs", len(self.outputs)),
            ("channels", len(self.channels), "units", len(self.units)),
        )
        for expected, count, what, got in fits:
            if count != got:
                raise ValueError(f"{count} {expected}, but {got} {what}")
        if not 0 <= self.target < len(self.channels):
            raise ValueError(
                f"target is {self.target}, but there are {len(self.channels)} channels"
            )

    def _result(self, batch: Batch) -> Result:
        assert batch.y is not None
        h = self._hidden(batch) if self.U else None
        states = self._states(batch) if self.writes else {}
        return Result(self, batch._replace(y=batch.y.astype(np.float32, copy=False)), h, states)

    def _states(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """States after this batch of the streams that have come far enough since the last."""
        keys = Keys.of(batch.keys)
        self._unseen.update(dict(zip(keys.names, keys.counts.tolist(), strict=True)))
        due = [key for key in keys.names if self._unseen[key] >= STATE_EVERY]
        self._unseen.subtract({key: self._unseen[key] for key in due})
        return {key: self.bank[key] for key in due}

    def _hidden(self, batch: Batch) -> NDArray[np.int8]:
        """Units after the last sample of each stream in the batch, NOT_SAMPLED for the others."""
        keys = Keys.of(batch.keys)
        h = np.full((len(keys), self.U), NOT_SAMPLED, np.int8)
        units = np.clip(127.0 * self.bank.units(keys.names), -127.0, 127.0)
        h[keys.last] = np.rint(units).astype(np.int8)
        return h


class running_error(rnn):
    """Appends to y the running errors of the forecast in column `forecast` and of persistence."""

    def __init__(self, upstream: Stream, target: int, forecast: int) -> None:
        self.target = target
        self.forecast = forecast
        super().__init__(upstream, RunningError())

    def columns(self, batch: Batch) -> NDArray[Any]:
        assert batch.y is not None
        return np.stack([batch.x[:, self.target], batch.y[:, self.forecast]], axis=1)

    def joined(self, batch: Batch, y: NDArray[Any]) -> Batch:
        return batch._replace(y=np.concatenate([batch.y, y], axis=1))


def described(step: Step, channels: tuple[str, ...]) -> tuple[Output, ...]:
    """What each column of the step's y means, by its own word or as plain values."""
    if describe := getattr(step, "describe", None):
        return tuple(describe(channels))
    return tuple(Output(f"y{i}") for i in range(step.outputs))


def one_ahead(outputs: tuple[Output, ...], target: int) -> int | None:
    """The column that forecasts the target's next value, if there is one."""
    for column, output in enumerate(outputs):
        if (output.kind, output.channel, output.ahead) == ("forecast", target, 1):
            return column
    return None
