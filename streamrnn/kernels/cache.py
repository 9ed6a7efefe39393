"""Compiled kernels on disk: found again by the next process, and never trusted blindly.

Numba's own cache keys code by the kernel's own file, so a changed callee, or bounds checking
switched on, would load the old code; a damaged file aborts the process; a full disk raises; two
processes that compile for different arguments at once may leave the one's code under the other's
name; and whatever lies in the folder is run, whoever wrote it.

Here the code for one function, its arguments and CPU is one file. It begins with a SHA-256 over its
own name, all kernels' sources and the code, and is loaded if this fits and if it was written by
root, by this user, or by the owner of the source. Any failure means: compile.
"""

import hashlib
import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import llvmlite
import numba
from numba.core import caching
from numba.core.compiler import CompileResult
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps

HERE = Path(__file__).parent
CONFIG: Any = numba.config
# code for other settings or another Python is kept beside this one's; that of other versions is not
SETTINGS = (CONFIG.BOUNDSCHECK, os.environ.get("STREAMRNN_LANES"))
PYTHON = (sys.implementation.cache_tag, getattr(sys, "abiflags", ""))
VERSIONS = (numba.__version__, llvmlite.__version__)


def _digest() -> str:
    """What the machine code depends on beyond its own file and the CPU."""
    digest = hashlib.sha256(repr((SETTINGS, VERSIONS)).encode())
    for source in sorted(HERE.rglob("*.py")):
        name = source.relative_to(HERE).as_posix()
        digest.update(name.encode() + hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()


DIGEST = _digest()


def _folders(function: Callable[..., Any], source: Path) -> list[Path]:
    """Where code from `source` may lie: Numba's places for it, the first choice first."""
    if CONFIG.CACHE_DIR:
        given = caching.UserProvidedCacheLocator(function, str(source))
        return [Path(given.get_cache_path()).absolute()]
    beside = caching.InTreeCacheLocator(function, str(source))
    own = caching.UserWideCacheLocator(function, str(source))
    folders = [Path(place.get_cache_path()) for place in (beside, own)]
    return [folder for folder in folders if folder.is_absolute()]  # no home: own begins with "~"


def _private(path: str, flags: int) -> int:
    """Open for `_write`: to be written by this user only, whatever the umask; see `_trusted`."""
    return os.open(path, flags, 0o644)


class Cache(caching.NullCache):
    """What Numba asks for the code of one function, and gives it to keep.

    NUMBA_CACHE_DIR, where it is set, is the only folder. Else there are two: `__pycache__` beside
    the source, and below the user's own cache folder. Code is loaded from the first that has it and
    kept in the first that takes it: what the owner of a package compiled serves everybody who can
    read it, and the others keep their own.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        source = Path(function.__code__.co_filename).absolute()
        self._function = function
        self._folders: list[Path] = []
        # What a closure or one of several lambdas in a line compiles to is not told by its source.
        if source.is_file() and not function.__closure__ and function.__name__ != "<lambda>":
            self._folders = _folders(function, source)
            self._owner = source.stat().st_uid
            self._stamp = DIGEST.encode() + hashlib.sha256(source.read_bytes()).digest()

    def load_overload(self, signature: Any, context: Any) -> Any:
        # Not context.refresh(), as Numba does: that prepares to compile, which is a fifth of a warm
        # start, and is done when something is compiled. Loaded code needs the runtime's symbols.
        rtsys.initialize(context)
        name = self._name(signature, context.codegen())
        for folder in self._folders:
            with suppress(Exception):  # there is none, it is damaged, ..: compile
                return CompileResult._rebuild(context, *pickle.loads(self._read(folder / name)))
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        if compiled.library.has_dynamic_globals:
            return  # it holds addresses of this process
        name = self._name(signature, compiled.library.codegen)
        content = dumps(compiled._reduce())
        for folder in self._folders:
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                self._write(folder / name, content)
                return

    def _name(self, signature: Any, codegen: Any) -> str:
        code = self._function.__code__
        key = (code.co_qualname, signature, codegen.magic_tuple(), SETTINGS, PYTHON)
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        return f"{Path(code.co_filename).stem}.{code.co_name}.{digest}.nbc"

    def _seal(self, name: str, content: bytes) -> bytes:
        line = self._function.__code__.co_firstlineno
        return hashlib.sha256(self._stamp + f"{name} {line} ".encode() + content).digest()

    def _read(self, path: Path) -> bytes:
        with path.open("rb") as file:
            if not self._trusted(file):
                raise OSError(f"{path} may have been written by somebody else")
            seal, content = file.read(32), file.read()
        if seal != self._seal(path.name, content):
            raise OSError(f"{path} is damaged or was written for other sources")
        return content

    def _write(self, path: Path, content: bytes) -> None:
        """All of it or nothing, also while others read and write it."""
        part = path.with_name(f"{path.name}.{uuid4().hex}")
        try:
            with open(part, "xb", opener=_private) as file:
                file.write(self._seal(path.name, content) + content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _trusted(self, file: BinaryIO) -> bool:
        """Whether nobody wrote it who could not have changed the source, or what runs it."""
        if os.name != "posix":
            return True
        status = os.fstat(file.fileno())
        return status.st_uid in (0, os.geteuid(), self._owner) and not status.st_mode & 0o022
