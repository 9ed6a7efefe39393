"""Cells of RNN, GRU and LSTM that hold their step as single operators: which they are, and weights.

The step of an RNN is h' = f(x W + h R + b), that of a GRU z h + (1 - z) n, that of an LSTM
c' = f c + i g and h' = o tanh(c'). Every operator, its inputs and the columns of each matrix must
be those of the cell; what is left over makes it none.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from streamrnn.formats.onnx_cells import DEFAULTS, FUNCTIONS
from streamrnn.formats.onnx_constants import constant
from streamrnn.formats.onnx_stream import Array, Graph, Node, Value
from streamrnn.formats.onnx_sums import Sums


class Function(NamedTuple):
    """An activation: ONNX's name of it, its alpha and beta as far as it has them, and of what."""

    kind: str
    constants: tuple[float, ...]
    of: str


class Affine(NamedTuple):
    """A sum: the matrix of each factor, its constants as one, and what else it adds."""

    products: dict[str, Array]
    bias: Any
    others: list[str]


class Found(NamedTuple):
    """A cell: its kind and attributes, the factor that is x, and its W, R and B in ONNX's order.

    states: h, and c of an LSTM
    """

    kind: str
    attributes: dict[str, Any]
    x: str
    weights: list[Array]
    states: tuple[str, ...]


def parts(graph: Graph, values: dict[str, Value]) -> dict[str, Array]:
    """Parts of constants that a body takes by Slice, Split and Squeeze, none larger than before."""
    made: dict[str, Array] = {}
    for node in graph.nodes:
        given = [made.get(name, values.get(name)) for name in node.inputs]
        arrays = [array for array in given if isinstance(array, np.ndarray)]
        if not arrays or len(arrays) != len(given):
            continue
        if node.kind in ("Slice", "Squeeze"):
            made[node.outputs[0]] = constant(node, arrays)
        elif node.kind == "Split":
            axis = node.attributes.get("axis", 0)
            ends = _ends(node, arrays[0].shape[axis], arrays[1] if arrays[1:] else None)
            made |= zip(node.outputs, np.split(arrays[0], ends[:-1], axis), strict=True)
    return made


def cell(body: Sums, after: Mapping[str, str]) -> Found | None:
    """The cell of these states; None if it is none that is known.

    after: where what each state becomes comes from
    """
    if len(after) == 1:
        ((h, new_h),) = after.items()
        return _rnn(body, h, new_h) or _gru(body, h, new_h)
    if len(after) == 2:
        h, c = after
        return _lstm(body, after, h, c) or _lstm(body, after, c, h)
    return None


def _rnn(body: Sums, state: str, h: str) -> Found | None:
    if (function := _bent(body, h)) is None:
        return None
    return _found("RNN", (state,), [_affine(body, function.of)], [function])


def _gru(body: Sums, state: str, h: str) -> Found | None:
    for kept, new in _two_products(body, h):
        z = _other(body, kept, state)
        complement = [name for name in new.inputs if _is_rest(body, name, z)]
        if not z or len(complement) != 1:
            continue
        n = _bent(body, _other(body, new, body.source(complement[0])))
        if n is not None and (update := _function(body, z)) is not None:
            return _gates(body, state, update, n)
    return None


def _lstm(body: Sums, after: Mapping[str, str], h: str, c: str) -> Found | None:
    for kept, new in _two_products(body, after[c]):
        forget = _function(body, _other(body, kept, c))
        out = body.made(after[h], "Mul")
        if forget is None or out is None:
            continue
        for output, bent in _gated(body, out, forget):
            for input_, g in _gated(body, new, forget) if body.source(bent.of) == after[c] else ():
                gates = [_affine(body, gate.of) for gate in (input_, output, forget, g)]
                return _found("LSTM", (h, c), gates, [forget, g, bent])
    return None


def _two_products(body: Sums, name: str) -> Iterator[tuple[Node, Node]]:
    """What a sum of two products adds up, either of them first."""
    terms = body.terms(name)
    one, two, *_ = [*(body.made(left, "Mul") if not right else None for left, right in terms), None]
    if len(terms) == 2 and one is not None and two is not None:
        yield one, two
        yield two, one


def _gated(body: Sums, product: Node, like: Function) -> Iterator[tuple[Function, Function]]:
    """A gate of the same function as another, and what it is multiplied with."""
    inputs = [body.source(name) for name in product.inputs]
    for gate, other in (inputs, inputs[::-1]) if len(inputs) == 2 else ():
        found, through = _function(body, gate), _bent(body, other)
        if found is not None and through is not None and found[:2] == like[:2]:
            yield found, through


def _gates(body: Sums, state: str, update: Function, new: Function) -> Found | None:
    """A GRU of its gates z and n, of which n holds r, before the product with R or after it."""
    n = _affine(body, new.of)
    if after := bool(n.others):
        factors = body.made(n.others[0], "Mul")
        inputs = [body.source(name) for name in factors.inputs] if factors else []
        held = [name for name in inputs if _function(body, name) is not None]
        r = held[0] if len(held) == 1 else ""
        inner = _affine(body, _other(body, factors, r))
        if len(n.others) != 1 or state in n.products:
            return None
        if inner.others or inner.products.keys() != {state}:
            return None
        n, inside = Affine(n.products | inner.products, n.bias, []), inner.bias
    else:
        resets = {name: _other(body, body.made(name, "Mul"), state) for name in n.products}
        of = [name for name, gate in resets.items() if gate]
        if len(of) != 1 or state in n.products:
            return None
        r, inside = resets[of[0]], None
        n = n._replace(products={state if k == of[0] else k: a for k, a in n.products.items()})
    reset = _function(body, r)
    if reset is None or reset[:2] != update[:2]:
        return None
    gates = [_affine(body, update.of), _affine(body, reset.of), n]
    return _found("GRU", (state,), gates, [update, new], int(after), inside)


def _found(
    kind: str,
    states: tuple[str, ...],
    gates: Sequence[Affine],
    functions: Sequence[Function],
    after: int | None = None,
    inside: Any = None,
) -> Found | None:
    """The cell of these gates, if each is x W + h R + b of the same x.

    inside: what n of a GRU adds to h R before the product with r
    """
    state, factors = states[0], {name for gate in gates for name in gate.products}
    x = factors - {state}
    if any(gate.others or gate.products.keys() != factors for gate in gates):
        return None
    if state not in factors or len(x) != 1:
        return None
    (factor,) = x
    W, R = (
        np.concatenate([gate.products[name].T for gate in gates])[None] for name in (factor, state)
    )
    H = R.shape[2]
    b = [np.broadcast_to(gate.bias, (H,)) for gate in gates]
    b += [np.zeros(H, np.float32)] * len(gates)
    if inside is not None:
        b[-1] = np.broadcast_to(inside, (H,))
    attributes: dict[str, Any] = {"activations": [function.kind for function in functions]}
    for place, name in enumerate(("alpha", "beta")):
        attributes[f"activation_{name}"] = [
            one.constants[place] for one in functions if len(one.constants) > place
        ]
    if after is not None:
        attributes["linear_before_reset"] = after
    return Found(kind, attributes, factor, [W, R, np.concatenate(b)[None]], states)


def _bent(body: Sums, name: str) -> Function | None:
    """An activation, or none at all; not of a gate."""
    found = _function(body, name) or _silu(body, name)
    return found or (Function("identity", (), name) if name else None)


def _function(body: Sums, name: str) -> Function | None:
    node = body.producer.get(body.source(name))
    if node is None or node.kind.lower() not in FUNCTIONS:
        return _hard_sigmoid(body, name)
    usual = DEFAULTS.get(FUNCTIONS[node.kind.lower()][0], ())
    given = zip(("alpha", "beta"), usual, strict=False)
    return Function(
        node.kind, tuple(node.attributes.get(key, value) for key, value in given), node.inputs[0]
    )


def _hard_sigmoid(body: Sums, name: str) -> Function | None:
    """max(min(a s + b, 1), 0), as Keras 2 has it."""
    numbers = []
    for kind in ("Max", "Min", "Add", "Mul"):
        node = body.made(name, kind)
        number = body.constant(node.inputs[1]) if node and len(node.inputs) == 2 else None
        if node is None or number is None or number.size != 1:
            return None
        name = node.inputs[0]
        numbers.append(number.item())
    low, high, beta, alpha = numbers
    return Function("HardSigmoid", (alpha, beta), name) if (low, high) == (0, 1) else None


def _silu(body: Sums, name: str) -> Function | None:
    """v sigmoid(v), Keras' swish."""
    node = body.made(name, "Mul")
    inputs = [body.source(one) for one in node.inputs] if node else []
    for gate, v in (inputs, inputs[::-1]) if len(inputs) == 2 else ():
        sigmoid = body.made(gate, "Sigmoid")
        if sigmoid is not None and body.source(sigmoid.inputs[0]) == v:
            return Function("silu", (), v)
    return None


def _affine(body: Sums, name: str, inside: bool = False) -> Affine:
    """A sum; of a Split of the columns of another sum its part of them.

    inside: of such another sum, which holds no Split again: a damaged file may nest them
    """
    sum_ = Affine({}, np.float32(0), [])
    for left, right in body.terms(name):
        matrix, node = body.constant(right or left), body.producer.get(left)
        if right and matrix is not None and left not in sum_.products:
            sum_.products[left] = matrix
        elif not right and matrix is not None:
            sum_ = sum_._replace(bias=sum_.bias + matrix)
        elif right or inside or node is None or (part := _columns(body, node, left)) is None:
            sum_.others.append(left)
        elif part.products.keys() & sum_.products.keys():
            sum_.others.append(left)
        else:
            sum_ = Affine(sum_.products | part.products, sum_.bias + part.bias, sum_.others)
    return sum_


def _columns(body: Sums, node: Node, name: str) -> Affine | None:
    """The part of a sum's columns that an output of a Split is; a step has two axes."""
    if node.kind != "Split" or node.attributes.get("axis", 0) not in (1, -1):
        return None
    whole = _affine(body, node.inputs[0], True)
    widths = {matrix.shape[-1] for matrix in whole.products.values()}
    if whole.others or len(widths) != 1 or any(m.ndim != 2 for m in whole.products.values()):
        return None
    (width,) = widths
    ends = _ends(node, width, body.constant(node.inputs[1]) if node.inputs[1:] else None)
    at = node.outputs.index(name)
    part = slice(ends[at - 1] if at else 0, ends[at])
    products = {left: matrix[:, part] for left, matrix in whole.products.items()}
    return Affine(products, np.broadcast_to(whole.bias, (width,))[part], [])


def _ends(node: Node, width: int, given: Array | None) -> list[int]:
    """Where each output of a Split ends."""
    each = [width // len(node.outputs)] * len(node.outputs)
    sizes = [int(size) for size in node.attributes.get("split", each if given is None else given)]
    if len(sizes) != len(node.outputs) or sum(sizes) != width or min(sizes) < 0:
        raise node.refused(f"splits {width} columns into parts of {sizes}")
    return [sum(sizes[: n + 1]) for n in range(len(sizes))]


def _other(body: Sums, node: Node | None, name: str) -> str:
    """What a product of two multiplies this with; empty for nothing or another product."""
    inputs = [body.source(one) for one in node.inputs] if node and name else []
    return inputs[1 - inputs.index(name)] if len(inputs) == 2 and name in inputs else ""


def _is_rest(body: Sums, name: str, z: str) -> bool:
    """Whether it is 1 - z."""
    node = body.made(name, "Sub")
    one = body.constant(node.inputs[0]) if node else None
    return node is not None and body.source(node.inputs[1]) == z and one is not None and one == 1
