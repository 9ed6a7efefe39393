"""One call of `advance` shared out among threads, each with streams of its own: equal bits."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.step import Step, flat

Share = slice | NDArray[np.intp]  # which samples of a call
MOST = 256  # threads: the number of a share fits in a byte
PORTION_BYTES = 1 << 20  # of states: they and their copies fit into a core's cache


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


class Copies(NamedTuple):
    """Where the states of some streams are copied to before they move.

    rows     (S,) the streams' rows of the states, each of them once
    numbers  (N,) sample n is of rows[numbers[n]]
    out      (S, row) see `flat`
    """

    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    out: NDArray[Any]


def advance(
    step: Step,
    states: NDArray[Any],
    rows: NDArray[np.int64],
    x: NDArray[Any],
    y: NDArray[Any],
    threads: int,
    copies: Copies | None = None,
) -> None:
    """`step.advance` in at most `threads` threads, this one among them.

    All samples of a stream go to one thread, in order. An exception in any thread is raised here,
    once no other is at work on the arrays, and all states have been copied that were to be.
    """
    portions = deque[tuple[Share, slice]](
        ((share, slice(0)) for share in _shares(rows, len(states), threads))
        if copies is None
        else _portions(copies, threads, states.dtype.itemsize)
    )
    failed: list[BaseException] = []

    def run() -> None:
        while True:
            try:
                share, own = portions.popleft()
            except IndexError:
                return
            try:
                if copies is not None:
                    copied(states, copies.rows[own], copies.out[own])
                if failed:
                    continue  # what will be put back must have been copied
                if isinstance(share, slice):
                    step.advance(states, rows[share], x[share], y[share])
                else:
                    part = np.empty((len(share), y.shape[1]), y.dtype)
                    step.advance(states, rows[share], x[share], part)
                    y[share] = part
            except BaseException as error:
                failed.append(error)

    others = [_submit(run) for _ in range(min(threads, len(portions)) - 1)]
    run()
    wait([future for future in others if future is not None and not future.cancel()])
    if failed:
        raise failed[0]


def copied(states: NDArray[Any], rows: NDArray[np.int64], out: NDArray[Any]) -> None:
    """Copy rows of states (S,) into out (n, row)."""
    # Flat, since NumPy copies a structured row field by field; "clip" copies without a buffer.
    np.take(flat(states), rows, 0, out, "clip")


def _submit(run: Callable[[], None]) -> Future[None] | None:
    try:
        return _pool(os.getpid()).submit(run)
    except RuntimeError:  # the main thread has ended: Python starts no other any more
        return None


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Made on first use, for each process: a fork has none of its parent's threads."""
    return ThreadPoolExecutor(os.cpu_count(), "streamrnn")


def _portions(copies: Copies, threads: int, size: int) -> Iterator[tuple[Share, slice]]:
    """Which samples come next, and whose states are copied for them: so many that the states are
    still in the cache when they move."""
    numbers, S = copies.numbers, len(copies.rows)
    streams = max(1, min(PORTION_BYTES // size, -(-S // threads)))
    if streams >= S:
        yield slice(len(numbers)), slice(S)
        return
    order = None if (numbers[1:] >= numbers[:-1]).all() else np.argsort(numbers, kind="stable")
    starts = np.arange(0, S + streams, streams)
    bounds = np.searchsorted(numbers, starts, sorter=order).tolist()
    for start, a, b in zip(starts.tolist(), bounds, bounds[1:], strict=False):
        share = slice(a, b) if order is None else order[a:b]
        yield share, slice(start, start + streams)


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
