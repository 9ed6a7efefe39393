"""What flows through an ONNX graph: the layers so far, and what each axis means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from numpy.typing import NDArray

from streamrnn.formats import FormatError
from streamrnn.formats.layer import Layer

Array = NDArray[Any]

OPEN = (31, 37, 41, 43)  # for the sizes of a graph's input that the file leaves open
FLIPPED = "flipped "
TAKEN = (
    "imported are RNN, GRU, LSTM, Gemm, MatMul, Add, Sub, Mul, Div, Gather (embedding), Softmax, "
    "activations, and what moves axes"
)


class Atom(NamedTuple):
    """An axis, or a part of one: x, time, batch, way (directions), unit, or one (of size 1).

    "flipped x" and "flipped time" are these from their end on.
    """

    kind: str
    size: int


@dataclass(frozen=True)
class Stream:
    """What depends on x: `layers` of it, each axis a product of atoms.

    source  the name of the graph's input
    last    only the last step of the sequence is left, or the end of the way back
    """

    source: str
    axes: tuple[tuple[Atom, ...], ...]
    layers: tuple[Layer, ...] = ()
    last: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(prod(atom.size for atom in axis) for axis in self.axes)


@dataclass(frozen=True)
class Stack:
    """The last h of several layers, one after another along the first axis, as torch has them."""

    streams: tuple[Stream, ...] = ()


Value = Array | Stream | Stack | None


class Node(NamedTuple):
    """One node: what it is called in messages, its attributes as Python holds them."""

    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]

    def refused(self, why: str) -> FormatError:
        return FormatError(f"node {self.name}: {why}")


class Graph(NamedTuple):
    """A parsed file, or the body of one of its nodes."""

    nodes: list[Node]
    constants: dict[str, Array]
    inputs: dict[str, tuple[int, ...] | None]
    outputs: list[str]
    opset: int


def axes_of(a: Mapping[str, Any], arrays: Sequence[Any]) -> tuple[int, ...] | None:
    axes = a.get("axes", arrays[1] if len(arrays) > 1 else None)
    return None if axes is None else tuple(int(axis) for axis in axes)


def parts_of(a: Mapping[str, Any], arrays: Sequence[Any], ndim: int) -> dict[int, slice]:
    """What a Slice takes of each axis that it names."""
    given = [*arrays[1:], None, None, None, None][:4]
    starts, ends, axes, steps = (
        a.get(name, value)
        for name, value in zip(("starts", "ends", "axes", ""), given, strict=True)
    )
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    each = zip(*([int(n) for n in one] for one in (starts, ends, axes, steps)), strict=True)
    return {
        axis % ndim: slice(start, end if abs(end) < 2**31 - 1 else None, step)
        for start, end, axis, step in each
    }


def target_of(shape: Array, old: Sequence[int]) -> list[int]:
    """The shape that Reshape asks for, with 0 (as it was) and -1 (what is left) put in."""
    target = [int(size) or old[n] for n, size in enumerate(shape)]
    if target.count(-1) == 1:
        left = prod(size for size in target if size != -1)
        target[target.index(-1)] = prod(old) // left if left else 0
    if any(size < 1 for size in target):
        raise ValueError(f"cannot reshape {tuple(old)} to {shape.tolist()}")
    return target


def one_of(inputs: Sequence[Value]) -> Stream:
    if not isinstance(inputs[0], Stream):
        raise FormatError("expected what depends on x as its first input")
    return inputs[0]


def features(x: Stream, where: str, axis: int | None = None) -> int:
    """Columns of the last axis, which must be all units and no time."""
    atoms = [a for a in x.axes[-1 if axis is None else axis] if a.size > 1] if x.axes else []
    kinds = [atom.kind for atom in atoms]
    if kinds not in ([], ["x"], ["unit"], ["way", "unit"], ["way"]):
        raise FormatError(
            f"node {where}: its last axis is made of {', '.join(kinds)}, expected columns alone; a "
            "layer over all steps of a window cannot be streamed"
        )
    others = [a.kind for one in x.axes for a in one if a.size > 1 and a not in atoms]
    if "way" in others or "unit" in others:
        raise FormatError(
            f"node {where}: has directions or units on another axis than the last; expected all "
            "side by side as columns"
        )
    return prod(atom.size for atom in atoms)
