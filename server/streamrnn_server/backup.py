"""Copies of a journal: made while its server runs, put back where there is none."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from streamrnn_server import snapshots
from streamrnn_server.database import JournalError, opened_to_read
from streamrnn_server.journal import FILE


class Restored(NamedTuple):
    """A journal that is there again: its bytes, and what a person should know of it."""

    size: int
    told: Sequence[str]


def backup(folder: Path, into: Path) -> int:
    """Copy the journal in `folder`, as it is at this moment, to a new folder; its bytes.

    The server may go on writing. Raises JournalError.
    """
    source = opened_to_read(folder / FILE, older=True)
    with closing(source):
        _new(into)
        # Snapshots first: what the journal has beyond them is folded, the other way round is not.
        for path in snapshots.found(folder):
            try:
                shutil.copyfile(path, into / path.name)
            except FileNotFoundError:
                continue  # the server has made a newer one
        _copy(source, into / FILE)
    return sum(path.stat().st_size for path in into.iterdir())


def restore(copied: Path, folder: Path, *, anyway: bool = False) -> Restored:
    """Make `folder` the journal that `backup` copied, after a look whether it is whole.

    A snapshot that cannot be used is left out, and told of: the states come from the one before it,
    or from the journal. Where neither has what a state is made of, not of one stream, it is done
    only if `anyway`. Raises JournalError, also if there is a journal already.
    """
    source = opened_to_read(copied / FILE, older=True)
    with closing(source):
        try:
            (found,) = source.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise JournalError(f"{copied / FILE} is damaged: {found}; take another backup")
            good, told = _checked(copied, source, anyway)
        except sqlite3.DatabaseError as error:
            raise JournalError(
                f"{copied / FILE} is damaged: {error}; take another backup"
            ) from None
        _new(folder)
        for path in good:
            shutil.copyfile(path, folder / path.name)
        _copy(source, folder / FILE)
    return Restored(sum(path.stat().st_size for path in folder.iterdir()), told)


def _checked(
    copied: Path, source: sqlite3.Connection, anyway: bool
) -> tuple[list[Path], list[str]]:
    """The snapshots that can be used, the newest first, and what is to be said of the others."""
    (journal,) = source.execute("SELECT value FROM facts WHERE name = 'name'").fetchone()
    found = snapshots.found(copied)
    good, told = [], []
    for path in found:
        try:
            snapshots.read(path, journal)
            good.append(path)
        except snapshots.SnapshotError as error:
            told.append(f"{error}; it is left out")
    if told and good:
        told.append(f"states are those of {good[0].name}, and what the journal has after it")
    elif told:
        told.append("no snapshot is left: the first start makes all states of the journal alone")
    # A stream that is served no more is in no newer snapshot, and its samples go: nothing is amiss.
    streams, lacking = _lacking(source, good[:1], every=not good or good[0] != found[0])
    if not lacking:
        return good, told
    what = f"{sum(lacking)} samples that no good snapshot knows of and the journal keeps no more"
    if not good and len(lacking) == streams and not anyway:
        why = "".join(f"{line}; " for line in told[:-1])
        raise JournalError(
            f"{why}no state can be made as it was: all {streams} streams lack {what}. "
            "Take an earlier backup, or say --anyway: their predictions will be others then. "
            f"What was recorded `streamrnn export {copied}` reads"
        )
    told.append(
        f"{len(lacking)} of {streams} streams go on without {what}, so their predictions will "
        "be others"
    )
    return good, told


def _lacking(
    source: sqlite3.Connection, newest: Sequence[Path], *, every: bool
) -> tuple[int, list[int]]:
    """How many streams there are, and of those that lack samples to fold, how many each.

    every   also of streams that the newest snapshot does not know of
    """
    (version,) = source.execute("PRAGMA user_version").fetchone()
    left = "left_log" if version > 1 else "0"  # before that nothing left the log
    rows = source.execute(f"SELECT id, began, {left} FROM streams").fetchall()
    start = {id: began for id, began, _ in rows}
    known = set(start) if every else set()
    for path in newest:
        for ids, counts, _ in snapshots.counted(path):
            known.update(ids.tolist())
            for id, count in zip(ids.tolist(), counts.tolist(), strict=True):
                start[id] = max(start.get(id, 0), count)
    # The log has all that did not leave it; of the rest chunks may be gone.
    lacking = {id: max(0, end - start[id]) for id, _, end in rows}
    for id, first, n in source.execute("SELECT stream, first, n FROM chunks"):
        lacking[id] -= max(0, first + n - max(first, start[id]))
    return len(rows), [count for id, count in lacking.items() if count > 0 and id in known]


def _new(folder: Path) -> None:
    # A write-ahead log that is left of another journal would be taken for this one's.
    if any(folder.glob(f"{FILE}*")):
        raise JournalError(
            f"{folder} holds a journal already; move it away, or name another folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(f"{folder} cannot be made: {error}") from None


def _copy(source: sqlite3.Connection, path: Path) -> None:
    """The file comes up when it is whole."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with closing(sqlite3.connect(temporary)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = WAL")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, sqlite3.Error) as error:
        temporary.unlink(missing_ok=True)
        raise JournalError(f"{path} cannot be written: {error}") from None
