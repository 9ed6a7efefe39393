"""PyTorch state_dicts.  Needs no torch: a tensor is what NumPy reads after `detach().cpu()`."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.formats import FormatError

CELL = re.compile(r"(?:(?P<module>.*)\.)?(?P<name>(?:weight|bias)_(?:ih|hh|hr)_l\d+(?:_reverse)?)")
TAKEN = "taken are nn.RNN, nn.GRU or nn.LSTM, alone or followed by one nn.Linear"


class Description(NamedTuple):
    gates: int  # rows of weight_hh for each unit: 1 RNN, 3 GRU, 4 LSTM
    input_size: int
    hidden_size: int
    output_size: int | None
    num_layers: int
    bias: bool
    parameters: dict[str, NDArray[np.float32]]


def read(state_dict: Mapping[str, Any]) -> Description:
    """The recurrent module and the linear layer of `state_dict`; FormatError for all else."""
    if not isinstance(state_dict, Mapping):
        raise FormatError(
            f"state_dict is of type {type(state_dict).__name__}, expected a mapping of names to "
            "tensors, as module.state_dict() gives it"
        )
    cell: dict[str, NDArray[np.float32]] = {}
    rest: dict[str, NDArray[np.float32]] = {}
    modules = set()
    for key, value in state_dict.items():
        array = _array(key, value)
        match = CELL.fullmatch(key)
        if match:
            modules.add(match["module"] or "")
            cell[match["name"]] = array
        else:
            rest[key] = array
    if len(modules) != 1 or "weight_hh_l0" not in cell or "weight_ih_l0" not in cell:
        found = ", ".join(state_dict) or "nothing"
        raise FormatError(
            f"state_dict: expected one recurrent module with weight_ih_l0 and weight_hh_l0, found "
            f"{found}; {TAKEN}"
        )
    for name in cell:
        if name.endswith("_reverse"):
            raise FormatError(
                f"state_dict: {name}: a bidirectional layer needs the end of the sequence before "
                "its first output and cannot be streamed; train with bidirectional=False"
            )
        if "_hr_" in name:
            raise FormatError(f"state_dict: {name}: proj_size is not supported; {TAKEN}")
    num_layers = 1 + max(int(name.rsplit("_l", 1)[1]) for name in cell)
    weight_ih, weight_hh = cell["weight_ih_l0"], cell["weight_hh_l0"]
    if weight_hh.ndim != 2 or weight_ih.ndim != 2 or weight_hh.shape[1] == 0:
        raise FormatError(
            f"state_dict: weight_ih_l0 {weight_ih.shape} and weight_hh_l0 {weight_hh.shape}, "
            "expected two matrices"
        )
    H = weight_hh.shape[1]
    gates = weight_hh.shape[0] // H
    if gates not in (1, 3, 4) or weight_hh.shape[0] != gates * H:
        raise FormatError(
            f"state_dict: weight_hh_l0 has shape {weight_hh.shape}, expected (H, H) for nn.RNN, "
            "(3H, H) for nn.GRU or (4H, H) for nn.LSTM"
        )
    bias = "bias_ih_l0" in cell
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if bias else 2]
    expected = {f"{kind}_l{layer}" for kind in kinds for layer in range(num_layers)}
    if expected != set(cell):
        odd = ", ".join(sorted(expected ^ set(cell)))
        raise FormatError(f"state_dict: {odd}: missing, or there for some layers only")
    output_size, linear = _linear(rest, H, bias)
    return Description(
        gates,
        weight_ih.shape[1],
        H,
        output_size,
        num_layers,
        bias or "bias_o" in linear,
        _biased(cell, linear, bias, num_layers, gates * H),
    )


def _biased(
    cell: dict[str, NDArray[np.float32]],
    linear: dict[str, NDArray[np.float32]],
    bias: bool,
    num_layers: int,
    rows: int,
) -> dict[str, NDArray[np.float32]]:
    """All parameters, with zeros for the biases that only one of cell and readout has."""
    parameters = cell | linear
    if "bias_o" in linear and not bias:
        zeros = np.zeros(rows, np.float32)
        for layer in range(num_layers):
            parameters[f"bias_ih_l{layer}"] = parameters[f"bias_hh_l{layer}"] = zeros
    if bias and linear and "bias_o" not in linear:
        parameters["bias_o"] = np.zeros(len(linear["weight_ho"]), np.float32)
    return parameters


def _linear(
    rest: dict[str, NDArray[np.float32]], H: int, bias: bool
) -> tuple[int | None, dict[str, NDArray[np.float32]]]:
    """output_size, and the readout in our names."""
    if not rest:
        return None, {}
    names = {key.rpartition(".")[0] for key in rest}
    keys = {key.rpartition(".")[2] for key in rest}
    if len(names) != 1 or not {"weight"} <= keys <= {"weight", "bias"}:
        raise FormatError(f"state_dict: cannot place {', '.join(rest)}; {TAKEN}")
    (name,) = names
    prefix = f"{name}." if name else ""
    weight, bias_o = rest[f"{prefix}weight"], rest.get(f"{prefix}bias")
    if weight.ndim != 2 or weight.shape[1] != H:
        raise FormatError(
            f"state_dict: {prefix}weight has shape {weight.shape}, expected (outputs, {H}): a "
            f"linear layer on the {H} units of the recurrent one"
        )
    if bias_o is not None and bias_o.shape != (len(weight),):
        raise FormatError(
            f"state_dict: {prefix}bias has shape {bias_o.shape}, expected ({len(weight)},)"
        )
    return len(weight), {"weight_ho": weight} | ({} if bias_o is None else {"bias_o": bias_o})


def _array(key: str, value: Any) -> NDArray[np.float32]:
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu().float()
        return np.asarray(value).astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise FormatError(
            f"state_dict: {key}: expected a tensor of numbers, got {type(value).__name__} ({error})"
        ) from None
