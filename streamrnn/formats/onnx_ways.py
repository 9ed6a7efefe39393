"""Streams that read backwards: turned about, taken apart into directions, and joined again.

A layer of both directions may come as one node or as two; what takes one direction of it, or the
end of one, is that direction as a layer of its own until both are side by side again.
"""

from collections.abc import Sequence
from dataclasses import replace

from streamrnn.formats.layer import both_ways, one_way
from streamrnn.formats.onnx_stream import FLIPPED, Atom, Node, Stream


def flipped(x: Stream, axis: int) -> Stream:
    """The same, from the end of an axis on."""
    turned = tuple(
        atom._replace(kind=atom.kind.removeprefix(FLIPPED))
        if atom.kind.startswith(FLIPPED)
        else atom._replace(kind=FLIPPED + atom.kind)
        for atom in x.axes[axis][::-1]
    )
    return replace(x, axes=(*x.axes[:axis], turned, *x.axes[axis + 1 :]))


def picked(node: Node, x: Stream, way: int) -> Stream:
    """One direction of the layer below, which must be of both."""
    below = x.layers[-1] if x.layers else None
    if below is None or below.options.get("direction") != "bidirectional":
        raise node.refused("takes one direction of what is not a recurrent layer of both")
    return replace(x, layers=(*x.layers[:-1], one_way(below, back=way == 1)))


def ended(x: Stream, time: Atom, *, first: bool) -> Stream | None:
    """The first or last step alone, if it is the end of one direction; else None."""
    below = x.layers[-1]
    if first == time.kind.startswith(FLIPPED):
        return replace(x, last=True)
    if below.options.get("direction") == "reverse":
        ended = replace(below, options={**below.options, "last": True})
        return replace(x, layers=(*x.layers[:-1], ended), last=True)
    return None


def joined(streams: Sequence[Stream], axis: int) -> Stream | None:
    """Both directions of one layer, side by side along an axis; None where they are not that."""
    if len(streams) != 2 or not all(stream.layers for stream in streams):
        return None
    there, back = streams
    *below, forward = there.layers
    *beside, reverse = back.layers
    alike = len(below) == len(beside) and all(a is b for a, b in zip(below, beside, strict=True))
    alike &= (there.source, there.axes, there.last) == (back.source, back.axes, back.last)
    layer = both_ways(forward, reverse)
    if not alike or layer is None:
        return None
    units = there.axes[axis] if axis == len(there.axes) - 1 else ()
    axes = (*there.axes[:axis], (Atom("way", 2), *units), *there.axes[axis + 1 :])
    return replace(there, axes=axes, layers=(*below, layer))
