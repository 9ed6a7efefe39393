"""Copies of a journal: made while its server runs, put back where there is none."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from streamrnn_server import snapshots
from streamrnn_server.database import JournalError, opened_to_read
from streamrnn_server.journal import FILE


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


def restore(copied: Path, folder: Path) -> int:
    """Make `folder` the journal that `backup` copied, after a look whether it is whole; its bytes.

    Raises JournalError, also if there is a journal already.
    """
    source = opened_to_read(copied / FILE, older=True)
    with closing(source):
        if (found := source.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
            raise JournalError(f"{copied / FILE} is damaged: {found}")
        _new(folder)
        for path in snapshots.found(copied):
            shutil.copyfile(path, folder / path.name)
        _copy(source, folder / FILE)
    return sum(path.stat().st_size for path in folder.iterdir())


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
