"""ONNX models made for tests, and what ONNX Runtime makes of them."""

import numpy as np

from tests.optional import need

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def graph(nodes, constants, inputs=(("X", ["T", 1, 3]),), outputs=("Y",), opset=22):
    """A model of `nodes` (op, inputs, outputs, attributes)."""
    onnx = need("onnx", "reading ONNX")
    value = onnx.helper.make_tensor_value_info
    made = [onnx.helper.make_node(op, i, o, name=o[-1], **a) for op, i, o, a in nodes]
    arrays = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    whole = onnx.helper.make_graph(
        made,
        "test",
        [value(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs],
        [value(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        arrays,
    )
    return onnx.helper.make_model(
        whole, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=10
    )


def cell(kind, K=3, H=9, seed=0, skip=(), **attributes):
    """One recurrent node with all its optional inputs but those named in `skip`."""
    rng = np.random.default_rng(seed)
    D, G = 2 if attributes.get("direction") == "bidirectional" else 1, GATES[kind] * H
    batch = (1, D, H) if attributes.get("layout") else (D, 1, H)
    shapes = {"W": (D, G, K), "R": (D, G, H), "B": (D, 2 * G), "sequence_lens": (1,)}
    shapes |= {"initial_h": batch}
    if kind == "LSTM":
        shapes |= {"initial_c": batch, "P": (D, 3 * H)}
    arrays = {
        name: rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(H**0.5)
        for name, shape in shapes.items()
    }
    for name in (*skip, "sequence_lens"):
        arrays.pop(name, None)
    names = ["X", *(name if name in arrays else "" for name in shapes)]
    shape = [1, "T", K] if attributes.get("layout") else ["T", 1, K]
    return graph([(kind, names, ["Y"], {"hidden_size": H, **attributes})], arrays, [("X", shape)])


def answer(model, X):
    """Y (T, outputs) of ONNX Runtime for one stream, whichever axis is its time."""
    ort = need("onnxruntime", "comparing with ONNX Runtime")
    session = ort.InferenceSession(model.SerializeToString())
    (first, *_) = session.get_inputs()
    x = X[:, None] if first.shape[1] == 1 else X[None]
    Y = session.run(None, {first.name: x})[0]
    return Y.reshape(-1, Y.shape[-1] * (Y.shape[-3] if Y.ndim == 4 and Y.shape[-3] == 2 else 1))


def samples(T=1000, K=3):
    return np.random.default_rng(1).normal(size=(T, K)).astype(np.float32)


def ends(H=9, O=4):
    rng = np.random.default_rng(3)
    return {
        "M": rng.normal(size=(H, O)).astype(np.float32),
        "b": rng.normal(size=O).astype(np.float32),
        "axes": np.array([1]),
        "mean": np.float32([20, 1000, 0]),
        "std": np.float32([5, 10, 1]),
    }
