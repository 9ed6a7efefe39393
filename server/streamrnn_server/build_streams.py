"""Rules for the pipeline, from the [[streams]] of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamrnn as srnn
from streamrnn.step import Output, Step
from streamrnn.streams import Rule
from streamrnn.text import load_reader
from streamrnn_server.config import OutputTable, StreamsTable, Wrong, check_file
from streamrnn_server.schema import either, shown

MakeStep = Callable[[tuple[str, ...]], Step]

RUNS = ("detect", "forecast", "model", "text", "step")


def rule(place: str, table: StreamsTable, folder: Path, steps: Mapping[str, MakeStep]) -> Rule:
    runs = [name for name in RUNS if getattr(table, name)]
    if len(runs) != 1:
        got = " and ".join(runs) or "none"
        raise Wrong(place, f"expected one of {', '.join(RUNS)} to say what runs, got {got}")
    allowed = {
        "detect": ("horizon", "channels", "units", "every", "how"),
        "forecast": ("horizon", "channels", "units", "every", "how"),
        "model": ("outputs", "channels", "units", "every", "how"),
        "text": (),
        "step": ("outputs", "channels", "units", "every", "how"),
    }[runs[0]]
    for name in ("horizon", "outputs", "channels", "units", "every", "how"):
        if getattr(table, name) is not None and name not in allowed:
            raise Wrong(f"{place}.{name}", f"goes not with {runs[0]}; leave it out")
    if runs[0] == "text":
        reader = _loaded(f"{place}.text", load_reader, folder / str(table.text))
        token = ("token",)
        return Rule(
            table.match, lambda channels: reader, token, kind="tokens", lateness=table.lateness
        )

    channels = table.channels
    make = _step_maker(place, runs[0], table, folder, steps)
    if table.model is not None:
        inputs = make(()).inputs  # a model has no channel names of its own
        channels = channels or (
            ("value",) if inputs == 1 else tuple(f"x{n}" for n in range(inputs))
        )
        if len(channels) != inputs:
            problem = f"expected {inputs}, as {table.model} has so many inputs, got {len(channels)}"
            raise Wrong(f"{place}.channels", problem)
    if channels is not None:
        _check_names(f"{place}.channels", channels)
    elif table.every is not None:
        raise Wrong(f"{place}.every", "needs channels = [...] beside it, that make a row")
    if table.how is not None and table.every is None:
        raise Wrong(f"{place}.how", "needs every = ... beside it")
    target = _target(f"{place}.target", table.target, channels)
    units = _units(f"{place}.units", table.units, channels)
    outputs = None
    if table.outputs is not None:
        outputs = tuple(
            _output(f"{place}.outputs[{n}]", n, output, channels)
            for n, output in enumerate(table.outputs)
        )
        if channels is not None:
            _check_count(f"{place}.outputs", _made(place, make, channels).outputs, len(outputs))
    elif channels is not None:
        _made(place, make, channels)
    return Rule(
        table.match,
        make,
        channels,
        units,
        target,
        outputs=outputs,
        lateness=table.lateness,
        every=table.every or 0.0,
        how=table.how or "last",
    )


def _step_maker(
    place: str,
    runs: str,
    table: StreamsTable,
    folder: Path,
    steps: Mapping[str, MakeStep],
) -> MakeStep:
    if runs == "step":
        step = str(table.step)
        if step not in steps:
            names = f"{either(map(shown, steps))}, as" if steps else "what"
            problem = f"expected {names} Python passes to run(config, steps=...), got {shown(step)}"
            if step in ("forecast", "detect"):
                problem += f"; did you mean {step} = true?"
            raise Wrong(f"{place}.step", problem)
        return steps[step]
    if runs == "model":
        model = _loaded(f"{place}.model", srnn.load, folder / str(table.model))
        if isinstance(model, srnn.Bank):
            raise Wrong(f"{place}.model", "expected the file of a model, got that of a Bank")
        return lambda channels: model
    learner = srnn.Detector if runs == "detect" else srnn.Forecaster

    def make(channels: tuple[str, ...]) -> Step:
        target = _target(f"{place}.target", table.target, channels)
        return learner(len(channels), target, table.horizon or 12)

    return make


def _made(place: str, make: MakeStep, channels: tuple[str, ...]) -> Step:
    try:
        return make(channels)
    except Wrong:
        raise
    except Exception as error:  # a step of the user's own may raise anything
        raise Wrong(place, f"no step for channels {', '.join(channels)}: {error}") from error


def _loaded(place: str, load: Callable[[Path], Any], path: Path) -> Any:
    check_file(place, path)
    try:
        return load(path)
    except srnn.FormatError as error:
        raise Wrong(place, str(error)) from None


def _check_names(place: str, names: Sequence[str]) -> None:
    for n, name in enumerate(names):
        if name in names[:n]:
            raise Wrong(f"{place}[{n}]", f"expected different names, got {shown(name)} again")
    if not names:
        raise Wrong(place, "expected at least one")


def _check_count(place: str, outputs: int, got: int) -> None:
    if got != outputs:
        raise Wrong(place, f"expected {outputs}, one for each output, got {got}")


def _target(place: str, target: str | int, channels: tuple[str, ...] | None) -> int:
    if channels is None:
        if isinstance(target, str):
            raise Wrong(place, "a name needs channels = [...] beside it; or give its number from 0")
        return target
    if target in channels:
        return channels.index(str(target))
    if isinstance(target, int) and target < len(channels):
        return target
    names = either(map(shown, channels))
    raise Wrong(place, f"expected {names}, or a number below {len(channels)}, got {shown(target)}")


def _units(
    place: str, units: tuple[str, ...] | dict[str, str] | None, channels: tuple[str, ...] | None
) -> tuple[str, ...] | dict[str, str] | None:
    if isinstance(units, dict) and channels is not None:
        for name in units:
            if name not in channels:
                raise Wrong(place, f"expected {either(map(shown, channels))}, got {shown(name)}")
    if isinstance(units, tuple):
        if channels is None:
            raise Wrong(
                place, "a list needs channels = [...] beside it; or give a table by channel"
            )
        if len(units) != len(channels):
            raise Wrong(place, f"expected {len(channels)}, one for each channel, got {len(units)}")
    return units


def _output(place: str, n: int, table: OutputTable, channels: tuple[str, ...] | None) -> Output:
    if table.channel is None:
        if table.kind in ("forecast", "lower", "upper"):
            raise Wrong(f"{place}.channel", f"missing; a {table.kind} is of a channel")
        return Output(table.name or f"y{n}", table.kind or "value")
    if channels is None:
        raise Wrong(f"{place}.channel", "a name needs channels = [...] beside outputs")
    if table.channel not in channels:
        names = either(map(shown, channels))
        raise Wrong(f"{place}.channel", f"expected {names}, got {shown(table.channel)}")
    kind = table.kind or "forecast"
    name = table.name or f"{table.channel} {kind} +{table.ahead}"
    return Output(name, kind, channels.index(table.channel), table.ahead)


def different(tables: Sequence[StreamsTable]) -> None:
    if not tables:
        raise Wrong("streams", "expected at least one [[streams]] table")
    patterns = [table.match for table in tables]
    for n, pattern in enumerate(patterns):
        if (first := patterns.index(pattern)) != n:
            raise Wrong(f"streams[{n}].match", f"{shown(pattern)} is that of streams[{first}]")
