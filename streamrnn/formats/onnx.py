"""ONNX graphs that are a straight line: recurrent operators, linear layers, activations.

The graph is walked from its first output back to its inputs and then forward. What does not depend
on the numbers of x, shapes among it, is computed on the way; what does is a `Stream`: the layers so
far, and what each axis means.  Sizes that the file leaves open are odd ones, so that nothing else
comes out equal to them.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.formats import FormatError, onnx_axes, onnx_constants, onnx_layers, onnx_loops
from streamrnn.formats.layer import Line
from streamrnn.formats.onnx_stream import (
    FLIPPED,
    OPEN,
    TAKEN,
    Array,
    Atom,
    Graph,
    Node,
    Stream,
    Value,
)
from streamrnn.formats.onnx_unrolled import rolled
from streamrnn.formats.onnx_written_out import joined

STREAMS = onnx_axes.STREAMS | onnx_layers.STREAMS
KNOWN = {"RNN", "GRU", "LSTM", "Loop", "Split", *STREAMS, *onnx_constants.KINDS}


def read(source: Any) -> Line:
    """The layers of an ONNX file, its bytes, or an onnx.ModelProto; FormatError for all else."""
    where = str(source) if isinstance(source, str | os.PathLike) else "the ONNX model"
    try:
        return line(parse(source))
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None


# parsing


def parse(source: Any) -> Graph:
    """The graph as plain data; errors do not name the file."""
    try:
        import onnx
    except ImportError:
        raise ImportError("reading ONNX needs the onnx package: pip install onnx") from None
    model = source
    if isinstance(source, str | os.PathLike):
        source = Path(source).read_bytes()
    if isinstance(source, bytes):
        try:
            model = onnx.load_model_from_string(source)
        except Exception as error:  # protobuf's own kinds, which are not for importing
            raise FormatError(f"not a whole ONNX file ({error})") from None
    if not hasattr(model, "graph"):
        raise FormatError(
            f"of type {type(source).__name__}, expected a path, bytes or a ModelProto"
        )
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=13)
    return _graph(onnx, model.graph, opset)


def _graph(onnx: Any, graph: Any, opset: int) -> Graph:
    constants = {tensor.name: _tensor(onnx, tensor) for tensor in graph.initializer}
    nodes = [_node(onnx, n, node, opset) for n, node in enumerate(graph.node)]
    inputs = {i.name: _shape(i) for i in graph.input if i.name not in constants}
    return Graph(nodes, constants, inputs, [o.name for o in graph.output], opset)


def _tensor(onnx: Any, tensor: Any) -> Array:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise FormatError(
            f"{tensor.name}: its numbers lie in another file; save the model with them inside: "
            "onnx.save(onnx.load(path), path, save_as_external_data=False)"
        )
    try:
        array: Array = onnx.numpy_helper.to_array(tensor)
    except Exception as error:  # a type or a size that the numbers do not fit
        raise FormatError(
            f"{tensor.name}: {list(tensor.dims)} numbers of type {tensor.data_type} expected, "
            f"found what NumPy cannot hold ({error})"
        ) from None
    return array


def _node(onnx: Any, n: int, node: Any, opset: int) -> Node:
    # protobuf hands over what is not UTF-8 as bytes
    kind = node.op_type if isinstance(node.op_type, str) else repr(node.op_type)
    name = f"{node.name or n} ({kind})"
    inputs = list(node.input)
    attributes: dict[str, Any] = {}
    for attribute in node.attribute:
        try:
            value = onnx.helper.get_attribute_value(attribute)
        except ValueError as error:
            raise FormatError(f"node {name}: {attribute.name}: {error}") from None
        if isinstance(value, onnx.TensorProto):
            value = _tensor(onnx, value)
        elif isinstance(value, onnx.GraphProto) and node.op_type == "Loop":
            value = _graph(onnx, value, opset)
            inputs += _read_outside(value)
        elif isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], bytes):
            value = [one.decode("utf-8", "replace") for one in value]
        attributes[attribute.name] = value
    return Node(kind, name, inputs, list(node.output), attributes)


def _read_outside(body: Graph) -> list[str]:
    """Names that a body reads of the graph around it."""
    inside = {name for node in body.nodes for name in node.outputs}
    read = [name for node in body.nodes for name in node.inputs] + body.outputs
    return [
        n for n in dict.fromkeys(read) if n and n not in inside | {*body.inputs, *body.constants}
    ]


def _shape(value: Any) -> tuple[int, ...] | None:
    """0 for sizes that are left open."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(d.dim_value if d.dim_value > 0 else 0 for d in tensor.shape.dim)


# the line


def line(graph: Graph) -> Line:
    if not graph.outputs:
        raise FormatError("the graph has no output")
    needed = _needed(graph)
    try:
        graph = rolled(joined(graph._replace(nodes=needed)))
    except Exception as error:  # whatever a damaged file makes of a chain of steps
        raise FormatError(
            f"node {needed[-1].name}: what it depends on does not fit ({type(error).__name__}: "
            f"{error})"
        ) from None
    values: dict[str, Value] = dict(graph.constants)
    for name, shape in graph.inputs.items():
        values[name] = _input(name, shape)
    needed = _needed(graph)
    _check_known(needed)
    for node in needed:
        values |= _apply(node, values, graph.opset)
    output = values.get(graph.outputs[0])
    if not isinstance(output, Stream):
        raise FormatError(f"{graph.outputs[0]}: does not depend on an input, or not on one alone")
    if any(atom.kind.startswith(FLIPPED) for axis in output.axes for atom in axis):
        raise FormatError(f"{graph.outputs[0]}: gives its steps from the last to the first")
    if not output.layers:
        raise FormatError(f"no layers between input and output; {TAKEN}")
    layers = list(output.layers)
    return Line(layers, layers[0].kind == "Embedding")


def _check_known(nodes: Sequence[Node]) -> None:
    """FormatError for operators that nothing here reads: all of them, by the node of the first."""
    unknown = {node.kind: node for node in reversed(nodes) if node.kind not in KNOWN}
    if unknown:
        first, *others = reversed(unknown)
        nor = f", nor can {', '.join(others)}" if others else ""
        raise unknown[first].refused(
            f"{first} cannot be streamed{nor}; {TAKEN}. onnx.utils.extract_model cuts out "
            "a part of a file, as what lies above a convolution"
        )


def _input(name: str, shape: tuple[int, ...] | None) -> Stream:
    if shape is None or len(shape) > len(OPEN):
        raise FormatError(
            f"input {name}: has shape {shape}, expected up to {len(OPEN)} axes, such as sequence, "
            "batch and columns"
        )
    sizes = [size or OPEN[n] for n, size in enumerate(shape)]
    return Stream(name, tuple((Atom("x", size),) for size in sizes))


def _needed(graph: Graph) -> list[Node]:
    """The nodes that the first output depends on, each after those that it reads."""
    producer = {name: node for node in graph.nodes for name in node.outputs if name}
    done: list[Node] = []
    entered: set[int] = set()
    finished: set[int] = set()
    stack = [producer[graph.outputs[0]]] if graph.outputs[0] in producer else []
    while stack:
        node = stack[-1]
        if id(node) in finished:
            stack.pop()
            continue
        below = [producer[name] for name in node.inputs if name in producer]
        waiting = [other for other in below if id(other) not in finished]
        if not waiting:
            done.append(stack.pop())
            finished.add(id(node))
        elif id(node) in entered:
            raise node.refused("reads what comes out of it: the graph has a cycle")
        else:
            entered.add(id(node))
            stack += waiting
    return done


def _apply(node: Node, values: Mapping[str, Value], opset: int) -> dict[str, Value]:
    inputs: list[Value] = []
    for name in node.inputs:
        if name and name not in values:
            raise node.refused(f"reads {name!r}, which nothing gives")
        inputs.append(values[name] if name else None)
    streams = [value for value in inputs if not isinstance(value, np.ndarray) and value is not None]
    try:
        if node.kind in ("RNN", "GRU", "LSTM"):
            return onnx_layers.recurrent(node, inputs)
        if node.kind == "Split" and streams:
            return onnx_axes.split(node, inputs)
        if node.kind == "Loop":
            return onnx_loops.looped(node, inputs)
        if not streams or node.kind in ("Shape", "Size"):
            made: Value = onnx_constants.constant(node, inputs)
        elif node.kind in STREAMS:
            made = STREAMS[node.kind](node, inputs, opset)
        else:
            raise node.refused(f"{node.kind} of what depends on x cannot be streamed; {TAKEN}")
    except FormatError:
        raise
    except Exception as error:  # whatever a damaged file makes of an operator
        raise node.refused(f"its inputs do not fit ({type(error).__name__}: {error})") from None
    return {name: made for name in node.outputs[:1]}
