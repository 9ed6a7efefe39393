"""A batch cut into events of a group's graph: not too much state at once, and looks in between."""

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from streamrnn.keys import Keys, repeats
from streamrnn.streams.batch import Batch
from streamrnn.streams.groups import Group

COPY_BYTES = 32 << 20  # of states that one event copies at most; and that all looks copy
ROUNDS = 64  # looks at the hidden units of a watched stream in one tick


def events(
    group: Group, batch: Batch, watched: Collection[str]
) -> Iterator[tuple[NDArray[np.int64] | slice, Batch]]:
    """Which samples of the batch come next, and they; each stream's in order.

    Where a watched stream repeats, it goes in rounds, all others in the first one. Where there is
    too much state, all samples of a stream are in one event of each round.
    """
    size = group.bank.model.layout.itemsize
    keys, streams = Keys.of(batch.keys), max(1, COPY_BYTES // size)
    rounds = _rounds(keys, size, watched)
    if rounds is None and len(keys.names) <= streams:
        yield slice(None), batch._replace(keys=keys)
        return
    part = keys.numbers // streams + (0 if rounds is None else rounds * len(keys.names))
    order = np.argsort(part, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
        yield rows, batch._replace(keys=keys.rows(rows), t=batch.t[rows], x=batch.x[rows])


def _rounds(keys: Keys[str], size: int, watched: Collection[str]) -> NDArray[np.int64] | None:
    """The round of each row (N,); None when one is enough."""
    if not watched:
        return None
    looked_at = [n for n, name in enumerate(keys.names) if name in watched]
    most = int(keys.counts[looked_at].max(initial=0))
    if most <= 1:
        return None
    rounds = min(ROUNDS, max(1, COPY_BYTES // (size * len(looked_at))))
    stride = -(-most // rounds)
    looked = np.zeros(len(keys.names), np.bool)
    looked[looked_at] = True
    return np.where(looked[keys.numbers], repeats(keys.numbers) // stride, 0)
