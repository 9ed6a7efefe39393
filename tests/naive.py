"""Slow, obvious second implementations of the kernels, in float64 NumPy."""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def rnn_cell(a_x, a_h, state):
    return {"h": np.tanh(a_x + a_h)}


def gru_cell(a_x, a_h, state):
    (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(a_x, 3), np.split(a_h, 3)
    r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    n = np.tanh(n_x + r * n_h)
    return {"h": (1 - z) * n + z * state["h"]}


def lstm_cell(a_x, a_h, state):
    i, f, g, o = np.split(a_x + a_h, 4)
    c = sigmoid(f) * state["c"] + sigmoid(i) * np.tanh(g)
    return {"h": sigmoid(o) * np.tanh(c), "c": c}


CELLS = {"RNN": rnn_cell, "GRU": gru_cell, "LSTM": lstm_cell}


def run(model, X):
    """What `model` gives for X (T, input_size), or tokens (T,), from the zero state: Y (T, O)."""
    p = {name: array.astype(float) for name, array in model.parameters.items()}
    s = {name: array.astype(float) for name, array in model.scaling.items()}
    cell = CELLS[type(model).__name__]
    H = model.hidden_size
    states = [{"h": np.zeros(H), "c": np.zeros(H)} for _ in range(model.num_layers)]
    Y = []
    for x in X:
        if model.tokens:
            below = np.zeros(model.input_size)
            if 0 <= x < model.input_size:
                below[int(x)] = 1
        else:
            below = (x - s["mean"]) / s["std"]
            below[np.isnan(below)] = 0
        for layer, state in enumerate(states):
            a_x = p[f"weight_ih_l{layer}"] @ below + p.get(f"bias_ih_l{layer}", 0)
            a_h = p[f"weight_hh_l{layer}"] @ state["h"] + p.get(f"bias_hh_l{layer}", 0)
            state.update(cell(a_x, a_h, state))
            below = state["h"]
        if model.output_size is not None:
            below = p["weight_ho"] @ below + p.get("bias_o", 0)
            below = below * s["out_std"] + s["out_mean"]
        Y.append(below)
    return np.array(Y)
