"""What an ONNX graph computes without the numbers of x: shapes, initial states, turned weights.

Nothing here makes more than MOST numbers, whatever the file asks for.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from streamrnn.formats.onnx_stream import (
    TAKEN,
    Array,
    Node,
    Stream,
    Value,
    axes_of,
    parts_of,
    target_of,
)

MOST = 2**22  # numbers of a constant that the graph makes, rather than holds


def constant(node: Node, inputs: Sequence[Value]) -> Array:
    a = node.attributes
    arrays: Any = [value.shape if isinstance(value, Stream) else value for value in inputs]
    if node.kind == "Constant":
        (value,) = (v for k, v in a.items() if k.startswith("value"))
        made = np.asarray(value)
    elif node.kind == "Shape":
        made = np.array(np.shape(inputs[0]) if isinstance(inputs[0], np.ndarray) else arrays[0])
        made = made[a.get("start", 0) : a.get("end", len(made))]
    elif node.kind == "Size":
        made = np.array(prod(arrays[0] if isinstance(inputs[0], Stream) else arrays[0].shape))
    elif node.kind in ENLARGED:
        made = _enlarged(node, arrays)
    elif node.kind in CONSTANTS:
        made = CONSTANTS[node.kind](a, arrays)
    else:
        raise node.refused(f"{node.kind} of constants is not supported; {TAKEN}")
    return np.asarray(made)


def _enlarged(node: Node, arrays: Any) -> Array:
    if node.kind == "Range":
        start, limit, delta = (float(a) for a in arrays)
        if not (limit - start) / delta <= MOST:
            raise node.refused(f"makes more than {MOST} numbers")
        return np.arange(*arrays)
    shape = [int(size) for size in arrays[-1 if node.kind != "ConstantOfShape" else 0]]
    if prod(max(size, 1) for size in shape) * (arrays[0].size if len(arrays) > 1 else 1) > MOST:
        raise node.refused(f"makes an array of shape {shape}, expected at most {MOST} numbers")
    if node.kind == "ConstantOfShape":
        value = node.attributes.get("value", np.zeros(1, np.float32))
        return np.full(shape, value.ravel()[0], value.dtype)
    if node.kind == "Tile":
        return np.tile(arrays[0], shape)
    return np.broadcast_to(arrays[0], np.broadcast_shapes(arrays[0].shape, tuple(shape)))


def _unsqueezed(a: Mapping[str, Any], arrays: Sequence[Any]) -> Array:
    return np.expand_dims(arrays[0], axes_of(a, arrays) or ())


def _sliced(a: Mapping[str, Any], arrays: Sequence[Any]) -> Array:
    array = arrays[0]
    for axis, part in parts_of(a, arrays, array.ndim).items():
        array = array[(slice(None),) * axis + (part,)]
    return np.asarray(array)


TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64}
ENLARGED = ("ConstantOfShape", "Expand", "Tile", "Range")
CONSTANTS: dict[str, Callable[[Mapping[str, Any], Any], Any]] = {
    "Identity": lambda a, x: x[0],
    "Cast": lambda a, x: x[0].astype(TYPES[a["to"]]),
    "Gather": lambda a, x: np.take(x[0], x[1], a.get("axis", 0)),
    "Concat": lambda a, x: np.concatenate(x, a["axis"]),
    "Unsqueeze": _unsqueezed,
    "Squeeze": lambda a, x: np.squeeze(x[0], axes_of(a, x)),
    "Slice": _sliced,
    "Transpose": lambda a, x: np.transpose(x[0], a.get("perm")),
    "Reshape": lambda a, x: np.reshape(x[0], target_of(x[1], x[0].shape)),
    "Add": lambda a, x: x[0] + x[1],
    "Sub": lambda a, x: x[0] - x[1],
    "Mul": lambda a, x: x[0] * x[1],
    "Div": lambda a, x: x[0] // x[1] if x[0].dtype.kind == "i" else x[0] / x[1],
    "Neg": lambda a, x: -x[0],
    "Sqrt": lambda a, x: np.sqrt(x[0]),
    "Less": lambda a, x: np.less(x[0], x[1]),
    "MatMul": lambda a, x: np.matmul(x[0], x[1]),
    "Equal": lambda a, x: x[0] == x[1],
    "Where": lambda a, x: np.where(*x),
    "Max": lambda a, x: np.maximum.reduce(x),
    "Min": lambda a, x: np.minimum.reduce(x),
    "ReduceProd": lambda a, x: np.prod(x[0], keepdims=bool(a.get("keepdims", 1))),
}
KINDS = {"Constant", "Shape", "Size", *ENLARGED, *CONSTANTS}
