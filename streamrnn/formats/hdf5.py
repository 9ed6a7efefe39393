"""HDF5 files as plain arrays and texts, read in a process of its own.

The HDF5 library is known to crash on damaged files, and to make what a file merely declares.  Here
that ends a child process: this very file, run as a script, which imports no more than it needs.
"""

import io
import json
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

RATIO = 64  # numbers may be compressed, but not to less than this part of their size
ROOM = 2**20
LIMIT_S = 15.0  # and a second more for each MiB
REFUSED = 3  # the exit code of a child that says why


class Content(NamedTuple):
    """arrays by path, and the texts among the attributes: path -> name -> text or texts."""

    arrays: dict[str, NDArray[np.float32]]
    texts: dict[str, dict[str, Any]]


def read(content: bytes) -> Content:
    """What the file holds; ValueError for one that is not whole, with the reason."""
    command = [sys.executable, "-P", __file__]
    limit_s = LIMIT_S + len(content) / 2**20
    try:
        ran = subprocess.run(command, input=content, capture_output=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise ValueError(f"HDF5 finds no end of it in {limit_s:.3g} s") from None
    if ran.returncode == REFUSED:
        raise ValueError(ran.stderr.decode("utf-8", "replace").strip()[-300:])
    if ran.returncode:
        raise ValueError(f"HDF5 breaks on it, with exit code {ran.returncode}")
    with np.load(io.BytesIO(ran.stdout), allow_pickle=False) as made:
        names, texts = json.loads(str(made["names"])), json.loads(str(made["texts"]))
        return Content({name: made[f"a{n}"] for n, name in enumerate(names)}, texts)


# in the child


def _dump(content: bytes) -> bytes:
    import h5py

    arrays: dict[str, NDArray[np.float32]] = {}
    texts: dict[str, dict[str, Any]] = {}

    def visit(name: str, item: Any) -> None:  # no links to other files are followed
        if isinstance(item, h5py.Group):
            texts[name] = {key: _text(item.attrs[key]) for key in item.attrs}
        elif item.dtype.kind in "fiu":
            if item.nbytes > RATIO * len(content) + ROOM or item.external or item.is_virtual:
                raise ValueError(
                    f"{name}: {item.shape} of {item.dtype} declared in a file of "
                    f"{len(content)} bytes"
                )
            arrays[name] = np.asarray(item[()], np.float32)

    with h5py.File(h5py.h5f.open_file_image(content)) as file:
        visit("", file)
        file.visititems(visit)
    made = io.BytesIO()
    numbered: dict[str, Any] = {f"a{n}": array for n, array in enumerate(arrays.values())}
    np.savez(made, names=json.dumps(list(arrays)), texts=json.dumps(texts), **numbered)
    return made.getvalue()


def _text(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_text(one) for one in value.ravel().tolist()]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _main() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
    except (ImportError, ValueError, OSError):
        pass  # not on Windows
    try:
        sys.stdout.buffer.write(_dump(sys.stdin.buffer.read()))
    except Exception as error:  # HDF5 raises errors of many kinds
        sys.stderr.write(f"{type(error).__name__}: {error}")
        sys.exit(REFUSED)


if __name__ == "__main__":
    _main()
