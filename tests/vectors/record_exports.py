"""Records what torch.onnx.export writes:  python tests/vectors/record_exports.py

A file each, by the old exporter and by the new one, and beside it X (200, 3) and what ONNX Runtime
gives as .safetensors; beside an nn.RNN, which the new one writes out step by step for 8 of them,
X (1000, 3) and what torch gives.
"""

import io
from pathlib import Path

import numpy as np
import onnx
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
    path.write_bytes(without_traces(file.getvalue()))
    Y = ort.InferenceSession(file.getvalue()).run(None, {"x": x.numpy()})[0]
    recorded = {"X": x[0].numpy(), "Y": np.ascontiguousarray(Y.reshape(-1, 2))}
    save_file(recorded, path.with_suffix(".safetensors"))


def record_steps() -> None:
    torch.manual_seed(0)
    module = nn.RNN(3, 4, batch_first=True, bidirectional=True)
    X, file = torch.randn(1, 1000, 3), io.BytesIO()
    torch.onnx.export(module, (X[:, :8],), file, dynamo=True, input_names=["x"], verbose=False)
    (HERE / "export_new_rnn.onnx").write_bytes(without_traces(file.getvalue()))
    with torch.no_grad():
        Y = module(X)[0]
    save_file({"X": X[0].numpy(), "Y": Y[0].numpy()}, HERE / "export_new_rnn.safetensors")


def without_traces(content: bytes) -> bytes:
    """The file without what the new exporter adds of the machine that it ran on."""
    model = onnx.load_model_from_string(content)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]
    return model.SerializeToString()


if __name__ == "__main__":
    record("old_gru", "GRU", last=False, new=False)
    record("old_rnn_last", "RNN", last=True, new=False)
    record("new_lstm", "LSTM", last=False, new=True)
    record("new_gru_last", "GRU", last=True, new=True)
    record_steps()
