"""Neural Amp Modeler's .nam files, of the architecture LSTM, with the initial state they store.

Its weights are one list: for each layer W_ih and W_hh side by side (4H, K + H), b_ih + b_hh (4H,),
h_0 and c_0 (H,), gates i f g o; then the head's weight (H,) and bias (nam/models/recurrent.py).
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.formats import FormatError
from streamrnn.formats.layer import Layer, Line


def read(path: str | os.PathLike[str]) -> Line:
    """The layers of a .nam file; FormatError for all else."""
    path = Path(path)
    try:
        return _line(json.loads(path.read_text("utf-8")))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise FormatError(
            f'{path}: expected a .nam file, {{"architecture": "LSTM", "config": ..., "weights": '
            f"[...]}} ({type(error).__name__}: {error!s:.100})"
        ) from None


def _line(model: Any) -> Line:
    if model["architecture"] != "LSTM":
        raise FormatError(
            f"architecture {model['architecture']!r:.40} cannot be streamed here; imported is LSTM"
        )
    weights = np.asarray(model["weights"], np.float32).ravel()
    config = model["config"]
    I, H, L = (config[name] for name in ("input_size", "hidden_size", "num_layers"))
    if not all(type(size) is int and 1 <= size <= weights.size for size in (I, H, L)):
        raise FormatError(f"config is {config!r:.80}, expected sizes of at least 1")
    expected = sum(4 * H * ((H if n else I) + H + 1) + 2 * H for n in range(L)) + H + 1
    if weights.size != expected:
        raise FormatError(
            f"holds {weights.size} weights, expected {expected} for input_size {I}, hidden_size "
            f"{H}, num_layers {L}"
        )
    layers, at = [], 0
    for n in range(L):
        K = H if n else I
        sizes = np.cumsum([4 * H * (K + H), 4 * H, H, H])
        matrix, bias, h_0, c_0, _ = np.split(weights[at:], sizes)
        both = matrix.reshape(4 * H, K + H)
        arrays = {"weight_ih": both[:, :K], "weight_hh": both[:, K:], "bias_ih": bias}
        layers.append(Layer("LSTM", arrays | {"h_0": h_0, "c_0": c_0}, {}, f"layer {n}"))
        at += int(sizes[-1])
    head = {"weight": weights[at : at + H][None], "bias": weights[at + H :]}
    return Line([*layers, Layer("Linear", head, {}, "head")])
