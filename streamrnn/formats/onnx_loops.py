"""A Loop over the steps of a sequence whose body is a cell, as tf2onnx writes some of Keras.

It writes so a SimpleRNN, a GRU that is not as CuDNN has it, and an LSTM with recurrent dropout or
an activation that ONNX's operator lacks: the body holds the step of the cell as single operators,
x_t is gathered by a counter, h and c are carried.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from streamrnn.formats import onnx_single
from streamrnn.formats.onnx_layers import recurrent
from streamrnn.formats.onnx_stream import Graph, Node, Stream, Value
from streamrnn.formats.onnx_sums import Sums

KNOWN = (
    "is a loop over single operators, of which those of an RNN, a GRU and an LSTM alone are known, "
    "f(x_t W + h R + b), z h + (1 - z) n and o tanh(f c + i g) over all steps; read the network "
    "from the file of the library that trained it: from_keras takes .keras and .h5, from_torch "
    "weights"
)


def looped(node: Node, inputs: Sequence[Value]) -> dict[str, Value]:
    """What a Loop gives: h at all steps, after the last, and what goes around unchanged."""
    graph = node.attributes.get("body")
    if not isinstance(graph, Graph):
        raise node.refused("has no body")
    count, _, *carried = graph.inputs
    n = 2 + len(carried)
    before = dict(zip(carried, inputs[2:n], strict=True))
    outer = dict(zip(node.inputs[n:], inputs[n:], strict=True))
    producer = _producers(node, graph)
    after = dict(zip(carried, graph.outputs[1:], strict=False))
    unchanged = Sums({}, producer)
    kept = [name for name in carried if unchanged.source(after[name]) == name]
    values = graph.constants | outer | {name: before[name] for name in kept}
    body = Sums(values | onnx_single.parts(graph, values), producer)

    counters = [n for n in carried if n not in kept and _counts(body, n, before[n], after[n])]
    states = [name for name in carried if name not in (*kept, *counters)]
    if len(counters) != 1:
        raise node.refused(KNOWN)
    cell = onnx_single.cell(body, {name: body.source(after[name]) for name in states})
    x = _gathered(body, cell.x, (count, *counters)) if cell else None
    if not cell or not x or not _over_all(body, graph.outputs[0], after[counters[0]], x.shape[0]):
        raise node.refused(KNOWN)
    begin = [before[name] for name in cell.states]
    given = [x, *cell.weights, None, *(s[None] if isinstance(s, np.ndarray) else s for s in begin)]
    Y, Y_h = recurrent(
        Node(cell.kind, node.name, [], ["Y", "Y_h"], cell.attributes), given
    ).values()
    assert isinstance(Y, Stream) and isinstance(Y_h, Stream)
    steps, last = replace(Y, axes=(Y.axes[0], *Y.axes[2:])), replace(Y_h, axes=Y_h.axes[1:])
    h = cell.states[0]
    ends = [before[name] if name in kept else last if name == h else None for name in carried]
    scans = [
        steps if body.source(name) == body.source(after[h]) else None
        for name in graph.outputs[len(carried) + 1 :]
    ]
    made = zip(node.outputs, [*ends, *scans], strict=False)
    return {name: value for name, value in made if value is not None}


def _producers(node: Node, body: Graph) -> dict[str, Node]:
    """Which node makes which value; one that reads what comes after it would have no end."""
    later = {name for inner in body.nodes for name in inner.outputs}
    made: dict[str, Node] = {}
    for inner in body.nodes:
        if any(name in later and name not in made for name in inner.inputs):
            raise node.refused("its body reads a value before it is made")
        made |= dict.fromkeys(inner.outputs, inner)
    return made


def _gathered(body: Sums, name: str, counters: Sequence[str]) -> Stream | None:
    """The sequence of whose steps a value is that of the count."""
    gather = body.made(name, "Gather")
    if gather is None or gather.attributes.get("axis", 0) != 0 or gather.inputs[1] not in counters:
        return None
    x = body.values.get(gather.inputs[0])
    return x if isinstance(x, Stream) else None


def _counts(body: Sums, name: str, before: Value, after: str) -> bool:
    """Whether a carried value goes 0, 1, 2, ..."""
    added = [term for term in body.terms(after) if term != (name, "")]
    one = body.constant(added[0][0]) if len(added) == 1 and not added[0][1] else None
    return isinstance(before, np.ndarray) and before.tolist() == 0 and one is not None and one == 1


def _over_all(body: Sums, condition: str, next_count: str, steps: int) -> bool:
    """Whether it goes on while the next count is below the number of steps."""
    less = body.made(condition, "Less")
    if less is None:
        return False
    casts = [body.made(name, "Cast") for name in less.inputs]
    count, limit = (c.inputs[0] if c else n for c, n in zip(casts, less.inputs, strict=True))
    most = body.constant(limit)
    same = body.source(count) == body.source(next_count)
    return same and most is not None and bool((most == steps).all())
