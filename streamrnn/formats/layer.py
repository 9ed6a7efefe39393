"""What an importer hands over: a straight line of layers, described by data alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from numpy.typing import NDArray

Array = NDArray[Any]

BACK = "_reverse"  # ends the names of the way back's arrays


@dataclass(frozen=True)
class Layer:
    """One layer: its kind, its arrays in PyTorch's names and layout, and what else there is to say.

    kind        arrays (O outputs, K inputs, H units; those in brackets may be missing)
    Linear      weight (O, K), [bias (O,)]
    Embedding   weight (V, O): x is the index of a row
    Affine      scale (K,), shift (K,): y = x scale + shift
    Activation  none; options: function, one of kernels/functions.py, and its constants a and b
    RNN         weight_ih (H, K), weight_hh (H, H), [bias_ih, bias_hh (H,)], [h_0 (H,)]
    GRU         the same with 3H rows, gates r z n
    LSTM        the same with 4H rows, gates i f g o; [c_0 (H,)], [weight_ch (3H,)] from c to i f o,
                [weight_hr (P, H)]: a projection, weight_hh is then (4H, P) and h_0 (P,)
    LRU         those of kernels/lru.py

    Options of RNN, GRU and LSTM, those of ONNX's operators:
    activations  [name, a, b] for each of f, g, h (default: sigmoid for gates, tanh elsewhere);
                 activations_reverse: those of the way back, if they differ
    clip         what goes into an activation is held within -clip .. clip
    coupled      of LSTM: the forget gate is 1 - i
    reset_after  of GRU: the reset gate multiplies W_hn h + b_hn (default), or h
    direction    "forward" (default), "reverse" or "bidirectional"; the arrays of the way back are
                 called weight_ih_reverse and so on, and y is both h side by side
    last         y is the h after the last step of either way, which of the way back is the first
    """

    kind: str
    parameters: Mapping[str, Array] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""  # in the file it came from


class Line(NamedTuple):
    """Layers from the input to the output.

    tokens   x is the index of a one-hot vector, or of an embedding's row
    scaling  mean, std, out_mean, out_std, those of them that the file holds
    """

    layers: list[Layer]
    tokens: bool = False
    scaling: Mapping[str, Array] = MappingProxyType({})


def one_way(layer: Layer, *, back: bool) -> Layer:
    """One direction of a layer of both, as a layer of its own."""
    dropped = ("direction", "last", "activations_reverse")
    options = {k: v for k, v in layer.options.items() if k not in dropped}
    if back:
        options |= {"direction": "reverse"} | ({"last": True} if layer.options.get("last") else {})
        if "activations_reverse" in layer.options:
            options["activations"] = layer.options["activations_reverse"]
    arrays = {k: a for k, a in layer.parameters.items() if k.endswith(BACK) == back}
    return replace(layer, parameters=arrays, options=options)


def both_ways(forward: Layer, reverse: Layer) -> Layer | None:
    """What `one_way` took apart; None if the two are not directions of one layer."""
    own = {k: v for k, v in reverse.options.items() if k not in ("direction", "last")}
    options = dict(forward.options)
    if own.get("activations") != options.get("activations") and len(own) == len(options):
        options["activations_reverse"] = own["activations"]
        own["activations"] = options["activations"]
    here = {k: v for k, v in options.items() if k != "activations_reverse"}
    ways = (forward.options.get("direction"), reverse.options.get("direction"))
    if ways != (None, "reverse") or forward.kind != reverse.kind or here != own:
        return None
    options |= {"direction": "bidirectional", "last": bool(reverse.options.get("last"))}
    return replace(
        forward, parameters={**forward.parameters, **reverse.parameters}, options=options
    )
