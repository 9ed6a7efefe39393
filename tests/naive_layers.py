"""Slow, obvious second implementation of lines of layers, in float64 NumPy."""

import math

import numpy as np

from tests.naive import sigmoid

FUNCTIONS = {
    "identity": lambda v, a, b: v,
    "tanh": lambda v, a, b: np.tanh(v),
    "sigmoid": lambda v, a, b: sigmoid(v),
    "relu": lambda v, a, b: np.maximum(v, 0),
    "leaky_relu": lambda v, a, b: np.where(v < 0, a * v, v),
    "elu": lambda v, a, b: np.where(v < 0, a * (np.exp(v) - 1), v),
    "selu": lambda v, a, b: b * np.where(v < 0, a * (np.exp(v) - 1), v),
    "hard_sigmoid": lambda v, a, b: np.clip(a * v + b, 0, 1),
    "softplus": lambda v, a, b: np.log(1 + np.exp(v)),
    "softsign": lambda v, a, b: v / (1 + np.abs(v)),
    "thresholded_relu": lambda v, a, b: np.where(v > a, v, 0),
    "affine": lambda v, a, b: a * v + b,
    "scaled_tanh": lambda v, a, b: a * np.tanh(b * v),
    "clip": lambda v, a, b: np.clip(v, a, b),
    "gelu": lambda v, a, b: v * np.vectorize(lambda u: 0.5 * math.erfc(-u / math.sqrt(2)))(v),
    "gelu_tanh": lambda v, a, b: (
        v / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))
    ),
    "silu": lambda v, a, b: v * sigmoid(v),
    "hard_swish": lambda v, a, b: v * np.clip(a * v + b, 0, 1),
    "exponential": lambda v, a, b: np.exp(v),
    "softmax": lambda v, a, b: np.exp(v) / np.exp(v).sum(),
    "log_softmax": lambda v, a, b: v - np.log(np.exp(v).sum()),
}
CONSTANTS = {  # ONNX's
    "leaky_relu": (0.01, 0),
    "elu": (1, 0),
    "selu": (1.6732632, 1.0507010),
    "hard_sigmoid": (0.2, 0.5),
    "thresholded_relu": (1, 0),
    "affine": (1, 0),
    "scaled_tanh": (1, 1),
    "clip": (-np.inf, np.inf),
    "hard_swish": (1 / 6, 0.5),
}


def function(name, a=None, b=None):
    usual = CONSTANTS.get(name, (0, 0))
    constants = (usual[0] if a is None else a, usual[1] if b is None else b)
    return lambda v: FUNCTIONS[name](v, *constants)


def rnn(p, options, x, state):
    (f,) = options["activations"]
    return {"h": f(p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ state["h"] + p["bias_hh"])}


def gru(p, options, x, state):
    f, g = options["activations"]
    h = state["h"]
    W_r, W_z, W_n = np.split(p["weight_hh"], 3)
    b_r, b_z, b_n = np.split(p["bias_hh"], 3)
    r_x, z_x, n_x = np.split(p["weight_ih"] @ x + p["bias_ih"], 3)
    r, z = f(r_x + W_r @ h + b_r), f(z_x + W_z @ h + b_z)
    after = options.get("reset_after", True)
    n = g(n_x + r * (W_n @ h + b_n)) if after else g(n_x + W_n @ (r * h) + b_n)
    return {"h": (1 - z) * n + z * h}


def lstm(p, options, x, state):
    f, g, last = options["activations"]
    c = state["c"]
    a = p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ state["h"] + p["bias_hh"]
    a_i, a_f, a_g, a_o = np.split(a, 4)
    p_i, p_f, p_o = np.split(p["weight_ch"], 3)
    i = f(a_i + p_i * c)
    forget = 1 - i if options.get("coupled") else f(a_f + p_f * c)
    c = forget * c + i * g(a_g)
    h = f(a_o + p_o * c) * last(c)
    return {"h": p["weight_hr"] @ h if "weight_hr" in p else h, "c": c}


CELLS = {"RNN": rnn, "GRU": gru, "LSTM": lstm}
USUAL = {"RNN": ["tanh"], "GRU": ["sigmoid", "tanh"], "LSTM": ["sigmoid", "tanh", "tanh"]}


def recurrent(layer, X):
    """h of each of X (T, K), from h_0 and c_0 on."""
    p = {name: np.asarray(array, float) for name, array in layer.parameters.items()}
    G, P = len(p["weight_ih"]), p["weight_hh"].shape[1]
    H = G // {"RNN": 1, "GRU": 3, "LSTM": 4}[layer.kind]
    zeros = {"bias_ih": G, "bias_hh": G, "weight_ch": 3 * H, "h_0": P, "c_0": H}
    p = {name: np.zeros(size) for name, size in zeros.items()} | p
    clip = layer.options.get("clip", np.inf)
    given = layer.options.get("activations", [[name] for name in USUAL[layer.kind]])
    functions = [function(*one) for one in given]
    clipped = [lambda v, f=f: f(np.clip(v, -clip, clip)) for f in functions]
    if layer.kind == "LSTM":
        clipped[2] = functions[2]  # of c, which ONNX Runtime does not clip
    state, Y = {"h": p["h_0"], "c": p["c_0"]}, []
    for x in X:
        state |= CELLS[layer.kind](p, {**layer.options, "activations": clipped}, x, state)
        Y.append(state["h"])
    return np.array(Y)


def way(layer, suffix):
    """One direction of a layer as a layer of its own."""
    chosen = {k: a for k, a in layer.parameters.items() if k.endswith("_reverse") == bool(suffix)}
    return type(layer)(
        layer.kind, {k.removesuffix(suffix): a for k, a in chosen.items()}, layer.options
    )


def apply(layer, X):
    """What one layer gives for X (T, K), or tokens (T,)."""
    p = {name: np.asarray(array, float) for name, array in layer.parameters.items()}
    if layer.kind == "Linear":
        return X @ p["weight"].T + p.get("bias", 0)
    if layer.kind == "Embedding":
        return p["weight"][np.asarray(X, int).ravel()]
    if layer.kind == "Affine":
        return X * p["scale"] + p["shift"]
    if layer.kind == "Activation":
        names = (layer.options.get(name) for name in ("function", "a", "b"))
        return np.array([function(*names)(x) for names in [tuple(names)] for x in X])
    direction, last = layer.options.get("direction", "forward"), layer.options.get("last")
    ways = []
    if direction != "reverse":
        ways.append(recurrent(way(layer, ""), X))
    if direction != "forward":
        back = recurrent(way(layer, "_reverse"), X[::-1])
        ways.append(back if last else back[::-1])
    return np.hstack([Y[-1:] for Y in ways] if last and direction != "forward" else ways)


def run(layers, X):
    """What the layers give for X (T, K), or tokens (T,): Y (T, O)."""
    for layer in layers:
        X = apply(layer, X)
    return X
