"""Records what Keras gives:  KERAS_BACKEND=torch python tests/vectors/record_keras.py

A file each, .keras of Keras 3 and the .h5 of its legacy layout, that of Keras 2, and beside it X
and Y as .safetensors.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers as L
from safetensors.numpy import save_file

HERE = Path(__file__).parent
MODELS: dict[str, Any] = {
    "plain": lambda: [
        L.Input((None, 3)),
        L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0]),
        L.SimpleRNN(7, return_sequences=True),
        L.TimeDistributed(L.Dense(5, activation="relu")),
        L.Dropout(0.3),
        L.LSTM(6, return_sequences=True, recurrent_activation="hard_sigmoid"),
        L.Dense(2),
    ],
    "gru": lambda: [
        L.Input((None, 3)),
        L.GRU(7, return_sequences=True),
        L.BatchNormalization(),
        L.GRU(6, reset_after=False, use_bias=False, return_sequences=True),
        L.Dense(4, activation="elu"),
        L.Dense(2, activation="softmax"),
    ],
    "bidirectional": lambda: [
        L.Input((None, 3)),
        L.Bidirectional(L.LSTM(4, return_sequences=True)),
        L.Bidirectional(L.GRU(5)),
        L.Dense(2),
    ],
    "embedding": lambda: [
        L.Input((None,)),
        L.Embedding(9, 4),
        L.GRU(8, return_sequences=True),
        L.Dense(9, activation="softmax"),
    ],
}


def record(name: str) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(MODELS[name]())
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.uniform(0.1, 0.6, w.shape) - 0.3 * (w.ndim > 1) for w in model.get_weights()]
    )
    X: Any = rng.normal(size=(1000, 3)).astype(np.float32)
    if name == "embedding":
        X = rng.integers(0, 9, 1000)
    Y = model.predict(X[None], verbose=0)
    save_file({"X": X, "Y": Y.reshape(-1, Y.shape[-1])}, HERE / f"keras_{name}.safetensors")
    for ending in ("keras", "h5"):
        model.save(HERE / f"keras_{name}.{ending}")


if __name__ == "__main__":
    for name in MODELS:
        record(name)
