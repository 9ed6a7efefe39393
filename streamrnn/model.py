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

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.formats import FormatError, torch
from streamrnn.kernels import door, gru, lru, lstm, network, rnn, rounds
from streamrnn.kernels.blocks import TILE, Cell
from streamrnn.packed import Packed, pack, shapes
from streamrnn.step import OneStream, allocate, check_row, check_rows, flat, padded

Array = NDArray[np.float32]
ONE_ROW = np.zeros(1, np.int64)
SAMPLE = 64  # rows that are looked at for different streams


class Parameters(MutableMapping[str, Array]):
    """Name -> float32 array.  Assign whole arrays; the arrays themselves are read-only.

    Read-only, because the kernels work on a packed copy, which a change in place would not reach.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._shapes = dict(shapes)
        self._arrays: dict[str, Array] = {}
        self.version = 0  # counts assignments, so that a model knows when to pack again

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        if name not in self._shapes:
            raise KeyError(f"no parameter {name!r}; there are {', '.join(self._shapes)}")
        array = np.array(value, np.float32, order="C")
        if array.shape != self._shapes[name]:
            raise ValueError(f"{name} has shape {array.shape}, expected {self._shapes[name]}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinite weights, expected finite numbers")
        array.flags.writeable = False
        self._arrays[name] = array
        self.version += 1

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"{name} cannot be removed from a model; assign another array")

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for array in self._arrays.values():  # a copied or unpickled array can be written to
            array.flags.writeable = False


class Model(OneStream):
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
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, output_size
        self.num_layers, self.bias, self.tokens = num_layers, bias, tokens
        self.config: dict[str, Any] = {"input_size": input_size, "hidden_size": hidden_size}
        self.config |= {"output_size": output_size, "num_layers": num_layers, "bias": bias}
        self.config |= {"tokens": tokens, **variant}
        self.metadata: dict[str, str] = {}
        self.inputs = 1 if tokens else input_size
        self.outputs = hidden_size if output_size is None else output_size
        d = network.padded(hidden_size)
        self.layout = padded(
            [(name, (num_layers, numbers * d)) for name, numbers in self.cell.state.items()],
            np.float32,
        )
        names = shapes(self.cell, self.config)
        self.parameters = Parameters(names)
        generator = np.random.default_rng(seed)
        for name, shape in names.items():
            self.parameters[name] = self._start(name, shape, generator)
        self._scaling = {
            "mean": np.zeros(input_size, np.float32),
            "std": np.ones(input_size, np.float32),
            "out_mean": np.zeros(self.outputs, np.float32),
            "out_std": np.ones(self.outputs, np.float32),
        }
        self._packed_version = -1
        self._states = allocate(self.layout, 1)

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

    @property
    def parallel(self) -> int:
        """See `Step`: samples that take about 250 us; a thread costs 40 to start."""
        weights = self._packed().weights.size
        return max(1, 250_000 // (40 + weights // 50))  # ns: 40, and 1 for each 50 weights

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.config.items())})"

    # stepping

    def step(self, x: ArrayLike) -> Array:
        """Advance by one sample x (input_size,), with tokens one id; returns y (outputs,).

        Raises ValueError or TypeError when x has another shape or is not of numbers.
        """
        y: Array = self._advance_own(check_row(x, self).reshape(1, -1))[0]
        return y

    def run(self, X: ArrayLike, *, out: Array | None = None) -> Array:
        """Advance by X (T, input_size), with tokens (T,), oldest first; returns Y (T, outputs).

        The same bits as T calls of `step`. out: a contiguous float32 array for Y, to be returned.
        """
        return self._advance_own(check_rows(X, self), out)

    def stepper(self, *, scalar: bool = False) -> Callable[[ArrayLike], Any]:
        """The fastest `step`: a function that moves this model's stream and gives the same bits.

        It takes a float (input_size 1) or a float32 array (input_size,) without delay, and what
        else `step` takes. It returns the same float32 array (outputs,) each time, overwritten by
        the next call, or with scalar=True, for one output, a float. The parameters and the scaling
        are those of now: make another after a change.

        >>> step = GRU(1, 8, 1).stepper(scalar=True)
        >>> first, second = step(1.0), step(1.0)
        >>> isinstance(first, float), first == second
        (True, False)
        """
        if scalar and self.outputs != 1:
            raise ValueError(f"scalar=True is for one output, and {self!r} has {self.outputs}")
        plan, weights = self._packed()
        states, y = flat(self._states), np.zeros(self.outputs, np.float32)

        def slow(x: ArrayLike) -> Any:
            row = check_row(x, self).reshape(1, -1)
            network.advance(plan, weights, states, ONE_ROW, row, y.reshape(1, -1), scratch)
            return float(y[0]) if scalar else y

        scratch = np.empty(network.scratch_size(plan, 1), np.float32)
        if not door.available():
            return slow
        return door.builtin(plan, weights, states, self.inputs, y, scratch, slow, scalar)

    def _advance_own(self, x: Array, out: Array | None = None) -> Array:
        shape = (len(x), self.outputs)
        y = np.empty(shape, np.float32) if out is None else out
        if y.shape != shape or y.dtype != np.float32 or not y.flags.carray:
            raise ValueError(
                f"out has shape {y.shape} and dtype {y.dtype}, expected {shape} of float32, "
                "contiguous and writeable"
            )
        rows = ONE_ROW if len(x) == 1 else np.zeros(len(x), np.int64)
        self.advance(self._states, rows, x, y)
        return y

    def advance(self, states: NDArray[Any], rows: NDArray[np.int64], x: Array, y: Array) -> None:
        """Move rows of `states` (S,) by x (N, inputs) and write y (N, outputs); see `Step`.

        Raises ValueError for arrays of another shape, dtype or layout: the kernels work on their
        addresses.
        """
        rows = np.ascontiguousarray(rows, np.int64)
        N = len(rows)
        for name, array, columns in (("x", x, self.inputs), ("y", y, self.outputs)):
            if (
                array.shape != (N, columns)
                or array.dtype != np.float32
                or not array.flags.c_contiguous
            ):
                raise ValueError(
                    f"{name} has shape {array.shape} and dtype {array.dtype}, expected "
                    f"({N}, {columns}) of float32, contiguous"
                )
        plan, weights = self._packed_for(rows)
        scratch = np.empty(network.scratch_size(plan, N), np.float32)
        if not network.advance(plan, weights, flat(states), rows, x, y, scratch):
            raise ValueError(
                f"rows go from {rows.min()} to {rows.max()}, expected 0 to {len(states) - 1}"
            )

    def _packed(self) -> Packed:
        if self._packed_version != self.parameters.version:
            self._packed_as = pack(
                self.cell, self.config, self.parameters, self._scaling, self.layout
            )
            self._packed_version = self.parameters.version
        return self._packed_as

    def _packed_for(self, rows: NDArray[np.int64]) -> Packed:
        """With the kernels for many streams where `rows` has use for them: compiled when needed."""
        plan, weights = packed = self._packed()
        tiles = network.LAYER + network.TILES
        if len(rows) < len(TILE) or plan[network.ROUNDS]:
            return packed
        if not plan[tiles]:
            if len(set(rows[:SAMPLE].tolist())) < len(TILE):
                return packed
            plan = plan.copy()  # another thread may be reading this one
            plan[tiles :: network.RECORD] = self.cell.tile.address
        if (rows[1:] < rows[:-1]).any():
            plan = plan.copy()
            plan[network.ROUNDS] = rounds.in_rounds.address
        if plan is not packed.plan:
            self._packed_as = Packed(plan, weights)
        return Packed(plan, weights)

    def __getstate__(self) -> dict[str, Any]:
        # Pickled or copied without the plan: it holds addresses of this process.
        state = self.__dict__ | {"_packed_version": -1}
        state.pop("_packed_as", None)
        return state

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

    # raw units in and out

    def scale(
        self,
        mean: ArrayLike = 0.0,
        std: ArrayLike = 1.0,
        out_mean: ArrayLike = 0.0,
        out_std: ArrayLike = 1.0,
    ) -> None:
        """Let `step` take and give raw sensor units.

        The network sees (x - mean) / std, and y is its output times out_std plus out_mean.

        mean, std          (input_size,) or one number, in x's units
        out_mean, out_std  (output_size,) or one number, in y's units

        Kept in the model, and in its file. Raises ValueError for a std that is not above 0.
        """
        if self.tokens:
            raise ValueError("a model of tokens has no units to scale; x is the index of a token")
        if self.output_size is None and (
            np.any(np.not_equal(out_mean, 0.0)) or np.any(np.not_equal(out_std, 1.0))
        ):
            raise ValueError("out_mean and out_std scale the readout, and output_size is None")
        sizes = {"mean": self.input_size, "std": self.input_size}
        sizes |= {"out_mean": self.outputs, "out_std": self.outputs}
        scaling = {}
        for name, value in zip(sizes, (mean, std, out_mean, out_std), strict=True):
            array = np.asarray(value, np.float32)
            if array.shape not in ((), (sizes[name],)):
                raise ValueError(f"{name} has shape {array.shape}, expected ({sizes[name]},)")
            if not np.isfinite(array).all() or (name.endswith("std") and np.any(array <= 0)):
                kind = "positive" if name.endswith("std") else "finite"
                raise ValueError(f"{name} is {value!r}, expected {kind} numbers")
            scaling[name] = np.broadcast_to(array, (sizes[name],)).copy()
        self._scaling = scaling
        self._packed_version = -1

    @property
    def scaling(self) -> dict[str, Array]:
        """What `scale` set: mean, std (input_size,), out_mean, out_std (outputs,); copies."""
        return {name: array.copy() for name, array in self._scaling.items()}


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


def from_torch(state_dict: Mapping[str, Any], *, tokens: bool = False) -> Model:
    """A model from the state_dict of nn.RNN, nn.GRU or nn.LSTM, alone or followed by one nn.Linear.

    Any num_layers, with or without bias, whatever the modules were called. tokens: the network was
    trained on one-hot vectors, and is to be stepped by their index. An nn.RNN is taken to use tanh,
    its default: the state_dict does not say.

    Raises FormatError for what cannot be streamed or is not one of these.
    """
    description = torch.read(state_dict)
    kinds: dict[int, type[Model]] = {1: RNN, 3: GRU, 4: LSTM}
    model = kinds[description.gates](
        description.input_size,
        description.hidden_size,
        description.output_size,
        num_layers=description.num_layers,
        bias=description.bias,
        tokens=tokens,
    )
    for name, array in description.parameters.items():
        try:
            model.parameters[name] = array
        except ValueError as error:
            raise FormatError(f"state_dict: {error}") from None
    return model
