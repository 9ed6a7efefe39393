"""A described layer as kernels take it: checked, with a cell, its sizes and what a stream keeps."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.formats import FormatError
from streamrnn.formats.layer import Layer
from streamrnn.kernels import functions, gru, linear, lru, lstm, network, plain, rnn
from streamrnn.kernels.blocks import Cell

Array = NDArray[np.float32]

# gates, the other part of the state, and the usual activations f, g, h
RECURRENT: dict[str, tuple[int, str, tuple[str, ...]]] = {
    "RNN": (1, "", ("tanh",)),
    "GRU": (3, "", ("sigmoid", "tanh")),
    "LSTM": (4, "c", ("sigmoid", "tanh", "tanh")),
}
OPTIONS = {
    "Activation": {"function", "a", "b"},
    "RNN": {"activations", "clip", "direction", "last"},
    "GRU": {"activations", "clip", "direction", "last", "reset_after"},
    "LSTM": {"activations", "clip", "direction", "last", "coupled"},
}
KINDS = ("Linear", "Embedding", "Affine", "Activation", *RECURRENT, "LRU")


class Part(NamedTuple):
    """One layer, ready to be packed.

    K, H        columns of x, columns of y
    state       what a stream remembers: name -> floats, in whole vectors; h and at most one other
    parameters  what `cell.pack` reads
    initial     what a stream begins with, where that is not zero: a name of `state` -> numbers
    """

    cell: Cell
    K: int
    H: int
    state: Mapping[str, int]
    parameters: Mapping[str, Array]
    initial: Mapping[str, Array] = MappingProxyType({})


def part(layer: Layer, columns: int | None) -> Part:
    """`layer` on top of so many columns (None: not known yet); FormatError if it does not fit."""
    if layer.kind not in KINDS:
        raise FormatError(f"{layer.name}: no layer {layer.kind!r}; there are {', '.join(KINDS)}")
    for name, array in layer.parameters.items():
        if not np.isfinite(array).all():
            raise FormatError(f"{layer.name}: {name} holds NaN or infinite weights")
        if 0 in array.shape:
            raise FormatError(f"{layer.name}: {name} has shape {array.shape}, expected numbers")
    if odd := set(layer.options) - OPTIONS.get(layer.kind, set()):
        raise FormatError(f"{layer.name}: {layer.kind} has no option {', '.join(sorted(odd))}")
    if layer.kind in RECURRENT:
        made = _recurrent(layer)
    elif layer.kind == "LRU":
        made = _lru(layer)
    elif layer.kind in ("Linear", "Embedding"):
        made = _linear(layer)
    else:
        made = _scaled(layer, columns)
    if columns not in (None, made.K):
        raise FormatError(
            f"{layer.name}: {layer.kind} takes {made.K} columns, but what is below gives {columns}"
        )
    return made


def _linear(layer: Layer) -> Part:
    weight = _matrix(layer, "weight")
    if layer.kind == "Embedding":
        weight = np.ascontiguousarray(weight.T)
    O, K = weight.shape
    _check(layer, {"weight": layer.parameters["weight"].shape}, {"bias": (O,)})
    bias = layer.parameters.get("bias", np.zeros(O, np.float32))
    return Part(linear.LINEAR, K, O, {}, {"weight": weight, "bias": bias})


def _scaled(layer: Layer, columns: int | None) -> Part:
    head = _function(
        layer, [layer.options[k] for k in ("function", "a", "b") if k in layer.options]
    )
    if layer.kind == "Affine":
        scale, shift = (layer.parameters.get(name, np.zeros(0)) for name in ("scale", "shift"))
        columns = columns or scale.size
        _check(layer, {"scale": (columns,), "shift": (columns,)}, {})
    elif columns is None:
        raise FormatError(f"{layer.name}: an activation at the input, before any layer with a size")
    else:
        _check(layer, {}, {})
        scale, shift = np.ones(columns, np.float32), np.zeros(columns, np.float32)
    parameters = {"function": np.array(head, np.float32), "scale": scale, "shift": shift}
    return Part(linear.SCALED, columns, columns, {}, parameters)


def _lru(layer: Layer) -> Part:
    H, K = _matrix(layer, "B_re").shape
    _check(layer, lru.CELL.shapes(K, H), {})
    d = network.padded(H)
    return Part(lru.CELL, K, H, {"h": d, "s": 2 * d}, layer.parameters)


def _recurrent(layer: Layer) -> Part:
    gates, other, _ = RECURRENT[layer.kind]
    weight_ih, weight_hh = _matrix(layer, "weight_ih"), _matrix(layer, "weight_hh")
    K, P = weight_ih.shape[1], weight_hh.shape[1]
    H = max(len(weight_hh) // gates, 1)
    G = gates * H
    needed = {"weight_ih": (G, K), "weight_hh": (G, P)}
    optional: dict[str, tuple[int, ...]] = {"bias_ih": (G,), "bias_hh": (G,), "h_0": (P,)}
    if layer.kind == "LSTM":
        optional |= {"c_0": (H,), "weight_ch": (3 * H,), "weight_hr": (P, H)}
    if "weight_hr" not in layer.parameters:
        needed["weight_hh"] = (G, H)
    _check(layer, needed, optional)
    zeros = {name: np.zeros(shape, np.float32) for name, shape in optional.items()}
    state = {"h": network.padded(P)} | ({other: network.padded(H)} if other else {})
    initial = {n[0]: a for n, a in layer.parameters.items() if n in ("h_0", "c_0")}
    cell = _cell(layer)
    parameters = zeros | dict(layer.parameters)
    if cell is lstm.PLAIN:
        del parameters["weight_ch"]
    if cell in (plain.RNN, plain.GRU, plain.LSTM):
        parameters["head"] = _head(layer, H)
    return Part(cell, K, P, state, parameters, initial)


def _cell(layer: Layer) -> Cell:
    """The fast cell, if it can do all that the layer asks for."""
    usual = [
        (name, *functions.CONSTANTS.get(name, (0.0, 0.0))) for name in RECURRENT[layer.kind][2]
    ]
    found = _activations(layer)
    rare = (
        _clip(layer) < math.inf or layer.options.get("coupled") or "weight_hr" in layer.parameters
    )
    if layer.kind == "RNN" and found[0][0] == functions.RELU and not rare:
        return rnn.RELU
    rare = rare or found != [(functions.NAMES.index(name), a, b) for name, a, b in usual]
    if layer.kind == "RNN":
        return plain.RNN if rare else rnn.TANH
    if layer.kind == "GRU":
        after = gru.AFTER if layer.options.get("reset_after", True) else gru.BEFORE
        return plain.GRU if rare else after
    peepholes = lstm.PEEPHOLES if "weight_ch" in layer.parameters else lstm.PLAIN
    return plain.LSTM if rare else peepholes


def _head(layer: Layer, H: int) -> Array:
    """What a plain layer's weights begin with."""
    head = np.zeros(plain.HEAD, np.float32)
    for at, triple in zip((plain.F, plain.G, plain.H_), _activations(layer), strict=False):
        head[at : at + 3] = triple
    head[plain.CLIP] = _clip(layer)
    head[plain.COUPLED] = bool(layer.options.get("coupled"))
    head[plain.AFTER] = bool(layer.options.get("reset_after", True))
    head[plain.PROJECTED] = "weight_hr" in layer.parameters
    head[plain.CELLS] = H
    return head


def _clip(layer: Layer) -> float:
    clip = layer.options.get("clip", math.inf)
    if isinstance(clip, bool) or not isinstance(clip, int | float) or not clip > 0:
        raise FormatError(f"{layer.name}: clip is {clip!r}, expected a number above 0")
    return clip


def _activations(layer: Layer) -> list[tuple[int, float, float]]:
    usual = [[name] for name in RECURRENT[layer.kind][2]]
    given = layer.options.get("activations", usual)
    if not isinstance(given, list | tuple) or len(given) != len(usual):
        raise FormatError(f"{layer.name}: activations are {given!r:.60}, expected {len(usual)}")
    triples = [_function(layer, one) for one in given]
    for function, _, _ in triples:
        if function in (functions.SOFTMAX, functions.LOG_SOFTMAX):
            raise FormatError(f"{layer.name}: {functions.NAMES[function]} inside a cell")
    return triples


def _function(layer: Layer, given: Any) -> tuple[int, float, float]:
    """Its number, a and b; for none the identity."""
    name, *constants = given if isinstance(given, list | tuple) and given else ("identity",)
    if name not in functions.NAMES:
        raise FormatError(
            f"{layer.name}: no activation {name!r:.60}; there are {', '.join(functions.NAMES)}"
        )
    usual = functions.CONSTANTS.get(name, (0.0, 0.0))
    if len(constants) > 2 or not all(type(c) in (int, float) and c == c for c in constants):
        raise FormatError(f"{layer.name}: {name} has constants {constants!r:.60}, expected numbers")
    constants += usual[len(constants) :]
    return functions.NAMES.index(name), float(constants[0]), float(constants[1])


def _matrix(layer: Layer, name: str) -> Array:
    array = layer.parameters.get(name)
    if array is None or array.ndim != 2:
        found = "missing" if array is None else f"of shape {array.shape}"
        raise FormatError(f"{layer.name}: {name} is {found}, expected a matrix")
    return array


def _check(
    layer: Layer, needed: Mapping[str, tuple[int, ...]], optional: Mapping[str, tuple[int, ...]]
) -> None:
    for name, shape in needed.items():
        if name not in layer.parameters:
            raise FormatError(f"{layer.name}: {name} is missing, expected {shape}")
    for name, array in layer.parameters.items():
        shape = needed.get(name, optional.get(name, ()))
        if not shape:
            raise FormatError(f"{layer.name}: {layer.kind} has no parameter {name}")
        if array.shape != shape:
            raise FormatError(f"{layer.name}: {name} has shape {array.shape}, expected {shape}")
