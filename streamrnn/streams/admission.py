"""Which group serves a stream: the first rule for its key, and the channels of its first sample."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from streamz import Stream

from streamrnn.step import Step
from streamrnn.streams.batch import Batch, Sample, names_of
from streamrnn.streams.groups import Group, Rule
from streamrnn.streams.labels import Label
from streamrnn.streams.refused import Refused, shown

Channels = tuple[str, ...]


class Admission:
    """The streams that are open, and the groups they are in.

    rules    the first whose pattern matches a stream's key serves it
    results  where the graphs of all groups end
    refuse   is told when the step of a group fails
    max_streams, max_channels   what goes beyond is refused

    groups   in order of their ids
    state_bytes  what the states of all streams take
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        results: Stream,
        refuse: Callable[[Refused], object],
        max_streams: int,
        max_channels: int,
    ) -> None:
        self.rules = tuple(rules)
        self.max_streams = max_streams
        self.max_channels = max_channels
        self.groups: list[Group] = []
        self.state_bytes = 0
        self._results = results
        self._refuse = refuse
        self._group_of: dict[str, Group] = {}
        self._group_by: dict[tuple[Rule, Channels], Group] = {}
        self._steps: dict[tuple[Rule, Channels], Step] = {}

    def __getitem__(self, key: str) -> Group:
        """The group of a stream that is open."""
        return self._group_of[key]

    def get(self, key: str) -> Group | None:
        return self._group_of.get(key)

    def opened(self, key: str) -> Group:
        """The group of a stream that a label is for. Raises Refused."""
        group = self._group_of.get(key) if isinstance(key, str) else None
        if group is None:
            error = "no row of this stream has come; send a label after the row it belongs to"
            raise Refused("label", key if isinstance(key, str) else shown(key), error)
        return group

    def known(self, key: str, x: Sample) -> tuple[Group | None, Rule, Channels]:
        """The group of a stream, if it is open, and the rule and channels for sample x of it."""
        group = self._group_of.get(key) if isinstance(key, str) else None
        if group is not None:
            return group, group.rule, group.channels
        rule = self._rule(key)
        return None, rule, rule.channels or names_of(key, x, self.max_channels)

    def admit(self, key: str, rule: Rule, channels: Channels) -> Group:
        """The group for a new stream; opened when it is the first with its rule and channels."""
        if len(self._group_of) >= self.max_streams:
            error = f"max_streams = {self.max_streams} streams are open; raise it to take more"
            raise Refused("stream", key, error)
        group = self._group_by.get((rule, channels))
        if group is None:
            try:
                step = self._steps.get((rule, channels)) or rule.step(channels)
                group = Group(len(self.groups), rule, channels, step, self._results)
            except Exception as error:
                what = (
                    f"rule {rule.match} has no step for channels ({', '.join(channels)}): {error}"
                )
                raise Refused("channels", key, what) from error
            group.on_refused(self._refuse)
            self._group_by[rule, channels] = group
            self.groups.append(group)
        self._group_of[key] = group
        self.state_bytes += sum(bank.model.layout.itemsize for bank in group.banks)
        return group

    def warm(self, rule: Rule) -> None:
        """Make the step of `rule` and compile it on a throw-away stream. Raises what it raises."""
        channels = rule.channels or tuple(f"x{n}" for n in range(rule.target + 1))
        step = rule.step(channels)
        if rule.channels is None:
            channels = tuple(f"x{n}" for n in range(step.inputs))
        else:
            self._steps[rule, channels] = step
        group = Group(0, rule, channels, step, Stream())
        refused: list[Refused] = []
        group.on_refused(refused.append)
        group.source.emit(Batch([""], np.zeros(1), np.zeros((1, len(channels)))))
        if group.learns:
            group.learn([Label("", 0.0, 0.0)])
        if refused:
            raise refused[0]

    def _rule(self, key: Any) -> Rule:
        if not isinstance(key, str) or not 0 < len(key) <= 200 or not key.isprintable():
            error = "expected a stream's name of 1 to 200 printable characters"
            raise Refused("stream", shown(key), error)
        for rule in self.rules:
            if fnmatchcase(key, rule.match):
                return rule
        patterns = ", ".join(rule.match for rule in self.rules[:10]) or "none"
        more = f" and {len(self.rules) - 10} more" if len(self.rules) > 10 else ""
        error = f"no rule is for this stream; the patterns are {patterns}{more}"
        raise Refused("stream", key, error)
