"""Networks trained elsewhere: from a file or an object of another library to a network that steps.

>>> import numpy as np
>>> arrays = {"weight_ih_l0": np.ones((4, 2)), "weight_hh_l0": np.eye(4)}
>>> from_torch({f"rnn.{name}": array for name, array in arrays.items()}).step([0.5, 0.0]).shape
(4,)
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from streamrnn.bidirectional import Bidirectional, reads_backwards
from streamrnn.formats import FormatError, keras, nam, onnx, rtneural, torch
from streamrnn.formats.layer import Layer, Line
from streamrnn.kernels.functions import CONSTANTS
from streamrnn.model import GRU, LSTM, RNN, Model
from streamrnn.network import Array, Network
from streamrnn.parts import part
from streamrnn.sequential import Sequential, line, named
from streamrnn.step import check_rows

MODELS: dict[str, type[Model]] = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}
STACKED = {
    "weight_ih",
    "weight_hh",
    "bias_ih",
    "bias_hh",
    "weight_ch",
}  # what a Model's layers have


def from_torch(
    source: Any,
    *,
    forward: Sequence[str] | None = None,
    tokens: bool = False,
    nonlinearity: str | None = None,
    **scaling: ArrayLike,
) -> Network | Bidirectional:
    """A network from PyTorch: a state_dict, a module, or the path of a .pt or .safetensors file.

    Taken are nn.RNN, nn.GRU, nn.LSTM (any num_layers, bias, bidirectional, proj_size), RNNCell,
    GRUCell, LSTMCell, an nn.Embedding at the input, nn.Linear and activations in any order. What
    comes back is an RNN, GRU or LSTM where the network is one, else a `Sequential`, or a
    `Bidirectional`.

    forward       names of the modules, and of activations between them, in the order in which data
                  goes: ["embedding", "lstm", "fc1", "relu", "fc2"]. A state_dict does not tell it,
                  and it is asked for unless there is only one order
    tokens        the network was trained on one-hot vectors, and is to be stepped by their index
    nonlinearity  of an nn.RNN: "tanh" or "relu", which a state_dict does not tell either
    scaling       mean, std, out_mean, out_std, as in `scale`: then raw units go in and come out

    Nothing in a file is executed: a .pt that carries code is refused. Raises FormatError, with
    file, module, what was expected and what came, for all else.
    """
    found = torch.read(source, forward=forward, nonlinearity=nonlinearity)
    where = source if isinstance(source, str) or hasattr(source, "__fspath__") else "state_dict"
    return network(where, found, tokens, scaling)


def from_onnx(
    source: Any, *, tokens: bool = False, **scaling: ArrayLike
) -> Network | Bidirectional:
    """A network from an ONNX file's path, its bytes, or an onnx.ModelProto.

    Taken are RNN, GRU and LSTM with every attribute and input of the operators' specification, in a
    straight line with Gemm, MatMul, Add, Sub, Mul, Div, Gather (an embedding), activations and what
    moves axes, as torch.onnx.export and tf2onnx write it. What comes back, `tokens` and `scaling`:
    as in `from_torch`. A constant that is taken from x and one that divides it become the model's
    scaling.

    A batch is many streams (`Bank`); inputs that set initial states begin at zero. Raises
    FormatError, with file, node, what was expected and what came, for all else.
    """
    where = source if isinstance(source, str) or hasattr(source, "__fspath__") else "the ONNX model"
    return network(where, onnx.read(source), tokens, scaling)


def from_keras(
    path: str | os.PathLike[str], *, tokens: bool = False, **scaling: ArrayLike
) -> Network | Bidirectional:
    """A network from a .keras file of Keras 3, or an .h5 file with configuration of Keras 2 or 3.

    Taken are SimpleRNN, GRU (both reset_after), LSTM, Bidirectional, Dense, Embedding,
    TimeDistributed, Normalization and activations, in a Sequential or a straight Functional model.
    What comes back, `tokens` and `scaling`: as in `from_torch`. A Normalization at the input
    becomes the model's scaling. A mask of tokens 0 is not known here: leave such tokens out.

    Needs h5py, and neither Keras nor a backend. Raises FormatError, with file, layer, what was
    expected and what came, for all else.
    """
    return network(path, keras.read(path), tokens, scaling)


def from_rtneural(path: str | os.PathLike[str], **scaling: ArrayLike) -> Network | Bidirectional:
    """A network from RTNeural's JSON: dense, gru, lstm, batchnorm and activations.

    Raises FormatError, with file, layer, what was expected and what came, for all else.
    """
    return network(path, rtneural.read(path), False, scaling)


def from_nam(path: str | os.PathLike[str], **scaling: ArrayLike) -> Network | Bidirectional:
    """A network from a .nam file of Neural Amp Modeler: an LSTM, with its stored initial state.

    Raises FormatError, with file, what was expected and what came, for other architectures.
    """
    return network(path, nam.read(path), False, scaling)


def from_file(
    path: str | os.PathLike[str],
    *,
    forward: Sequence[str] | None = None,
    nonlinearity: str | None = None,
    tokens: bool = False,
) -> Network | Bidirectional:
    """A network from a file of any kind that is known here, by its ending.

    .pt, .pth, .bin, .ckpt, .safetensors: `from_torch`; .onnx: `from_onnx`; .keras, .h5, .hdf5:
    `from_keras`; .json: `from_rtneural`; .nam: `from_nam`. Raises FormatError for another ending.
    """
    ending = Path(path).suffix.lower()
    os.stat(path)  # that there is no file is said before that a package is missing
    if ending == ".onnx":
        return from_onnx(path, tokens=tokens)
    if ending in (".keras", ".h5", ".hdf5"):
        return from_keras(path, tokens=tokens)
    if ending == ".json":
        return from_rtneural(path)
    if ending == ".nam":
        return from_nam(path)
    if ending in (".pt", ".pth", ".bin", ".ckpt", ".safetensors"):
        return from_torch(path, forward=forward, nonlinearity=nonlinearity, tokens=tokens)
    raise FormatError(
        f"{path}: ends in {ending!r}, expected .pt, .pth, .bin, .ckpt, .safetensors, .onnx, "
        ".keras, .h5, .hdf5, .json or .nam"
    )


class Row(NamedTuple):
    """What there is to say about one layer."""

    name: str
    kind: str
    columns: int
    outputs: int
    parameters: int


def rows(network: Network | Bidirectional) -> list[Row]:
    """The layers of a network, from the input on."""
    found: list[Row] = []
    columns = network.input_size
    if isinstance(network, Model):
        arrays, kind = network.parameters, type(network).__name__
        for n in range(network.num_layers):
            count = sum(array.size for name, array in arrays.items() if name.endswith(f"_l{n}"))
            found.append(Row(f"layer {n}", kind, columns, network.hidden_size, count))
            columns = network.hidden_size
        if network.output_size is not None:
            count = sum(arrays[name].size for name in ("weight_ho", "bias_o") if name in arrays)
            found.append(Row("readout", "Linear", columns, network.output_size, count))
        return found
    assert isinstance(network, Sequential | Bidirectional)
    for layer in network.layers:
        outputs = _outputs(layer, columns)
        kind = layer.options.get("function", layer.kind)
        if reads_backwards(layer):
            kind += f", {layer.options['direction']}"
        count = sum(array.size for array in layer.parameters.values())
        found.append(Row(layer.name, kind, columns, outputs, count))
        columns = outputs
    return found


def _outputs(layer: Layer, columns: int) -> int:
    """Columns of what a layer gives."""
    if not reads_backwards(layer):
        return part(layer, columns).H
    ends = ("", "_reverse") if layer.options["direction"] == "bidirectional" else ("_reverse",)
    return sum(layer.parameters[f"weight_hh{end}"].shape[1] for end in ends)


def run_from_start(network: Network | Bidirectional, X: ArrayLike) -> Array:
    """Y of a whole sequence X from the initial state; the network's own stream is left alone."""
    if isinstance(network, Bidirectional):
        return network.run(X)
    return network.whole(check_rows(X, network))


def network(
    where: Any, found: Line, tokens: bool = False, scaling: dict[str, ArrayLike] | None = None
) -> Network | Bidirectional:
    """The network that an importer described; `where` it was found, for messages."""
    try:
        tokens = tokens or found.tokens
        layers, inside = _scaling(named(found.layers), tokens)
        made: Network | Bidirectional
        if any(reads_backwards(layer) for layer in layers):
            made = Bidirectional(layers, tokens=tokens)
        else:
            made = _model(layers, tokens) or Sequential(layers, tokens=tokens)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None
    known = inside | dict(found.scaling) | (scaling or {})
    if known:
        made.scale(**known)
    return made


def _scaling(layers: list[Layer], tokens: bool) -> tuple[list[Layer], dict[str, ArrayLike]]:
    """Layers without what only scales the first input and the last output, and these numbers."""
    found: dict[str, ArrayLike] = {}
    for end, names in ((0, ("mean", "std")), (-1, ("out_mean", "out_std"))):
        pair = _scale_and_shift(layers[end])
        if tokens or pair is None or len(layers) == 1:
            continue
        scale, shift = pair
        with np.errstate(all="ignore"):
            mean, std = (-shift / scale, 1 / scale) if end == 0 else (shift, scale)
        if np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all():
            found |= dict(zip(names, (mean, std), strict=True))
            layers = layers[1:] if end == 0 else layers[:-1]
    return layers, found


def _scale_and_shift(layer: Layer) -> tuple[Array, Array] | None:
    """What each column, or every one, is multiplied with and added to; None for other layers."""
    if layer.kind == "Affine":
        return layer.parameters["scale"], layer.parameters["shift"]
    if layer.options.get("function") == "affine":
        given = zip("ab", CONSTANTS["affine"], strict=True)
        a, b = (np.array(layer.options.get(name, usual), np.float32) for name, usual in given)
        return a, b
    return None


def _model(layers: Sequence[Layer], tokens: bool) -> Model | None:
    """An RNN, GRU or LSTM that computes the same, if the layers are equal cells and a readout."""
    cells, top = list(layers), None
    if len(cells) > 1 and cells[-1].kind == "Linear":
        top = cells.pop()
    first = cells[0]
    H = line(layers)[0].H
    for cell in cells:
        same = cell.kind in MODELS and (cell.kind, cell.options) == (first.kind, first.options)
        if not same or not set(cell.parameters) <= STACKED or line([cell])[0].H != H:
            return None
    options: dict[str, Any] = {}
    activations = [tuple(one) for one in first.options.get("activations", [])]
    if first.kind == "RNN" and activations == [("relu",)]:
        options["nonlinearity"] = "relu"
    elif activations:
        return None
    if first.kind == "GRU":
        options["reset_after"] = first.options.get("reset_after", True)
    if set(first.options) - {"activations", "reset_after"}:
        return None
    if "weight_ch" in first.parameters:
        options["peepholes"] = True
    arrays = {
        f"{name}_l{n}": array for n, l in enumerate(cells) for name, array in l.parameters.items()
    }
    if top is not None:
        names = {"weight": "weight_ho", "bias": "bias_o"}
        arrays |= {names[name]: array for name, array in top.parameters.items()}
    model = MODELS[first.kind](
        line([first])[0].K,
        H,
        len(top.parameters["weight"]) if top else None,
        num_layers=len(cells),
        bias=any(name.startswith("bias") for name in arrays),
        tokens=tokens,
        **options,
    )
    for name, array in model.parameters.items():
        model.parameters[name] = arrays.get(name, np.zeros(array.shape))
    return model
