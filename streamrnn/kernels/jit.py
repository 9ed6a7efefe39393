"""The one decorator under which every kernel is compiled, and its cache on disk."""

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding as llvm
from numba.core import caching, sigutils
from numba.core.ccallback import CFunc

HERE = Path(__file__).parent


def jit(function: Callable[..., Any]) -> Any:
    """Compile `function` with Numba when it is first called; the machine code is kept on disk.

    error_model="numpy": 1/0 is inf, as on any FPU, and loops stay free of branches.
    nogil: other threads (the server's sockets) go on while a long chunk runs.
    No fastmath: `reassoc` and `contract` would let the one-stream and the many-stream loop differ
    in the last bits, and `nnan` folds isnan(x) to False.
    """
    dispatcher: Any = numba.njit(error_model="numpy", nogil=True)(function)
    try:
        dispatcher._cache = Cache(function)
    except RuntimeError:
        # neither __pycache__ nor the user's cache can be written: run uncached
        pass
    return dispatcher


def _digest() -> str:
    """What the machine code depends on beyond its own file and the CPU."""
    settings = (numba.config.BOUNDSCHECK, os.environ.get("STREAMRNN_LANES"))  # type: ignore[attr-defined]
    digest = hashlib.sha256(repr(settings).encode())
    for source in sorted(HERE.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


DIGEST = _digest()


def inner(function: Callable[..., Any]) -> Any:
    """Compile `function` as a part of the kernels that call it.

    It has no door for Python, and no file of its own on disk, the kernels' files hold its code:
    that saves a fifth of the time a first start takes.
    """
    options: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(error_model="numpy", nogil=True, **options)(function)


class CFunction:
    """A function of int64 addresses and sizes that other kernels call through its `address`.

    Through an address, because Numba cannot cache a function that takes another one as its argument
    (numba#9237). Compiled when the address is first asked for: at import it would cost every start.
    """

    def __init__(self, function: Callable[..., Any], result: str = "void") -> None:
        arguments = ", ".join(["int64"] * function.__code__.co_argcount)
        signature = sigutils.normalize_signature(f"{result}({arguments})")
        compiled: Any = CFunc(function, signature, {}, {"error_model": "numpy"})
        try:
            compiled._cache = Cache(function)
        except RuntimeError:
            pass  # uncached, as in `jit`
        self._compiled = compiled

    @property
    def address(self) -> int:
        if self._compiled.address is None:
            self._compiled.compile()
        return int(self._compiled.address)


class Cache(caching.FunctionCache):
    """Numba's cache, made to notice what Numba's own does not.

    Numba keys an entry by the kernel's own file, so a changed callee, or bounds checking switched
    on, would load the old code; a damaged file aborts the process; a full disk raises. Here every
    entry is keyed by the digest of all kernels and verified, and any failure means: compile again.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        locator = self._impl.locator
        stamp = f"{DIGEST} {locator.get_source_stamp()}"
        self._cache_file = CacheFile(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:
            pass


class CacheFile(caching.IndexDataCacheFile):
    """Index and data files that begin with a SHA-256 over the stamp and the content.

    The stamp is part of it because two processes with different stamps write the same file names.
    """

    def _seal(self, content: bytes) -> bytes:
        return hashlib.sha256(self._source_stamp.encode() + content).digest()

    def _read(self, path: str) -> Any:
        sealed = Path(path).read_bytes()
        if sealed[:32] != self._seal(sealed[32:]):
            raise OSError(f"{path} is damaged or was written for other sources")
        return pickle.loads(sealed[32:])

    def _write(self, path: str, value: Any) -> None:
        content = self._dump(value)
        with self._open_for_write(path) as file:
            file.write(self._seal(content) + content)

    def _load_index(self) -> dict[Any, str]:
        try:
            version, overloads = self._read(self._index_path)
        except Exception:
            return {}
        return dict(overloads) if version == self._version else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_path, (self._version, overloads))

    def _load_data(self, name: str) -> Any:
        return self._read(self._data_path(name))

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), data)


def fingerprint() -> str:
    """What results depend on to the last bit: kernels, Numba, and the CPU's features.

    States saved under another fingerprint stay usable; what follows may differ in the last bit.
    """
    features = ",".join(sorted(k for k, on in llvm.get_host_cpu_features().items() if on))
    machine = f"{llvm.get_host_cpu_name()} {features}"
    digest = hashlib.sha256(f"{DIGEST} {numba.__version__} {machine}".encode()).hexdigest()[:16]
    return f"{llvm.get_host_cpu_name()}-{digest}"
