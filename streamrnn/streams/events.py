"""A batch cut into events of a group's graph, so that who watches a stream sees it in between."""

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from streamrnn.keys import Keys, repeats
from streamrnn.streams.batch import Batch
from streamrnn.streams.groups import Group

COPY_BYTES = (
    16 << 20
)  # each look at a watched stream's hidden units copies its state: so much at most
ROUNDS = 64  # of them in one tick


def events(
    group: Group, batch: Batch, watched: Collection[str]
) -> Iterator[tuple[NDArray[np.int64] | slice, Batch]]:
    """Which samples of the batch come next, and they; each stream's in order.

    Where a watched stream repeats, it goes in rounds, all others in the first one.
    """
    keys = Keys.of(batch.keys)
    rounds = _rounds(keys, group.bank.model.layout.itemsize, watched)
    if rounds is None:
        yield slice(None), batch._replace(keys=keys)
        return
    order = np.argsort(rounds, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(rounds[order])) + 1):
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
