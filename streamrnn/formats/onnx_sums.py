"""Sums of products that an ONNX graph holds as single operators: x W + h R + b, however nested."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np

from streamrnn.formats.onnx_constants import constant
from streamrnn.formats.onnx_stream import Array, Node, Value

MOST = 9  # terms of a sum; a damaged file may nest it without end
PLAIN = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}  # of a Gemm that is left W + b


class Sums(NamedTuple):
    """Values that do not change, and the nodes that make the others."""

    values: Mapping[str, Value]
    producer: Mapping[str, Node]

    def source(self, name: str) -> str:
        """Where a value comes from, but for nodes that pass it on."""
        while (before := self._passed(name)) is not None:
            name = before
        return name

    def _passed(self, name: str) -> str | None:
        """What its node passes on unchanged: by Identity, or times one, as dropout is written."""
        node = self.producer.get(name)
        if node is not None and node.kind == "Identity":
            return node.inputs[0]
        if node is not None and node.kind == "Mul" and len(node.inputs) == 2:
            for one, other in (node.inputs, node.inputs[::-1]):
                if self._is_one(one, other):
                    return other
        return None

    def _is_one(self, name: str, like: str) -> bool:
        """Whether it is the number 1, or as many of them as another value has numbers."""
        value, node = self.values.get(name), self.producer.get(name)
        if isinstance(value, np.ndarray):
            return value.ndim == 0 and value == 1
        if node is None or node.kind != "ConstantOfShape":
            return False
        shape, filled = self.producer.get(node.inputs[0]), node.attributes.get("value")
        ones = isinstance(filled, np.ndarray) and (filled == 1).all()
        return bool(ones and shape and shape.kind == "Shape" and shape.inputs == [like])

    def made(self, name: str, kind: str) -> Node | None:
        """The node that makes a value, if it is of this kind."""
        node = self.producer.get(self.source(name))
        return node if node is not None and node.kind == kind else None

    def constant(self, name: str) -> Array | None:
        if node := self.made(name, "Constant"):
            return constant(node, [])
        value = self.values.get(self.source(name))
        return value if isinstance(value, np.ndarray) else None

    def terms(self, name: str) -> list[tuple[str, str]]:
        """What is added up, however the sum is nested: two factors each, or a name and nothing."""
        found = list(islice(self._terms(name, MOST), MOST + 1))
        return found if len(found) <= MOST else [(name, "")]

    def _terms(self, name: str, depth: int) -> Iterator[tuple[str, str]]:
        if not depth:
            yield name, ""
            return
        if node := self.made(name, "Add"):
            for one in node.inputs:
                yield from self._terms(one, depth - 1)
        elif node := self.made(name, "MatMul"):
            yield self.source(node.inputs[0]), node.inputs[1]
        elif (node := self.made(name, "Gemm")) and PLAIN.items() >= node.attributes.items():
            yield self.source(node.inputs[0]), node.inputs[1]
            for one in node.inputs[2:]:
                yield from self._terms(one, depth - 1)
        else:
            yield self.source(name), ""
