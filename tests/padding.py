"""What the kernels keep beside the units of a state: zeros, whatever has come in."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.kernels.network import padded


def padding(model: Any, states: NDArray[Any]) -> NDArray[np.float32]:
    """All floats of `states` that belong to no unit."""
    H, d = model.hidden_size, padded(model.hidden_size)
    beside = [
        states[name].reshape(-1, d)[:, H:] if name != "padding" else states[name]
        for name in model.layout.names
    ]
    return np.concatenate([floats.ravel() for floats in beside])
