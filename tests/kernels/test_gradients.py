"""Gradients of every cell: against differences of a float64 forward pass, and against torch's."""

from types import SimpleNamespace

import numpy as np
import pytest

import streamrnn as srnn
from streamrnn.kernels.network import padded
from streamrnn.kernels.training import loss
from streamrnn.training import bptt, layers
from tests import naive

T, B = 6, 7
TOLERANCE = 1e-5  # of a parameter's largest gradient


def mean_squared_error(model, x, target):
    """The gradient by name, and the loss, of a fresh model's outputs over x (T, B, ...)."""
    network = bptt.Network(model)
    part = bptt.Part(network, T + 3, B)  # longer than the chunk
    network.pack(model.parameters)
    if not model.tokens:
        x = np.concatenate([x, np.zeros((T, B, padded(x.shape[2]) - x.shape[2]))], axis=2)
        x = np.ascontiguousarray(x, np.float32)
    chunk = bptt.Chunk(x, target.astype(np.float32), np.ones((T, B), np.float32))
    total = part.run(chunk, loss.squared_error, 1 / (T * B))
    return total / (T * B), part.g


def in_float64(model, parameters, x, target):
    """The same loss by naive.py, of parameters that float32 cannot hold."""
    kind = type(type(model).__name__, (SimpleNamespace,), {})
    names = ("config", "hidden_size", "num_layers", "tokens", "input_size", "output_size")
    twin = kind(**{name: getattr(model, name) for name in names}, scaling=model.scaling)
    twin.parameters = parameters
    errors = [naive.run(twin, x[:, b]) - target[:, b] for b in range(B)]
    return float((np.array(errors) ** 2).sum() / (T * B))


@pytest.mark.parametrize("make", naive.MODELS, ids=lambda make: str(make(1, 1))[:70])
@pytest.mark.parametrize(
    ("num_layers", "output_size", "bias", "tokens"),
    [(2, 3, True, False), (1, None, False, False), (2, 17, True, True)],
)
def test_gradients_equal_differences_in_float64(
    make, num_layers, output_size, bias, tokens, monkeypatch
):
    monkeypatch.setattr(layers, "BLOCK", 2 * B * 48)  # blocks of some steps, or of a single one
    generator = np.random.default_rng(0)
    model = make(4, 17, output_size, num_layers=num_layers, bias=bias, tokens=tokens)
    x = generator.integers(-1, 4, (T, B)) if tokens else generator.normal(size=(T, B, 4))
    target = generator.normal(size=(T, B, model.outputs))
    value, g = mean_squared_error(model, x, target)
    p = {name: array.astype(float) for name, array in model.parameters.items()}
    assert value == pytest.approx(in_float64(model, p, x, target), rel=1e-6)
    h = 1e-5  # the differences are exact to about h^2
    for name, array in p.items():
        numbers = array.reshape(-1)
        for i in generator.choice(numbers.size, min(numbers.size, 4), replace=False):
            before = numbers[i]
            numbers[i] = before + h
            above = in_float64(model, p, x, target)
            numbers[i] = before - h
            slope = (above - in_float64(model, p, x, target)) / (2 * h)
            numbers[i] = before
            error = abs(slope - g[name].reshape(-1)[i])
            assert error <= TOLERANCE * np.abs(g[name]).max(), name


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("layers", [1, 3])
def test_gradients_equal_those_of_torch(kind, layers):
    torch = pytest.importorskip("torch", reason="torch is not installed; differences are tested")
    torch.manual_seed(0)
    cell, readout = getattr(torch.nn, kind)(5, 40, num_layers=layers), torch.nn.Linear(40, 3)
    x, target = torch.randn(T, B, 5), torch.randn(T, B, 3)
    expected = 3 * torch.nn.functional.mse_loss(readout(cell(x)[0]), target)
    expected.backward()
    modules = torch.nn.ModuleDict({"cell": cell, "readout": readout})
    model = srnn.from_torch(modules.state_dict())
    value, g = mean_squared_error(model, x.numpy(), target.numpy())
    assert value == pytest.approx(expected.item(), rel=1e-6)
    for name, parameter in (*cell.named_parameters(), *readout.named_parameters()):
        own = {"weight": "weight_ho", "bias": "bias_o"}.get(name, name)
        gradient = parameter.grad.numpy()
        np.testing.assert_allclose(g[own], gradient, rtol=0, atol=TOLERANCE * abs(gradient).max())


def test_a_chunk_goes_on_where_the_one_before_ended():
    generator = np.random.default_rng(0)
    for make in naive.MODELS:
        model = make(2, 5, 3, num_layers=2)
        network = bptt.Network(model)
        network.pack(model.parameters)
        part = bptt.Part(network, 4, 2)
        x = np.zeros((9, 2, padded(2)), np.float32)
        x[:, :, :2] = generator.normal(size=(9, 2, 2))
        Y = []
        for chunk in (x[:4], x[4:5], x[5:]):
            Y.append(part.forward(chunk).copy())
            part.carry(len(chunk))
        for b in range(2):
            model.reset()
            expected = model.run(x[:, b, :2])
            got = np.concatenate(Y)[:, b, :3]
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
