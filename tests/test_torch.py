"""Networks from PyTorch: the same outputs, and errors that name what cannot be streamed."""

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from streamrnn.formats import FormatError
from streamrnn.model import from_torch

VECTORS = Path(__file__).parent / "vectors"
TOLERANCE = 1e-5  # over 1000 steps


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "rnn_relu"])
def test_outputs_equal_the_recorded_ones_of_torch(name):
    tensors = load_file(VECTORS / f"torch_{name}.safetensors")
    X, Y = tensors.pop("X"), tensors.pop("Y")
    kind, _, nonlinearity = name.partition("_")
    model = from_torch(tensors, nonlinearity=nonlinearity or "tanh")
    assert type(model).__name__ == kind.upper() and model.num_layers == 2
    np.testing.assert_allclose(model.run(X), Y, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("GRU", {}), ("LSTM", {})],
    ids=["RNN", "RNN relu", "GRU", "LSTM"],
)
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("readout", [None, True, False])
def test_outputs_equal_torch_where_it_is_installed(kind, options, num_layers, bias, readout):
    torch = pytest.importorskip("torch", reason="torch is not installed; recorded vectors are used")
    torch.manual_seed(1)
    cell = getattr(torch.nn, kind)(5, 48, num_layers=num_layers, bias=bias, **options)
    parts = {"cell": cell}
    if readout is not None:
        parts["readout"] = torch.nn.Linear(48, 3, bias=readout)
    X = torch.randn(1000, 5)
    with torch.no_grad():
        Y = cell(X)[0] if readout is None else parts["readout"](cell(X)[0])
    state_dict = torch.nn.ModuleDict(parts).state_dict()
    model = from_torch(state_dict, **options)
    np.testing.assert_allclose(model.run(X.numpy()), Y.numpy(), rtol=0, atol=TOLERANCE)


def test_a_nonlinearity_that_the_module_cannot_have_is_refused():
    with pytest.raises(ValueError, match=re.escape("nonlinearity is 'gelu', expected 'tanh' or")):
        from_torch(
            {"weight_ih_l0": np.ones((4, 2)), "weight_hh_l0": np.eye(4)}, nonlinearity="gelu"
        )
    with pytest.raises(
        ValueError, match=re.escape("nonlinearity is 'relu', but the state_dict is")
    ):
        from_torch(lstm(), nonlinearity="relu")


def lstm(H=4, I=2, **more):
    return {"weight_ih_l0": np.ones((4 * H, I)), "weight_hh_l0": np.ones((4 * H, H)), **more}


@pytest.mark.parametrize(
    ("state_dict", "text"),
    [
        ([1, 2], "state_dict is of type list, expected a mapping of names to tensors"),
        ({}, "expected one recurrent module with weight_ih_l0 and weight_hh_l0, found nothing"),
        (
            {"conv.weight": np.ones((3, 3))},
            "found conv.weight; taken are nn.RNN, nn.GRU or nn.LSTM",
        ),
        (
            lstm(weight_ih_l0_reverse=np.ones(3)),
            "weight_ih_l0_reverse: a bidirectional layer needs",
        ),
        (lstm(weight_hr_l0=np.ones(3)), "weight_hr_l0: proj_size is not supported"),
        (
            lstm() | {"weight_hh_l0": np.ones((20, 4))},
            "weight_hh_l0 has shape (20, 4), expected (H,",
        ),
        (lstm() | {"weight_hh_l0": np.ones(16)}, "weight_hh_l0 (16,), expected two matrices"),
        (lstm(bias_ih_l0=np.ones(16)), "bias_hh_l0: missing, or there for some layers only"),
        (
            lstm(weight_ih_l1=np.ones((16, 4))),
            "weight_hh_l1: missing, or there for some layers only",
        ),
        (lstm() | {"a.weight": 1, "b.weight": 2}, "cannot place a.weight, b.weight; taken are"),
        (
            lstm() | {"fc.weight": np.ones((2, 5))},
            "fc.weight has shape (2, 5), expected (outputs, 4)",
        ),
        (
            lstm() | {"fc.weight": np.ones((2, 4)), "fc.bias": np.ones(3)},
            "fc.bias has shape (3,), expected (2,)",
        ),
        (lstm() | {"weight_ih_l0": "text"}, "weight_ih_l0: expected a tensor of numbers, got str"),
        (
            lstm() | {"weight_ih_l0": np.ones((15, 2))},
            "weight_ih_l0 has shape (15, 2), expected (16",
        ),
        (lstm() | {"weight_ih_l0": np.full((16, 2), np.nan)}, "weight_ih_l0 holds NaN or infinite"),
    ],
)
def test_what_cannot_be_streamed_is_refused(state_dict, text):
    with pytest.raises(FormatError, match=re.escape(text)):
        from_torch(state_dict)
