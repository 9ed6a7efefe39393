"""Slow, obvious second implementations of the kernels, in float64 NumPy."""

from functools import partial

import numpy as np

import streamrnn as srnn

MODELS = [  # every cell with its variants
    srnn.RNN,
    partial(srnn.RNN, nonlinearity="relu"),
    srnn.GRU,
    partial(srnn.GRU, reset_after=False),
    srnn.LSTM,
    partial(srnn.LSTM, peepholes=True),
    srnn.LRU,
]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def rnn(p, x, state, nonlinearity):
    a = p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ state["h"] + p["bias_hh"]
    return {"h": np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0)}


def gru(p, x, state, reset_after):
    h = state["h"]
    r_x, z_x, n_x = np.split(p["weight_ih"] @ x + p["bias_ih"], 3)
    r_h, z_h, n_h = np.split(p["weight_hh"] @ h + p["bias_hh"], 3)
    r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    if reset_after:
        n = np.tanh(n_x + r * n_h)
    else:
        W_hn, b_hn = np.split(p["weight_hh"], 3)[2], np.split(p["bias_hh"], 3)[2]
        n = np.tanh(n_x + W_hn @ (r * h) + b_hn)
    return {"h": (1 - z) * n + z * h}


def lstm(p, x, state, peepholes):
    a = p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ state["h"] + p["bias_hh"]
    i, f, g, o = np.split(a, 4)
    p_i, p_f, p_o = np.split(p["weight_ch"], 3) if peepholes else np.zeros(3)
    c = sigmoid(f + p_f * state["c"]) * state["c"] + sigmoid(i + p_i * state["c"]) * np.tanh(g)
    return {"h": sigmoid(o + p_o * c) * np.tanh(c), "c": c}


def lru(p, x, state):
    l = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    s = state["s"]
    s = l * s + np.exp(p["gamma_log"]) * ((p["B_re"] + 1j * p["B_im"]) @ x)
    h = np.tanh(((p["C_re"] + 1j * p["C_im"]) @ s).real + p["D"] @ x + p["bias"])
    return {"h": h, "s": s}


CELLS = {"RNN": rnn, "GRU": gru, "LSTM": lstm, "LRU": lru}
VARIANTS = ("nonlinearity", "reset_after", "peepholes")


def run(model, X):
    """What `model` gives for X (T, input_size), or tokens (T,), from the zero state: Y (T, O)."""
    p = {name: array.astype(float) for name, array in model.parameters.items()}
    scale = {name: array.astype(float) for name, array in model.scaling.items()}
    cell = CELLS[type(model).__name__]
    variant = {name: value for name, value in model.config.items() if name in VARIANTS}
    H = model.hidden_size
    layers = []
    for n in range(model.num_layers):
        own = {name[: -len(f"_l{n}")]: a for name, a in p.items() if name.endswith(f"_l{n}")}
        layers.append({"bias": 0, "bias_ih": np.zeros(4 * H)[: len(own.get("weight_ih", ()))]})
        layers[n]["bias_hh"] = layers[n]["bias_ih"]
        layers[n] |= own
    states = [{"h": np.zeros(H), "c": np.zeros(H), "s": np.zeros(H)} for _ in layers]
    Y = []
    for x in X:
        if model.tokens:
            below = np.zeros(model.input_size)
            if 0 <= x < model.input_size:
                below[int(x)] = 1
        else:
            below = (x - scale["mean"]) / scale["std"]
            below[np.isnan(below)] = 0
        for layer, state in zip(layers, states, strict=True):
            state.update(cell(layer, below, state, **variant))
            below = state["h"]
        if model.output_size is not None:
            below = p["weight_ho"] @ below + p.get("bias_o", 0)
            below = below * scale["out_std"] + scale["out_mean"]
        Y.append(below)
    return np.array(Y)
