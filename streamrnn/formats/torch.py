"""PyTorch's networks: a state_dict, a module, or a file of either's weights.

Needs no torch for a mapping of names to arrays, nor for a .safetensors file: a tensor is what NumPy
reads after `detach().cpu()`.  A .pt file is read by torch with weights_only=True, which refuses one
that carries code.
"""

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.formats import FormatError, safetensors
from streamrnn.formats.layer import Layer, Line

Array = NDArray[Any]

STACKED = re.compile(r"(weight|bias)_(ih|hh|hr)_l\d{1,4}(_reverse)?")
SINGLE = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}  # of RNNCell, GRUCell, LSTMCell
GATES = {1: "RNN", 3: "GRU", 4: "LSTM"}
TAKEN = "taken are nn.RNN, nn.GRU, nn.LSTM and their cells, nn.Embedding, nn.Linear and activations"
SKIPPED = ("identity", "dropout", "flatten")
# a class of torch.nn in small letters -> our function, and its attributes for a and b
ACTIVATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "relu": ("relu", ()),
    "tanh": ("tanh", ()),
    "sigmoid": ("sigmoid", ()),
    "softmax": ("softmax", ()),
    "logsoftmax": ("log_softmax", ()),
    "leakyrelu": ("leaky_relu", ("negative_slope",)),
    "elu": ("elu", ("alpha",)),
    "selu": ("selu", ()),
    "softplus": ("softplus", ()),
    "softsign": ("softsign", ()),
    "gelu": ("gelu", ()),
    "silu": ("silu", ()),
    "hardtanh": ("clip", ("min_val", "max_val")),
    "relu6": ("clip", ("min_val", "max_val")),
    "hardsigmoid": ("hard_sigmoid", ()),
    "hardswish": ("hard_swish", ()),
}
# where torch's constants are not ONNX's, or a name in `forward` brings no module to ask
CONSTANTS = {"hardsigmoid": (1 / 6, 0.5), "hardtanh": (-1.0, 1.0), "relu6": (0.0, 6.0)}


class Module(NamedTuple):
    """One module of the network: its parameters, and its class where a module was given."""

    name: str
    arrays: Mapping[str, Array]
    kind: str = ""  # a class of torch.nn in small letters; empty: not known
    options: Mapping[str, Any] = {}


class Source(NamedTuple):
    """modules in the order of registration; ordered: that is also the order of forward."""

    name: str
    modules: list[Module]
    ordered: bool


def read(
    source: Any, *, forward: Sequence[str] | None = None, nonlinearity: str | None = None
) -> Line:
    """The layers of `source`; FormatError for what is none of these or cannot be placed.

    forward       names of the modules, and of activations, in the order in which data goes
    nonlinearity  of nn.RNN, which a state_dict does not tell; None: the module's, or tanh
    """
    found = _source(source)
    if nonlinearity not in (None, "tanh", "relu"):
        raise ValueError(f"nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'")
    modules = _ordered(found, forward)
    layers: list[Layer] = []
    for n, module in enumerate(modules):
        above = modules[n + 1] if n + 1 < len(modules) else None
        layers += _layers(found.name, module, above, first=not layers, nonlinearity=nonlinearity)
    if not layers:
        raise FormatError(f"{found.name}: no layers; {TAKEN}")
    return Line(layers, layers[0].kind == "Embedding")


# where it comes from


def _source(source: Any) -> Source:
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.suffix == ".safetensors":
            return _of_state_dict(str(path), safetensors.read(path))
        return _of_state_dict(str(path), _state_dict(str(path), _load(path)))
    if hasattr(source, "named_modules") and hasattr(source, "state_dict"):
        return _of_module(source)
    if not isinstance(source, Mapping):
        raise FormatError(
            f"state_dict is of type {type(source).__name__}, expected a mapping of names to "
            "tensors, as module.state_dict() gives it, a module, or the path of a .pt or "
            ".safetensors file"
        )
    return _of_state_dict("state_dict", _state_dict("state_dict", source))


def _load(path: Path) -> Any:
    try:
        import torch
    except ImportError:
        raise ImportError(
            f"{path}: reading a file of torch needs torch: pip install torch; or save the weights "
            "as .safetensors, which needs nothing"
        ) from None
    path.stat()  # FileNotFoundError for no file, not what torch makes of it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a damaged file seems to be
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a zip, a pickle and a tensor may each be broken in its own way
        raise FormatError(
            f"{path}: expected tensors by name, as torch.save(module.state_dict(), path) writes "
            f"them, found {_found(error)}"
        ) from None


def _found(error: Exception) -> str:
    """What torch refuses, without its advice on how to run the code that is inside."""
    text = str(error)
    code = re.search(r"GLOBAL (\S+)", text) or re.search("(TorchScript)", text)
    if code:
        return (
            f"{code[1]}, which is code and is not run; where you trust it, load it with torch and "
            "save its state_dict"
        )
    reason = (text.partition("WeightsUnpickler error:")[2] or text).strip().partition("\n")[0]
    return f"no whole file ({reason.partition('. ')[0] or type(error).__name__:.200})"


def _state_dict(where: str, loaded: Any) -> Mapping[str, Any]:
    """The tensors of a checkpoint, which may lie one folder down beside an optimizer's."""
    if isinstance(loaded, Mapping):
        for key in ("state_dict", "model_state_dict", "model", "net"):
            if isinstance(loaded.get(key), Mapping):
                inner: Mapping[str, Any] = loaded[key]
                return inner
        return loaded
    raise FormatError(
        f"{where}: expected a mapping of names to tensors, found {type(loaded).__name__}"
    )


def _of_state_dict(name: str, state_dict: Mapping[str, Any]) -> Source:
    modules: dict[str, dict[str, Array]] = {}
    for key, value in state_dict.items():
        module, _, parameter = str(key).rpartition(".")
        modules.setdefault(module, {})[parameter] = _array(name, str(key), value)
    found = [
        Module(module or ("rnn" if set(arrays) - {"weight", "bias"} else "linear"), arrays)
        for module, arrays in modules.items()
    ]
    names = [module.name.rpartition(".")[2] for module in found]
    counted = names == [str(n) for n in range(len(names))]  # an nn.Sequential without gaps
    return Source(name, found, counted and len(found) > 1)


def _of_module(module: Any) -> Source:
    """Modules that have no modules inside, in the order of registration."""
    leaves = [(n, m) for n, m in module.named_modules() if not any(True for _ in m.children())]
    found = []
    for name, leaf in leaves:
        kind = type(leaf).__name__.lower()
        arrays = {
            key: _array("module", f"{name}.{key}", value)
            for key, value in leaf.state_dict().items()
        }
        _, names = ACTIVATIONS.get(kind, ("", ()))
        options = {n: float(getattr(leaf, n)) for n in names}
        if kind in ("rnn", "rnncell"):
            options = {"nonlinearity": leaf.nonlinearity}
        if kind == "gelu" and leaf.approximate == "tanh":
            kind = "gelu_tanh"
        if kind == "softplus" and leaf.beta != 1:
            kind = f"softplus(beta={leaf.beta})"
        found.append(Module(name or kind, arrays, kind, options))
    straight = type(module).__name__ == "Sequential" or not any(True for _ in module.children())
    nested = [m for _, m in module.named_modules() if any(True for _ in m.children())]
    straight = straight and all(type(m).__name__ == "Sequential" for m in nested)
    return Source("module", found, straight)


def _array(where: str, key: str, value: Any) -> Array:
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu().float()
        return np.asarray(value).astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise FormatError(
            f"{where}: {key}: expected a tensor of numbers, got {type(value).__name__} ({error})"
        ) from None


# in which order


def _ordered(source: Source, forward: Sequence[str] | None) -> list[Module]:
    if forward is not None:
        return _as_told(source, forward)
    modules = [m for m in source.modules if not m.kind.startswith(SKIPPED)]
    for module in modules:
        if module.arrays or module.kind:
            _check_known(source, module)
    if source.ordered and modules:
        return modules
    recurrent = [n for n, m in enumerate(modules) if _is_recurrent(m)]
    if len(recurrent) == 1 and all(m.arrays for m in modules):
        cell = modules[recurrent[0]]
        below = [m for m in modules if m is not cell and _is_embedding(m, cell)]
        above = [m for m in modules if m is not cell and not _is_embedding(m, cell)]
        if len(below) <= 1 and len(above) <= 1:  # one order, whatever that of the file is
            return [*below, cell, *above]
    if not recurrent:
        found = ", ".join(m.name or ", ".join(m.arrays) for m in modules) or "nothing"
        raise FormatError(
            f"{source.name}: expected a recurrent module, with weight_ih_l0 and weight_hh_l0, "
            f"found {found}; {TAKEN}"
        )
    names = [m.name for m in modules]
    example = [*names[:-1], "relu", names[-1]] if len(names) > 1 else names
    raise FormatError(
        f"{source.name}: {', '.join(names)}: in what order forward calls these, and what "
        f"activations lie between, is not in the weights; say it: from_torch(..., "
        f"forward={example}), or --forward {','.join(example)} of streamrnn inspect and convert"
    )


def _as_told(source: Source, forward: Sequence[str]) -> list[Module]:
    by_name = {module.name: module for module in source.modules}
    told = []
    for name in forward:
        plain = name.lower().replace("_", "").replace("nn.", "")
        if name in by_name:
            told.append(by_name[name])
        elif plain in ACTIVATIONS:
            told.append(Module(name, {}, plain))
        elif not plain.startswith(SKIPPED):
            raise FormatError(
                f"{source.name}: forward names {name!r}; there are {', '.join(by_name)}, and the "
                f"activations {', '.join(ACTIVATIONS)}"
            )
    for module in told:
        _check_known(source, module)
    left = [m.name for m in source.modules if m.arrays and m.name not in forward]
    if left:
        raise FormatError(
            f"{source.name}: forward does not name {', '.join(left)}, whose weights are here"
        )
    return told


def _is_recurrent(module: Module) -> bool:
    return any(STACKED.fullmatch(name) or name in SINGLE for name in module.arrays)


def _is_embedding(module: Module, above: Module | None) -> bool:
    """By its class; of a state_dict: rows as long as the module above has inputs, and no bias."""
    if module.kind:
        return module.kind == "embedding"
    if set(module.arrays) != {"weight"} or module.arrays["weight"].ndim != 2:
        return False
    rows, columns = module.arrays["weight"].shape
    if "emb" in module.name.lower() or above is None:
        return "emb" in module.name.lower()
    first = above.arrays.get("weight_ih_l0", above.arrays.get("weight_ih"))
    if first is None:
        first = above.arrays.get("weight", np.zeros((0, 0)))
    return bool(first.ndim == 2 and first.shape[1] == columns != rows)


def _check_known(source: Source, module: Module) -> None:
    names = set(module.arrays)
    if _is_recurrent(module):
        return
    if names and {"weight"} <= names <= {"weight", "bias"} and module.arrays["weight"].ndim == 2:
        if module.kind in ("", "linear", "embedding", "nondynamicallyquantizablelinear"):
            return
    if not names and (module.kind in ACTIVATIONS or module.kind == "gelu_tanh"):
        return
    if not names and not module.kind.startswith("softplus"):
        index = [m.name for m in source.modules].index(module.name)
        if index and _is_recurrent(source.modules[index - 1]):
            return  # it takes the output out of what nn.LSTM returns
    what = module.kind or ", ".join(sorted(names))
    raise FormatError(f"{source.name}: {module.name}: cannot place {what}; {TAKEN}")


# what each module is


def _layers(
    where: str, module: Module, above: Module | None, *, first: bool, nonlinearity: str | None
) -> list[Layer]:
    if _is_recurrent(module):
        return _recurrent(where, module, nonlinearity)
    if not module.arrays:
        if module.kind == "gelu_tanh":
            return [Layer("Activation", {}, {"function": "gelu_tanh"}, module.name)]
        if module.kind not in ACTIVATIONS:
            return []
        function, _ = ACTIVATIONS[module.kind]
        constants = tuple(module.options.values()) or CONSTANTS.get(module.kind, ())
        options = {"function": function} | dict(zip("ab", constants, strict=False))
        return [Layer("Activation", {}, options, module.name)]
    embedding = first and _is_embedding(module, above)
    return [Layer("Embedding" if embedding else "Linear", module.arrays, {}, module.name)]


def _recurrent(where: str, module: Module, nonlinearity: str | None) -> list[Layer]:
    arrays = module.arrays
    if set(arrays) <= SINGLE:
        arrays = {f"{name}_l0": array for name, array in arrays.items()}
    prefix = f"{module.name}." if module.name else ""
    odd = [name for name in arrays if not STACKED.fullmatch(name)]
    if odd:
        raise FormatError(f"{where}: cannot place {', '.join(prefix + n for n in odd)}; {TAKEN}")
    if "weight_hh_l0" not in arrays or "weight_ih_l0" not in arrays:
        raise FormatError(
            f"{where}: expected a recurrent module with {prefix}weight_ih_l0 and "
            f"{prefix}weight_hh_l0, found {', '.join(arrays)}"
        )
    for name in ("weight_ih_l0", "weight_hh_l0"):
        if arrays[name].ndim != 2 or 0 in arrays[name].shape:
            raise FormatError(
                f"{where}: {prefix}{name} has shape {arrays[name].shape}, expected a matrix"
            )
    rows, P = arrays["weight_hh_l0"].shape
    # of a projection, only an LSTM has one, the rows are those of weight_hr's columns
    H = arrays["weight_hr_l0"].shape[-1] if "weight_hr_l0" in arrays else P
    kind = GATES.get(rows // H) if rows % H == 0 else None
    if kind is None:
        raise FormatError(
            f"{where}: {prefix}weight_hh_l0 has shape {(rows, P)}, expected (H, H) for nn.RNN, "
            "(3H, H) for nn.GRU or (4H, H) for nn.LSTM"
        )
    if nonlinearity == "relu" and kind != "RNN":
        raise ValueError(
            f"nonlinearity is 'relu', but {module.name or 'this'} is an nn.{kind}: only an nn.RNN "
            "has one"
        )
    options: dict[str, Any] = {}
    if (nonlinearity or module.options.get("nonlinearity")) == "relu":
        options["activations"] = [["relu"]]
    if any(name.endswith("_reverse") for name in arrays):
        options["direction"] = "bidirectional"
    depth = 1 + max(int(re.findall(r"_l(\d+)", name)[0]) for name in arrays)
    names = {re.sub(r"_l\d+", "_l{}", name) for name in arrays}
    if any(name.startswith("bias") for name in names):
        ends = ("", "_reverse") if "direction" in options else ("",)
        names |= {f"bias_{part}_l{{}}{end}" for part in ("ih", "hh") for end in ends}
    expected = {name.format(n) for name in names for n in range(min(depth, len(arrays)))}
    if expected != set(arrays):
        odd = sorted(expected ^ set(arrays))
        raise FormatError(
            f"{where}: {', '.join(prefix + n for n in odd)}: missing, or there for some layers only"
        )
    return [
        Layer(
            kind,
            {name.format("").replace("_l", ""): arrays[name.format(n)] for name in names},
            options,
            f"{module.name or kind.lower()}" + (f" (layer {n})" if depth > 1 else ""),
        )
        for n in range(depth)
    ]
