"""Backpropagation through time: a model over a chunk of steps, and the gradient of a loss.

All parameters are one vector here, and so is their gradient, with views in PyTorch's names and
shapes. `Network` holds what one update's products need of them, shared by the threads; a `Part` is
one thread's share of the minibatch.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.kernels.network import padded
from streamrnn.kernels.training import matmul, tokens
from streamrnn.model import Model
from streamrnn.training.layers import GRU, LRU, LSTM, RNN, Array, Layer, Tape, zeros

LAYERS: dict[str, Any] = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM, "LRU": LRU}
VARIANTS = ("nonlinearity", "reset_after", "peepholes")  # arguments of models and layers alike

# A loss over rows of y, with the gradient left in their place: (y, target, weight, scale) -> sum
Loss = Callable[[Array, NDArray[Any], Array, np.float32], float]


class Chunk(NamedTuple):
    """T steps of B streams.

    x        (T, B, padded input_size), as the network sees it, or tokens (T, B) int64
    target   (T, B, outputs), or classes (T, B) int64
    weight   (T, B): what a step counts, 0 for none
    """

    x: NDArray[Any]
    target: NDArray[Any]
    weight: Array

    def streams(self, part: slice) -> "Chunk":
        return Chunk(*(np.ascontiguousarray(array[:, part]) for array in self))


def layer_of(model: Model) -> type[Layer]:
    """The class of a model's layers; TypeError for one that cannot be trained here."""
    kind = type(model).__name__
    if kind not in LAYERS:
        raise TypeError(f"{model!r} cannot be trained; expected one of {', '.join(LAYERS)}")
    layer: type[Layer] = LAYERS[kind]
    return layer


class Network:
    """A model's parameters, packed for training.

    Raises TypeError for a model that cannot be trained here.
    """

    def __init__(self, model: Model) -> None:
        kind = layer_of(model)
        config = model.config
        variant = {name: config[name] for name in VARIANTS if name in config}
        H, self.outputs, self.readout = model.hidden_size, model.outputs, model.output_size
        self.shapes = {name: array.shape for name, array in model.parameters.items()}
        self.size = sum(array.size for array in model.parameters.values())
        self.layers: list[Layer] = [
            kind(k, H if k else model.input_size, H, model.tokens and k == 0, **variant)
            for k in range(model.num_layers)
        ]
        self.D, self.width = self.layers[-1].D, padded(self.outputs)
        self.weight_ho, self.bias_o = zeros(self.width, self.D), zeros(1, self.width)
        self.ho, self.ho_back = zeros(self.D * self.width), zeros(self.width * self.D)

    def views(self, vector: Array) -> dict[str, Array]:
        """A vector (size,) of all parameters, by name."""
        views, at = {}, 0
        for name, shape in self.shapes.items():
            count = int(np.prod(shape))
            views[name] = vector[at : at + count].reshape(shape)
            at += count
        return views

    def pack(self, p: Mapping[str, Array]) -> None:
        """Let the parts work with these parameters."""
        for layer in self.layers:
            layer.pack(p)
        if self.readout is not None:
            self.weight_ho[: self.outputs, : self.layers[-1].H] = p["weight_ho"]
            matmul.pack(self.weight_ho.T, self.ho)
            matmul.pack(self.weight_ho, self.ho_back)
            if "bias_o" in p:
                self.bias_o[0, : self.outputs] = p["bias_o"]


class Part:
    """One thread's share of a minibatch: up to T steps of B streams, their states, a gradient."""

    def __init__(self, network: Network, T: int, B: int) -> None:
        self.network = network
        self.tapes = [Tape(layer, T, B) for layer in network.layers]
        self.y = zeros(T, B, network.width)
        self.d_ho, self.d_bias_o = zeros(network.width, network.D), zeros(network.width)
        self.gradient = zeros(network.size)
        self.g = network.views(self.gradient)
        self.dropped = [zeros(T, B, layer.width) for layer in network.layers[1:]]

    @property
    def states(self) -> list[Array]:
        """What the streams remember before the next step, (B, D) each; write to change it."""
        return [state[0] for tape in self.tapes for state in tape.states]

    def carry(self, T: int) -> None:
        """Let the next chunk go on where this one, of T steps, ended."""
        for tape in self.tapes:
            for state in tape.states:
                state[0] = state[T]

    def forward(self, x: NDArray[Any], keep: list[Array] | None = None) -> Array:
        """x of a `Chunk` -> y (T, B, padded outputs).

        keep: for each layer but the first a factor (T, B, padded hidden_size) of what it reads
        """
        network, T = self.network, len(x)
        self.read = []
        for n, (layer, tape) in enumerate(zip(network.layers, self.tapes, strict=True)):
            if n > 0 and keep is not None:
                np.multiply(x, keep[n - 1], out=self.dropped[n - 1][:T])
                x = self.dropped[n - 1][:T]
            self.read.append(x)
            layer.forward(tape, x, T)
            x = tape.h[1 : T + 1]
        y: Array = self.y[:T]
        if network.readout is None:
            y[:] = x
        else:
            h, into = x.reshape(-1, network.D), y.reshape(-1, network.width)
            address = network.layers[0].multiply
            matmul.product(address, h, network.D, network.ho, network.bias_o, into)
        return y

    def backward(self, T: int, keep: list[Array] | None = None) -> None:
        """The gradient of y in its place -> the gradient of all parameters."""
        network, top = self.network, self.tapes[-1]
        dy = self.y[:T]
        if network.readout is None:
            top.dh[:T] = dy
        else:
            rows, into = dy.reshape(-1, network.width), top.dh[:T].reshape(-1, network.D)
            h, layer = top.h[1 : T + 1].reshape(-1, network.D), network.layers[-1]
            nothing = np.zeros((1, network.D), np.float32)
            matmul.product(layer.multiply, rows, network.width, network.ho_back, nothing, into)
            self.d_ho[:] = 0
            layer.transposed(top, rows, 0, h, self.d_ho)
            self.g["weight_ho"][:] = self.d_ho[: network.outputs, : layer.H]
            if "bias_o" in self.g:
                self.d_bias_o[:] = 0
                tokens.add_rows(rows, self.d_bias_o)
                self.g["bias_o"][:] = self.d_bias_o[: network.outputs]
        for n in range(len(self.tapes) - 1, -1, -1):
            below = self.tapes[n - 1].dh[:T] if n else None
            network.layers[n].backward(self.tapes[n], self.read[n], T, below, self.g)
            if below is not None and keep is not None:
                below *= keep[n - 1]

    def run(self, chunk: Chunk, loss: Loss, scale: float, keep: list[Array] | None = None) -> float:
        """The loss summed over the chunk, with its gradient times `scale` in `gradient`."""
        total = self.loss(chunk, loss, scale, keep)
        self.backward(len(chunk.x), keep)
        return total

    def loss(
        self, chunk: Chunk, loss: Loss, scale: float = 0.0, keep: list[Array] | None = None
    ) -> float:
        """The loss summed over the chunk; y is lost."""
        y = self.forward(chunk.x, keep).reshape(-1, self.network.width)
        target = chunk.target.reshape(len(y), *chunk.target.shape[2:])
        return float(loss(y, target, chunk.weight.reshape(-1), np.float32(scale)))
