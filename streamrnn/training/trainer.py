"""Parameters on their way down: one update at a time, each part of a minibatch in its thread."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from streamrnn.kernels.training import optim
from streamrnn.model import Model
from streamrnn.training.batches import Batches, Piece
from streamrnn.training.bptt import Chunk, Network, Part
from streamrnn.training.examples import Loss
from streamrnn.training.layers import Array, zeros
from streamrnn.training.optimizers import Optimizer


class Diverged(FloatingPointError):
    """A loss or a gradient that is no finite number; the parameters have not been moved by it."""


class Trainer:
    """A model's parameters `p` as one vector, what the optimizer remembers, and buffers.

    views     the parameters by name
    good      the parameters of the newest finite loss, one update behind p
    """

    def __init__(
        self,
        model: Model,
        loss: Loss,
        optimizer: Optimizer,
        batches: Batches,
        unseen: Batches | None = None,
        *,
        threads: int = 1,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.dropout, self.seed = dropout, seed
        self.network = Network(model)
        self.p = zeros(self.network.size)
        self.views = self.network.views(self.p)
        for name, array in model.parameters.items():
            self.views[name][:] = array
        self.good = self.p.copy()
        self.memory = [zeros(self.network.size) for _ in range(optimizer.memory)]
        self.step = 0  # updates made
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self.parts, self.slices = self._parts(batches)
        self.judges = None if unseen is None else self._parts(unseen)

    def _parts(self, batches: Batches) -> tuple[list[Part], list[slice]]:
        count = min(self.threads, batches.batch_size)
        edges = [round(n * batches.batch_size / count) for n in range(count + 1)]
        slices = [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]
        return [Part(self.network, batches.steps, s.stop - s.start) for s in slices], slices

    def update(
        self, chunk: Chunk, piece: Piece, lr: float, clip_norm: float | None
    ) -> tuple[float, float]:
        """One update from one chunk; its summed loss, and over how many targets.

        Raises Diverged where the loss or its gradient is not finite.
        """
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
        size = optim.norm(gradient)
        if not np.isfinite(total):
            raise Diverged(f"the loss is {total / max(count, 1)} at update {self.step + 1}")
        self.good[:] = self.p
        if not np.isfinite(size):
            raise Diverged(f"the gradient's norm is {size} at update {self.step + 1}")
        if clip_norm is not None and size > clip_norm:
            gradient *= np.float32(clip_norm / size)
        self.step += 1
        self.optimizer.update(self.p, gradient, self.memory, lr, self.step)
        return total, count

    def _keep(self, T: int) -> list[Array] | None:
        """Factors for what each layer but the first reads: 0, or 1 / (1 - dropout).

        Drawn anew from seed and step, so that a resumed run draws the same.
        """
        if self.dropout == 0:
            return None
        generator = np.random.default_rng([self.seed, self.step, 1])
        B, share = self.slices[-1].stop, np.float32(1 - self.dropout)
        return [
            (generator.random((T, B, layer.width), np.float32) < share).astype(np.float32) / share
            for layer in self.network.layers[1:]
        ]

    def mean_loss(self, batches: Batches) -> float:
        """The mean loss over `batches`, those given as `unseen`, without learning from them."""
        assert self.judges is not None
        self.network.pack(self.views)
        total = count = 0.0
        for piece in batches.pieces():
            chunk = batches.load(piece)

            def work(part: Part, own: slice, chunk: Chunk = chunk, piece: Piece = piece) -> float:
                begin(part, piece)
                total = part.loss(chunk.streams(own), self.loss.of)
                part.carry(len(chunk.x))
                return total

            total += sum(self._each(work, *self.judges))
            count += counted(chunk)
        return total / max(count, 1)

    def _each(self, work: Callable[..., float], *arguments: Any) -> list[float]:
        each = map if self.pool is None else self.pool.map
        return list(each(work, *arguments))

    def close(self) -> None:
        """End the threads."""
        if self.pool is not None:
            self.pool.shutdown()

    @property
    def states(self) -> list[Array]:
        """What the streams of the minibatch remember, (batch_size, ...) each; may be assigned."""
        return [
            np.concatenate(parts) for parts in zip(*(p.states for p in self.parts), strict=True)
        ]

    @states.setter
    def states(self, states: list[Array]) -> None:
        for part, own in zip(self.parts, self.slices, strict=True):
            for state, whole in zip(part.states, states, strict=True):
                state[:] = whole[own]

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
