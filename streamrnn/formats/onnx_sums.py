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
        while name in self.producer and self.producer[name].kind == "Identity":
            name = self.producer[name].inputs[0]
        return name

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
