"""Late labels: targets that come after their rows, which came without them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from streamrnn.streams.batch import LARGEST, checked_time, is_number
from streamrnn.streams.refused import Refused, failed, shown


class Label(NamedTuple):
    """The target of a row that came without it; t: the time of that row.

    refused   is called with why it teaches nothing, once that is known
    """

    key: str
    value: float
    t: float
    refused: Callable[[Refused], object] = lambda refused: None


def checked_label(where: str, value: Any, t: Any, now: float, future_s: float) -> Label:
    """A label with its checks: a number, and the time of its row."""
    if not (is_number(value) and abs(value) < LARGEST):
        error = f"expected a number within ±1e30 as the label, got {shown(value)}"
        raise Refused("label", where, error)
    if t is None:
        raise Refused("label", where, "expected t, the time of the row that the label belongs to")
    return Label(where, float(value), checked_time(where, t, now, future_s))


def _nothing_to_learn(label: Label) -> Refused:
    """Why a label is refused when its turn has come."""
    error = (
        f"the label {label.value:g} of t={label.t:.15g} teaches nothing: expected the time of one "
        "of the newest rows, whose target was missing when it came and has not been learned since"
    )
    return Refused("label", label.key, error)


def learn(
    by: Callable[[Sequence[Label]], Sequence[bool]],
    where: str,
    labels: Sequence[Label],
    refuse: Callable[[Refused], object],
) -> list[Label]:
    """Those that taught something; the others are refused, and their senders told.

    by  a group's `learn`; `where`: its rule
    """
    try:
        learned = by(labels) if labels else []
    except Exception as error:  # the group has put its states back
        refuse(failed(where, error, len(labels), "cannot learn, with "))
        return []
    for label, taught in zip(labels, learned, strict=True):
        if not taught:
            why = _nothing_to_learn(label)
            refuse(why)
            label.refused(why)
    return [label for label, taught in zip(labels, learned, strict=True) if taught]
