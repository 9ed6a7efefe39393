"""Records what PyTorch gives, for machines without it:  python tests/vectors/record_torch.py

A file each: X (1000, 3), Y, and the state_dict of what gives it: two layers and a linear readout,
or one of LINES, with the order of its modules in the header.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent


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


LINES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "projected": (
        ["lstm", "fc"],
        {"lstm": nn.LSTM(3, 16, num_layers=2, proj_size=5), "fc": nn.Linear(5, 2)},
    ),
    "bidirectional": (
        ["gru", "fc"],
        {"gru": nn.GRU(3, 12, num_layers=2, bidirectional=True), "fc": nn.Linear(24, 2)},
    ),
    "activations": (
        ["fc1", "leaky_relu", "lstm", "fc2", "gelu", "fc3", "softmax"],
        {
            "fc1": nn.Linear(3, 10),
            "leaky_relu": nn.LeakyReLU(),
            "lstm": nn.LSTM(10, 16),
            "fc2": nn.Linear(16, 8),
            "gelu": nn.GELU(),
            "fc3": nn.Linear(8, 4),
            "softmax": nn.Softmax(-1),
        },
    ),
    "embedding": (
        ["embedding", "rnn", "decoder"],
        {"embedding": nn.Embedding(9, 6), "rnn": nn.RNN(6, 12), "decoder": nn.Linear(12, 9)},
    ),
    "deep": (
        ["lstm", "fc"],
        {"lstm": nn.LSTM(3, 8, num_layers=3, bias=False), "fc": nn.Linear(8, 2, bias=False)},
    ),
}


def record_line(name: str) -> None:
    torch.manual_seed(0)
    order, modules = LINES[name]
    embedded = isinstance(modules[order[0]], nn.Embedding)
    X = torch.randint(0, 9, (1000,)) if embedded else torch.randn(1000, 3)
    Y: Any = X
    with torch.no_grad():
        for module in modules.values():
            Y = module(Y)
            Y = Y[0] if isinstance(Y, tuple) else Y
    tensors = dict(nn.ModuleDict(modules).state_dict())
    metadata = {"made by": "tests/vectors/record_torch.py", "forward": " ".join(order)}
    save_file(tensors | {"X": X, "Y": Y}, HERE / f"torch_{name}.safetensors", metadata)


if __name__ == "__main__":
    for name in LINES:
        record_line(name)
    for kind in ("RNN", "GRU", "LSTM"):
        record(kind.lower(), kind)
    record("rnn_relu", "RNN", nonlinearity="relu")
