"""How far a file has been read, as marks that go with its samples: where a restart goes on.

A file is known again by what is in it. Names are used again when a file is rotated, and the system
uses its own numbers of files again as soon as one is deleted.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import IO, NamedTuple

KNOWN_BYTES = 1 << 10


class Place(NamedTuple):
    """In a file: so many bytes, and lines, were read."""

    at: int
    line: int


class Places:
    """Places in the file of one source.

    name    of the source, among all whose marks are kept together
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def marks(self, file: IO[bytes], place: Place) -> Mapping[str, int]:
        """That an open file was read so far; where it is read next stays."""
        at, line = place
        name = self._name
        return {f"{name} at": at, f"{name} line": line, f"{name} is": _content(file, at)}

    def begun(self, marked: Callable[[str], int]) -> bool:
        """Whether anything of a file of that name was read."""
        return bool(marked(f"{self._name} at"))

    def known(self, file: IO[bytes], marked: Callable[[str], int]) -> Place | None:
        """How far this very file was read, by what `marked(name)` says; None if it never was."""
        at = marked(f"{self._name} at")
        if not at or marked(f"{self._name} is") != _content(file, at):
            return None
        return Place(at, marked(f"{self._name} line"))


def name_of(kind: str, path: Path, key: str | None, channels: Sequence[str] | None) -> str:
    """The name of a source that reads `channels` of a file into stream `key`."""
    of = [kind, str(path.absolute()), key, None if channels is None else [*channels]]
    return json.dumps(of, ensure_ascii=False)


def digest(content: bytes) -> int:
    """A whole number that a mark can be, which has 63 bits; never 0, which is no mark."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big") >> 1 or 1


def _content(file: IO[bytes], at: int) -> int:
    """What a file is up to `at`, by its beginning and what is right before."""
    here = file.tell()
    part = min(at, KNOWN_BYTES)
    try:
        file.seek(0)
        begin = file.read(part)
        file.seek(at - part)
        return digest(begin + file.read(part))
    finally:
        file.seek(here)
