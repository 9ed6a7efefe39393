"""The file of the journal: its schema, and how it is opened, locked and brought up to date."""

from __future__ import annotations

import os
import secrets
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = 6
APPLICATION = 0x73726E6E  # "srnn", so that no other SQLite file is taken for a journal
PAGE_BYTES = 1 << 13

# streams.left_log  so many of its samples are in chunks, or were there before they were too old
# streams.began     after so many its state was new
# chunks.low, high  f32: the smallest and largest of each column of x and y
# labels            each learned by its stream after `number` of its samples, in order of id
# waiting, late     samples that wait for earlier ones, and those that came too late; x is f64
# marks.used        when it was last written, seconds since 1970
# facts             name: of this journal; turned: [row, stream], while the log is turned over: of
#                   rows up to that one, samples of streams before that one are in chunks
SCHEMA = """
CREATE TABLE groups (
    id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE,
    channels TEXT NOT NULL, outputs TEXT NOT NULL);
CREATE TABLE streams (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, grp INTEGER NOT NULL,
    began INTEGER NOT NULL DEFAULT 0, left_log INTEGER NOT NULL DEFAULT 0);
CREATE TABLE events (
    stream INTEGER NOT NULL, number INTEGER NOT NULL, t REAL NOT NULL, what TEXT NOT NULL);
CREATE TABLE log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, grp INTEGER NOT NULL, n INTEGER NOT NULL,
    arrived REAL NOT NULL, width INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE chunks (
    stream INTEGER NOT NULL, first INTEGER NOT NULL, grp INTEGER NOT NULL, n INTEGER NOT NULL,
    arrived REAL NOT NULL, t0 REAL NOT NULL, t1 REAL NOT NULL, width INTEGER NOT NULL,
    packed INTEGER NOT NULL, low BLOB NOT NULL, high BLOB NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX chunks_of_stream ON chunks (stream, first, n, t0, t1);
CREATE INDEX chunks_by_age ON chunks (arrived);
CREATE TABLE waiting (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, channels TEXT NOT NULL, t REAL NOT NULL,
    x BLOB NOT NULL, arrived REAL NOT NULL);
CREATE TABLE late (
    key TEXT NOT NULL, channels TEXT NOT NULL, t REAL NOT NULL, x BLOB NOT NULL,
    arrived REAL NOT NULL);
CREATE TABLE labels (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, number INTEGER NOT NULL,
    t REAL NOT NULL, value REAL NOT NULL);
CREATE TABLE marks (
    name TEXT PRIMARY KEY, number INTEGER NOT NULL, used REAL NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

# From each version to the next. Version 1 had no compaction, so nothing was in its chunks.
MIGRATIONS = {
    1: """
ALTER TABLE streams ADD COLUMN left_log INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chunks ADD COLUMN low BLOB NOT NULL DEFAULT x'';
ALTER TABLE chunks ADD COLUMN high BLOB NOT NULL DEFAULT x'';
""",
    2: """
CREATE TABLE waiting (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, channels TEXT NOT NULL, t REAL NOT NULL,
    x BLOB NOT NULL, arrived REAL NOT NULL);
CREATE TABLE late (
    key TEXT NOT NULL, channels TEXT NOT NULL, t REAL NOT NULL, x BLOB NOT NULL,
    arrived REAL NOT NULL);
""",
    3: """
CREATE TABLE labels (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, number INTEGER NOT NULL,
    t REAL NOT NULL, value REAL NOT NULL);
""",
    4: """
ALTER TABLE marks ADD COLUMN used REAL NOT NULL DEFAULT 0;
""",
    5: "",  # up to here no part of the log was turned over bit by bit
}


class JournalError(Exception):
    """A journal that cannot be used; the text says why and what to do."""


def damaged(path: Path, error: Exception) -> JournalError:
    """What to say of a journal of which something cannot be read."""
    return JournalError(
        f"{path} cannot be read: {error}; `streamrnn restore BACKUP FOLDER` makes one of a backup"
    )


@contextmanager
def told_if_damaged(path: Path) -> Iterator[None]:
    """Around what reads a journal, and nothing else: damage shows in many ways.

    Raises JournalError.
    """
    try:
        yield
    except (sqlite3.Error, zlib.error, ValueError, LookupError, TypeError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN):
            raise JournalError(f"{path}: {error}") from None
        raise damaged(path, error) from None


def opened(path: Path) -> sqlite3.Connection:
    """The journal at `path`, made or migrated if need be. Raises JournalError."""
    try:
        # By hand: the module's own transactions begin where they like.
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
        if _is_new(db):
            db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(
                f"BEGIN; {SCHEMA} INSERT INTO facts VALUES ('name', '{secrets.token_hex(8)}');"
                f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
            )
        for version in range(_version(db, path), VERSION):
            db.executescript(
                f"BEGIN; {MIGRATIONS[version]} PRAGMA user_version = {version + 1}; COMMIT;"
            )
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {error}") from None
    return db


def opened_to_read(path: Path, *, older: bool = False) -> sqlite3.Connection:
    """The journal at `path`, which another process may write. Raises JournalError.

    older   though it may be of an earlier version: to be copied as it is
    """
    if not path.is_file():
        raise JournalError(f"there is no journal {path}")
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    if (version := _version(db, path)) < VERSION and not older:
        raise JournalError(
            f"{path} is written in version {version}; start its server once, which brings it to "
            f"version {VERSION}"
        )
    return db


def locked(path: Path) -> sqlite3.Connection:
    """Hold a folder by a file in it: the system lets go when this process ends, however it ends."""
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(path, timeout=0, check_same_thread=False)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise JournalError(
                f"{folder} is in use by another streamrnn; stop that one, or give this one another "
                "path under [journal]"
            ) from None
        raise JournalError(f"{folder} cannot be written: {error}") from None
    except OSError as error:
        raise JournalError(f"{folder} cannot be made: {error}") from None
    return lock


def check_folder(folder: Path) -> None:
    """Whether a journal can be in `folder`, which need not be there; makes nothing.

    Raises JournalError.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    what = "written" if there == folder else "made"
    if not there.is_dir():
        raise JournalError(
            f"{folder} cannot be {what}: {there} is no folder; give another path under [journal]"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise JournalError(
            f"{folder} cannot be {what}: {there} may not be written by this user; let it, or give "
            "another path under [journal]"
        )


def _is_new(db: sqlite3.Connection) -> bool:
    """Whether nothing is in it, or only what a process left that was killed while it made it."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(application == tables == 0)


def _version(db: sqlite3.Connection, path: Path) -> int:
    """Raises JournalError for what is no journal, or one of a later version."""
    try:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise JournalError(f"{path}: {error}; expected a journal of streamrnn") from None
    if application != APPLICATION:
        raise JournalError(f"{path} is not a journal of streamrnn")
    if version > VERSION:
        raise JournalError(
            f"{path} is written in version {version}, this streamrnn reads up to {VERSION}; "
            "install a newer one"
        )
    return int(version)
