"""`streamrnn demo`: its list, and the training of its networks with their progress."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from streamrnn import Detector, demos
from streamrnn.streams import Rule

if TYPE_CHECKING:
    from streamrnn.demos.trained import Figure, Models
    from streamrnn.train import Report


SENSE_AHEAD = 24  # samples, of which /sense sends 60 a second


def welcome() -> list[Rule]:
    """Rules for what others send to a demo: points of /sense, and anything else.

    For a point a forecaster would do, but a detector has to be compiled for the others anyway.
    """
    return [
        Rule("sense/*", lambda channels: Detector(len(channels), horizon=SENSE_AHEAD)),
        Rule("*", lambda channels: Detector(len(channels))),
    ]


def listed() -> Iterator[str]:
    """A line for each demo."""
    for name in demos.NAMES:
        yield f"{name:10}{demos.named(name).title}"


def networks(name: str, console: Console, *, anew: bool) -> Models | None:
    """The networks of a demo: those it keeps, or trained now; None for a demo that keeps none."""
    if not anew and name not in demos.SHAPES:
        return None
    if not anew:
        try:
            models: Models = demos.named(name).models()
            return models
        except FileNotFoundError:
            console.print(f"{name}: fetching its data, training its network, once; a minute or two")
    return trained(name, console)


def trained(name: str, console: Console) -> Models:
    """The networks of a demo, trained now. Raises ValueError for a demo that trains none."""
    if name not in demos.SHAPES:
        raise ValueError(f"--train is for {', '.join(demos.SHAPES)}; got {name or 'no name'}")
    demo = demos.named(name)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks = {}

        def show(what: str, report: Report) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what)
                if not console.is_terminal:
                    console.print(f"training {what}", markup=False)
            text = f"{what}, loss {report.loss:.4f}"
            if not math.isnan(report.validation_loss):
                text += f", unseen {report.validation_loss:.4f}"
            progress.update(
                tasks[what], description=text, completed=report.update, total=report.updates
            )

        models: Models = demo.train(show, threads=2)
    for figure in demo.figures(models):
        console.print(in_words(figure), markup=False)
    return models


def in_words(figure: Figure) -> str:
    """A figure as a person reads it."""
    return (
        f"{figure.what}: {100 * figure.ours:.1f} %, "
        f"{figure.baseline}: {100 * figure.theirs:.1f} %, on data not seen in training"
    )
