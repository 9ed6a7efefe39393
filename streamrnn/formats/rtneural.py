"""RTNeural's JSON: layers as Keras orders their weights, each with its type and activation.

{"in_shape": [null, null, 1], "layers": [{"type": "lstm", "activation": "", "shape": [null, null,
8], "weights": [kernel, recurrent_kernel, bias]}, ...]}, as its python/model_utils.py writes it.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.formats import FormatError
from streamrnn.formats.keras_layers import Given, layers
from streamrnn.formats.layer import Layer, Line

KINDS = {
    "dense": "Dense",
    "time-distributed-dense": "Dense",
    "gru": "GRU",
    "lstm": "LSTM",
    "activation": "Activation",
    "batchnorm": "BatchNormalization",
}


def read(path: str | os.PathLike[str]) -> Line:
    """The layers of an RTNeural file; FormatError for all else."""
    path = Path(path)
    try:
        found: list[Layer] = []
        for n, layer in enumerate(json.loads(path.read_text("utf-8"))["layers"]):
            found += layers(_given(n, layer))
        if not found:
            raise FormatError("no layers")
        return Line(found)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise FormatError(
            f'{path}: expected RTNeural\'s JSON, {{"in_shape": ..., "layers": [...]}} '
            f"({type(error).__name__}: {error!s:.100})"
        ) from None


def _given(n: int, layer: Any) -> Given:
    kind, activation = layer["type"], layer.get("activation") or "linear"
    if kind not in KINDS:
        raise FormatError(
            f"layer {n}: {kind!r} cannot be streamed; imported are {', '.join(KINDS)}"
        )
    weights = [np.asarray(array, np.float32) for array in layer.get("weights", [])]
    config: dict[str, Any] = {"activation": activation, "epsilon": layer.get("epsilon", 1e-3)}
    if kind in ("gru", "lstm"):  # these two are compiled with tanh and sigmoid alone
        config = {"reset_after": True, "return_sequences": True}
    if kind == "batchnorm":
        config |= {"scale": len(weights) == 4, "center": len(weights) == 4}
    return Given(KINDS[kind], f"layer {n}", config, weights, version=3)
