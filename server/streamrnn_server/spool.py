"""Lines on their way to a server, on the disk until it has acknowledged them.

A line has a number for good. The server counts the lines of a sender by its name, so a line that is
sent again, because its acknowledgement was lost or this program was restarted, is taken once.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

FILE = "lines.sqlite"
MESSAGE = 500  # lines that are sent again in one message, at most
MESSAGE_BYTES = 1 << 15  # after which a message ends: a server takes a megabyte


class SpoolError(Exception):
    """Lines cannot be kept; the text says why."""


class Spool:
    """Lines kept in `folder`, made if there is none. Raises SpoolError.

    name   of the sender
    next   number of the next line
    """

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder) / FILE
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=0)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")  # two would mix their lines
            self._db.executescript(
                "BEGIN IMMEDIATE;"
                "CREATE TABLE IF NOT EXISTS lines (number INTEGER PRIMARY KEY, line TEXT NOT NULL);"
                "CREATE TABLE IF NOT EXISTS sender (name TEXT NOT NULL, next INTEGER NOT NULL);"
                "COMMIT"
            )
            row = self._db.execute("SELECT name, next FROM sender").fetchone()
            if row is None:
                row = (secrets.token_hex(8), 1)
                self._db.execute("INSERT INTO sender VALUES (?, ?)", row)
        except (OSError, sqlite3.Error) as error:
            in_use = "; another sender may use it" if "locked" in str(error) else ""
            raise SpoolError(f"lines cannot be kept in {folder}: {error}{in_use}") from None
        self.name: str = row[0]
        self.next: int = row[1]

    def close(self) -> None:
        self._db.close()

    def add(self, lines: Sequence[str]) -> int:
        """Keep lines; the number of the first. Raises SpoolError."""
        first = self.next
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO lines VALUES (?, ?)", enumerate(lines, first))
            self._db.execute("UPDATE sender SET next = ?", (first + len(lines),))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise SpoolError(f"lines cannot be kept: {error}") from None
        self.next = first + len(lines)
        return first

    def forget(self, last: int) -> None:
        """Lines up to this number are acknowledged."""
        self._db.execute("DELETE FROM lines WHERE number <= ?", (last,))

    def kept(self) -> Iterator[tuple[int, list[str]]]:
        """What was not acknowledged, in messages: number of the first line, lines."""
        rows = self._db.execute("SELECT number, line FROM lines ORDER BY number").fetchall()
        first, size = 0, 0
        part: list[str] = []
        for number, line in rows:
            first = first if part else number
            part.append(line)
            size += len(line.encode())
            if len(part) == MESSAGE or size >= MESSAGE_BYTES:
                yield first, part
                part, size = [], 0
        if part:
            yield first, part
