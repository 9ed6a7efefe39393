"""Records what torch.onnx.export writes:  python tests/vectors/record_exports.py

A file each, by the old exporter and by the new one, and beside it X (200, 3) and what ONNX Runtime
gives as .safetensors.
"""

import io
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from safetensors.numpy import save_file
from torch import nn

HERE = Path(__file__).parent


class Forecaster(nn.Module):
    def __init__(self, kind: str, *, last: bool) -> None:
        super().__init__()
        self.cell = getattr(nn, kind)(3, 8, num_layers=2, batch_first=True)
        self.head = nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 2))
        self.last = last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.cell(x)[0]
        return self.head(y[:, -1] if self.last else y)


def record(name: str, kind: str, *, last: bool, new: bool) -> None:
    torch.manual_seed(0)
    module, x, file = Forecaster(kind, last=last).eval(), torch.randn(1, 200, 3), io.BytesIO()
    axes = {} if new else {"dynamic_axes": {"x": {0: "batch", 1: "time"}}}
    torch.onnx.export(module, (x,), file, dynamo=new, input_names=["x"], verbose=False, **axes)
    path = HERE / f"export_{name}.onnx"
    path.write_bytes(file.getvalue())
    Y = ort.InferenceSession(file.getvalue()).run(None, {"x": x.numpy()})[0]
    recorded = {"X": x[0].numpy(), "Y": np.ascontiguousarray(Y.reshape(-1, 2))}
    save_file(recorded, path.with_suffix(".safetensors"))


if __name__ == "__main__":
    record("old_gru", "GRU", last=False, new=False)
    record("old_rnn_last", "RNN", last=True, new=False)
    record("new_lstm", "LSTM", last=False, new=True)
    record("new_gru_last", "GRU", last=True, new=True)
