"""Operators that are layers: matrices, constants for each column, activations, recurrent ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from streamrnn.formats import onnx_cells
from streamrnn.formats.layer import Layer
from streamrnn.formats.onnx_stream import (
    FLIPPED,
    OPEN,
    Array,
    Atom,
    Node,
    Stack,
    Stream,
    Value,
    features,
    one_of,
)

OPPOSITE = {"forward": "reverse", "reverse": "forward"}


def recurrent(node: Node, inputs: list[Value]) -> dict[str, Value]:
    x, W, R, B, lengths, h_0, c_0, P = [*inputs, *[None] * 8][:8]
    if not isinstance(x, Stream) or len(x.axes) != 3:
        raise node.refused("expected what depends on x, with three axes, as its first input")
    batch_first = bool(node.attributes.get("layout", 0))
    order = (1, 0, 2) if batch_first else (0, 1, 2)
    time, batch, units = (x.axes[n] for n in order)
    if any(atom.kind == "batch" for atom in time) or any(atom.kind == "time" for atom in batch):
        raise node.refused("its sequence is the batch of the layer below; expected a Transpose")
    if x.last:
        raise node.refused("reads the last step of the layer below alone, not a sequence")
    columns = features(x, node.name, axis=2)
    if isinstance(W, np.ndarray) and columns not in (W.shape[-1], *OPEN):
        raise node.refused(f"its W has shape {W.shape}, but x has {columns} columns")
    T = prod(atom.size for atom in time)
    if isinstance(lengths, np.ndarray) and (lengths != T).any():
        steps = "any number of" if T in OPEN else T
        raise node.refused(f"sequence_lens are {lengths.tolist()}, but x has {steps} steps")
    attributes, now = node.attributes, "time"
    if any(atom.kind.startswith(FLIPPED) for atom in time):
        way = attributes.get("direction", "forward")
        if way not in OPPOSITE:
            raise node.refused(f"its direction is {way!r}, of steps that come in reverse already")
        attributes, now = {**attributes, "direction": OPPOSITE[way]}, FLIPPED + "time"
    arrays: list[Array | None] = []
    for name, value in zip(("W", "R", "B", "h", "c", "P"), (W, R, B, h_0, c_0, P), strict=True):
        if isinstance(value, Stream) and name in "hc" and not value.layers:
            value = None  # an input of the graph: a stream's state is kept here, from zero on
        if isinstance(value, Stream | Stack):
            raise node.refused(f"its {name} depends on x")
        arrays.append(value)
    made = {}
    for place, output in enumerate(node.outputs[:2]):
        layer = onnx_cells.layer(node.kind, node.name, attributes, arrays, place == 1)
        assert R is not None and not isinstance(R, Stack)
        way, unit = (Atom("way", R.shape[0]),), (Atom("unit", R.shape[2]),)
        t = (Atom(now, T),)
        b = (Atom("batch", prod(atom.size for atom in batch)),)
        axes = [t, way, b, unit] if place == 0 else [way, b, unit]
        if batch_first:
            axes = [b, t, way, unit] if place == 0 else [b, way, unit]
        made[output] = Stream(x.source, tuple(axes), (*x.layers, layer), place == 1)
    return {name: made.get(name) for name in node.outputs if name}


def _linear(node: Node, x: Stream, weight: Array, bias: Array | None) -> Stream:
    if weight.ndim != 2 or len(x.axes) < 1:
        raise node.refused(f"its matrix has shape {weight.shape}, expected two axes")
    columns = features(x, node.name)
    if columns != weight.shape[1]:
        raise node.refused(f"its matrix has {weight.shape[1]} columns, but x has {columns}")
    arrays = {"weight": weight}
    if bias is not None and bias.any():
        arrays["bias"] = np.broadcast_to(bias.reshape(-1), (len(weight),))
    layer = Layer("Linear", arrays, {}, node.name)
    return replace(x, axes=(*x.axes[:-1], (Atom("unit", len(weight)),)), layers=(*x.layers, layer))


def _matmul(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    x, weight = inputs
    if not isinstance(x, Stream) or not isinstance(weight, np.ndarray):
        raise node.refused("expected x times a constant matrix")
    return _linear(node, x, weight.T, None)


def _gemm(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    a = node.attributes
    x, weight, bias = [*inputs, None][:3]
    if not isinstance(x, Stream) or not isinstance(weight, np.ndarray) or a.get("transA", 0):
        raise node.refused("expected x times a constant matrix")
    if bias is not None and not isinstance(bias, np.ndarray):
        raise node.refused("adds another way through the graph; expected a straight line")
    weight = weight if a.get("transB", 0) else weight.T
    bias = bias if bias is None else bias * np.float32(a.get("beta", 1.0))
    return _linear(node, x, weight * np.float32(a.get("alpha", 1.0)), bias)


def _arithmetic(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    left, right = inputs
    x, constant = (left, right) if isinstance(left, Stream) else (right, left)
    if not isinstance(x, Stream) or not isinstance(constant, np.ndarray):
        raise node.refused("joins two ways through the graph; expected a straight line")
    columns = features(x, node.name)
    rows = constant.reshape(-1, columns) if constant.shape == x.shape else constant
    if rows is not constant and (rows == rows[0]).all():
        constant = rows[0]  # the same for each sample, as the ones of a dropout that is over
    if constant.size not in (1, columns) or (constant.ndim and constant.shape[-1] != constant.size):
        raise node.refused(f"its constant has shape {constant.shape}, expected ({columns},)")
    full = np.broadcast_to(constant.reshape(-1), (columns,)).astype(np.float32)
    one, zero = np.ones(columns, np.float32), np.zeros(columns, np.float32)
    with np.errstate(divide="ignore"):
        scale, shift = {
            "Add": (one, full),
            "Sub": (one, -full) if x is left else (-one, full),
            "Mul": (full, zero),
            "Div": (one / full, zero),
        }[node.kind]
    if node.kind == "Div" and x is not left:
        raise node.refused("divides a constant by x")
    if (scale == 1).all() and not shift.any():
        return x
    below = x.layers[-1] if x.layers else None
    if below and below.kind == "Linear" and "bias" not in below.parameters and scale is one:
        arrays = {**below.parameters, "bias": shift}
        return replace(x, layers=(*x.layers[:-1], replace(below, parameters=arrays)))
    layers = x.layers
    if below and below.kind == "Affine":
        scale, shift = below.parameters["scale"] * scale, below.parameters["shift"] * scale + shift
        layers = layers[:-1]
    layer = Layer("Affine", {"scale": scale, "shift": shift}, {}, node.name)
    return replace(x, layers=(*layers, layer))


def _activation(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    x, a = one_of(inputs), node.attributes
    function, *constants = ACTIVATIONS[node.kind](a, inputs)
    if function in ("softmax", "log_softmax"):
        axis = a.get("axis", -1 if opset >= 13 else 1)
        if axis % max(len(x.axes), 1) != len(x.axes) - 1:
            raise node.refused(f"goes along axis {axis}, expected the last, the columns")
    features(x, node.name)
    options = {"function": function} | dict(zip("ab", map(float, constants), strict=False))
    return replace(x, layers=(*x.layers, Layer("Activation", {}, options, node.name)))


def _limit(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    """Min or Max of x and one number: a clip."""
    x, limit = sorted(inputs, key=lambda value: not isinstance(value, Stream))
    if not isinstance(x, Stream) or not isinstance(limit, np.ndarray) or limit.size != 1:
        raise node.refused("expected x and one number")
    bounds = {"Min": (-np.inf, limit.item()), "Max": (limit.item(), np.inf)}[node.kind]
    options = {"function": "clip"} | dict(zip("ab", map(float, bounds), strict=True))
    return replace(x, layers=(*x.layers, Layer("Activation", {}, options, node.name)))


def _clip(a: Mapping[str, Any], inputs: Sequence[Any]) -> tuple[Any, ...]:
    given = [a.get("min"), a.get("max")]
    for n, value in enumerate(inputs[1:3]):
        given[n] = value if value is None else value.reshape(()).item()
    return "clip", *(e if g is None else g for g, e in zip(given, (-np.inf, np.inf), strict=True))


def _swish(a: Mapping[str, Any], inputs: Sequence[Any]) -> tuple[Any, ...]:
    if a.get("alpha", 1.0) != 1:
        raise ValueError(f"alpha is {a['alpha']}, expected 1")
    return ("silu",)


ACTIVATIONS: dict[str, Callable[[Mapping[str, Any], Sequence[Any]], tuple[Any, ...]]] = {
    "Relu": lambda a, x: ("relu",),
    "Tanh": lambda a, x: ("tanh",),
    "Sigmoid": lambda a, x: ("sigmoid",),
    "Softmax": lambda a, x: ("softmax",),
    "LogSoftmax": lambda a, x: ("log_softmax",),
    "Softplus": lambda a, x: ("softplus",),
    "Softsign": lambda a, x: ("softsign",),
    "Exp": lambda a, x: ("exponential",),
    "Elu": lambda a, x: ("elu", a.get("alpha", 1.0)),
    "LeakyRelu": lambda a, x: ("leaky_relu", a.get("alpha", 0.01)),
    "ThresholdedRelu": lambda a, x: ("thresholded_relu", a.get("alpha", 1.0)),
    "Selu": lambda a, x: (
        "selu",
        a.get("alpha", 1.67326319217681884765625),
        a.get("gamma", 1.05070102214813232421875),
    ),
    "HardSigmoid": lambda a, x: ("hard_sigmoid", a.get("alpha", 0.2), a.get("beta", 0.5)),
    "HardSwish": lambda a, x: ("hard_swish",),
    "Clip": _clip,
    "Swish": _swish,
    "Gelu": lambda a, x: ("gelu_tanh" if a.get("approximate") == "tanh" else "gelu",),
}


STREAMS: dict[str, Callable[[Node, Sequence[Value], int], Value]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _arithmetic),
    **dict.fromkeys(ACTIVATIONS, _activation),
    **dict.fromkeys(("Min", "Max"), _limit),
    "MatMul": _matmul,
    "Gemm": _gemm,
}
