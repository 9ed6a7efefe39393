"""An nn.RNN that torch's new exporter wrote out step by step, put together again.

It takes U = x W + b_ih apart into its steps, holds h_t = f(U_t + h_(t-1) R + b_hh) as operators of
their own for each, and joins all h.  A chain of equal steps becomes one RNN node; its sequence_lens
say how many they are, and x must have as many.  What is no such chain stays as it is.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from streamrnn.formats.onnx_stream import Array, Graph, Node, parts_of
from streamrnn.formats.onnx_sums import Sums

TURN = {"starts": [-1], "ends": [-(2**31)], "axes": [0], "": [-1]}


class Cell(NamedTuple):
    """What all steps of a chain have in common; before: the name of h_0, empty for zeros."""

    before: str
    R: Array
    bias: Any


def rolled(graph: Graph) -> Graph:
    """The same graph with a node for each chain; these come last, and so give what it gave.

    graph  its nodes each after those that they read
    """
    sums = Sums(graph.constants, {name: node for node in graph.nodes for name in node.outputs})
    chains: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for left, right in sums.terms(node.inputs[0]) if node.kind in ("Tanh", "Relu") else ():
            U, t = ("", -1) if right else _step(sums, left)
            if U and t == len(chains.get(U, ())):
                chains.setdefault(U, []).append(node)
    nodes, constants = list(graph.nodes), dict(graph.constants)
    for U, chain in chains.items():
        if (made := _recurrent(sums, U, chain)) is not None:
            nodes += made[0] + _joined(graph.nodes, chain, made[0][-1].outputs[0])
            constants |= made[1]
    return graph._replace(nodes=nodes, constants=constants)


def _step(sums: Sums, name: str) -> tuple[str, int]:
    """Which U, and which step of it, a value is; "" for none."""
    squeeze = sums.made(name, "Squeeze")
    taken = sums.made(squeeze.inputs[0], "Slice") if squeeze else None
    part = _part(sums, taken) if taken else None
    if taken is None or part is None or part != slice(part.start, part.start + 1, 1):
        return "", -1
    return sums.source(taken.inputs[0]), part.start


def _part(sums: Sums, node: Node) -> slice | None:
    """What a Slice takes of axis 0; None if of others."""
    given = [sums.constant(name) for name in node.inputs[1:]]
    if any(array is None for array in given):
        return None
    parts = parts_of(node.attributes, [None, *given], 3)
    return parts.get(0) if len(parts) == 1 else None


def _split(
    sums: Sums, name: str, steps: Sequence[tuple[str, int]]
) -> tuple[list[tuple[str, str]], Any] | None:
    """The products of a sum, and its constants as one; None if it adds other `steps` than these."""
    products: list[tuple[str, str]] = []
    rest: Any = np.float32(0)
    added = []
    for left, right in sums.terms(name):
        if right:
            products.append((left, right))
        elif (constant := sums.constant(left)) is not None:
            rest = rest + constant
        else:
            added.append(_step(sums, left))
    return (products, rest) if added == list(steps) else None


def _cell(sums: Sums, U: str, chain: Sequence[Node]) -> Cell | None:
    """What the steps compute, if it is the same for all, each from the h of the one before it."""
    split = [_split(sums, step.inputs[0], [(U, t)]) for t, step in enumerate(chain)]
    if len(chain) < 2 or None in split or len({step.kind for step in chain}) > 1:
        return None
    (first, start), *rest = (one for one in split if one is not None)
    R, bias = rest[0][0][0][1] if rest[0][0] else "", rest[0][1]
    matrix = sums.constant(R)
    for step, (products, constants) in zip(chain, rest, strict=False):
        if products != [(step.outputs[0], R)] or not np.array_equal(constants, bias):
            return None
    if not first:  # h_0 R + b_hh is a constant already: that of h_0 = 0?
        same = np.ndim(start) == 3 and (start == bias).all()
        return Cell("", matrix, bias) if same and matrix is not None else None
    if matrix is None or [right for _, right in first] != [R] or not np.array_equal(start, bias):
        return None
    return Cell(first[0][0], matrix, bias)


def _recurrent(
    sums: Sums, U: str, chain: Sequence[Node]
) -> tuple[list[Node], dict[str, Array]] | None:
    """Nodes that give h at the last step and, by the last of them, at all; and their constants."""
    below, turned = U, sums.made(U, "Slice")
    if turned is not None:
        part, below = _part(sums, turned), turned.inputs[0]
        if part is None or part.indices(9) != (8, -1, -1):
            return None
    projection, cell = _split(sums, below, []), _cell(sums, U, chain)
    if cell is None or projection is None or len(projection[0]) != 1:
        return None
    ((x, right),), bias = projection
    matrix, H = sums.constant(right), cell.R.shape[-1]
    if matrix is None:
        return None
    name = f"{chain[0].name} to {chain[-1].name}"
    arrays = {
        f"{name} W": matrix.T[None],
        f"{name} R": cell.R.T[None],
        f"{name} B": np.hstack([np.broadcast_to(b, (1, H)) for b in (bias, cell.bias)]),
        f"{name} steps": np.array([len(chain)]),
    }
    given = x if turned is None else f"{name} x"
    nodes = [] if turned is None else [Node("Slice", name, [x], [given], TURN)]
    attributes = {"activations": [chain[0].kind]}
    outputs = [f"{name} Y", chain[-1].outputs[0]]
    nodes.append(Node("RNN", name, [given, *arrays, cell.before], outputs, attributes))
    nodes.append(Node("Squeeze", name, outputs[:1], [f"{name} h"], {"axes": [1]}))
    return nodes, arrays


def _joined(nodes: Sequence[Node], chain: Sequence[Node], h: str) -> list[Node]:
    """Nodes in place of each Concat of all steps, in their order or from the last to the first."""
    steps = [step.outputs[0] for step in chain]
    made = []
    for node in nodes:
        if node.kind == "Concat" and node.attributes.get("axis") == 0:
            if node.inputs == steps:
                made.append(Node("Identity", node.name, [h], node.outputs, {}))
            elif node.inputs == steps[::-1]:
                made.append(Node("Slice", node.name, [h], node.outputs, TURN))
    return made
