"""The states of all streams on disk, so that a start need not fold the whole journal.

A file is a header and slices, each a line of JSON and arrays in NumPy's own format:

    {"version": 1, "journal": .., "fingerprint": .., "made": ..}
    {"identity": .., "banks": 2, "labels": 0}  ids (n,)  counts (n,)  states of each bank (n, row)
    ...

A slice is consistent in itself: state n is that of stream ids[n] after its first counts[n] samples
and all labels of the journal up to id `labels`; where that is not said there were none.
So slices can be copied one by one between commits, and no commit waits for the copy of everything.
A file's name ends in the digest of its content, and it gets that name when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.kernels.jit import fingerprint

VERSION = 1
KEPT = 2  # the newest, and one to fall back to
_DIGITS = 16
_HASHED_BYTES = 1 << 20


class SnapshotError(Exception):
    """A file that cannot be used; the text says why."""


class Slice(NamedTuple):
    """Some streams of groups with one identity."""

    identity: str
    ids: NDArray[np.int64]  # (n,)
    counts: NDArray[np.int64]  # (n,)
    states: Sequence[NDArray[Any]]  # for each bank (n, row)
    labels: int = 0  # the last one that they know of


class Writer:
    """Writes a snapshot, slice by slice. `finish` makes it one; nothing is there before that."""

    def __init__(self, folder: Path, journal: str) -> None:
        self._folder = folder
        self._made = time.time()
        self._digest = hashlib.sha256()
        self._temporary = folder / ".snapshot.tmp"  # one process holds the folder
        self._file = self._temporary.open("wb")
        self._line(
            {
                "version": VERSION,
                "journal": journal,
                "fingerprint": fingerprint(),
                "made": self._made,
            }
        )

    def add(self, part: Slice) -> None:
        about = {"identity": part.identity, "banks": len(part.states), "labels": part.labels}
        self._line(about)
        for array in (part.ids, part.counts, *part.states):
            np.lib.format.write_array(self, array, allow_pickle=False)

    def finish(self) -> Path:
        """Let the snapshot come up, whole, and older ones go."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        digest = self._digest.hexdigest()[:_DIGITS]
        path = self._folder / f"snapshot-{int(1000 * self._made):015}-{digest}"
        self._temporary.replace(path)
        for old in found(self._folder)[KEPT:]:
            old.unlink(missing_ok=True)
        return path

    def abandon(self) -> None:
        try:
            self._file.close()  # writes what is left, for which there may be no room
        finally:
            self._temporary.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """What arrays are written to."""
        self._digest.update(data)
        self._file.write(data)

    def _line(self, content: dict[str, Any]) -> None:
        self.write(json.dumps(content).encode() + b"\n")


def found(folder: Path) -> list[Path]:
    """The snapshots there are, the newest first."""
    return sorted(folder.glob("snapshot-*-*"), reverse=True)


def read(path: Path, journal: str) -> tuple[str, Iterator[Slice]]:
    """The fingerprint and the slices of a snapshot. Raises SnapshotError if it is damaged."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            header = file.readline()
            digest.update(header)
            while part := file.read(_HASHED_BYTES):
                digest.update(part)
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error}") from None
    if digest.hexdigest()[:_DIGITS] != path.name.rpartition("-")[2]:
        raise SnapshotError(f"{path} is damaged: its content is not what its name says")
    made = json.loads(header)
    if made["version"] > VERSION:
        raise SnapshotError(f"{path} is written in version {made['version']}, expected {VERSION}")
    if made["journal"] != journal:
        raise SnapshotError(f"{path} belongs to another journal")
    return made["fingerprint"], _slices(path)


def counted(path: Path) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """ids, counts, labels of each slice of a snapshot that `read` found good, without states."""
    with path.open("rb") as file:
        file.readline()
        while line := file.readline():
            ids, counts = (np.lib.format.read_array(file, allow_pickle=False) for _ in range(2))
            described = json.loads(line)
            for _ in range(described["banks"]):
                np.lib.format.read_magic(file)
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                file.seek(math.prod(shape) * dtype.itemsize, os.SEEK_CUR)
            yield ids, counts, described.get("labels", 0)


def _slices(path: Path) -> Iterator[Slice]:
    with path.open("rb") as file:
        file.readline()
        while line := file.readline():
            described = json.loads(line)
            arrays = [
                np.lib.format.read_array(file, allow_pickle=False)
                for _ in range(2 + described["banks"])
            ]
            labels = described.get("labels", 0)
            yield Slice(described["identity"], arrays[0], arrays[1], arrays[2:], labels)
