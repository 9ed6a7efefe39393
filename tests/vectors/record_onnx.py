"""Records what ONNX Runtime gives, for machines without it:  python tests/vectors/record_onnx.py

A file each: two layers' parameters in our names, X (1000, 3), Y (1000, 2) of the first units.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

import streamrnn as srnn

HERE = Path(__file__).parent
VARIANTS = {
    "rnn_relu": (srnn.RNN, {"nonlinearity": "relu"}),
    "gru_after": (srnn.GRU, {"reset_after": True}),
    "gru_before": (srnn.GRU, {"reset_after": False}),
    "lstm_peepholes": (srnn.LSTM, {"peepholes": True}),
}
ATTRIBUTES = {
    "rnn_relu": {"activations": ["Relu"]},
    "gru_after": {"linear_before_reset": 1},
    "gru_before": {"linear_before_reset": 0},
    "lstm_peepholes": {},
}
ORDER = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}  # of our gates; theirs z r h, i o f c
PEEPHOLES = (0, 2, 1)  # ours i f o, theirs i o f


def reordered(array: Any, order: tuple[int, ...]) -> Any:
    parts = np.split(array, len(order))
    return np.concatenate([parts[n] for n in order])


def graph(name: str, model: Any, steps: int) -> onnx.ModelProto:
    """The model's layers, X (steps, 1, I) -> Y (steps, 1, H)."""
    kind, H = type(model).__name__, model.hidden_size
    order = ORDER[kind]
    nodes, values, below = [], [numpy_helper.from_array(np.array([1]), "one")], "X"
    for n in range(model.num_layers):
        p = {
            key.removesuffix(f"_l{n}"): a for key, a in model.parameters.items() if f"_l{n}" in key
        }
        biases = [reordered(p[key], order) for key in ("bias_ih", "bias_hh")]
        arrays = {"W": reordered(p["weight_ih"], order), "R": reordered(p["weight_hh"], order)}
        arrays |= {"B": np.concatenate(biases)}
        if "weight_ch" in p:
            arrays["P"] = reordered(p["weight_ch"], PEEPHOLES)
        values += [numpy_helper.from_array(a[None], f"{key}{n}") for key, a in arrays.items()]
        absent = ["", "", "", f"P{n}"] if "P" in arrays else []  # lengths, h and c at the start
        inputs = [below, f"W{n}", f"R{n}", f"B{n}", *absent]
        attributes = {"hidden_size": H, **ATTRIBUTES[name]}
        nodes.append(helper.make_node(kind, inputs, [f"Y{n}"], **attributes))
        below = f"S{n}"
        nodes.append(helper.make_node("Squeeze", [f"Y{n}", "one"], [below]))
    ends = [
        helper.make_tensor_value_info(key, TensorProto.FLOAT, (steps, 1, size))
        for key, size in (("X", model.input_size), (below, H))
    ]
    made = helper.make_graph(nodes, name, ends[:1], ends[1:], values)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(made, opset_imports=opset, ir_version=9)


def outputs(name: str, model: Any, X: Any) -> Any:
    """Y (T, H) of ONNX Runtime for X (T, I)."""
    made = graph(name, model, len(X))
    onnx.checker.check_model(made, full_check=True)
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"X": X[:, None]})[0][:, 0]


def record(name: str) -> None:
    cell, options = VARIANTS[name]
    model = cell(3, 16, num_layers=2, seed=1, **options)
    X = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    tensors = {key: np.array(array) for key, array in model.parameters.items()}
    tensors |= {"X": X, "Y": outputs(name, model, X)[:, :2].copy()}
    made_by = {"made by": "tests/vectors/record_onnx.py", "onnxruntime": onnxruntime.__version__}
    save_file(tensors, HERE / f"onnx_{name}.safetensors", made_by)


if __name__ == "__main__":
    for name in sys.argv[1:] or VARIANTS:
        record(name)
