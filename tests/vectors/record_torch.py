"""Records what PyTorch gives, for machines without it:  python tests/vectors/record_torch.py

A file each: X (1000, 3), Y, and the state_dict of what gives it: two layers and a linear readout,
or one of LINES, with the order of its modules in the header. Names on the command line are recorded
alone.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent
Modules = dict[str, nn.Module]


def record(name: str, kind: str, **options: Any) -> None:
    torch.manual_seed(0)
    cell = getattr(torch.nn, kind)(3, 16, num_layers=2, **options)
    linear = torch.nn.Linear(16, 2)
    X = torch.randn(1000, 3)
    with torch.no_grad():
        Y = linear(cell(X)[0])
    tensors = {f"cell.{name}": tensor for name, tensor in cell.state_dict().items()}
    tensors |= {f"linear.{name}": tensor for name, tensor in linear.state_dict().items()}
    metadata = {"made by": "tests/vectors/record_torch.py", "torch": torch.__version__}
    save_file(tensors | {"X": X, "Y": Y}, HERE / f"torch_{name}.safetensors", metadata)


def cells(*, bias: bool) -> Modules:
    """One of each kind, the one above the other."""
    return {
        "first": nn.LSTMCell(3, 8, bias=bias),
        "second": nn.GRUCell(8, 6, bias=bias),
        "third": nn.RNNCell(6, 5, bias=bias),
        "fc": nn.Linear(5, 2),
    }


# Functions, for a seed is set before each is made. Modules are in the order of forward.
LINES: dict[str, Callable[[], Modules]] = {
    "projected": lambda: {
        "lstm": nn.LSTM(3, 16, num_layers=2, proj_size=5),
        "fc": nn.Linear(5, 2),
    },
    "bidirectional": lambda: {
        "gru": nn.GRU(3, 12, num_layers=2, bidirectional=True),
        "fc": nn.Linear(24, 2),
    },
    "activations": lambda: {
        "fc1": nn.Linear(3, 10),
        "leaky_relu": nn.LeakyReLU(),
        "lstm": nn.LSTM(10, 16),
        "fc2": nn.Linear(16, 8),
        "gelu": nn.GELU(),
        "fc3": nn.Linear(8, 4),
        "softmax": nn.Softmax(-1),
    },
    "embedding": lambda: {
        "embedding": nn.Embedding(9, 6),
        "rnn": nn.RNN(6, 12),
        "decoder": nn.Linear(12, 9),
    },
    "deep": lambda: {
        "lstm": nn.LSTM(3, 8, num_layers=3, bias=False),
        "fc": nn.Linear(8, 2, bias=False),
    },
    "bare_bidirectional": lambda: {
        "lstm": nn.LSTM(3, 5, num_layers=2, bias=False, bidirectional=True),
        "gru": nn.GRU(10, 4, bias=False, bidirectional=True),
        "rnn": nn.RNN(8, 4, bias=False, bidirectional=True),
        "fc": nn.Linear(8, 2, bias=False),
    },
    "cells": lambda: cells(bias=True),
    "bare_cells": lambda: cells(bias=False),
}


def stepped(cell: nn.RNNCellBase, X: torch.Tensor) -> torch.Tensor:
    """h of a single cell after each of X."""
    state, Y = None, []
    for x in X:
        state = cell(x, state)
        Y.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(Y)


def record_line(name: str) -> None:
    torch.manual_seed(0)
    modules = LINES[name]()
    embedded = "embedding" in modules
    X = torch.randint(0, 9, (1000,)) if embedded else torch.randn(1000, 3)
    Y: Any = X
    with torch.no_grad():
        for module in modules.values():
            Y = stepped(module, Y) if isinstance(module, nn.RNNCellBase) else module(Y)
            Y = Y[0] if isinstance(Y, tuple) else Y
    tensors = dict(nn.ModuleDict(modules).state_dict())
    metadata = {"made by": "tests/vectors/record_torch.py", "forward": " ".join(modules)}
    save_file(tensors | {"X": X, "Y": Y}, HERE / f"torch_{name}.safetensors", metadata)


PLAIN = {kind.lower(): (kind, {}) for kind in ("RNN", "GRU", "LSTM")}
PLAIN["rnn_relu"] = ("RNN", {"nonlinearity": "relu"})

if __name__ == "__main__":
    for name in sys.argv[1:] or [*LINES, *PLAIN]:
        if name in LINES:
            record_line(name)
        else:
            record(name, PLAIN[name][0], **PLAIN[name][1])
