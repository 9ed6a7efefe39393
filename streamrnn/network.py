"""What steps through kernels/network.py: one stream kept by the object, raw units in and out."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.kernels import door, network, rounds
from streamrnn.kernels.blocks import TILE
from streamrnn.packed import Packed
from streamrnn.step import OneStream, allocate, check_row, check_rows, flat, initial
from streamrnn.windowed import Windowed

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


class Network(OneStream):
    """What `Model` and `Sequential` share: a plan, and a state for the one stream that they keep.

    input_size  columns of x; with tokens the size of the vocabulary, and x (1,) is a token's index
    outputs     columns of y
    layout      of a stream's state
    """

    parameters: Parameters

    def __init__(self, input_size: int, outputs: int, tokens: bool, layout: np.dtype[Any]) -> None:
        self.input_size, self.outputs, self.tokens, self.layout = (
            input_size,
            outputs,
            tokens,
            layout,
        )
        self.inputs = 1 if tokens else input_size
        self.metadata: dict[str, str] = {}
        self._scaling = {
            "mean": np.zeros(input_size, np.float32),
            "std": np.ones(input_size, np.float32),
            "out_mean": np.zeros(outputs, np.float32),
            "out_std": np.ones(outputs, np.float32),
        }
        self._packed_version = -1
        self._states = allocate(layout, 1)

    def _pack(self) -> Packed:
        """The parameters and the scaling of now, as kernels read them."""
        raise NotImplementedError

    def _tiles(self) -> list[int]:
        """The address of each layer's kernel for many streams."""
        raise NotImplementedError

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

        >>> from streamrnn.model import GRU
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

    def whole(self, X: Array) -> Array:
        """Y (T, outputs) of X (T, inputs) from the initial state; the own stream is left alone."""
        states, Y = allocate(self.layout, 1), np.empty((len(X), self.outputs), np.float32)
        states[0] = initial(self)
        self.advance(states, np.zeros(len(X), np.int64), np.ascontiguousarray(X), Y)
        return Y

    def answers(self, windows: Array) -> Array:
        """The last y (N, outputs) of sequences (N, T, inputs), each from the initial state."""
        N, T, inputs = windows.shape
        if N == 1:
            return self.whole(windows[0])[-1:]
        states, Y = allocate(self.layout, N), np.empty((T * N, self.outputs), np.float32)
        states[:] = initial(self)
        X = np.ascontiguousarray(windows.transpose(1, 0, 2)).reshape(T * N, inputs)
        self.advance(states, np.tile(np.arange(N), T), X, Y)
        return Y[-N:]

    def windowed(self, window: int) -> Windowed:
        """A step whose y is the last of `run` over the last `window` samples, as if they were all.

        What a network gives that was trained on windows: see docs/import.md.
        """
        return Windowed(self, window)

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
            self._packed_as = self._pack()
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
            plan[tiles :: network.RECORD] = self._tiles()
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
