"""A small LSTM reads the source code of the Python that runs it, and guesses what comes next."""

import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

from streamrnn.demos.corpus import WEIGHTS, held_out, worth_reading
from streamrnn.streams import Rule, Source, text
from streamrnn.text import Reader, load_reader

title = "Python's own source code"

STREAM = "code/python"


@cache
def reader() -> Reader:
    return load_reader(WEIGHTS)


def rule() -> Rule:
    """One channel: the number of a character."""
    return Rule(STREAM, lambda names: reader(), ("token",), kind="tokens")


def source(**kwargs: Any) -> Source:
    """30 characters a second, of modules that were kept from training."""
    # Not all of corpus.modules(): finding them takes seconds where much is installed beside them.
    found = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    paths = [path for path in found if held_out(path.stem) and worth_reading(path.name)]
    return text(paths, reader().vocabulary, rate_hz=30, key=STREAM, loop=True, **kwargs)
