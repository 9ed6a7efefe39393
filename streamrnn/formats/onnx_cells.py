"""RNN, GRU and LSTM of ONNX: their attributes and inputs as one `Layer`.

The operators' specification: https://onnx.ai/onnx/operators.  This is the one place that knows the
order of its gates: GRU z r h, LSTM i o f c and peepholes i o f; ours are PyTorch's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.formats import FormatError
from streamrnn.formats.layer import Layer

Array = NDArray[Any]

GATES = {"RNN": [0], "GRU": [1, 0, 2], "LSTM": [0, 2, 3, 1]}  # ours, by their place in ONNX's
PEEPHOLES = [0, 2, 1]
USUAL = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
# name in small letters -> ours, and how many constants it takes from activation_alpha and _beta
FUNCTIONS: dict[str, tuple[str, int]] = {
    "relu": ("relu", 0),
    "tanh": ("tanh", 0),
    "sigmoid": ("sigmoid", 0),
    "softsign": ("softsign", 0),
    "softplus": ("softplus", 0),
    "leakyrelu": ("leaky_relu", 1),
    "thresholdedrelu": ("thresholded_relu", 1),
    "elu": ("elu", 1),
    "affine": ("affine", 2),
    "scaledtanh": ("scaled_tanh", 2),
    "hardsigmoid": ("hard_sigmoid", 2),
    "identity": ("identity", 0),  # this and the next are of no operator, but of onnx_single.py's
    "silu": ("silu", 0),
}
DEFAULTS = {
    "leaky_relu": (0.01,),
    "thresholded_relu": (1.0,),
    "elu": (1.0,),
    "affine": (1.0, 0.0),
    "scaled_tanh": (1.0, 1.0),
    "hard_sigmoid": (0.2, 0.5),
}


def layer(
    kind: str,
    name: str,
    attributes: Mapping[str, Any],
    inputs: Sequence[Array | None],
    last: bool,
) -> Layer:
    """The node's layer; inputs W, R, B, initial_h, initial_c, P, None for what is not there.

    last: the graph goes on with Y_h
    """
    direction = attributes.get("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise FormatError(f"{name}: direction is {direction!r:.40}")
    ways = 2 if direction == "bidirectional" else 1
    W, R, B, h_0, c_0, P = inputs
    gates = len(GATES[kind])
    if W is None or R is None or W.ndim != 3 or R.ndim != 3 or len(W) != ways or len(R) != ways:
        shapes = [None if a is None else a.shape for a in (W, R)]
        raise FormatError(f"{name}: W and R have shapes {shapes}, expected ({ways}, G H, columns)")
    H = R.shape[2]
    expected: dict[str, tuple[int, ...]] = {
        "W": (ways, gates * H, W.shape[2]),
        "R": (ways, gates * H, H),
    }
    expected |= {"B": (ways, 2 * gates * H), "P": (ways, 3 * H)}
    for what, array in zip(("W", "R", "B", "P"), (W, R, B, P), strict=True):
        if array is not None and array.shape != expected[what]:
            raise FormatError(
                f"{name}: {what} has shape {array.shape}, expected {expected[what]} for {ways} "
                f"direction{'s' * (ways > 1)} of {H} units"
            )
    if attributes.get("hidden_size", H) != H:
        raise FormatError(f"{name}: hidden_size is {attributes['hidden_size']}, but R is for {H}")
    arrays: dict[str, Array] = {}
    for n in range(ways):
        end = "_reverse" if direction == "reverse" or n == 1 else ""
        arrays[f"weight_ih{end}"] = _ours(W[n], GATES[kind])
        arrays[f"weight_hh{end}"] = _ours(R[n], GATES[kind])
        if B is not None:
            b_ih, b_hh = np.split(B[n], 2)
            arrays[f"bias_ih{end}"] = _ours(b_ih, GATES[kind])
            arrays[f"bias_hh{end}"] = _ours(b_hh, GATES[kind])
        if P is not None and P[n].any():
            arrays[f"weight_ch{end}"] = _ours(P[n], PEEPHOLES)
        for state, given in (("h_0", h_0), ("c_0", c_0)):
            if given is not None:
                begins = _state(name, state, given, n, ways, H, attributes)
                arrays |= {f"{state}{end}": begins} if begins.any() else {}
    options = _options(kind, name, attributes, ways)
    if direction != "forward":
        options |= {"direction": direction} | ({"last": True} if last else {})
    return Layer(kind, arrays, options, name)


def _ours(array: Array, gates: Sequence[int]) -> Array:
    parts = np.split(array, len(gates))
    return np.concatenate([parts[gate] for gate in gates])


def _state(
    name: str, which: str, given: Array, n: int, ways: int, H: int, attributes: Mapping[str, Any]
) -> Array:
    """One stream's initial state: it must be that of every stream of the batch."""
    if attributes.get("layout", 0) and given.ndim == 3:
        given = given.transpose(1, 0, 2)
    if given.ndim != 3 or given.shape[0] != ways or given.shape[2] != H or not given.shape[1]:
        raise FormatError(
            f"{name}: initial_{which[0]} has shape {given.shape}, expected ({ways}, batch, {H})"
        )
    if (given[n] != given[n, 0]).any():
        raise FormatError(
            f"{name}: initial_{which[0]} differs among the batch; here each stream begins alike, "
            "set others by bank[key] = state"
        )
    state: Array = given[n, 0]
    return state


def _options(kind: str, name: str, attributes: Mapping[str, Any], ways: int) -> dict[str, Any]:
    options: dict[str, Any] = {}
    per_way = len(USUAL[kind])
    given = attributes.get("activations") or USUAL[kind] * ways
    if len(given) != per_way * ways:
        raise FormatError(f"{name}: activations are {given}, expected {per_way * ways}")
    alphas, betas = (list(attributes.get(f"activation_{k}", [])) for k in ("alpha", "beta"))
    functions = []
    for function in given:
        if function.lower() not in FUNCTIONS:
            raise FormatError(
                f"{name}: no activation {function!r:.40}; there are {', '.join(FUNCTIONS)}"
            )
        ours, count = FUNCTIONS[function.lower()]
        constants = list(DEFAULTS.get(ours, ()))
        for n, values in enumerate((alphas, betas)[:count]):
            if values:
                constants[n] = values.pop(0)
        functions.append([ours, *constants])
    usual = [[function.lower()] for function in USUAL[kind]]
    for n, key in enumerate(("activations", "activations_reverse")[:ways]):
        own = functions[n * per_way : (n + 1) * per_way]
        if own != usual or functions[:per_way] != usual:
            options[key] = own
    if (clip := attributes.get("clip")) is not None:
        options["clip"] = clip
    if kind == "GRU":
        options["reset_after"] = bool(attributes.get("linear_before_reset", 0))
    if kind == "LSTM" and attributes.get("input_forget", 0):
        options["coupled"] = True
    return options
