"""A reader that learns as it reads: what it has learned is part of its stream's state.

>>> from streamrnn.bank import Bank
>>> from streamrnn.model import LSTM
>>> model = LSTM(3, 16, 3, tokens=True)
>>> learner = Learner(model, Vocabulary("abc"), truncation=5, optimizer=Adam(lr=0.01))
>>> bank = Bank(learner)
>>> y = bank.step(["stream"] * 1500, learner.vocabulary.encode("abc" * 500).reshape(-1, 1))
>>> bool(y[:9, 0].mean() > 1.0 > 0.1 > y[-9:, 0].mean())  # the surprise, in bits
True
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.kernels.training import loss, optim
from streamrnn.model import Model
from streamrnn.step import Output, padded
from streamrnn.text import Fields, Reader
from streamrnn.training.bptt import Chunk, Network, Part
from streamrnn.training.optimizers import Adam, Optimizer
from streamrnn.vocabulary import Vocabulary


class Learner:
    """A step that reads tokens like `Reader`, with the same y, and learns from each that comes.

    Truncated backpropagation through time along the stream: once `truncation` tokens have followed
    the one that a chunk began with, the parameters move by its gradient, and the state goes on. The
    surprise of a token is that of the parameters before it came.

    model        where a new stream begins; its parameters are not touched
    truncation   tokens of a chunk
    optimizer    as of `fit`
    clip_norm    limits the norm of the gradient

    A stream's state holds parameters, memory of the optimizer and the chunk: 3 numbers for each
    parameter with Adam. A missing token (NaN) ends a chunk, which is then not learned from.
    """

    inputs, outputs = Reader.inputs, Reader.outputs

    def __init__(
        self,
        model: Model,
        vocabulary: Vocabulary,
        *,
        truncation: int = 50,
        optimizer: Optimizer = Adam(lr=2e-3),  # noqa: B008  # frozen
        clip_norm: float = 5.0,
    ) -> None:
        if truncation < 1:
            raise ValueError(f"truncation is {truncation}, expected at least 1")
        self.vocabulary = vocabulary
        self.truncation, self.optimizer, self.clip_norm = truncation, optimizer, clip_norm
        self._first = model.parameters
        # A model of its own, which takes on the parameters of the stream that is stepped.
        self._model: Model = type(model)(**model.config)
        for name, array in model.parameters.items():
            self._model.parameters[name] = array
        self._reader = Reader(self._model, vocabulary)
        self._network = Network(model)
        self._part = Part(self._network, truncation, 1)
        self._held = np.full(self._network.size, np.nan, np.float32)  # what `_model` has taken on
        cell: Fields = [(f"{name}_then", model.layout[name].shape) for name in model.cell.state]
        self.layout = padded(
            [
                *self._reader.fields,
                *cell,  # before the first token of the chunk
                ("chunk", truncation),
                ("filled", 1),
                ("updates", 1),
                ("parameters", self._network.size),
                ("memory", (optimizer.memory, self._network.size)),
            ],
            np.float32,
        )

    def __repr__(self) -> str:
        return f"Learner({self._model!r}, {len(self.vocabulary)} tokens)"

    def initial(self) -> NDArray[Any]:
        """The model as it was given, all tokens alike."""
        state, reader = np.zeros((), self.layout), self._reader.initial()
        for name, _ in self._reader.fields:
            state[name] = reader[name]
        for name, array in self._network.views(state["parameters"]).items():
            array[:] = self._first[name]
        return state

    def advance(
        self,
        states: NDArray[Any],
        rows: NDArray[np.int64],
        x: NDArray[np.float32],
        y: NDArray[np.float32],
    ) -> None:
        """Read token x[n] (1,) on stream rows[n], write y[n] (12,) and learn; see `Step`."""
        order = np.argsort(rows, kind="stable")
        for row in np.unique(rows):
            own = order[rows[order] == row]
            tokens, told = x[own], np.empty((len(own), self.outputs), np.float32)
            self._read(states[row : row + 1], tokens, told)
            y[own] = told

    def _read(self, states: NDArray[Any], x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
        """Tokens x (T, 1) of the one stream in `states` (1,)."""
        state, T = states[0], self.truncation
        rows, ids = np.zeros(len(x), np.int64), self._reader.tokens(x[:, 0])
        missing = [*np.flatnonzero(np.isnan(ids)).tolist(), len(x)]
        self._take_on(state)
        n = 0
        while n < len(x):
            filled = int(state["filled"][0])
            if filled == 0:
                self._begin(state)
            if filled == T:
                before = {name: state[name].copy() for name in self._model.cell.state}
            while missing[0] < n:
                missing.pop(0)
            count = max(1, min(T - filled, missing[0] - n))
            part = slice(n, n + count)
            self._reader.advance(states, rows[part], x[part], y[part])
            if n == missing[0]:
                state["filled"] = 0
            elif filled < T:
                state["chunk"][filled : filled + count] = ids[part]
                state["filled"] = filled + count
            else:
                self._learn(state, int(ids[n]))
                for name, array in before.items():
                    state[f"{name}_then"] = array
                state["chunk"][0], state["filled"] = ids[n], 1
            n += count

    def _begin(self, state: Any) -> None:
        for name in self._model.cell.state:
            state[f"{name}_then"] = state[name]

    def _take_on(self, state: Any) -> None:
        if not np.array_equal(self._held, state["parameters"]):
            self._held[:] = state["parameters"]
            for name, array in self._network.views(self._held).items():
                self._model.parameters[name] = array

    def _learn(self, state: Any, last: int) -> None:
        """Move the parameters by the gradient of the chunk, which `last` follows."""
        ids = np.append(state["chunk"].astype(np.int64), last).reshape(-1, 1)
        chunk = Chunk(ids[:-1], ids[1:], np.ones((self.truncation, 1), np.float32))
        network, part = self._network, self._part
        network.pack(network.views(state["parameters"]))
        then = [state[f"{name}_then"] for name in self._model.cell.state]
        for n, array in enumerate(part.states):
            layer, k = divmod(n, len(then))
            array[0] = then[k][layer]
        V = len(self.vocabulary)
        part.run(chunk, lambda *rest: loss.cross_entropy(*rest, V), 1 / self.truncation)
        size = optim.norm(part.gradient)
        if size > self.clip_norm:
            part.gradient *= np.float32(self.clip_norm / size)
        state["updates"] += 1
        memory, step = list(state["memory"]), int(state["updates"][0])
        self.optimizer.update(state["parameters"], part.gradient, memory, self.optimizer.lr, step)
        self._take_on(state)

    def reader(self, state: NDArray[Any] | None = None) -> Reader:
        """A reader with what the stream of `state` has learned, which learns no more.

        Without a state it is the stream that was stepped last.
        """
        if state is not None:
            self._take_on(state)
        model = type(self._model)(**self._model.config)
        for name, array in self._model.parameters.items():
            model.parameters[name] = array
        return Reader(model, self.vocabulary)

    @property
    def num_layers(self) -> int:
        """Of the model."""
        return self._model.num_layers

    def units(self, states: NDArray[Any]) -> NDArray[np.float32]:
        """The model's hidden units (S, U), in [-1, 1]."""
        return self._model.units(states)

    def describe(self, channels: tuple[str, ...]) -> tuple[Output, ...]:
        """What each column of y means."""
        return self._reader.describe(channels)
