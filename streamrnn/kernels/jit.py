"""The decorators under which every kernel is compiled."""

import hashlib
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import binding as llvm
from numba.core import sigutils
from numba.core.ccallback import CFunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from streamrnn.kernels.cache import DIGEST, Cache


def jit(function: Callable[..., Any]) -> Any:
    """Compile `function` with Numba when it is first called; kernels/cache.py keeps its code.

    error_model="numpy": 1/0 is inf, as on any FPU, and loops stay free of branches.
    nogil: other threads (the server's sockets) go on while a long chunk runs.
    No fastmath: `reassoc` and `contract` would let the one-stream and the many-stream loop differ
    in the last bits, and `nnan` folds isnan(x) to False.
    _nrt=False: kernels allocate nothing, and counting who refers to an array that goes from one
    compiled function to the next took a third of a row of the forecaster.
    """
    return _cached(function, _nrt=False)


def allocating(function: Callable[..., Any]) -> Any:
    """As `jit`, for a kernel that makes an array to work in."""
    return _cached(function)


def _cached(function: Callable[..., Any], **options: Any) -> Any:
    dispatcher: Any = numba.njit(error_model="numpy", nogil=True, **options)(function)
    dispatcher._cache = Cache(function)
    return dispatcher


def inner(function: Callable[..., Any]) -> Any:
    """Compile `function` as a part of the kernels that call it.

    It has no door for Python, and no file of its own on disk, the kernels' files hold its code:
    that saves a fifth of the time a first start takes, and _Part a quarter of the rest.
    """
    options: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
    options["pipeline_class"] = _PartCompiler
    return numba.njit(error_model="numpy", nogil=True, **options)(function)


def view(function: Callable[..., Any]) -> Any:
    """Write `function` out where kernels call it: one line that returns a part of an array.

    Without reference counts a compiled function cannot return an array.
    """
    return numba.njit(inline="always")(function)


class _Part(JITCodeLibrary):
    """The code of an inner function, as it comes: nobody calls it but the kernels it is linked to.

    Numba would optimize it, and make machine code of it, for itself, and again within each function
    that calls it. Here that is done once, for the whole kernel; what is optimized together is also
    a tenth faster.
    """

    def finalize(self) -> None:
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0  # there is none

    @property
    def codegen(self) -> "_Part":
        return self  # for set_env

    def set_env(self, name: str, env: Any) -> None:
        """What Python objects a function needs is told to its machine code: there is none."""


class _PartCompiler(Compiler):
    def __init__(self, typing: Any, target: Any, library: Any, *about: Any) -> None:
        library = _Part(target.codegen(), "part")
        super().__init__(typing, target, library, *about)


class CFunction:
    """A function of int64 addresses and sizes that other kernels call through its `address`.

    Through an address, because Numba cannot cache a function that takes another one as its argument
    (numba#9237). Compiled when the address is first asked for: at import it would cost every start.
    """

    def __init__(self, function: Callable[..., Any], result: str = "void") -> None:
        arguments = ", ".join(["int64"] * function.__code__.co_argcount)
        signature = sigutils.normalize_signature(f"{result}({arguments})")
        compiled: Any = CFunc(function, signature, {}, {"error_model": "numpy"})
        compiled._cache = Cache(function)
        self._compiled = compiled

    @property
    def address(self) -> int:
        if self._compiled.address is None:
            self._compiled.compile()
        return int(self._compiled.address)


def fingerprint() -> str:
    """What results depend on to the last bit: kernels, Numba, and the CPU's features.

    States saved under another fingerprint stay usable; what follows may differ in the last bit.
    """
    features = ",".join(sorted(k for k, on in llvm.get_host_cpu_features().items() if on))
    machine = f"{llvm.get_host_cpu_name()} {features}"
    digest = hashlib.sha256(f"{DIGEST} {machine}".encode()).hexdigest()[:16]
    return f"{llvm.get_host_cpu_name()}-{digest}"
