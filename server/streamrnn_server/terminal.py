"""What the commands say to a person: results on `out`, everything else on `err`."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(why: str | Exception) -> NoReturn:
    """End the command with 1, and say why."""
    if isinstance(why, OSError) and why.filename and why.strerror:
        why = f"{why.filename}: {why.strerror}"
    err.print(str(why), style="red", markup=False)
    raise typer.Exit(1)
