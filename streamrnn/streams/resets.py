"""Streams put back to the initial state, each after all that was taken before."""

from collections.abc import Callable

from streamrnn.streams.groups import Group
from streamrnn.streams.refused import Refused, failed


class Resets:
    """Asked for, then on their way with a commit, then done; or given up with it.

    durable(key)   makes a reset durable before it is done; if it raises, the stream goes on
    """

    def __init__(self, refuse: Callable[[Refused], object]) -> None:
        self.durable: Callable[[str], object] = lambda key: None
        self.callbacks: list[Callable[[str], object]] = []
        self._refuse = refuse
        self._asked: dict[str, Group] = {}
        self._begun: dict[str, Group] = {}

    def ask(self, key: str, group: Group) -> None:
        self._asked[key] = group

    def begin(self) -> None:
        """What is taken from here on comes after those that were asked for."""
        self._begun, self._asked = self._asked, {}

    def give_up(self) -> None:
        self._asked, self._begun = {}, {}

    def finish(self) -> None:
        """Do those that have begun, and tell."""
        begun, self._begun = self._begun, {}
        for key, group in begun.items():
            try:
                self.durable(key)
            except Exception as error:
                self._refuse(failed(key, error, 0, "cannot be reset, with "))
                continue
            for bank in group.banks:
                bank.reset([key])
            for callback in self.callbacks:
                callback(key)
