"""`streamrnn inspect` and `convert`: networks trained elsewhere, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zipfile import BadZipFile

import typer
from rich.table import Table

from streamrnn_server.terminal import err, fail, out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamrnn.bidirectional import Bidirectional
    from streamrnn.network import Network


ModelPath = Annotated[
    Path,
    typer.Argument(help=".pt, .safetensors, .onnx, .keras or .h5"),
]
Forward = Annotated[
    str,
    typer.Option(help="of PyTorch's weights: names in the order of forward, as lstm,fc1,relu,fc2"),
]
Nonlinearity = Annotated[str, typer.Option(help="of an nn.RNN's weights: tanh or relu")]
Numbers = Annotated[
    str,
    typer.Option(help="that it was trained with, one or one a column, as 20,1000: raw units go in"),
]
OutNumbers = Annotated[str, typer.Option(help="the same of its outputs: raw units come out")]
Tokens = Annotated[bool, typer.Option("--tokens", help="x is the index of a one-hot vector")]


def inspect(
    path: ModelPath,
    forward: Forward = "",
    nonlinearity: Nonlinearity = "",
    tokens: Tokens = False,
) -> None:
    """Show the layers of a trained network, and what of it cannot be streamed."""
    from streamrnn.trained import rows

    network = _read(path, forward, nonlinearity, tokens)
    table = Table("layer", "kind", "columns", "parameters", box=None, header_style="bold")
    for row in rows(network):
        table.add_row(row.name, row.kind, f"{row.columns} -> {row.outputs}", f"{row.parameters:,}")
    out.print(table)
    total = sum(row.parameters for row in rows(network))
    x = f"a token of {network.input_size}" if network.tokens else f"{network.inputs} columns"
    out.print(f"in: {x}; out: {network.outputs} columns; {total:,} parameters", markup=False)
    if not network.tokens and (network.scaling["std"] != 1).any():
        out.print(f"takes raw units, of mean {network.scaling['mean']}", markup=False)
    if why := _unstreamable(network):
        out.print(f"cannot be stepped: {why}", style="yellow", markup=False)
    else:
        out.print(f"can be stepped, as {type(network).__name__}", style="green", markup=False)


def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="as for inspect")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="a .safetensors of streamrnn")],
    check: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="X.npy Y.npy", help="run X and compare with Y"),
    ] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="of --check")] = 1e-5,
    windowed: Annotated[int, typer.Option(min=0, help="step over the last so many samples")] = 0,
    forward: Forward = "",
    nonlinearity: Nonlinearity = "",
    tokens: Tokens = False,
    mean: Numbers = "",
    std: Numbers = "",
    out_mean: OutNumbers = "",
    out_std: OutNumbers = "",
) -> None:
    """Turn a trained network into a file that `serve` and load take.

    With --check its outputs for X, (steps, columns) or (sequences, steps, columns), are compared
    with Y, those of the library that it comes from: the largest difference, and the first step
    where it passes the tolerance. If there is one, nothing is written. X and Y are in the units
    that the file's network takes and gives; --mean and the like are set after the comparison.
    """
    from streamrnn import FormatError, save

    if target.suffix != ".safetensors" or target.exists() and target.samefile(source):
        fail(f"{target}: expected another name than SRC, that ends in .safetensors")
    if not target.parent.is_dir():
        fail(f"{target}: no such folder as {target.parent}")
    network = _read(source, forward, nonlinearity, tokens)
    if check and not _agrees(network, *check, tolerance):
        if mean or std or out_mean or out_std:
            err.print(
                "X and Y are in the units that the file's network has, before --mean and such"
            )
        raise typer.Exit(1)
    _scale(network, {"mean": mean, "std": std, "out_mean": out_mean, "out_std": out_std})
    if not windowed and (why := _unstreamable(network)):
        fail(f"{source}: {why}; or convert with --windowed")
    try:
        save(network.windowed(windowed) if windowed else network, target)
    except (OSError, FormatError) as error:
        fail(error)
    out.print(f"{target}: {target.stat().st_size:,} bytes", markup=False)


def _read(path: Path, forward: str, nonlinearity: str, tokens: bool) -> Network | Bidirectional:
    from streamrnn.trained import from_file

    try:
        return from_file(
            path,
            forward=[name.strip() for name in forward.split(",")] if forward else None,
            nonlinearity=nonlinearity or None,
            tokens=tokens,
        )
    except (ValueError, OSError, ImportError) as error:  # FormatError among them
        fail(error)


def _scale(network: Network | Bidirectional, given: dict[str, str]) -> None:
    """Set what is given, as numbers with commas between, and leave the rest as the file has it."""
    try:
        told = {k: [float(number) for number in v.split(",")] for k, v in given.items() if v}
        one = {k: v[0] if len(v) == 1 else v for k, v in told.items()}  # a number for all columns
        if told:
            network.scale(**{**network.scaling, **one})
    except ValueError as error:
        options = " ".join(f"--{k.replace('_', '-')} {v}" for k, v in given.items() if v)
        fail(f"{options}: expected numbers with commas between, as --mean 20,1000 ({error})")


def _unstreamable(network: Any) -> str:
    """Why the network cannot be stepped; empty if it can."""
    from streamrnn import FormatError

    try:
        network.layout  # noqa: B018
    except FormatError as error:
        return str(error)
    return ""


def _agrees(network: Any, x: Path, y: Path, tolerance: float) -> bool:
    """Whether the network's outputs for X are Y; says how far they are, and from which step on."""
    import numpy as np

    from streamrnn.trained import run_from_start

    X, Y = _loaded(x), _loaded(y)
    sequences = X if X.ndim == 3 or (network.tokens and X.ndim == 2) else X[None]
    try:
        given = np.concatenate([run_from_start(network, one) for one in sequences])
    except ValueError as error:
        fail(f"{x}: {error}")
    T = len(given) // len(sequences)
    expected = Y.reshape(-1, network.outputs) if Y.size % network.outputs == 0 else Y.reshape(-1, 1)
    if len(expected) == len(sequences) < len(given):  # the last step of each
        given, first = given[T - 1 :: T], T - 1
    else:
        first = 0
    if given.shape != expected.shape:
        fail(f"{y}: Y has shape {Y.shape}, but the network gives {given.shape} for {X.shape}")
    distance = np.abs(given - expected).max(axis=1)
    out.print(f"largest difference from {y.name}: {distance.max():.3g}", markup=False)
    beyond = np.flatnonzero(~(distance <= tolerance))  # NaN is beyond
    if not len(beyond):
        return True
    step = first or beyond[0] % T
    where = f" of sequence {beyond[0] // (1 if first else T)}" if len(sequences) > 1 else ""
    err.print(
        f"beyond {tolerance:g} from step {step}{where} on: {distance[beyond[0]]:.3g}; nothing "
        "is written",
        style="red",
        markup=False,
    )
    return False


def _loaded(path: Path) -> NDArray[Any]:
    import numpy as np

    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
    except OSError as error:
        fail(error)
    except (ValueError, EOFError, BadZipFile):
        loaded = None
    if not isinstance(loaded, np.ndarray) or loaded.dtype.kind not in "fiu":
        fail(f"{path}: expected one array of numbers, as numpy.save writes it")
    return loaded
