"""Columns of samples on their way in: each stream's group, and what is not taken."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.keys import Keys
from streamrnn.streams.admission import Admission, Channels
from streamrnn.streams.batch import (
    LATEST,
    Batch,
    Sample,
    checked_columns,
    checked_row,
    too_far_ahead,
)
from streamrnn.streams.groups import Group
from streamrnn.streams.refused import Refused, shown

Refuse = Callable[[Refused], object]


def by_group(
    batch: Batch, admission: Admission, refuse: Refuse, halted: str, now: float, future_s: float
) -> Iterator[tuple[Group, Batch]]:
    """The good samples of a batch, in the order of their group's channels; refuses the others.

    halted   why none is taken, or ""
    future_s how far ahead of `now` times may be

    Raises ValueError for columns that are no numbers or do not fit together.
    """
    good = checked_columns(batch)
    keys, t, x = Keys.of(batch.keys), np.asarray(batch.t), np.asarray(batch.x, np.float64)
    groups, group_of = _groups(keys, batch.channels, x.shape[1], admission, refuse, halted)
    number = group_of[keys.numbers]
    ahead = (number >= 0) & (t > now + future_s) & (t <= LATEST)
    if ahead.any():
        n = int(ahead.argmax())
        first = t[n].item()
        refused = too_far_ahead(keys[n], first, first, now, future_s)
        refused.count = int(ahead.sum())
        refuse(refused)
        number[ahead] = -1
    for n, group in enumerate(groups):
        own = number == n
        bad = own & ~(good & group.good_tokens(x))
        if bad.any():
            got = shown((t[bad][0].item(), x[bad][0].tolist()))
            error = f"expected a finite time and numbers within ±1e30, got {got}"
            refuse(Refused("value", keys[int(bad.argmax())], error, int(bad.sum())))
        rows = np.flatnonzero(own & ~bad)
        if len(rows):
            values = group.in_order(batch.channels, x[rows])
            if len(rows) < len(keys):
                yield group, batch._replace(keys=keys.rows(rows), t=t[rows], x=values)
            else:
                yield group, batch._replace(keys=keys, t=t, x=values)


def _groups(
    keys: Keys[str],
    channels: Channels | None,
    width: int,
    admission: Admission,
    refuse: Refuse,
    halted: str,
) -> tuple[list[Group], NDArray[Any]]:
    """The groups of streams, and which of them each name is in (len(names),), -1: in none."""
    like: Sample = [0.0] * width  # a sample of these columns
    if channels is not None:
        like = dict.fromkeys(channels, 0.0)
    number_of: dict[Group, int] = {}  # those whose channels are like that
    group_of = np.full(len(keys.names), -1)
    counts = keys.counts
    for n, key in enumerate(keys.names):
        try:
            if halted:
                raise Refused("journal", key, halted)
            group, rule, own = admission.known(key, like)
            if group is None or group not in number_of:
                part = channels if channels is not None and rule.every else ()
                checked_row(key, dict.fromkeys((*own, *part), 0.0) if part else like, own)
                group = group or admission.admit(key, rule, own)
            group_of[n] = number_of.setdefault(group, len(number_of))
        except Refused as refused:
            refused.count = int(counts[n])
            refuse(refused)
    return list(number_of), group_of
