"""What `streamrnn demo` shows: one module each, with a title, rules for its streams, and sources.

`rule()` and `source(**kwargs)` of the older ones, or, of those that show a trained network,

    models()           its networks, by name: those that the package carries
    train(show)        the same, trained anew
    figures(models)    how good they are on data that they have not seen
    rules(models)      what runs on its streams
    sources()          functions that make the sources

Needs neither a network nor anything that is not in the package, `sentiment` excepted.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from streamrnn.demos import code, host, office, weather
from streamrnn.streams import Rule, Source

ALL = (host, weather, office, code)
CARRIED = ("digits", "caption", "translate", "tracking", "program", "window")
SHAPES = (*CARRIED, "sentiment")  # whose network is trained where it is first shown
NAMES = ("host", "weather", "office", "code", "text", *SHAPES)


class Shown(NamedTuple):
    """What a demo serves. sources: functions that take the arguments of a `Source`."""

    rules: Sequence[Rule]
    sources: Sequence[Callable[..., Source]]


def named(name: str) -> ModuleType:
    """The module of one of NAMES. Raises ValueError for another name."""
    if name not in NAMES:
        raise ValueError(f"there is no demo {name!r}; expected one of {', '.join(NAMES)}")
    return import_module(f"streamrnn.demos.{name}")


def shown(name: str = "", models: Any = None) -> Shown:
    """What the demo of that name serves, by default ALL; models: instead of those it carries."""
    if name not in SHAPES:
        modules = [named(name)] if name else ALL
        return Shown([m.rule() for m in modules], [m.source for m in modules])
    module = named(name)
    return Shown(module.rules(models or module.models()), module.sources())
