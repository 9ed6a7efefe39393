"""Records what PyTorch gives, for machines without it:  python tests/vectors/record_torch.py

A file each: the state_dict of two layers and a linear readout, X (1000, 3) and Y (1000, 2).
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

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


if __name__ == "__main__":
    for kind in ("RNN", "GRU", "LSTM"):
        record(kind.lower(), kind)
    record("rnn_relu", "RNN", nonlinearity="relu")
