"""Training over stored sequences: minibatches, truncated backpropagation, the best model kept.

>>> import numpy as np
>>> from streamrnn.model import GRU
>>> wave = np.sin(np.arange(2000) / 5)
>>> model = GRU(1, 16, 1)
>>> history = fit(model, wave[:-1], wave[1:], optimizer=Adam(lr=0.01), batch_size=8, truncation=25)
>>> history.validation[-1] < 0.01
True
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.batches import Batches, Piece, cut
from streamrnn.bptt import Chunk, Network, Part
from streamrnn.examples import Loss, examples, is_stream, loss_named
from streamrnn.kernels.training import optim
from streamrnn.layers import zeros
from streamrnn.model import Model
from streamrnn.modes import Example
from streamrnn.optimizers import OPTIMIZERS, Adam, Optimizer

Array = NDArray[np.float32]


class Report(NamedTuple):
    """Where training stands, after an update.

    loss              mean over the epoch so far; validation_loss: after the last epoch, or NaN
    parameters        as they are now, by name: to look at, or to assign to another model
    """

    epoch: int
    epochs: int
    update: int
    updates: int
    loss: float
    validation_loss: float
    samples_per_s: float
    seconds_left: float
    parameters: Mapping[str, Array]


@dataclass
class History:
    """What happened: mean losses after each epoch, and why training stopped.

    best      the epoch, from 0, whose parameters the model keeps; -1: those it began with
    stopped   "epochs", "patience", "callback" or "interrupt"
    """

    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best: int = -1
    updates: int = 0
    stopped: str = "epochs"


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
    callback: Callable[[Report], object] | None = None,
) -> History:
    """Train `model` in place; it keeps the parameters of the lowest validation loss."""
    measure = loss_named(loss, model, quantiles)
    rule = OPTIMIZERS[optimizer]() if isinstance(optimizer, str) else optimizer
    training, held = split(model, inputs, targets, mode, measure, validation, seed)
    stream = is_stream(model, inputs, mode)
    if stream:
        training = pieces_of(training[0], batch_size, truncation)
        if held and validation is not None:
            held = cut(held[0], max(1, min(batch_size, len(held[0].x) // (truncation or 50))))
    trainer = Trainer(model, measure, rule, threads, dropout, seed)
    batches = Batches(model, training, batch_size, truncation)
    unseen = Batches(model, held, batch_size, truncation) if held else None
    history = History()
    trainer.prepare(batches, unseen)
    best, bad = trainer.p.copy(), 0
    started, done = time.monotonic(), 0
    for epoch in range(epochs):
        lr = rule.lr * lr_decay ** max(0, epoch + 1 - decay_after)
        generator = None if stream else np.random.default_rng([seed, epoch])
        pieces = batches.pieces(generator)
        total = count = 0.0
        for n, piece in enumerate(pieces):
            chunk = batches.load(piece)
            part_total, part_count = trainer.update(chunk, piece, lr, clip_norm)
            total, count = total + part_total, count + part_count
            history.updates += 1
            done += int(chunk.weight.sum())
            if callback is not None:
                passed = time.monotonic() - started
                share = (epoch + (n + 1) / len(pieces)) / epochs
                report = Report(
                    epoch,
                    epochs,
                    history.updates,
                    epochs * len(pieces),
                    total / max(count, 1),
                    history.validation[-1] if history.validation else np.nan,
                    done / passed,
                    passed / share - passed,
                    trainer.views,
                )
                if callback(report):
                    history.stopped = "callback"
                    break
        history.training.append(total / max(count, 1))
        if unseen is not None:
            history.validation.append(trainer.mean_loss(unseen))
        scores = history.validation or None
        if scores is None or scores[-1] <= min(scores):
            best[:], history.best, bad = trainer.p, epoch, 0
        else:
            bad += 1
        if history.stopped == "callback":
            break
        if patience is not None and bad > patience:
            history.stopped = "patience"
            break
    trainer.assign(best)
    return history


def split(
    model: Model,
    inputs: Any,
    targets: Any,
    mode: str,
    loss: Loss,
    validation: float | tuple[Any, Any] | None,
    seed: int,
) -> tuple[list[Example], list[Example]]:
    """Examples to learn from, and to judge by: a stream's end, or some of the sequences."""
    training = examples(model, inputs, targets, mode, loss)
    if isinstance(validation, tuple):
        return training, examples(model, *validation, mode, loss)
    if not validation:
        return training, []
    if is_stream(model, inputs, mode):
        at = round(len(training[0].x) * (1 - validation))
        return [Example(*(a[:at] for a in training[0]))], [Example(*(a[at:] for a in training[0]))]
    order = np.random.default_rng(seed).permutation(len(training))
    count = round(len(training) * validation)
    held = set(order[:count].tolist())
    return (
        [training[n] for n in range(len(training)) if n not in held],
        [training[n] for n in sorted(held)],
    )


def pieces_of(stream: Example, batch_size: int, truncation: int | None) -> list[Example]:
    """A long stream cut into `batch_size` streams of at least `truncation` steps."""
    least = batch_size * (truncation or 1)
    if len(stream.x) < least:
        raise ValueError(
            f"the stream to learn from has {len(stream.x)} steps, expected at least {least}: "
            f"batch_size={batch_size} streams of truncation={truncation} steps; lower one of them"
        )
    return cut(stream, batch_size)


class Trainer:
    """Parameters on their way: one update at a time, in as many threads."""

    def __init__(
        self,
        model: Model,
        loss: Loss,
        optimizer: Optimizer,
        threads: int,
        dropout: float,
        seed: int,
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.dropout, self.seed = dropout, seed
        self.network = Network(model)
        self.p = zeros(self.network.size)
        self.views = self.network.views(self.p)
        for name, array in model.parameters.items():
            self.views[name][:] = array
        self.memory = [zeros(self.network.size) for _ in range(optimizer.memory)]
        self.threads, self.step = threads, 0
        self.pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def prepare(self, batches: Batches, unseen: Batches | None) -> None:
        """Allocate for minibatches of these sizes."""
        self.parts, self.slices = self._parts(batches)
        self.judges, self.judged = (
            (self.parts, self.slices) if unseen is None else self._parts(unseen)
        )

    def _parts(self, batches: Batches) -> tuple[list[Part], list[slice]]:
        count = min(self.threads, batches.batch_size)
        edges = [round(n * batches.batch_size / count) for n in range(count + 1)]
        slices = [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]
        return [Part(self.network, batches.steps, s.stop - s.start) for s in slices], slices

    def update(
        self, chunk: Chunk, piece: Piece, lr: float, clip_norm: float | None
    ) -> tuple[float, float]:
        """One update from one chunk; its summed loss, and over how many numbers."""
        self.network.pack(self.views)
        count = counted(chunk)
        keep = self._keep(len(chunk.x))

        def work(part: Part, own: slice) -> float:
            begin(part, piece)
            kept = None if keep is None else [np.ascontiguousarray(k[:, own]) for k in keep]
            total = part.run(chunk.streams(own), self.loss.of, 1 / max(count, 1), kept)
            part.carry(len(chunk.x))
            return total

        total = sum(self._each(work, self.parts, self.slices))
        gradient = self.parts[0].gradient
        for part in self.parts[1:]:
            gradient += part.gradient
        if clip_norm is not None:
            size = optim.norm(gradient)
            if size > clip_norm:
                gradient *= np.float32(clip_norm / size)
        self.step += 1
        self.optimizer.update(self.p, gradient, self.memory, lr, self.step)
        return total, count

    def _keep(self, T: int) -> list[Array] | None:
        if self.dropout == 0:
            return None
        generator = np.random.default_rng([self.seed, self.step, 1])
        B, share = self.slices[-1].stop, np.float32(1 - self.dropout)
        return [
            (generator.random((T, B, layer.width), np.float32) < share).astype(np.float32) / share
            for layer in self.network.layers[1:]
        ]

    def mean_loss(self, batches: Batches) -> float:
        """The mean loss over all of an epoch, without learning from it."""
        self.network.pack(self.views)
        total = count = 0.0
        for piece in batches.pieces():
            chunk = batches.load(piece)

            def work(part: Part, own: slice, chunk: Chunk = chunk, piece: Piece = piece) -> float:
                begin(part, piece)
                total = part.loss(chunk.streams(own), self.loss.of)
                part.carry(len(chunk.x))
                return total

            total += sum(self._each(work, self.judges, self.judged))
            count += counted(chunk)
        return total / max(count, 1)

    def _each(self, work: Callable[..., float], *arguments: Any) -> list[float]:
        each = map if self.pool is None else self.pool.map
        return list(each(work, *arguments))

    def assign(self, p: Array) -> None:
        """Give the model these parameters."""
        for name, array in self.network.views(p).items():
            self.model.parameters[name] = array


def begin(part: Part, piece: Piece) -> None:
    """Zero states where sequences begin."""
    if piece.begin == 0:
        for state in part.states:
            state[:] = 0


def counted(chunk: Chunk) -> float:
    """Over how many targets a chunk's loss is summed."""
    if chunk.target.ndim == 2:
        return float((chunk.weight * (chunk.target >= 0)).sum())
    return float((chunk.weight[:, :, None] * ~np.isnan(chunk.target)).sum())
