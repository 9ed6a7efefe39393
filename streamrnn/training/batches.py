"""Sequences cut into minibatches, and these into chunks of as many steps as gradients go back."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.kernels.network import padded
from streamrnn.model import Model
from streamrnn.modes import Example
from streamrnn.training.bptt import Chunk

NAN = np.float32(np.nan)


class Piece(NamedTuple):
    """Steps begin .. end - 1 of the examples `rows`; where begin is 0, from zero states."""

    rows: NDArray[np.int64]
    begin: int
    end: int


def cut(stream: Example, count: int) -> list[Example]:
    """One long stream as `count` streams of equal length; the rest, shorter than that, is lost."""
    L = len(stream.x) // count
    return [Example(*(part[n * L : (n + 1) * L] for part in stream)) for n in range(count)]


class Batches:
    """What an epoch goes through.

    examples     of any lengths; a minibatch goes on to the end of its longest
    batch_size   examples side by side
    truncation   steps of a chunk; None: whole sequences
    """

    def __init__(
        self,
        model: Model,
        examples: Sequence[Example],
        batch_size: int,
        truncation: int | None,
    ) -> None:
        self.model, self.examples, self.batch_size = model, examples, min(batch_size, len(examples))
        self.lengths = np.array([len(example.x) for example in examples])
        longest = int(self.lengths.max())
        self.steps = longest if truncation is None else min(truncation, longest)  # at most
        self.samples = int(self.lengths.sum())
        scaling = model.scaling
        self.mean, self.factor = scaling["mean"], np.float32(1) / scaling["std"]
        self.out_mean, self.out_std = scaling["out_mean"], scaling["out_std"]

    def pieces(self, generator: np.random.Generator | None = None) -> list[Piece]:
        """An epoch's chunks in their order; with a generator the examples are shuffled."""
        N, B = len(self.examples), self.batch_size
        order = np.arange(N) if generator is None or N <= B else generator.permutation(N)
        found = []
        for at in range(0, N, B):
            rows = order[at : at + B]
            longest = int(self.lengths[rows].max())
            for begin in range(0, longest, self.steps):
                found.append(Piece(rows, begin, min(begin + self.steps, longest)))
        return found

    def load(self, piece: Piece) -> Chunk:
        """The examples' steps side by side, scaled as the network sees them."""
        rows, begin, end = piece
        examples = [self.examples[row] for row in rows]
        x = self._side_by_side([example.x[begin:end] for example in examples], end - begin)
        target = self._side_by_side(
            [example.target[begin:end] for example in examples], end - begin
        )
        left = np.zeros(self.batch_size, np.int64)
        left[: len(rows)] = self.lengths[rows] - begin
        weight = (np.arange(end - begin)[:, None] < left).astype(np.float32)
        if not self.model.tokens:
            x -= self.mean
            x *= self.factor
            wide = np.zeros((*x.shape[:2], padded(x.shape[2])), np.float32)
            np.copyto(wide[:, :, : x.shape[2]], x, where=~np.isnan(x))
            x = wide
        if target.ndim == 3:
            target -= self.out_mean
            target /= self.out_std
        return Chunk(x, target, weight)

    def _side_by_side(self, parts: list[NDArray[Any]], T: int) -> NDArray[Any]:
        """(T, batch_size, ...), filled up with NaN, or -1 for ids."""
        shape = (T, self.batch_size, *parts[0].shape[1:])
        whole = np.full(shape, -1, np.int64) if len(shape) == 2 else np.full(shape, NAN)
        for b, part in enumerate(parts):
            whole[: len(part), b] = part
        return whole
