"""Recurrent networks that step: stacked cells and a linear readout, in PyTorch's names and layout.

>>> import numpy as np
>>> rnn = RNN(input_size=3, hidden_size=4, output_size=2)
>>> y = rnn.step([0.5, -1.0, 0.0])
>>> y.shape, rnn.h.shape
((2,), (4,))
>>> first = rnn.h
>>> Y = rnn.run(np.zeros((10, 3)))
>>> rnn.reset()
>>> bool(np.all(rnn.h == 0))
True
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.kernels import gru, lru, lstm, network, rnn
from streamrnn.kernels.blocks import Cell
from streamrnn.network import Array, Network, Parameters
from streamrnn.packed import Packed, pack, shapes
from streamrnn.step import padded


class Model(Network):
    """What RNN, GRU and LSTM share; they differ in their cell alone.

    input_size   channels of x; with tokens=True the size of the vocabulary, and x is one token id
    hidden_size  units of each layer
    output_size  columns of y = weight_ho h + bias_o; None: no readout, y is the top layer's h
    num_layers   stacked cells, each reading the h of the one below
    bias         False leaves all biases out
    seed         parameters start as PyTorch's do, uniform within 1 / sqrt(hidden_size)
    tokens       x (1,) is the index of a one-hot vector (input_size,), with the same results

    A missing input (NaN) counts as the channel's mean (`scale`), that is 0 to the network; a token
    outside the vocabulary adds nothing.

    The object keeps the state of one stream for `step` and `run`. Many streams over the same
    parameters: `Bank`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        num_layers: int = 1,
        bias: bool = True,
        seed: int = 0,
        tokens: bool = False,
        **variant: Any,
    ) -> None:
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        if output_size is not None:
            sizes["output_size"] = output_size
        for name, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
                raise ValueError(f"{name} is {size!r}, expected a whole number of at least 1")
        self.hidden_size, self.output_size = hidden_size, output_size
        self.num_layers, self.bias = num_layers, bias
        self.config: dict[str, Any] = {"input_size": input_size, "hidden_size": hidden_size}
        self.config |= {"output_size": output_size, "num_layers": num_layers, "bias": bias}
        self.config |= {"tokens": tokens, **variant}
        d = network.padded(hidden_size)
        layout = padded(
            [(name, (num_layers, numbers * d)) for name, numbers in self.cell.state.items()],
            np.float32,
        )
        super().__init__(input_size, output_size or hidden_size, tokens, layout)
        names = shapes(self.cell, self.config)
        self.parameters = Parameters(names)
        generator = np.random.default_rng(seed)
        for name, shape in names.items():
            self.parameters[name] = self._start(name, shape, generator)

    @staticmethod
    def cell_of(config: Mapping[str, Any]) -> Cell:
        """The cell of a model with these arguments."""
        raise NotImplementedError

    @property
    def cell(self) -> Cell:
        return self.cell_of(self.config)

    def _start(
        self, name: str, shape: tuple[int, ...], generator: np.random.Generator
    ) -> NDArray[Any]:
        bound = self.hidden_size**-0.5
        return generator.uniform(-bound, bound, shape)

    def _pack(self) -> Packed:
        return pack(self.cell, self.config, self.parameters, self._scaling, self.layout)

    def _tiles(self) -> list[int]:
        return [self.cell.tile.address] * self.num_layers

    @property
    def parallel(self) -> int:
        """See `Step`: samples that take about 250 us; a thread costs 40 to start."""
        weights = self._packed().weights.size
        return max(1, 250_000 // (40 + weights // 50))  # ns: 40, and 1 for each 50 weights

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.config.items())})"

    # the state of the one stream that the object keeps

    @property
    def h(self) -> Array:
        """The top layer's h (hidden_size,), a copy."""
        top: Array = self._states["h"][0, -1, : self.hidden_size].copy()
        return top

    def units(self, states: NDArray[Any]) -> Array:
        """The h of all layers of each of `states` (S,): (S, num_layers * hidden_size), in [-1, 1].

        The lowest layer's first.
        """
        h: Array = states["h"][:, :, : self.hidden_size]
        return h.reshape(len(states), self.num_layers * self.hidden_size)

    def scale(
        self,
        mean: ArrayLike = 0.0,
        std: ArrayLike = 1.0,
        out_mean: ArrayLike = 0.0,
        out_std: ArrayLike = 1.0,
    ) -> None:
        if self.output_size is None and (
            np.any(np.not_equal(out_mean, 0.0)) or np.any(np.not_equal(out_std, 1.0))
        ):
            raise ValueError("out_mean and out_std scale the readout, and output_size is None")
        super().scale(mean, std, out_mean, out_std)

    scale.__doc__ = Network.scale.__doc__


class RNN(Model):
    """h' = f(W_ih x + b_ih + W_hh h + b_hh); arguments: `Model`, and more.  Elman 1990.

    nonlinearity  f, "tanh" or "relu"; relu's h is at most 1e18
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        nonlinearity: str = "tanh",
        **options: Any,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'")
        super().__init__(input_size, hidden_size, output_size, nonlinearity=nonlinearity, **options)

    @staticmethod
    def cell_of(config: Mapping[str, Any]) -> Cell:
        return rnn.RELU if config.get("nonlinearity") == "relu" else rnn.TANH

    def units(self, states: NDArray[Any]) -> Array:
        h = super().units(states)
        return h / (1 + h) if self.config["nonlinearity"] == "relu" else h  # relu's has no bound


class GRU(Model):
    """Gated recurrent units; arguments: `Model`, and more.  Cho et al. 2014, equations 5 to 8.

    reset_after  the reset gate multiplies W_hn h + b_hn, as in PyTorch; False: h, as in the paper
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        reset_after: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, output_size, reset_after=reset_after, **options)

    @staticmethod
    def cell_of(config: Mapping[str, Any]) -> Cell:
        return gru.AFTER if config.get("reset_after", True) else gru.BEFORE


class LSTM(Model):
    """Long short-term memory; arguments: `Model`, and more.  Hochreiter and Schmidhuber 1997.

    peepholes  the gates also see c, by weight_ch (3H,), gates i f o.  Gers and Schmidhuber 2000
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        peepholes: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, output_size, peepholes=peepholes, **options)

    @staticmethod
    def cell_of(config: Mapping[str, Any]) -> Cell:
        return lstm.PEEPHOLES if config.get("peepholes") else lstm.PLAIN


class LRU(Model):
    """Linear recurrent units, complex and diagonal, tanh after each layer; arguments: `Model`.

    Orvieto et al. 2023; parameters start as in its appendix A, with eigenvalues spread evenly over
    the unit disk.
    """

    @staticmethod
    def cell_of(config: Mapping[str, Any]) -> Cell:
        return lru.CELL

    def _start(
        self, name: str, shape: tuple[int, ...], generator: np.random.Generator
    ) -> NDArray[Any]:
        kind, _, layer = name.rpartition("_l")
        start = super()._start(name, shape, generator)
        if kind == "nu_log":
            start = np.log(-np.log(np.sqrt(generator.uniform(1e-4, 1, shape))))  # of |l|
        if kind == "theta_log":
            start = np.log(2 * np.pi * generator.uniform(1e-6, 1, shape))
        if kind == "gamma_log":  # gamma = sqrt(1 - |l|^2)
            start = 0.5 * np.log(-np.expm1(-2 * np.exp(self.parameters[f"nu_log_l{layer}"])))
        if kind in ("B_re", "B_im", "C_re", "C_im"):  # a complex number has the variance of both
            start = generator.normal(0, (2 * shape[1]) ** -0.5, shape)
        if kind == "D":
            start = generator.normal(0, shape[1] ** -0.5, shape)
        return start
