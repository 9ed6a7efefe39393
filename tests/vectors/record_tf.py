"""Records what Keras 2 and tf2onnx write:  python tests/vectors/record_tf.py

Made with tensorflow 2.21, tf_keras 2.21 (Keras 2), tf2onnx 1.17 and onnx 1.23. A model each: the
.h5 of model.save, the .onnx of tf2onnx, and beside them X and what Keras gives as .safetensors.
tf2onnx writes a SimpleRNN as a Loop, go_backwards as a ReverseSequence, and as a Loop too a GRU
that resets before the product, has no bias or other activations, and an LSTM with recurrent dropout
or an activation that ONNX's operator lacks. Names on the command line are recorded alone.
"""

import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf2onnx  # noqa: E402
import tf_keras as keras  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402
from tf_keras import layers as L  # noqa: E402

HERE = Path(__file__).parent
ALL = {"return_sequences": True}
MODELS: dict[str, Any] = {
    "simple": lambda: [
        L.Input((None, 3)),
        L.SimpleRNN(6, **ALL),
        L.SimpleRNN(5, activation="relu", **ALL),
        L.Dense(2),
    ],
    "simple_both": lambda: [
        L.Input((None, 3)),
        L.Bidirectional(L.SimpleRNN(4, **ALL)),
        L.Bidirectional(L.SimpleRNN(3)),
        L.Dense(2),
    ],
    "scaled": lambda: [
        L.Input((None, 3)),
        L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0]),
        L.GRU(6, **ALL),
        L.TimeDistributed(L.Dense(4, activation="hard_sigmoid")),
        L.LSTM(5, activation="relu", **ALL),
        L.Dense(1),
        L.Normalization(mean=20.0, variance=9.0, invert=True),
    ],
    "tokens": lambda: [
        L.Input((None,)),
        L.Embedding(9, 4),
        L.LSTM(6, **ALL),
        L.Dense(9, activation="softmax"),
    ],
    "both": lambda: [
        L.Input((None, 3)),
        L.Bidirectional(L.LSTM(4, **ALL)),
        L.Bidirectional(L.GRU(5)),
        L.Dense(2),
    ],
    "backwards": lambda: [L.Input((None, 3)), L.LSTM(6, go_backwards=True), L.Dense(2)],
    "before": lambda: [L.Input((None, 3)), L.GRU(6, reset_after=False, **ALL), L.Dense(2)],
    "gru_loops": lambda: [
        L.Input((None, 3)),
        L.GRU(6, use_bias=False, **ALL),
        L.GRU(5, activation="relu", **ALL),
        L.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid", **ALL),
        L.Dense(2),
    ],
    "gru_loops_both": lambda: [
        L.Input((None, 3)),
        L.Bidirectional(L.GRU(4, reset_after=False, use_bias=False, **ALL)),
        L.Bidirectional(L.GRU(3, activation="elu")),
        L.Dense(2),
    ],
    "dropout": lambda: [
        L.Input((None, 3)),
        L.SimpleRNN(4, dropout=0.1, recurrent_dropout=0.2, **ALL),
        L.GRU(4, dropout=0.1, **ALL),
        L.GRU(3, recurrent_dropout=0.2, **ALL),
        L.GRU(3, reset_after=False, recurrent_dropout=0.2, **ALL),
        L.LSTM(4, dropout=0.1, recurrent_dropout=0.2, **ALL),
        L.Dense(2),
    ],
    "bent": lambda: [
        L.Input((None, 3)),
        L.Normalization(mean=0.0, variance=0.25),  # so that what comes out at the end varies
        L.SimpleRNN(4, activation="linear", **ALL),
        L.GRU(4, activation="swish", **ALL),
        L.LSTM(3, activation="linear", recurrent_activation="hard_sigmoid", **ALL),
        L.GRU(3, reset_after=False, activation="linear", **ALL),
        L.LSTM(4, activation="swish", **ALL),
        L.SimpleRNN(3, activation="swish", **ALL),
        L.Dense(2),
    ],
    "lstm_loops_both": lambda: [
        L.Input((None, 3)),
        L.Bidirectional(L.LSTM(4, use_bias=False, recurrent_dropout=0.2, **ALL)),
        L.Bidirectional(L.LSTM(3, activation="elu")),
        L.Dense(2),
    ],
}


def record(name: str) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(MODELS[name]())
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if "normalization" not in layer.name:
            layer.set_weights([rng.uniform(-0.6, 0.6, w.shape) for w in layer.get_weights()])
    X: Any = rng.normal(size=(1000, 3)).astype(np.float32)
    if name == "tokens":
        X = rng.integers(0, 9, 1000).astype(np.int32)
    Y = model.predict(X[None], verbose=0)
    save_file({"X": X, "Y": Y.reshape(-1, Y.shape[-1])}, HERE / f"tf_{name}.safetensors")
    model.save(HERE / f"tf_{name}.h5")
    signature = [tf.TensorSpec(model.input_shape, X.dtype, "x")]
    path = HERE / f"tf_{name}.onnx"
    tf2onnx.convert.from_keras(model, signature, opset=17, output_path=str(path))


if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        record(name)
