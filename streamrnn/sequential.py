"""A straight line of layers, as networks trained elsewhere have it, stepped like any other network.

>>> import numpy as np
>>> half = Layer("Linear", {"weight": np.array([[0.5, 0.0]])})
>>> line = Sequential([half, Layer("Activation", options={"function": "relu"})])
>>> line.step([3.0, 0.0]), line.step([-3.0, 0.0])
(array([1.5], dtype=float32), array([0.], dtype=float32))
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.formats import FormatError
from streamrnn.formats.layer import Layer
from streamrnn.network import Network, Parameters
from streamrnn.packed import Packed, pack_line
from streamrnn.parts import Part, part
from streamrnn.step import padded

Array = NDArray[np.float32]


class Sequential(Network):
    """Layers one above the other, each of any kind and size: `Layer` says which there are.

    layers   the first reads x, the last gives y; their names, for messages, may be empty
    tokens   x (1,) is the index of a one-hot vector; always so below an Embedding

    Parameters are called as in torch.nn.Sequential: "0.weight_ih", "1.bias". A stream begins with
    the layers' h_0 and c_0.

    Raises FormatError, naming the layer, for arrays that do not fit.
    """

    def __init__(self, layers: Sequence[Layer], *, tokens: bool = False) -> None:
        layers = named(layers)
        for layer in layers:
            direction = layer.options.get("direction", "forward")
            if direction != "forward":
                raise FormatError(
                    f"{layer.name}: a {direction} layer needs the end of the sequence before its "
                    "first output and cannot be streamed"
                )
        parts = line(layers)
        self._described = [replace(layer, parameters={}) for layer in layers]
        arrays = {
            f"{n}.{k}": a for n, layer in enumerate(layers) for k, a in layer.parameters.items()
        }
        self.parameters = Parameters({name: array.shape for name, array in arrays.items()})
        for name, array in arrays.items():
            self.parameters[name] = array
        tokens = bool(tokens) or layers[0].kind == "Embedding"
        fields = [(f"{k}_l{n}", size) for n, p in enumerate(parts) for k, size in p.state.items()]
        layout = padded(fields or [("nothing", 1)], np.float32)
        super().__init__(parts[0].K, parts[-1].H, tokens, layout)
        self._shown = {f"h_l{n}": p.H for n, p in enumerate(parts) if "h" in p.state}
        # what `units` gives is of so many layers, if they are equally wide
        self.num_layers = len(self._shown) if len(set(self._shown.values())) == 1 else 1
        self.reset()

    @property
    def layers(self) -> list[Layer]:
        """The layers with the parameters of now."""
        return [
            replace(
                described,
                parameters={
                    name.partition(".")[2]: array
                    for name, array in self.parameters.items()
                    if name.startswith(f"{n}.")
                },
            )
            for n, described in enumerate(self._described)
        ]

    @property
    def config(self) -> dict[str, Any]:
        """All but the parameters, as JSON holds it."""
        return {"layers": described(self._described), "tokens": self.tokens}

    def __repr__(self) -> str:
        kinds = (one.options.get("function", one.kind) for one in self._described)
        return f"Sequential({self.inputs} -> {', '.join(kinds)} -> {self.outputs})"

    def initial(self) -> NDArray[Any]:
        """The state of a new stream, 0-d: the layers' h_0 and c_0, zeros where there is none."""
        state = np.zeros((), self.layout)
        for n, one in enumerate(line(self.layers)):
            for name, numbers in one.initial.items():
                state[f"{name}_l{n}"][: numbers.size] = numbers
        return state

    @property
    def h(self) -> Array:
        """The topmost recurrent layer's h, a copy; of none (0,)."""
        shown = self._h_of(self._states)
        return shown[-1][0].copy() if shown else np.zeros(0, np.float32)

    def units(self, states: NDArray[Any]) -> Array:
        """The h of all recurrent layers of each of `states` (S,): (S, U), held within -1 .. 1."""
        empty = np.zeros((len(states), 0), np.float32)
        shown: Array = np.concatenate([empty, *self._h_of(states)], axis=1)
        return shown.clip(-1, 1)

    def _h_of(self, states: NDArray[Any]) -> list[Array]:
        return [states[name][:, :units] for name, units in self._shown.items()]

    def _pack(self) -> Packed:
        return pack_line(self._parts(), self.tokens, self._scaling, self.layout)

    def _tiles(self) -> list[int]:
        return [one.cell.tile.address for one in self._parts()]

    def _parts(self) -> list[Part]:
        """The layers, and what scales y after them where that is asked for."""
        parts, scaling = line(self.layers), self._scaling
        if np.any(scaling["out_mean"] != 0) or np.any(scaling["out_std"] != 1):
            arrays = {"scale": scaling["out_std"], "shift": scaling["out_mean"]}
            parts.append(part(Layer("Affine", arrays, name="scale"), self.outputs))
        return parts


def named(layers: Sequence[Layer]) -> list[Layer]:
    """With float32 arrays, and a name for each layer that has none; FormatError for no layers."""
    if not layers:
        raise FormatError("no layers, expected at least one")
    return [
        replace(
            layer,
            name=layer.name or f"layer {n}",
            parameters={k: np.asarray(a, np.float32) for k, a in layer.parameters.items()},
        )
        for n, layer in enumerate(layers)
    ]


def described(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """All but the parameters, as JSON holds it."""
    return [{"kind": l.kind, "options": dict(l.options), "name": l.name} for l in layers]


def line(layers: Sequence[Layer]) -> list[Part]:
    """The layers as kernels take them; FormatError where one does not fit what is below it."""
    parts: list[Part] = []
    for n, layer in enumerate(layers):
        if layer.kind == "Embedding" and n:
            raise FormatError(f"{layer.name}: an Embedding reads tokens, above it comes no other")
        parts.append(part(layer, parts[-1].H if parts else _columns(layers)))
    return parts


def _columns(layers: Sequence[Layer]) -> int | None:
    """Columns of x: what the first layer that has a size of its own takes."""
    sized = (layer for layer in layers if layer.kind != "Activation")
    return next((part(layer, None).K for layer in sized), None)
