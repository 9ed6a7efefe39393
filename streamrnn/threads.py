"""One call of `advance` shared out among threads, each with streams of its own: equal bits."""

import os
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.step import Step

Share = slice | NDArray[np.intp]  # which samples of a call
MOST = 256  # threads: the number of a share fits in a byte


def cores() -> int:
    """How many of the machine's cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count(step: Step, samples: int, threads: int | None) -> int:
    """The threads that a call takes: `threads`, or as many as there are cores and work for.

    One for a step without `parallel`. Raises ValueError for `threads` that cannot be.
    """
    worth: int = getattr(step, "parallel", 0)
    if threads is None:
        return max(1, min(cores(), samples // worth, MOST)) if worth else 1
    whole = isinstance(threads, int | np.integer) and not isinstance(threads, bool)
    if not whole or not 1 <= threads <= MOST:
        raise ValueError(f"threads is {threads!r}, expected a whole number from 1 to {MOST}")
    return int(threads) if worth else 1


def advance(
    step: Step,
    states: NDArray[Any],
    rows: NDArray[np.int64],
    x: NDArray[Any],
    y: NDArray[Any],
    threads: int,
) -> None:
    """`step.advance` in at most `threads` threads, this one among them.

    All samples of a stream go to one thread, in order. An exception in any thread is raised here,
    once no other is at work on the arrays.
    """
    shares = _shares(rows, len(states), threads)
    if len(shares) < 2:
        step.advance(states, rows, x, y)
        return

    def run(share: Share) -> None:
        if isinstance(share, slice):
            step.advance(states, rows[share], x[share], y[share])
        else:
            own = np.empty((len(share), y.shape[1]), y.dtype)
            step.advance(states, rows[share], x[share], own)
            y[share] = own

    first, *others = shares
    given: list[tuple[Share, Future[None] | None]] = [(s, _submit(run, s)) for s in others]
    try:
        run(first)
        for share, future in given:
            if future is None or future.cancel():  # no thread has been free for it
                run(share)
    finally:
        wait([future for _, future in given if future is not None and not future.cancel()])
    for _, future in given:
        if future is not None and not future.cancelled():
            future.result()


def _submit(run: Any, share: Share) -> Future[None] | None:
    try:
        return _pool(os.getpid()).submit(run, share)
    except RuntimeError:  # the main thread has ended: Python starts no other any more
        return None


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Made on first use, for each process: a fork has none of its parent's threads."""
    return ThreadPoolExecutor(os.cpu_count(), "streamrnn")


def _shares(rows: NDArray[np.int64], streams: int, threads: int) -> list[Share]:
    """Cut samples into at most `threads` shares of about one size, no stream in two of them."""
    N = len(rows)
    if threads < 2 or N < 2:
        return [slice(N)]
    cuts = np.arange(threads + 1) * N // threads
    share = np.repeat(np.arange(threads, dtype=np.uint8), np.diff(cuts))
    last = np.empty(streams, np.uint8)
    last[rows] = share  # of a stream's several samples the last one's
    if (last[rows] == share).all():  # neighbours will do: no copies
        return [slice(a, b) for a, b in zip(cuts[:-1], cuts[1:], strict=True) if a < b]
    _, stream, samples = np.unique(rows, return_inverse=True, return_counts=True)
    # a stream goes where the middle of its samples would lie if all were sorted by stream
    middle = 2 * np.cumsum(samples) - samples
    share = (middle * threads // (2 * N)).astype(np.uint8)[stream]
    found = (np.flatnonzero(share == n) for n in range(threads))
    return [own for own in found if len(own)]
