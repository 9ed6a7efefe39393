"""`streamrnn train text` and `sample`: networks that write, from the command line."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamrnn_server.terminal import err, fail, out

if TYPE_CHECKING:
    from rich.progress import Progress

    from streamrnn.text import Reader
    from streamrnn.training.progress import Report


train = typer.Typer(help="Train a network.", no_args_is_help=True)
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="what `train text` wrote")]


@train.command()
def text(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="UTF-8; none: the library of this Python"),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="where the model goes")] = Path(
        "model.safetensors"
    ),
    unit: Annotated[str, typer.Option(help="character, byte or word")] = "character",
    vocabulary: Annotated[
        int, typer.Option(min=0, help="keep so many of the most frequent; 0 keeps all")
    ] = 0,
    cell: Annotated[str, typer.Option(help="rnn, gru, lstm or lru")] = "lstm",
    hidden_size: Annotated[int, typer.Option(min=1, help="units of each layer")] = 128,
    layers: Annotated[int, typer.Option(min=1)] = 2,
    seq_length: Annotated[int, typer.Option(min=1, help="steps that gradients go back")] = 50,
    batch_size: Annotated[int, typer.Option(min=1, help="pieces of text side by side")] = 50,
    epochs: Annotated[int, typer.Option(min=1)] = 50,
    learning_rate: Annotated[float, typer.Option(min=0)] = 2e-3,
    dropout: Annotated[float, typer.Option(min=0, max=0.99, help="between layers")] = 0.0,
    validation: Annotated[
        float, typer.Option(min=0, max=0.9, help="share of the text, its end, to judge by")
    ] = 0.05,
    threads: Annotated[int, typer.Option(min=0, help="0: all cores")] = 0,
    seed: Annotated[int, typer.Option(min=0)] = 123,
) -> None:
    """Train a network to write like FILEs. The defaults are char-rnn's.

    Ctrl+C stops the training and keeps the best network so far. The same command after a kill, or
    after the power was gone, goes on where it was.
    """
    from streamrnn import charrnn, save
    from streamrnn.threads import cores
    from streamrnn.training.optimizers import RMSprop

    if not output.absolute().parent.is_dir():
        fail(f"{output}: there is no folder {output.absolute().parent} to write it to")
    begun = output.with_suffix(".training.safetensors")
    if begun.exists():
        out.print(f"going on from {begun}; delete it to begin anew", markup=False)
    try:
        corpus, held = _corpus(files or [])
        with _Bar(len(corpus)) as show:
            reader, history = charrnn.train(
                corpus,
                held,
                unit=unit,
                limit=vocabulary or None,
                cell=cell,
                hidden_size=hidden_size,
                num_layers=layers,
                optimizer=RMSprop(lr=learning_rate, alpha=charrnn.OPTIMIZER.alpha),
                epochs=epochs,
                batch_size=batch_size,
                truncation=seq_length,
                dropout=dropout,
                validation=validation,
                seed=seed,
                threads=threads or cores(),
                checkpoint=begun,
                callback=show,
            )
        save(reader.model, output, metadata=reader.metadata)
        begun.unlink(missing_ok=True)
    except (ValueError, OSError) as error:
        fail(error)
    told = ""
    if history.validation:
        bits = history.validation[history.best] / math.log(2)
        told = f": {bits:.3f} bits per {unit} on what was kept from training"
    out.print(f"{output}, of epoch {history.best + 1} of {epochs}{told}", markup=False)


def sample(
    model: ModelPath,
    prime: Annotated[str, typer.Option(help="what it goes on from")] = "",
    temperature: Annotated[
        float, typer.Option(min=0, help="lower sticks to the likely; 0 always takes the likeliest")
    ] = 0.8,
    length: Annotated[int, typer.Option(min=1, help="tokens to write")] = 500,
    seed: Annotated[int | None, typer.Option(min=0, help="the same text each time")] = None,
) -> None:
    """Let a network write."""
    from streamrnn.text import sample

    reader = _reader(model)
    try:
        state = reader.after(prime)
    except ValueError as error:
        fail(f"--prime: {error}")
    ids = sample(reader, state, temperature=temperature, seed=seed)
    if reader.vocabulary.unit == "byte":  # a character may need several
        typer.echo(prime + reader.vocabulary.decode(list(islice(ids, length))))
        return
    typer.echo(prime, nl=False)
    for token in islice(ids, length):
        typer.echo(reader.vocabulary.decode([token]), nl=False)
    typer.echo()


def bits(model: Path, file: Path) -> None:
    """Tell how many bits a network needs for each character of a file; a coin's fall is one."""
    from streamrnn import charrnn

    reader = _reader(model)
    try:
        text = charrnn.read([file])
        bits = charrnn.bits_per_character(reader, text)
    except (ValueError, OSError) as error:
        fail(error)
    out.print(f"{bits:.4f} bits per character, {len(text)} characters")


def _reader(path: Path) -> Reader:
    from streamrnn import FormatError
    from streamrnn.text import load_reader

    try:
        return load_reader(path)
    except (FormatError, OSError) as error:
        fail(error)


def _corpus(files: list[Path]) -> tuple[str, str | None]:
    """What to learn from, and what to judge by unless that is the end of it."""
    from streamrnn import charrnn
    from streamrnn.demos import corpus

    if files:
        return charrnn.read(files), None
    out.print(
        "learning from the library of this Python; a tenth of its modules is kept to judge by"
    )
    decode = corpus.VOCABULARY.decode
    training, held = ("".join(map(decode, corpus.encoded(held=held))) for held in (False, True))
    return training, held


def progress() -> Progress:
    """Progress bars on a terminal, else nothing."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    return Progress(*columns, console=err, disable=not err.is_terminal)


class _Bar:
    """A progress bar on a terminal, else a line for each epoch."""

    def __init__(self, size: int) -> None:
        self.progress = progress()
        self.task = self.progress.add_task("compiling", total=None)
        self.epoch = 0

    def __enter__(self) -> Callable[[Report], None]:
        self.progress.start()
        return self.show

    def __exit__(self, *error: Any) -> None:
        self.progress.stop()

    def show(self, report: Report) -> None:
        bits, held = report.loss / math.log(2), report.validation_loss / math.log(2)
        text = f"epoch {report.epoch + 1}/{report.epochs}, {bits:.3f} bits"
        if not math.isnan(held):
            text += f", unseen text {held:.3f}"
        text += f", {report.samples_per_s:,.0f}/s"
        self.progress.update(
            self.task, description=text, completed=report.update, total=report.updates
        )
        if not err.is_terminal and report.epoch > self.epoch:
            self.epoch = report.epoch
            err.print(text, markup=False)
