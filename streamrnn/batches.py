"""Sequences cut into minibatches, and these into chunks of as many steps as gradients go back."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.bptt import Chunk
from streamrnn.kernels.network import padded
from streamrnn.model import Model
from streamrnn.modes import Example


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
        T, B, first = end - begin, self.batch_size, self.examples[0]
        if self.model.tokens:
            x = np.full((T, B), -1, np.int64)
        else:
            x = np.zeros((T, B, padded(self.model.input_size)), np.float32)
        if first.target.ndim == 1:
            target = np.full((T, B), -1, np.int64)
        else:
            target = np.full((T, B, first.target.shape[1]), np.nan, np.float32)
        weight = np.zeros((T, B), np.float32)
        for b, row in enumerate(rows):
            example = self.examples[row]
            part = example.x[begin:end]
            count = len(part)
            if self.model.tokens:
                x[:count, b] = part
            else:
                scaled = (part - self.mean) * self.factor
                x[:count, b, : part.shape[1]] = np.where(np.isnan(scaled), 0, scaled)
            goal = example.target[begin:end]
            if goal.ndim == 1:
                target[:count, b] = goal
            else:
                target[:count, b] = (goal - self.out_mean) / self.out_std
            weight[:count, b] = 1
        return Chunk(x, target, weight)
