"""Layers of Keras, versions 2 and 3, by their configuration and weights, as ours.

This is the one place that knows the order of their gates: GRU z r h, LSTM i f c o; ours are r z n
and i f g o.  Their matrices are the transposes of ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.formats import FormatError
from streamrnn.formats.layer import Layer

Array = NDArray[Any]

TAKEN = (
    "imported are SimpleRNN, GRU, LSTM, Dense, Embedding, Bidirectional, TimeDistributed, "
    "Normalization, BatchNormalization, Rescaling and activations"
)
GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}
OURS = {"SimpleRNN": "RNN", "GRU": "GRU", "LSTM": "LSTM"}
SKIPPED = {
    "InputLayer",
    "Dropout",
    "SpatialDropout1D",
    "GaussianNoise",
    "GaussianDropout",
    "ActivityRegularization",
}
ACTIVATIONS: dict[str, list[Any]] = {
    "linear": ["identity"],
    "relu": ["relu"],
    "tanh": ["tanh"],
    "sigmoid": ["sigmoid"],
    "softmax": ["softmax"],
    "log_softmax": ["log_softmax"],
    "hard_sigmoid": ["hard_sigmoid", 1 / 6, 0.5],
    "softplus": ["softplus"],
    "softsign": ["softsign"],
    "elu": ["elu"],
    "selu": ["selu"],
    "gelu": ["gelu"],
    "swish": ["silu"],
    "silu": ["silu"],
    "hard_silu": ["hard_swish"],
    "hard_swish": ["hard_swish"],
    "exponential": ["exponential"],
    "leaky_relu": ["leaky_relu", 0.2],
    "relu6": ["clip", 0.0, 6.0],
}
OLD = {"hard_sigmoid": ["hard_sigmoid", 0.2, 0.5]}  # of Keras 2


class Given(NamedTuple):
    """One layer as the file has it; version: of the Keras that wrote it."""

    kind: str
    name: str
    config: Mapping[str, Any]
    weights: Sequence[Array]
    version: int

    def refused(self, why: str) -> FormatError:
        return FormatError(f"layer {self.name} ({self.kind}): {why}")

    def shaped(self, *ndims: int) -> Sequence[Array]:
        """The weights, which must have so many axes each."""
        if [array.ndim for array in self.weights] != list(ndims):
            shapes = [array.shape for array in self.weights]
            raise self.refused(
                f"has weights of shapes {shapes}, expected {len(ndims)} of {ndims} axes"
            )
        return self.weights


def layers(given: Given) -> list[Layer]:
    """What computes the same; FormatError, naming the layer, for what cannot be streamed."""
    if given.kind in SKIPPED:
        return []
    if given.kind in MADE:
        made: list[Layer] = MADE[given.kind](given)
        return made
    raise given.refused(f"{given.kind} cannot be streamed; {TAKEN}")


def is_recurrent(given: Given) -> bool:
    return given.kind in (*GATES, "Bidirectional", "CuDNNGRU", "CuDNNLSTM")


def _activation(given: Given, value: Any) -> list[Any]:
    if isinstance(value, Mapping):  # Keras 3 writes a function of its own as its place and name
        value = value.get("config") if value.get("class_name") == "function" else value
    if value is None:
        return ["identity"]
    table = ACTIVATIONS | (OLD if given.version < 3 else {})
    if not isinstance(value, str) or value not in table:
        raise given.refused(f"no activation {value!r:.60}; there are {', '.join(table)}")
    return table[value]


def _bent(given: Given, made: Sequence[Any]) -> list[Layer]:
    if made[0] == "identity":
        return []
    options = {"function": made[0]} | dict(zip("ab", map(float, made[1:]), strict=False))
    return [Layer("Activation", {}, options, given.name)]


def _dense(given: Given) -> list[Layer]:
    arrays = given.shaped(2, *[1] * bool(given.config.get("use_bias", True)))
    parameters = dict(zip(("weight", "bias"), (arrays[0].T, *arrays[1:]), strict=False))
    bent = _bent(given, _activation(given, given.config.get("activation")))
    return [Layer("Linear", parameters, {}, given.name), *bent]


def _embedding(given: Given) -> list[Layer]:
    (rows,) = given.shaped(2)
    return [Layer("Embedding", {"weight": rows}, {}, given.name)]


def _recurrent(given: Given) -> list[Layer]:
    config = given.config
    sequences = config.get("return_sequences", False)
    options, arrays = _cell(given)
    if config.get("go_backwards", False):
        if sequences:
            raise given.refused("go_backwards gives its steps in reverse; expected Bidirectional")
        arrays = {f"{name}_reverse": array for name, array in arrays.items()}
        options |= {"direction": "reverse", "last": True}
    return [Layer(OURS[given.kind], arrays, options, given.name)]


def _cell(given: Given) -> tuple[dict[str, Any], dict[str, Array]]:
    """Options and arrays of one direction."""
    config, kind = given.config, given.kind
    bias = bool(config.get("use_bias", True))
    reset_after = bool(config.get("reset_after", False)) and kind == "GRU"
    kernel, recurrent, *biases = given.shaped(2, 2, *[1 + reset_after] * bias)
    gates, H = GATES[kind], recurrent.shape[0]
    if kernel.shape[1] != gates * H or recurrent.shape[1] != gates * H or not H:
        raise given.refused(
            f"has kernels of shapes {kernel.shape} and {recurrent.shape}, expected (columns, "
            f"{gates * H}) and ({H}, {gates * H})"
        )
    arrays = {"weight_ih": kernel.T, "weight_hh": recurrent.T}
    if biases:
        both = biases[0] if reset_after else np.stack([biases[0], np.zeros_like(biases[0])])
        if both.shape != (2, gates * H):
            raise given.refused(f"has a bias of shape {biases[0].shape} for {H} units")
        arrays |= {"bias_ih": both[0], "bias_hh": both[1]}
    options: dict[str, Any] = {}
    inner = _activation(given, config.get("activation", "tanh"))
    gate = _activation(given, config.get("recurrent_activation", "sigmoid"))
    found = {"SimpleRNN": [inner], "GRU": [gate, inner], "LSTM": [gate, inner, inner]}[kind]
    if found != {1: [["tanh"]], 3: [["sigmoid"], ["tanh"]]}.get(
        gates, [["sigmoid"], ["tanh"], ["tanh"]]
    ):
        options["activations"] = found
    if kind == "GRU":
        arrays = {name: _reset_first(array) for name, array in arrays.items()}
        options["reset_after"] = reset_after
    return options, arrays


def _reset_first(array: Array) -> Array:
    z, r, n = np.split(array, 3)
    return np.concatenate([r, z, n])


def _of_cudnn(given: Given) -> list[Layer]:
    """What a GPU's layers of Keras 2 hold: gates transposed, two biases, sigmoid and tanh."""
    kind = given.kind.removeprefix("CuDNN")
    kernel, recurrent, bias = given.shaped(2, 2, 1)
    gates = GATES[kind]

    def each(array: Array, change: Any) -> Array:
        return np.hstack([change(part) for part in np.hsplit(array, gates)])

    kernel = each(kernel, lambda part: part.T.reshape(part.shape, order="F"))
    both = bias.reshape(2, -1)
    weights = [kernel, each(recurrent, lambda part: part.T), both if kind == "GRU" else both.sum(0)]
    config = {"return_sequences": given.config.get("return_sequences"), "reset_after": True}
    return _recurrent(Given(kind, given.name, config, weights, given.version))


def _bidirectional(given: Given) -> list[Layer]:
    if (mode := given.config.get("merge_mode", "concat")) != "concat":
        raise given.refused(f"merge_mode is {mode!r}, expected 'concat'")
    inner = given.config["layer"]
    kind, config = inner["class_name"], inner["config"]
    half = len(given.weights) // 2
    if kind not in GATES or len(given.weights) % 2:
        raise given.refused(f"goes around a {kind}, expected one of {', '.join(GATES)}")
    options, arrays = _cell(Given(kind, given.name, config, given.weights[:half], given.version))
    way_back = given.config.get("backward_layer", inner)["config"]
    back, more = _cell(Given(kind, given.name, way_back, given.weights[half:], given.version))
    arrays |= {f"{name}_reverse": array for name, array in more.items()}
    if back.get("activations") != options.get("activations"):
        raise given.refused("its way back has other activations")
    options |= {"direction": "bidirectional", "last": not config.get("return_sequences", False)}
    return [Layer(OURS[kind], arrays, options, given.name)]


def _each_step(given: Given) -> list[Layer]:
    inner = given.config["layer"]
    return layers(
        Given(inner["class_name"], given.name, inner["config"], given.weights, given.version)
    )


def _deviation(given: Given, variance: Array, epsilon: float = 0.0) -> Array:
    if not (variance + epsilon >= 0).all():
        raise given.refused(f"has a variance of {variance.min():g}, expected at least 0")
    return np.sqrt(variance + epsilon)


def _normalization(given: Given) -> list[Layer]:
    if given.config.get("mean") is not None:
        mean, variance = (np.array(given.config[name], float) for name in ("mean", "variance"))
    elif len(given.weights) >= 2:
        mean, variance = given.weights[0], given.weights[1]
    else:
        raise given.refused("was never adapted: it holds no mean and variance")
    mean, deviation = mean.ravel(), np.maximum(_deviation(given, variance.ravel()), 1e-7)
    scale, shift = 1 / deviation, -mean / deviation
    if given.config.get("invert"):
        scale, shift = deviation, mean
    if scale.size == shift.size == 1:  # one number for all columns, however many there are
        return _bent(given, ["affine", scale.item(), shift.item()])
    return [Layer("Affine", {"scale": scale, "shift": shift}, {}, given.name)]


def _batch_normalization(given: Given) -> list[Layer]:
    count = 2 + bool(given.config.get("scale", True)) + bool(given.config.get("center", True))
    arrays = list(given.shaped(*[1] * count))
    mean, variance = arrays[-2:]
    gamma = arrays[0] if given.config.get("scale", True) else np.ones_like(mean)
    beta = arrays[-3] if given.config.get("center", True) else np.zeros_like(mean)
    scale = gamma / _deviation(given, variance, float(given.config.get("epsilon", 1e-3)))
    return [Layer("Affine", {"scale": scale, "shift": beta - mean * scale}, {}, given.name)]


def _rescaling(given: Given) -> list[Layer]:
    scale, offset = (float(given.config[name]) for name in ("scale", "offset"))
    return _bent(given, ["affine", scale, offset])


def _activation_layer(given: Given) -> list[Layer]:
    return _bent(given, _activation(given, given.config["activation"]))


def _relu(given: Given) -> list[Layer]:
    config = given.config
    if config.get("threshold") or config.get("negative_slope"):
        raise given.refused("expected neither threshold nor negative_slope")
    most = config.get("max_value")
    return _bent(given, ["relu"] if most is None else ["clip", 0.0, most])


def _leaky_relu(given: Given) -> list[Layer]:
    slope = given.config.get("negative_slope", given.config.get("alpha", 0.3))
    return _bent(given, ["leaky_relu", slope])


def _softmax(given: Given) -> list[Layer]:
    if given.config.get("axis", -1) not in (-1, [-1]):
        raise given.refused(f"axis is {given.config['axis']}, expected -1")
    return _bent(given, ["softmax"])


MADE: Mapping[str, Any] = {
    **dict.fromkeys(GATES, _recurrent),
    **dict.fromkeys(("CuDNNGRU", "CuDNNLSTM"), _of_cudnn),
    "Dense": _dense,
    "Embedding": _embedding,
    "Bidirectional": _bidirectional,
    "TimeDistributed": _each_step,
    "Normalization": _normalization,
    "BatchNormalization": _batch_normalization,
    "Rescaling": _rescaling,
    "Activation": _activation_layer,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": lambda given: _bent(given, ["elu", given.config.get("alpha", 1.0)]),
    "Softmax": _softmax,
}
