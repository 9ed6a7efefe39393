"""A batch cut into events of a group's graph: not too much state at once, and looks in between."""

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from streamrnn.keys import Keys, repeats
from streamrnn.streams.batch import Batch
from streamrnn.streams.groups import Group

COPY_BYTES = 4 << 20  # one event touches at most so much state, so that its copy stays in the cache
ROUNDS = 64  # looks at the hidden units of a watched stream in one tick


def events(
    group: Group, batch: Batch, watched: Collection[str]
) -> Iterator[tuple[NDArray[np.int64] | slice, Batch]]:
    """Which samples of the batch come next, and they; each stream's in order.

    A watched stream that repeats goes in rounds. Where there is too much state, all samples of a
    stream are in one event, or in one of each round, one after the other: else its state would be
    copied for each, and would come from memory again for each.
    """
    size = max(1, COPY_BYTES // group.bank.model.layout.itemsize)
    keys = Keys.of(batch.keys)
    rounds = _rounds(keys, size, watched)
    many = len(keys.names) > size
    if rounds is None and not many:
        yield slice(None), batch._replace(keys=keys)
        return
    if rounds is None:
        rounds = np.zeros(len(keys), np.int64)
    part = rounds * len(keys.names) + keys.numbers // size
    order = np.lexsort((keys.numbers, part)) if many else np.argsort(part, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
        yield rows, batch._replace(keys=keys.rows(rows), t=batch.t[rows], x=batch.x[rows])


def _rounds(keys: Keys[str], size: int, watched: Collection[str]) -> NDArray[np.int64] | None:
    """The round of each row (N,); None when one is enough. Each copies up to `size` states."""
    if not watched:
        return None
    looked_at = [n for n, name in enumerate(keys.names) if name in watched]
    most = int(keys.counts[looked_at].max(initial=0))
    if most <= 1:
        return None
    stride = -(-most // min(ROUNDS, size))
    looked = np.zeros(len(keys.names), np.bool)
    looked[looked_at] = True
    return np.where(looked[keys.numbers], repeats(keys.numbers) // stride, 0)
