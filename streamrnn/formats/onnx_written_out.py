"""Activations that an exporter wrote out as single operators, put together again.

torch does so with GELU, SiLU, Hardswish and Softplus where the opset has no operator for them, and
with Softsign: x goes several ways, which join again. What comes of them is one function of x; it is
told by its values.
"""

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from streamrnn.formats.onnx_stream import Array, Graph, Node
from streamrnn.formats.onnx_sums import Sums

MOST = 16  # operators of one activation
X = np.linspace(-40.0, 40.0, 641)  # softplus is taken for x itself from 20 on
_erf = np.vectorize(math.erf, [float])


def _sigmoid(v: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-v)))


def _clip(a: Mapping[str, Any], v: Sequence[Any]) -> Any:
    low, high = [*v[1:], *[None] * 2][:2]
    return np.clip(v[0], a.get("min", low), a.get("max", high))


OPERATORS: dict[str, Callable[[Mapping[str, Any], Sequence[Any]], Any]] = {
    "Identity": lambda a, v: v[0],
    "Abs": lambda a, v: abs(v[0]),
    "Neg": lambda a, v: -v[0],
    "Exp": lambda a, v: np.exp(v[0]),
    "Log": lambda a, v: np.log(v[0]),
    "Erf": lambda a, v: _erf(v[0]),
    "Tanh": lambda a, v: np.tanh(v[0]),
    "Sigmoid": lambda a, v: _sigmoid(v[0]),
    "Relu": lambda a, v: np.maximum(v[0], 0),
    "Softplus": lambda a, v: np.logaddexp(0, v[0]),
    "HardSigmoid": lambda a, v: np.clip(a.get("alpha", 0.2) * v[0] + a.get("beta", 0.5), 0, 1),
    "Clip": _clip,
    "Add": lambda a, v: v[0] + v[1],
    "Sub": lambda a, v: v[0] - v[1],
    "Mul": lambda a, v: v[0] * v[1],
    "Div": lambda a, v: v[0] / v[1],
    "Pow": lambda a, v: v[0] ** v[1],
    "Max": lambda a, v: np.maximum(*v),
    "Min": lambda a, v: np.minimum(*v),
    "Greater": lambda a, v: v[0] > v[1],
    "Less": lambda a, v: v[0] < v[1],
    "Where": lambda a, v: np.where(*v),
}
KNOWN: list[tuple[str, dict[str, Any], Array]] = [
    ("Swish", {}, X * _sigmoid(X)),
    ("Softplus", {}, np.logaddexp(0, X)),
    ("Softsign", {}, X / (1 + abs(X))),
    ("HardSwish", {}, X * np.clip(X / 6 + 0.5, 0, 1)),
    ("Gelu", {}, X / 2 * (1 + _erf(X / math.sqrt(2)))),
    (
        "Gelu",
        {"approximate": "tanh"},
        X / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3))),
    ),
]


def joined(graph: Graph) -> Graph:
    """The same graph, with one node where the ways of an activation join.

    graph  its nodes each after those that they read
    """
    nodes = list(graph.nodes)
    sums = Sums(graph.constants, {name: node for node in nodes for name in node.outputs})
    readers: dict[str, list[int]] = {}
    for n, node in enumerate(nodes):
        for name in dict.fromkeys(node.inputs):
            readers.setdefault(name, []).append(n)
    for x, first in readers.items():
        if len(first) < 2 or not x or sums.constant(x) is not None:
            continue
        values, waiting = {x: X}, list(first)
        while waiting and len(values) <= MOST:
            n = heapq.heappop(waiting)
            made, output = _made(sums, nodes[n], values), nodes[n].outputs[0]
            if made is None or output in values:
                continue
            values[output] = made
            for reader in readers.get(output, ()):
                heapq.heappush(waiting, reader)
            for kind, attributes, known in KNOWN:
                if np.allclose(made, known, rtol=1e-6, atol=1e-6):
                    nodes[n] = Node(kind, nodes[n].name, [x], nodes[n].outputs, attributes)
    return graph._replace(nodes=nodes)


def _made(sums: Sums, node: Node, values: Mapping[str, Array]) -> Array | None:
    """What an operator gives for X; None if it reads more than X and single numbers."""
    if node.kind not in OPERATORS or not node.outputs:
        return None
    given: list[Any] = []
    for name in node.inputs:
        number = sums.constant(name) if name not in values else None
        if number is not None and number.size == 1:
            given.append(float(number.ravel()[0]))
        elif name and name not in values:
            return None
        else:
            given.append(values.get(name))
    try:
        with np.errstate(all="ignore"):
            return np.broadcast_to(
                np.asarray(OPERATORS[node.kind](node.attributes, given)), X.shape
            )
    except (TypeError, ValueError, IndexError):  # too few inputs, or too many
        return None
