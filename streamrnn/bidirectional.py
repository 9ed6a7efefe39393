"""Networks that also read backwards: for whole sequences, and for windows of a stream."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from streamrnn.formats import FormatError
from streamrnn.formats.layer import BACK, Layer, one_way
from streamrnn.network import Array
from streamrnn.sequential import Sequential, described, named
from streamrnn.step import check_rows
from streamrnn.windowed import Windowed


class Both(NamedTuple):
    """A layer that reads backwards, and perhaps forward: a network for each way."""

    ways: list[Sequential]  # the last of them goes back
    last: bool

    def whole(self, X: Array) -> Array:
        """Y (T, outputs) of X (T, inputs); (1, outputs) where only the end of each way counts."""
        Y = [way.whole(X) for way in self.ways[:-1]]
        back = self.ways[-1].whole(np.ascontiguousarray(X[::-1]))
        if self.last:
            return np.hstack([*(y[-1:] for y in Y), back[-1:]])
        return np.hstack([*Y, back[::-1]])


class Bidirectional:
    """A line of layers of which some read the sequence from its end; arguments: `Sequential`.

    `run` takes whole sequences, and `windowed` goes along a stream, over its last samples each
    time. There is nothing else to step: the first output needs the last sample.
    """

    def __init__(self, layers: Sequence[Layer], *, tokens: bool = False) -> None:
        self.layers = named(layers)
        self._parts: list[Sequential | Both] = []
        for backwards, group in groupby(self.layers, reads_backwards):
            for own in [[layer] for layer in group] if backwards else [list(group)]:
                first = tokens and not self._parts
                made = _both(own[0], first) if backwards else Sequential(own, tokens=first)
                self._parts.append(made)
        bottom = self._parts[0].ways[-1] if isinstance(self._parts[0], Both) else self._parts[0]
        self.tokens, self.inputs, self.input_size = bottom.tokens, bottom.inputs, bottom.input_size
        columns = self.input_size
        for part in self._parts:
            ways = part.ways if isinstance(part, Both) else [part]
            for way in ways:
                if way.input_size != columns:
                    raise FormatError(
                        f"{way.layers[0].name}: takes {way.input_size} columns, but what is below "
                        f"gives {columns}"
                    )
            columns = sum(way.outputs for way in ways)
        self.outputs = columns
        unit = {"scale": np.ones(columns), "shift": np.zeros(columns)}
        self._scaled = Sequential([Layer("Affine", unit)])
        self.metadata: dict[str, str] = {}

    @property
    def config(self) -> dict[str, Any]:
        """All but the parameters, as JSON holds it."""
        return {"layers": described(self.layers), "tokens": self.tokens}

    @property
    def parameters(self) -> dict[str, Array]:
        """Name -> array, as in `Sequential`; they are what they are."""
        return {f"{n}.{k}": a for n, l in enumerate(self.layers) for k, a in l.parameters.items()}

    def __repr__(self) -> str:
        kinds = (one.options.get("function", one.kind) for one in self.layers)
        return f"Bidirectional({self.inputs} -> {', '.join(kinds)} -> {self.outputs})"

    def run(self, X: ArrayLike) -> Array:
        """Y (T, outputs) of a whole sequence X (T, inputs), from the initial state.

        (1, outputs) if the network goes on with the end of each way alone.
        """
        rows: Array = check_rows(X, self._bottom()[0])
        for part in self._parts:
            rows = part.whole(rows)
        return self._scaled.whole(rows)

    def answers(self, windows: Array) -> Array:
        """The last y (N, outputs) of sequences (N, T, inputs), each from the initial state."""
        return np.stack([self.run(window)[-1] for window in windows])

    def windowed(self, window: int) -> Windowed:
        """A step whose y is the last of `run` over the last `window` samples."""
        return Windowed(self, window)

    def step(self, x: ArrayLike) -> NoReturn:
        """Always raises FormatError: says which layer needs the end of the sequence."""
        self._refuse()

    def stepper(self, *, scalar: bool = False) -> NoReturn:
        """Always raises FormatError, as `step`."""
        self._refuse()

    @property
    def layout(self) -> NoReturn:
        """Always raises FormatError: no state of it can be moved by one sample."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        layer = next(layer for layer in self.layers if reads_backwards(layer))
        raise FormatError(
            f"{layer.name}: a {layer.options['direction']} layer needs the end of the sequence "
            "before its first output and cannot be streamed; take run(X) for whole sequences, "
            "windowed(W) for the last W samples of a stream, or train it forward only"
        )

    def scale(
        self,
        mean: ArrayLike = 0.0,
        std: ArrayLike = 1.0,
        out_mean: ArrayLike = 0.0,
        out_std: ArrayLike = 1.0,
    ) -> None:
        """Let `run` take and give raw sensor units; see `Network.scale`."""
        for way in self._bottom():
            way.scale(mean, std)
        self._scaled.scale(out_mean=out_mean, out_std=out_std)

    @property
    def scaling(self) -> dict[str, Array]:
        """What `scale` set, as in `Network`."""
        below, above = self._bottom()[0].scaling, self._scaled.scaling
        return {name: above[name] if "out" in name else below[name] for name in below}

    def _bottom(self) -> list[Sequential]:
        first = self._parts[0]
        return first.ways if isinstance(first, Both) else [first]


def reads_backwards(layer: Layer) -> bool:
    """Whether a layer needs the end of a sequence before its first output."""
    direction = layer.options.get("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise FormatError(
            f"{layer.name}: direction is {direction!r}, expected forward, reverse or bidirectional"
        )
    return bool(direction != "forward")


def _both(layer: Layer, tokens: bool) -> Both:
    """The ways of a layer as layers of their own, each with the names of a forward one."""
    ways = [layer]
    if layer.options["direction"] == "bidirectional":
        ways = [one_way(layer, back=False), one_way(layer, back=True)]
    networks = []
    for way in ways:
        arrays = {k.removesuffix(BACK): a for k, a in way.parameters.items()}
        options = {k: v for k, v in way.options.items() if k not in ("direction", "last")}
        networks.append(Sequential([Layer(way.kind, arrays, options, way.name)], tokens=tokens))
    return Both(networks, bool(layer.options.get("last")))
