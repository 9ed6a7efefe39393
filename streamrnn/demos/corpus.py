"""What the code demo's network reads: the standard library of the Python that runs it.

About a tenth of its modules are held out of training, by a rule that depends on their names alone.
They are what the demo shows and what the network's figures are measured on.
"""

import os
import sysconfig
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamrnn.vocabulary import OTHER, Vocabulary

WEIGHTS = Path(__file__).parent / "data" / "code_lstm.safetensors"
VOCABULARY = Vocabulary(["\n", *map(chr, range(32, 127)), OTHER])

# The tests, programs and other projects beside the library; and tables, most written by programs.
OTHERS = {"test", "tests", "idlelib", "idle_test", "lib2to3", "distutils"}
TABLES = {"_bundled", "encodings", "pydoc_data", "entities.py", "stringprep.py"}


def modules() -> dict[str, Path]:
    """The standard library's modules worth reading: dotted name -> file, in order of name."""
    root = Path(sysconfig.get_path("stdlib"))
    found = {}
    for folder, folders, files in os.walk(root):
        # Pruned on the way down. A name with a dash is no package: site-packages, config-3.11-...
        folders[:] = [f for f in folders if f.isidentifier() and f not in OTHERS | TABLES]
        parts = Path(folder).relative_to(root).parts
        for file in files:
            if worth_reading(file):
                name = ".".join((*parts, file)).removesuffix(".py").removesuffix(".__init__")
                found[name] = Path(folder, file)
    return dict(sorted(found.items()))


def worth_reading(file: str) -> bool:
    """Whether a file of this name is source code that somebody wrote."""
    return file.endswith(".py") and file not in TABLES and not file.startswith("_sysconfig")


def held_out(module: str) -> bool:
    """Whether the module of this name is kept from training, in whatever version of Python."""
    return zlib.crc32(module.encode()) % 10 == 0


def read(path: Path) -> str:
    """A source file as the network reads it: without tabs, which the vocabulary has not."""
    return path.read_text(encoding="utf-8", errors="replace").expandtabs(4)


def encoded(*, held: bool) -> list[NDArray[np.int32]]:
    """The token ids of each held-out module, or of each of the others."""
    chosen = (path for name, path in modules().items() if held_out(name) == held)
    return [VOCABULARY.encode(read(path)) for path in chosen]
