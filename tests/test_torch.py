"""Networks from PyTorch: the same outputs, and errors that name what cannot be streamed."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from streamrnn.formats import FormatError
from streamrnn.trained import from_torch

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
@pytest.mark.parametrize("num_layers", [1, 2, 3])
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


LINES = ["projected", "bidirectional", "activations", "embedding", "deep"]
LINES += ["bare_bidirectional", "cells", "bare_cells"]


@pytest.mark.parametrize("name", LINES)
def test_lines_of_modules_equal_the_recorded_ones(name, tmp_path):
    with safe_open(VECTORS / f"torch_{name}.safetensors", "numpy") as file:
        forward = file.metadata()["forward"].split()
    tensors = load_file(VECTORS / f"torch_{name}.safetensors")
    X, Y = tensors.pop("X"), tensors.pop("Y")
    model = from_torch(tensors, forward=forward)
    np.testing.assert_allclose(model.run(X), Y, rtol=0, atol=TOLERANCE)
    save_file(tensors, tmp_path / "weights.safetensors")
    again = from_torch(tmp_path / "weights.safetensors", forward=forward)
    assert again.run(X).tobytes() == from_torch(tensors, forward=forward).run(X).tobytes()


class Last:
    """Makes a module that keeps y of what nn.LSTM returns, for nn.Sequential."""

    def __new__(cls, torch):
        kind = type("Last", (torch.nn.Module,), {"forward": lambda self, x: x[0]})
        return kind()


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch", reason="torch is not installed; recorded vectors are used")
    torch.manual_seed(1)
    return torch


def equal(torch, module, model, K=5, tokens=0):
    X = torch.randint(0, tokens, (1000,)) if tokens else torch.randn(1000, K)
    with torch.no_grad():
        Y = module(X)
    Y = Y[0] if isinstance(Y, tuple) else Y
    np.testing.assert_allclose(model.run(X.numpy()), Y.numpy(), rtol=0, atol=TOLERANCE)


ACTIVATIONS = [
    "ReLU()",
    "Tanh()",
    "Sigmoid()",
    "Softmax(-1)",
    "LogSoftmax(-1)",
    "LeakyReLU(0.3)",
    "ELU(0.7)",
    "SELU()",
    "Softplus()",
    "Softsign()",
    "GELU()",
    "GELU('tanh')",
    "SiLU()",
    "Hardtanh(-0.1, 0.2)",
    "ReLU6()",
    "Hardsigmoid()",
    "Hardswish()",
    "Identity()",
]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_a_sequential_equal_torch(torch, activation):
    nn = torch.nn
    made = eval(f"nn.{activation}", {"nn": nn})
    module = nn.Sequential(nn.Linear(5, 8), made, nn.Linear(8, 3), nn.Dropout(0.5)).eval()
    equal(torch, module, from_torch(module))


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("tokens", [0, 11], ids=["linear", "embedding"])
def test_a_sequential_of_cells_and_other_layers_equals_torch(torch, kind, tokens):
    nn = torch.nn
    first = [nn.Embedding(tokens, 8)] if tokens else [nn.Linear(5, 8), nn.ReLU()]
    cells = nn.Sequential(getattr(nn, kind)(8, 20, num_layers=2), Last(torch))
    module = nn.Sequential(*first, cells, nn.Linear(20, 6), nn.Tanh())
    model = from_torch(module)
    assert type(model).__name__ == "Sequential"
    equal(torch, module, model, tokens=tokens)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_projections_equal_torch(torch, num_layers, bias, bidirectional):
    lstm = torch.nn.LSTM(5, 24, num_layers, bias, bidirectional=bidirectional, proj_size=7)
    equal(torch, lstm, from_torch(lstm.state_dict()))


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_both_directions_equal_torch_in_run_and_in_windows(torch, kind, num_layers, bias):
    module = getattr(torch.nn, kind)(5, 20, num_layers, bias=bias, bidirectional=True)
    model = from_torch(module)
    equal(torch, module, model)
    X = torch.randn(40, 5)
    Y = model.windowed(8).run(X.numpy())
    with torch.no_grad():
        expected = [module(X[max(0, t - 7) : t + 1])[0][-1].numpy() for t in range(40)]
    np.testing.assert_allclose(Y, expected, rtol=0, atol=TOLERANCE)
    with pytest.raises(FormatError, match=f"{kind.lower()}.*: a bidirectional layer needs the end"):
        model.step(X[0].numpy())


@pytest.mark.parametrize(
    ("kind", "options"),
    [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("GRUCell", {}), ("LSTMCell", {})],
    ids=["RNNCell", "RNNCell relu", "GRUCell", "LSTMCell"],
)
@pytest.mark.parametrize("bias", [True, False])
def test_single_cells_equal_the_stacked_ones(torch, kind, options, bias):
    cell = getattr(torch.nn, kind)(5, 12, bias=bias, **options)
    stacked = getattr(torch.nn, kind.removesuffix("Cell"))(5, 12, bias=bias, **options)
    stacked.load_state_dict({f"{name}_l0": p for name, p in cell.state_dict().items()})
    equal(torch, stacked, from_torch(cell))
    equal(torch, stacked, from_torch(cell.state_dict(), **options))


@pytest.mark.parametrize("bidirectional", [True, False])
def test_relu_is_known_of_a_module_and_told_of_a_state_dict(torch, bidirectional):
    module = torch.nn.RNN(5, 12, nonlinearity="relu", bidirectional=bidirectional)
    equal(torch, module, from_torch(module))
    equal(torch, module, from_torch(module.state_dict(), nonlinearity="relu"))


class Forecaster:
    """Makes a module of one's own: two linear layers, and relu called by forward alone."""

    def __new__(cls, torch):
        nn = torch.nn

        def forward(self, x):
            return self.fc2(torch.relu(self.fc1(self.lstm(self.embedding(x))[0])))

        module = type("Forecaster", (nn.Module,), {"forward": forward})()
        module.embedding, module.lstm = nn.Embedding(11, 6), nn.LSTM(6, 16)
        module.fc1, module.fc2 = nn.Linear(16, 8), nn.Linear(8, 2)
        return module


def test_a_module_of_ones_own_goes_by_the_order_that_is_told(torch):
    module = Forecaster(torch)
    forward = ["embedding", "lstm", "fc1", "relu", "dropout", "fc2"]
    for source in (module, module.state_dict()):
        equal(torch, module, from_torch(source, forward=forward), tokens=11)
        with pytest.raises(
            FormatError,
            match=re.escape(
                "embedding, lstm, fc1, fc2: in what order forward calls these, and what "
                "activations lie between, is not in the weights; say it: from_torch(..., "
                "forward=['embedding', 'lstm', 'fc1', 'relu', 'fc2']), or --forward embedding,lstm,"
                "fc1,relu,fc2 of streamrnn inspect and convert"
            ),
        ):
            from_torch(source)


@pytest.mark.parametrize("wrap", [dict, lambda s: {"epoch": 3, "model_state_dict": s}])
def test_a_pt_file_is_read_without_running_it(torch, tmp_path, wrap):
    module = torch.nn.GRU(5, 12, num_layers=2)
    torch.save(wrap(module.state_dict()), tmp_path / "weights.pt")
    equal(torch, module, from_torch(tmp_path / "weights.pt"))
    equal(torch, module, from_torch(str(tmp_path / "weights.pt")))


def test_a_sequential_in_a_safetensors_file_keeps_its_order(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {f"{n}.weight": rng.normal(size=(4, 4)) for n in (0, 1, 10, 11, *range(3, 10))}
    tensors |= {"2.weight_ih_l0": np.eye(4), "2.weight_hh_l0": np.eye(4)}
    save_file(tensors, tmp_path / "weights.safetensors")
    for _ in range(5):  # the library gives tensors in another order each time
        layers = from_torch(tmp_path / "weights.safetensors").layers
        assert [layer.name for layer in layers] == [str(n) for n in range(12)]


class Trap:
    def __reduce__(self):
        return (Path.touch, (Path("sprung"),))


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_pt_file_that_carries_code_is_refused(torch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Trap()}, "trap.pt")
    torch.save(torch.nn.GRU(2, 3), "module.pt")
    traced = torch.jit.trace(torch.nn.Linear(2, 3), torch.ones(2))
    torch.jit.save(traced, "program.pt")
    held = {"trap": "", "module": "torch.nn.modules.rnn.GRU", "program": "TorchScript"}
    for name, code in held.items():
        with pytest.raises(FormatError) as raised:
            from_torch(f"{name}.pt")
        text = re.escape(f"{name}.pt: expected tensors by name, as torch.save(module.state_dict()")
        text += rf", path\) writes them, found {code}\S*, which is code and is not run; where you "
        text += "trust it, load it with torch and save its state_dict"
        assert re.fullmatch(text, str(raised.value))
    assert not Path("sprung").exists()


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\3\4" + bytes(100)])
def test_a_file_of_something_else_is_refused(torch, tmp_path, content):
    found = "expected tensors by name, as torch.save(module.state_dict(), path) writes them, found"
    for name, text in (("w.pt", f"{found} no whole file ("), ("w.safetensors", "not a whole")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match=re.escape(f"{tmp_path / name}: {text}")):
            from_torch(tmp_path / name)
        with pytest.raises(FileNotFoundError):
            from_torch(tmp_path / f"absent_{name}")


def test_a_pt_file_without_torch_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="needs torch: pip install torch; or save the weights as"):
        from_torch(tmp_path / "weights.pt")


def test_bfloat16_is_read(torch, tmp_path):
    module = torch.nn.GRU(2, 3).bfloat16()
    torch_save = pytest.importorskip("safetensors.torch").save_file
    torch_save(module.state_dict(), tmp_path / "w.safetensors")
    model = from_torch(tmp_path / "w.safetensors")
    expected = module.state_dict()["weight_ih_l0"].float().numpy()
    assert model.parameters["weight_ih_l0"].tobytes() == expected.tobytes()


def test_scaling_goes_into_the_model():
    tensors = {"fc.weight": np.ones((1, 4))} | lstm()
    model = from_torch(tensors, mean=[1, 2], std=[3, 4], out_mean=5, out_std=6)
    np.testing.assert_array_equal(model.scaling["mean"], [1, 2])
    np.testing.assert_array_equal(model.scaling["out_std"], [6])


@pytest.mark.parametrize("nonlinearity", ["gelu"])
def test_a_nonlinearity_that_the_module_cannot_have_is_refused(nonlinearity):
    with pytest.raises(ValueError, match="nonlinearity is 'gelu', expected 'tanh' or 'relu'"):
        from_torch(lstm(), nonlinearity=nonlinearity)
    with pytest.raises(ValueError, match="nonlinearity is 'relu', but rnn is an nn.LSTM: only an"):
        from_torch({f"rnn.{k}": a for k, a in lstm().items()}, nonlinearity="relu")


def lstm(H=4, I=2, **more):
    return {"weight_ih_l0": np.ones((4 * H, I)), "weight_hh_l0": np.ones((4 * H, H)), **more}


@pytest.mark.parametrize(
    ("state_dict", "text"),
    [
        ([1, 2], "state_dict is of type list, expected a mapping of names to tensors"),
        (
            {},
            "expected a recurrent module, with weight_ih_l0 and weight_hh_l0, found nothing; taken",
        ),
        (
            {"conv.weight": np.ones((3, 3, 3))},
            "conv: cannot place weight; taken are nn.RNN, nn.GRU",
        ),
        (
            {"fc.weight": np.ones((3, 3))},
            "weight_hh_l0, found fc; taken are nn.RNN, nn.GRU, nn.LSTM",
        ),
        (
            lstm() | {"norm.weight": np.ones(4)},
            "norm: cannot place weight; taken are nn.RNN, nn.GRU",
        ),
        (lstm(tau=np.ones(3)), "cannot place rnn.tau; taken are nn.RNN, nn.GRU, nn.LSTM and their"),
        (
            lstm() | {"weight_hh_l0": np.ones((20, 4))},
            "rnn.weight_hh_l0 has shape (20, 4), expected (H, H) for nn.RNN, (3H, H) for nn.GRU",
        ),
        (lstm() | {"weight_hh_l0": np.ones(16)}, "weight_hh_l0 has shape (16,), expected a matrix"),
        (
            {"weight_hh_l0": np.ones((16, 4))},
            "expected a recurrent module with rnn.weight_ih_l0 and rnn.weight_hh_l0, found weight",
        ),
        (lstm(bias_ih_l0=np.ones(16)), "bias_hh_l0: missing, or there for some layers only"),
        (
            lstm(weight_ih_l1=np.ones((16, 4))),
            "weight_hh_l1: missing, or there for some layers only",
        ),
        (
            lstm(weight_ih_l0_reverse=np.ones((16, 2))),
            "rnn: weight_hh is missing, expected a matrix",
        ),
        (
            lstm() | {"a.weight": np.ones((3, 4)), "b.weight": np.ones((2, 3))},
            "rnn, a, b: in what order forward calls these, and what activations lie between, is "
            "not in the weights; say it: from_torch(..., forward=['rnn', 'a', 'relu', 'b'])",
        ),
        (
            lstm() | {"fc.weight": np.ones((2, 5))},
            "state_dict: fc: Linear takes 5 columns, but what is below gives 4",
        ),
        (
            lstm() | {"fc.weight": np.ones((2, 4)), "fc.bias": np.ones(3)},
            "fc: bias has shape (3,), expected (2,)",
        ),
        (lstm() | {"weight_ih_l0": "text"}, "weight_ih_l0: expected a tensor of numbers, got str"),
        (
            lstm() | {"weight_ih_l0": np.ones((15, 2))},
            "rnn: weight_ih has shape (15, 2), expected (16",
        ),
        (
            lstm() | {"weight_ih_l0": np.full((16, 2), np.nan)},
            "state_dict: rnn: weight_ih holds NaN or infinite weights",
        ),
    ],
)
def test_what_cannot_be_streamed_is_refused(state_dict, text):
    with pytest.raises(FormatError, match=re.escape(text)):
        from_torch(state_dict)


@pytest.mark.parametrize(
    ("forward", "text"),
    [
        (["rnn"], "forward does not name fc, whose weights are here"),
        (
            ["rnn", "rellu", "fc"],
            "forward names 'rellu'; there are rnn, fc, and the activations relu",
        ),
        (["fc", "rnn"], "rnn: LSTM takes 2 columns, but what is below gives 3"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(forward, text):
    with pytest.raises(FormatError, match=re.escape(text)):
        from_torch(lstm() | {"fc.weight": np.ones((3, 4))}, forward=forward)
