"""Cells beside what others compute: ONNX Runtime, and the LRU by its paper's unrolled sum."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import streamrnn as srnn

VECTORS = Path(__file__).parent / "vectors"
TOLERANCE = 1e-5  # over 1000 steps
VARIANTS = {
    "rnn_relu": lambda *sizes, **more: srnn.RNN(*sizes, nonlinearity="relu", **more),
    "gru_after": lambda *sizes, **more: srnn.GRU(*sizes, reset_after=True, **more),
    "gru_before": lambda *sizes, **more: srnn.GRU(*sizes, reset_after=False, **more),
    "lstm_peepholes": lambda *sizes, **more: srnn.LSTM(*sizes, peepholes=True, **more),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_outputs_equal_the_recorded_ones_of_onnx_runtime(name):
    tensors = load_file(VECTORS / f"onnx_{name}.safetensors")
    X, Y = tensors.pop("X"), tensors.pop("Y")
    model = VARIANTS[name](3, 16, num_layers=2)
    model.parameters.update(tensors)
    np.testing.assert_allclose(model.run(X)[:, :2], Y, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("I", "H", "layers"), [(1, 1, 1), (5, 48, 2), (2, 67, 3)])
def test_outputs_equal_onnx_runtime_where_it_is_installed(name, I, H, layers):
    pytest.importorskip("onnx", reason="onnx is not installed; recorded vectors are used")
    pytest.importorskip("onnxruntime", reason="not installed; recorded vectors are used")
    from tests.vectors import record_onnx

    model = VARIANTS[name](I, H, num_layers=layers, seed=3)
    X = np.random.default_rng(2).normal(size=(1000, I)).astype(np.float32)
    Y = record_onnx.outputs(name, model, X)
    np.testing.assert_allclose(model.run(X), Y, rtol=0, atol=TOLERANCE)


def unrolled(p: dict[str, np.ndarray], X: np.ndarray) -> np.ndarray:
    """One LRU layer without its recurrence: s_t = sum over j of l^j g B x_(t - j).

    Orvieto et al. 2023, section 3, after eq. 3; l^j = exp(j (-e^nu + i e^theta)).
    """
    T = len(X)
    driven = X @ (p["B_re"] + 1j * p["B_im"]).T * np.exp(p["gamma_log"])
    exponent = -np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"])
    powers = np.exp(np.arange(T)[:, None] * exponent)
    s = np.stack([np.convolve(driven[:, k], powers[:, k])[:T] for k in range(len(exponent))], 1)
    return np.tanh((s @ (p["C_re"] + 1j * p["C_im"]).T).real + X @ p["D"].T + p["bias"])


@pytest.mark.parametrize(("I", "H"), [(1, 1), (3, 16), (5, 37)])
def test_an_lru_equals_the_unrolled_sum_of_its_paper(I, H):
    model = srnn.LRU(I, H, num_layers=2, seed=4)
    X = np.random.default_rng(2).normal(size=(1000, I)).astype(np.float32)
    p = {name: array.astype(float) for name, array in model.parameters.items()}
    Y = X.astype(float)
    for layer in ("_l0", "_l1"):
        Y = unrolled({n.removesuffix(layer): a for n, a in p.items() if n.endswith(layer)}, Y)
    np.testing.assert_allclose(model.run(X), Y, rtol=0, atol=TOLERANCE)


def test_an_lru_starts_with_eigenvalues_spread_evenly_over_the_unit_disk():
    p = {name: array.astype(float) for name, array in srnn.LRU(1, 500).parameters.items()}
    l = np.exp(-np.exp(p["nu_log_l0"]) + 1j * np.exp(p["theta_log_l0"]))
    assert (np.abs(l) < 1).all()
    # Even over the disk: |l|^2 and the angle are uniform, with quartiles at 1/4, 1/2 and 3/4, from
    # which those of 500 draws are 0.022 away or less in two cases of three.
    for uniform in (np.abs(l) ** 2, np.angle(l) / (2 * np.pi) % 1):
        quartiles = np.quantile(uniform, [0.25, 0.5, 0.75])
        np.testing.assert_allclose(quartiles, [0.25, 0.5, 0.75], atol=0.06)
    np.testing.assert_allclose(np.exp(p["gamma_log_l0"]), np.sqrt(1 - np.abs(l) ** 2), rtol=1e-3)
