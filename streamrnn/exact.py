"""A network in float64, by plain products and NumPy's own tanh and exp: slow, for checking.

Kernels run in float32, with activations that are right to a few units in the last place. What that
comes to after a long run of a network of one's own is a question for `run`:

>>> import numpy as np
>>> from streamrnn.model import GRU
>>> X = np.sin(np.arange(1000.0) / 9)
>>> model = GRU(1, 16, 1)
>>> bool(np.abs(run(model, X) - model.run(X)).max() < 1e-6)
True
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.model import Model
from streamrnn.packed import shapes
from streamrnn.step import check_rows

Array = NDArray[Any]  # float64 or complex128
LIMIT = 1e18  # as in the kernels: of relu, and of an input in standard deviations


def run(model: Model, X: ArrayLike) -> NDArray[np.float64]:
    """Y (T, outputs) of X (T, input_size), with tokens (T,), from the zero state.

    The object's own stream is not moved. Raises TypeError for another kind of network.
    """
    kind = type(model).__name__
    if not isinstance(model, Model) or kind not in STEPS:
        raise TypeError(f"{model!r} is none of {', '.join(STEPS)}")
    names = shapes(model.cell, model.config | {"bias": True})
    zeros = {name: np.zeros(shape) for name, shape in names.items()}
    p = zeros | {name: array.astype(np.float64) for name, array in model.parameters.items()}
    layers = [
        {name.removesuffix(f"_l{n}"): array for name, array in p.items() if name.endswith(f"_l{n}")}
        for n in range(model.num_layers)
    ]
    state = [(np.zeros(model.hidden_size), np.zeros(model.hidden_size, complex)) for _ in layers]
    scaling = {name: array.astype(np.float64) for name, array in model.scaling.items()}
    Y = []
    for x in _seen(model, check_rows(X, model), scaling):
        for n, layer in enumerate(layers):
            state[n] = STEPS[kind](layer, x, *state[n], model.config)
            x = state[n][0]
        if model.output_size is not None:
            x = (p["weight_ho"] @ x + p["bias_o"]) * scaling["out_std"] + scaling["out_mean"]
        Y.append(x)
    return np.array(Y).reshape(-1, model.outputs)


def _seen(model: Model, rows: Array, scaling: Mapping[str, Array]) -> Array:
    """What the first layer reads: (T, input_size)."""
    if model.tokens:
        known = np.eye(model.input_size)
        return np.array(
            [known[int(t)] if 0 <= t < len(known) else 0 * known[0] for t in rows[:, 0]]
        )
    x = (rows.astype(np.float64) - scaling["mean"]) / scaling["std"]
    return np.where(np.isnan(x), 0.0, np.clip(x, -LIMIT, LIMIT))


def _sigmoid(a: Array) -> Array:
    e = np.exp(-np.abs(a))
    positive: Array = np.where(a >= 0, 1.0, e) / (1.0 + e)
    return positive


def _sums(p: Mapping[str, Array], x: Array, h: Array) -> tuple[Array, Array]:
    return p["weight_ih"] @ x + p["bias_ih"], p["weight_hh"] @ h + p["bias_hh"]


def _rnn(p: Mapping[str, Array], x: Array, h: Array, c: Array, config: Mapping[str, Any]) -> Any:
    a = sum(_sums(p, x, h))
    return np.tanh(a) if config["nonlinearity"] == "tanh" else np.clip(a, 0.0, LIMIT), c


def _gru(p: Mapping[str, Array], x: Array, h: Array, c: Array, config: Mapping[str, Any]) -> Any:
    (r_x, z_x, n_x), (r_h, z_h, n_h) = (np.split(a, 3) for a in _sums(p, x, h))
    r, z = _sigmoid(r_x + r_h), _sigmoid(z_x + z_h)
    if config["reset_after"]:
        n_h = r * n_h
    else:
        n_h = p["weight_hh"][2 * len(h) :] @ (r * h) + p["bias_hh"][2 * len(h) :]
    n = np.tanh(n_x + n_h)
    return n + z * (h - n), c


def _lstm(p: Mapping[str, Array], x: Array, h: Array, c: Array, config: Mapping[str, Any]) -> Any:
    i, f, g, o = np.split(sum(_sums(p, x, h)), 4)
    c = c.real
    w_i, w_f, w_o = np.split(p["weight_ch"], 3) if config["peepholes"] else np.zeros((3, len(c)))
    c = _sigmoid(f + w_f * c) * c + _sigmoid(i + w_i * c) * np.tanh(g)
    return _sigmoid(o + w_o * c) * np.tanh(c), c


def _lru(p: Mapping[str, Array], x: Array, h: Array, s: Array, config: Mapping[str, Any]) -> Any:
    l = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    s = l * s + np.exp(p["gamma_log"]) * ((p["B_re"] + 1j * p["B_im"]) @ x)
    return np.tanh(((p["C_re"] + 1j * p["C_im"]) @ s).real + p["D"] @ x + p["bias"]), s


STEPS: dict[str, Callable[..., Any]] = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm, "LRU": _lru}
