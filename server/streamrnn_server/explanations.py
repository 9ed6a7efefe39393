"""Answers to viewers that ask what carries a stream's newest forecast.

The banks run ahead of the journal while a commit is on its way, and what a crash could take back is
told to nobody: an answer waits for a moment in which they hold nothing but what is durable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn_server import protocol
from streamrnn_server.protocol import ProtocolError

if TYPE_CHECKING:
    from streamrnn.streams.groups import Group


class _Question(NamedTuple):
    stream: int
    key: str
    group: Group


class Explanations:
    """Viewers are whatever the hub knows them by.

    undecided()   whether the banks hold what could still be taken back
    """

    def __init__(self, undecided: Callable[[], bool]) -> None:
        self._undecided = undecided
        self._asked: dict[Hashable, _Question] = {}
        self._answers: dict[Hashable, str] = {}

    def ask(self, viewer: Hashable, stream: int, key: str, group: Group) -> None:
        """Answer as soon as it may be. Raises ProtocolError where the step cannot explain."""
        if not explains(group):
            raise ProtocolError(
                f"explain: expected a stream with a forecaster or a detector, and {key} has none"
            )
        self._asked[viewer] = _Question(stream, key, group)

    def leave(self, viewer: Hashable) -> None:
        """A viewer is gone."""
        self._asked.pop(viewer, None)
        self._answers.pop(viewer, None)

    def answer(self) -> None:
        """Answer what was asked, if this is a moment for it."""
        if not self._asked or self._undecided():
            return
        questions = {question.stream: question for question in self._asked.values()}
        found = {stream: _message(question) for stream, question in questions.items()}
        self._answers |= {viewer: found[asked.stream] for viewer, asked in self._asked.items()}
        self._asked.clear()

    def take(self, viewer: Hashable) -> str | None:
        """The answer for a viewer, once."""
        return self._answers.pop(viewer, None)


def explains(group: Group) -> bool:
    """Whether the step of a group can say what carries its forecasts."""
    return hasattr(group.step, "explanation")


def _message(question: _Question) -> str:
    group = question.group
    why = group.step.explanation(group.bank[question.key])  # type: ignore[attr-defined]
    ends = sorted({0, len(why.error) - 1})
    return protocol.encode(
        protocol.Explanation(
            stream=question.stream,
            ahead=[end + 1 for end in ends],
            members={name: _short(values[ends]) for name, values in why.members.items()},
            parts={name: _short(values[ends]) for name, values in why.parts.items()},
            lags=[_short(values[ends]) for values in why.lags],
            period=why.period,
            error=_short(why.error),
            persistence=_short(why.persistence),
            seasonal=None if math.isnan(why.seasonal) else why.seasonal,
        )
    )


def _short(values: NDArray[np.float64]) -> list[float | None]:
    """Five digits are more than a picture shows; NaN becomes null in JSON."""
    return [float(f"{value:.5g}") for value in values.tolist()]
