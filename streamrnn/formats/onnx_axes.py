"""Operators that move the axes of a stream, or take the last step or one direction of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from streamrnn.formats.layer import Layer
from streamrnn.formats.onnx_stream import (
    FLIPPED,
    Atom,
    Node,
    Stack,
    Stream,
    Value,
    axes_of,
    one_of,
    parts_of,
    target_of,
)
from streamrnn.formats.onnx_ways import ended, flipped, joined, picked


def _reshape(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    x = one_of(inputs)
    if not isinstance(inputs[1], np.ndarray):
        raise node.refused("a shape that depends on x")
    return _regrouped(node, x, target_of(inputs[1], x.shape))


def _regrouped(node: Node, x: Stream, target: Sequence[int]) -> Stream:
    atoms = [atom for axis in x.axes for atom in axis if atom.size > 1]
    axes = []
    for size in target:
        axis: list[Atom] = []
        while prod(atom.size for atom in axis) < size and atoms:
            axis.append(atoms.pop(0))
        if prod(atom.size for atom in axis) != size:
            raise node.refused(
                f"reshapes {x.shape} to {tuple(target)}, which cuts an axis into parts; a stream "
                "has one sample at a time"
            )
        axes.append(tuple(axis) or (Atom("one", 1),))
    return replace(x, axes=tuple(axes))


def _flatten(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    x = one_of(inputs)
    axis = node.attributes.get("axis", 1) % (len(x.shape) + 1)
    return _regrouped(node, x, [prod(x.shape[:axis]), prod(x.shape[axis:])])


def _transpose(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    x = one_of(inputs)
    perm = node.attributes.get("perm", range(len(x.axes))[::-1])
    if sorted(perm) != list(range(len(x.axes))):
        raise node.refused(f"perm is {list(perm)} for {len(x.axes)} axes")
    return replace(x, axes=tuple(x.axes[axis] for axis in perm))


def _squeeze(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    x = one_of(inputs)
    axes = axes_of(node.attributes, inputs)
    chosen = [n for n, size in enumerate(x.shape) if size == 1]
    if axes is not None:
        chosen = [axis % len(x.axes) for axis in axes]
    if any(x.shape[n] != 1 for n in chosen):
        raise node.refused(f"takes out axes {chosen} of {x.shape}, which are not of size 1")
    return replace(x, axes=tuple(axis for n, axis in enumerate(x.axes) if n not in chosen))


def _unsqueeze(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    x = one_of(inputs)
    chosen = axes_of(node.attributes, inputs) or ()
    ndim = len(x.axes) + len(chosen)
    places = {axis % ndim for axis in chosen}
    rest = iter(x.axes)
    one = (Atom("one", 1),)
    return replace(x, axes=tuple(one if n in places else next(rest) for n in range(ndim)))


def _gather(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    data, index = inputs
    axis = node.attributes.get("axis", 0)
    if isinstance(data, np.ndarray) and isinstance(index, Stream):
        if data.ndim != 2 or axis != 0 or index.layers:
            raise node.refused("expected an embedding: rows of a matrix, chosen by the input")
        layer = Layer("Embedding", {"weight": data}, {}, node.name)
        return replace(index, axes=(*index.axes, (Atom("unit", data.shape[1]),)), layers=(layer,))
    if not isinstance(index, np.ndarray) or index.size != 1:
        raise node.refused("picks several parts of what depends on x")
    at = int(index.ravel()[0])
    if isinstance(data, Stack):
        ways = [(stream, n) for stream in data.streams for n in range(stream.shape[0])]
        if axis != 0:
            raise node.refused("picks units of stacked states")
        stream, at = ways[at]
        return _taken(node, stream, 0, slice(at, at + 1), index.ndim > 0)
    x = one_of(inputs)
    axis %= len(x.axes)
    return _taken(node, x, axis, slice(at, at + 1 or None), index.ndim > 0)


def _slice(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    data = inputs[0]
    if isinstance(data, Stack):
        parts = parts_of(node.attributes, inputs, 3)
        ways = [(stream, n) for stream in data.streams for n in range(stream.shape[0])]
        chosen = ways[parts.get(0, slice(None))]
        if set(parts) != {0} or len(chosen) != 1:
            raise node.refused("picks several layers' states")
        ((stream, at),) = chosen
        return _taken(node, stream, 0, slice(at, at + 1), True)
    x = one_of(inputs)
    for axis, part in parts_of(node.attributes, inputs, len(x.axes)).items():
        x = _taken(node, x, axis, part, True)
    return x


def split(node: Node, inputs: Sequence[Value]) -> dict[str, Value]:
    """Each output of a Split: as it is used, one direction of the layer below."""
    x = one_of(inputs)
    axis = node.attributes.get("axis", 0) % len(x.axes)
    each, rest = divmod(x.shape[axis], len(node.outputs))
    sizes = inputs[1] if len(inputs) > 1 else node.attributes.get("split", [each])
    if rest or not isinstance(sizes, np.ndarray | list) or any(size != each for size in sizes):
        raise node.refused(f"splits {x.shape} unevenly")
    return {
        name: _taken(node, x, axis, slice(n * each, (n + 1) * each), True)
        for n, name in enumerate(node.outputs)
    }


def _taken(node: Node, x: Stream, axis: int, part: slice, keep: bool) -> Stream:
    """A part of one axis: all, the last step, or one direction."""
    size = x.shape[axis]
    start, stop, step = part.indices(size)
    atoms = x.axes[axis]
    if (start, stop, step) != (0, size, 1):
        kinds = [atom.kind for atom in atoms]
        if (start, stop, step) == (size - 1, -1, -1) and "unit" not in kinds and "way" not in kinds:
            return flipped(x, axis)
        left = None
        if kinds in (["time"], [FLIPPED + "time"]) and stop == start + 1 and start in (0, size - 1):
            left = ended(x, atoms[0], first=start == 0)
        elif kinds == ["way"] and stop == start + 1:
            left = picked(node, x, start)
        if left is None:
            raise node.refused(
                f"takes {start}:{stop}:{step} of an axis of size {size} ({', '.join(kinds)}); "
                "expected the last step, one direction, or all from the end on. A recurrent layer "
                "that is written step by step cannot be read: take it from its own library's file"
            )
        x, atoms = left, (Atom("one", 1),)
    if size > 1 and atoms == x.axes[axis] and not keep:
        raise node.refused(f"takes one of an axis of size {size}")
    axes = list(x.axes)
    axes[axis : axis + 1] = [atoms] if keep else []
    return replace(x, axes=tuple(axes))


def _reversed(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    """ReverseSequence of whole sequences, as tf2onnx writes go_backwards."""
    x, lengths = one_of(inputs), inputs[1]
    axis = node.attributes.get("time_axis", 0)
    if not isinstance(lengths, np.ndarray) or (lengths != x.shape[axis]).any():
        raise node.refused("turns about a part of a sequence; expected all its steps")
    return flipped(x, axis)


def _concat(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    axis = node.attributes["axis"]
    streams = [value for value in inputs if isinstance(value, Stream)]
    if len(streams) != len(inputs):
        raise node.refused("joins what depends on x to what does not")
    if len(streams) == 1:
        return streams[0]
    first = streams[0]
    axis %= len(first.axes)
    if axis == 0 and all(s.last and s.axes[0][0].kind in ("way", "one") for s in streams):
        return Stack(tuple(streams))
    if (both := joined(streams, axis)) is not None:
        return both
    raise node.refused("joins two ways through the graph; expected a straight line")


def _passed(node: Node, inputs: Sequence[Value], opset: int) -> Value:
    return inputs[0]


STREAMS: dict[str, Callable[[Node, Sequence[Value], int], Value]] = {
    **dict.fromkeys(("Identity", "Dropout", "Cast"), _passed),
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "ReverseSequence": _reversed,
}
