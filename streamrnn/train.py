"""Training over stored sequences: minibatches, truncated backpropagation, the best model kept.

>>> import numpy as np
>>> from streamrnn.model import GRU
>>> wave = np.sin(np.arange(2000) / 5)
>>> model = GRU(1, 16, 1)
>>> history = fit(model, wave[:-1], wave[1:], optimizer=Adam(lr=0.01), batch_size=8, truncation=25)
>>> history.validation[-1] < 0.01
True
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.model import Model
from streamrnn.modes import Example
from streamrnn.training import resume
from streamrnn.training.batches import Batches, cut
from streamrnn.training.examples import Loss, examples, is_stream, loss_named
from streamrnn.training.layers import Array
from streamrnn.training.optimizers import OPTIMIZERS, Adam, Optimizer
from streamrnn.training.progress import Bar, Interrupt, Report
from streamrnn.training.resume import History, Position
from streamrnn.training.trainer import Diverged, Trainer

__all__ = ["Diverged", "History", "Report", "fit", "mean_loss"]


def fit(
    model: Model,
    inputs: Any,
    targets: Any,
    mode: str = "synced",
    *,
    loss: str = "squared_error",
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    optimizer: Optimizer | str = Adam(),  # noqa: B008  # frozen
    epochs: int = 10,
    batch_size: int = 50,
    truncation: int | None = 50,
    clip_norm: float | None = 5.0,
    lr_decay: float = 1.0,
    decay_after: int = 0,
    dropout: float = 0.0,
    validation: float | tuple[Any, Any] | None = 0.1,
    patience: int | None = None,
    seed: int = 0,
    threads: int = 1,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every_s: float = 60.0,
    progress: bool | None = None,
    callback: Callable[[Report], object] | None = None,
) -> History:
    """Train `model` in place; it keeps the parameters of the lowest validation loss.

    inputs, targets  one long stream, or separate sequences, in the model's units: docs/train.md
    mode             a row of `streamrnn.modes.MODES`
    loss             "squared_error", "cross_entropy" (targets are ids of classes), or "pinball",
                     whose outputs are the `quantiles` of the first target, then of the second, ...
    optimizer        SGD, Adagrad, RMSprop or Adam, or its name in small letters for its defaults
    batch_size       sequences side by side; a long stream is cut into that many
    truncation       steps that gradients go back; the state goes on; None: to the beginning
    clip_norm        the most that the gradient's norm may be; None: anything
    lr_decay         factor of the learning rate for every epoch after the first `decay_after`
    dropout          share of the units that the layer above does not see, anew at every step
    validation       share of the data to judge by, or (inputs, targets); None: the last is the best
    patience         epochs without a better validation loss before training ends; None: all
    threads          minibatches are shared out among; same bits for the same number
    checkpoint       file that training goes on from where it exists, written after each epoch and
                     every checkpoint_every_s seconds
    progress         a line on stderr; None: where that is a terminal and there is no callback
    callback         called after each update; what it returns ends training if it is true

    The first Ctrl-C ends training after the running update, as if it had been the last.

    Raises ValueError or TypeError for data and settings that don't fit, and Diverged where a loss
    is not finite; the model then has the best parameters so far, or the last that gave a loss.
    """
    counts: dict[str, int | None]
    counts = {"epochs": epochs, "batch_size": batch_size, "threads": threads}
    counts |= {"truncation": truncation, "patience": patience}
    _check(counts, {"dropout": dropout, "validation": validation}, clip_norm)
    if isinstance(optimizer, str) and optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer is {optimizer!r}, expected one of {', '.join(OPTIMIZERS)}")
    rule: Optimizer = OPTIMIZERS[optimizer]() if isinstance(optimizer, str) else optimizer
    measure = loss_named(loss, model, quantiles)
    training, held = _split(model, inputs, targets, mode, measure, validation, seed)
    stream = is_stream(model, inputs, mode)
    if stream:
        training = _side_by_side(training[0], batch_size, truncation)
        if held:
            held = cut(held[0], max(1, min(batch_size, len(held[0].x) // (truncation or 50))))
    batches = Batches(model, training, batch_size, truncation)
    unseen = Batches(model, held, batch_size, truncation) if held else None
    trainer = Trainer(
        model, measure, rule, batches, unseen, threads=threads, dropout=dropout, seed=seed
    )
    best, history, position = trainer.p.copy(), History(), Position()
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None:
        settings: dict[str, object]
        settings = {"loss": loss, "quantiles": tuple(quantiles), "optimizer": rule, "mode": mode}
        settings |= {"batch_size": batch_size, "truncation": truncation, "clip_norm": clip_norm}
        settings |= {"lr_decay": lr_decay, "decay_after": decay_after, "dropout": dropout}
        run = resume.describe(model, batches, settings | {"seed": seed})
        if path.exists():
            history, position = resume.load(path, run, trainer, best)

    def save() -> None:
        if path is not None:
            resume.save(path, run, trainer, best, history, position)

    bar = Bar(shown=progress if progress is not None or callback is None else False)
    clock, saved, diverged = Clock(), time.monotonic(), False
    history.stopped = "patience" if _patience_over(history, patience) else "epochs"
    try:
        with Interrupt() as interrupt:
            while position.epoch < epochs and history.stopped == "epochs":
                lr = rule.lr * lr_decay ** max(0, position.epoch + 1 - decay_after)
                generator = None if stream else np.random.default_rng([seed, position.epoch])
                pieces = batches.pieces(generator)
                while position.piece < len(pieces) and history.stopped == "epochs":
                    piece = pieces[position.piece]
                    chunk = batches.load(piece)
                    total, count = trainer.update(chunk, piece, lr, clip_norm)
                    position.add(total, count)
                    history.updates += 1
                    clock.samples += int(chunk.weight.sum())
                    report = clock.report(history, position, epochs, len(pieces), trainer)
                    bar.show(report)
                    if callback is not None and callback(report):
                        history.stopped = "callback"
                    if interrupt.asked:
                        history.stopped = "interrupt"
                    if time.monotonic() > saved + checkpoint_every_s:
                        save()
                        saved = time.monotonic()
                ended = position.piece == len(pieces)
                if not ended:
                    save()  # as it is within the epoch, before that is judged like a whole one
                _judge(history, position, trainer, unseen, best)
                position.next_epoch()
                if history.stopped == "epochs" and _patience_over(history, patience):
                    history.stopped = "patience"
                if ended:
                    save()
    except Diverged as error:
        diverged = True
        kept = "the best epoch" if history.validation else "the last finite loss"
        raise Diverged(
            f"{error}, in epoch {position.epoch + 1}; the model keeps the parameters of {kept}. "
            "A lower learning rate or clip_norm may help"
        ) from None
    finally:
        bar.close()
        trainer.close()
        newest = trainer.good if diverged else trainer.p
        trainer.assign(best if history.validation else newest)
    return history


def mean_loss(
    model: Model,
    inputs: Any,
    targets: Any,
    mode: str = "synced",
    *,
    loss: str = "squared_error",
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    batch_size: int = 50,
    threads: int = 1,
) -> float:
    """The mean loss of a model over data that it does not learn from; arguments as of `fit`.

    A long stream is read from the zero state, in one piece.
    """
    measure = loss_named(loss, model, quantiles)
    data = Batches(model, examples(model, inputs, targets, mode, measure), batch_size, 200)
    trainer = Trainer(model, measure, Adam(), data, data, threads=threads)
    loss_of_all = trainer.mean_loss(data)
    trainer.close()
    return loss_of_all


class Clock:
    """How fast this run is, from when it began."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.samples = self.updates = 0

    def report(
        self, history: History, position: Position, epochs: int, pieces: int, trainer: Trainer
    ) -> Report:
        """After an update, `pieces` of which make an epoch."""
        self.updates += 1
        passed = time.monotonic() - self.started
        left = (epochs - position.epoch) * pieces - position.piece
        return Report(
            epoch=position.epoch,
            epochs=epochs,
            update=history.updates,
            updates=history.updates + left,
            loss=position.loss,
            validation_loss=history.validation[-1] if history.validation else float("nan"),
            samples_per_s=self.samples / passed,
            seconds_left=passed / self.updates * left,
            parameters=trainer.views,
        )


def _judge(
    history: History, position: Position, trainer: Trainer, unseen: Batches | None, best: Array
) -> None:
    """Note the losses of an epoch, and keep the parameters if they are the best."""
    history.training.append(position.loss)
    if unseen is None:
        history.best = position.epoch
        return
    loss = trainer.mean_loss(unseen)
    if not np.isfinite(loss):
        raise Diverged(f"the validation loss is {loss} after update {trainer.step}")
    if not history.validation or loss < min(history.validation):
        best[:], history.best = trainer.p, position.epoch
    history.validation.append(loss)


def _patience_over(history: History, patience: int | None) -> bool:
    """Whether the best validation loss is `patience` epochs ago."""
    scores = history.validation
    return bool(scores) and len(scores) - 1 - scores.index(min(scores)) >= (patience or np.inf)


def _split(
    model: Model,
    inputs: Any,
    targets: Any,
    mode: str,
    loss: Loss,
    validation: float | tuple[Any, Any] | None,
    seed: int,
) -> tuple[list[Example], list[Example]]:
    """Examples to learn from, and to judge by: a stream's end, or some of the sequences."""
    given = examples(model, inputs, targets, mode, loss)
    if isinstance(validation, tuple):
        return given, examples(model, *validation, mode, loss)
    if not validation:
        return given, []
    if is_stream(model, inputs, mode):
        at = round(len(given[0].x) * (1 - validation))
        parts = [Example(*(a[:at] for a in given[0])), Example(*(a[at:] for a in given[0]))]
        return parts[:1], parts[1:] if len(parts[1].x) else []
    count = round(len(given) * validation)
    held = np.sort(np.random.default_rng(seed).permutation(len(given))[:count])
    learned = np.delete(np.arange(len(given)), held)
    return [given[n] for n in learned], [given[n] for n in held]


def _side_by_side(stream: Example, batch_size: int, truncation: int | None) -> list[Example]:
    """A long stream cut into `batch_size` streams of at least `truncation` steps."""
    least = batch_size * (truncation or 1)
    if len(stream.x) < least:
        raise ValueError(
            f"the stream to learn from has {len(stream.x)} steps, expected at least {least}: "
            f"batch_size={batch_size} streams of truncation={truncation} steps; lower one of them"
        )
    return cut(stream, batch_size)


def _check(counts: dict[str, int | None], shares: dict[str, Any], clip_norm: float | None) -> None:
    for name, value in counts.items():
        if value is not None and (not isinstance(value, int | np.integer) or value < 1):
            raise ValueError(f"{name} is {value!r}, expected a whole number of at least 1")
    for name, share in shares.items():
        if isinstance(share, int | float) and not 0 <= share < 1:
            raise ValueError(f"{name} is {share!r}, expected a share from 0 to below 1")
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm is {clip_norm!r}, expected a number above 0, or None")
