"""ONNX files as torch's exporters and tf2onnx write them: the same outputs, or refused by name."""

import io
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from streamrnn.formats import FormatError
from streamrnn.trained import from_onnx
from tests.onnx_models import GATES, answer, cell, ends, graph, samples
from tests.optional import need
from tests.test_torch import ACTIVATIONS

onnx = need("onnx", "reading ONNX")
VECTORS = Path(__file__).parent / "vectors"
TOLERANCE = 1e-5  # over 1000 steps


def exported(torch, kind, layers, ways, end, new, opset=None, batch_first=True, **options):
    """A file of either exporter, its module and x (batch, time, columns), or time first."""
    torch.manual_seed(0)
    nn = torch.nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            both, cell = ways == 2, getattr(nn, kind)
            self.cell = cell(3, 8, layers, batch_first=batch_first, bidirectional=both, **options)
            self.head = nn.Sequential(nn.Linear(8 * ways, 5), nn.ReLU(), nn.Linear(5, 2))

        def forward(self, x):
            y, h = self.cell(x)
            h = h[0] if isinstance(h, tuple) else h
            if end == "h":
                y = h[-1] if ways == 1 else torch.cat((h[-2], h[-1]), 1)
            if end == "last":
                y = y[:, -1] if batch_first else y[-1]
            return self.head(y)

    module, file = Network().eval(), io.BytesIO()
    x = torch.randn(*((1, 30, 3) if batch_first else (30, 1, 3)))
    named = {"input_names": ["x"], "opset_version": opset}
    if new:
        x = x[:, :8] if batch_first else x[:8]  # an nn.RNN is written out step by step
        torch.onnx.export(module, (x,), dynamo=True, verbose=False, **named).save(file)
    else:
        axes = {"x": {0: "batch", 1: "time"} if batch_first else {0: "time", 1: "batch"}}
        torch.onnx.export(module, (x,), file, dynamo=False, dynamic_axes=axes, **named)
    return file.getvalue(), module, x


def equal(torch, file, module, x):
    with torch.no_grad():
        Y = module(x).numpy().reshape(-1, 2)
    y = from_onnx(file).run(x.numpy().reshape(-1, 3))[-len(Y) :]
    np.testing.assert_allclose(y, Y, rtol=0, atol=TOLERANCE)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed; recorded files are read")


@pytest.mark.filterwarnings("ignore")  # of the exporters
@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("ways", [1, 2])
@pytest.mark.parametrize("end", ["all", "last", "h"])
def test_exports_of_torch_equal_torch(torch, kind, layers, ways, end):
    equal(torch, *exported(torch, kind, layers, ways, end, new=False))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize(("ways", "end"), [(1, "last"), (1, "h"), (2, "all"), (2, "h")])
def test_exports_of_the_new_exporter_equal_torch(torch, kind, ways, end):
    pytest.importorskip("onnxscript", reason="torch's new exporter needs onnxscript")
    equal(torch, *exported(torch, kind, 2, ways, end, new=True))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("opset", [9, 11, 13, 15, 17, 20])
def test_exports_of_any_opset_equal_torch(torch, kind, opset):
    equal(torch, *exported(torch, kind, 2, 2, "all", False, opset, batch_first=False, bias=False))


# activations


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("new", "opset"), [(False, 13), (False, 20), (True, 18)])
def test_activations_between_layers_equal_torch(torch, activation, new, opset):
    """Some are written out as single operators, which opsets differ."""
    if new:
        pytest.importorskip("onnxscript", reason="torch's new exporter needs onnxscript")
    torch.manual_seed(0)
    first, last = torch.nn.Linear(3, 8), torch.nn.Linear(8, 2)
    module = torch.nn.Sequential(first, eval(f"torch.nn.{activation}"), last).eval()
    x, file = 9 * torch.randn(1, 50, 3), io.BytesIO()
    if new:
        torch.onnx.export(module, (x,), dynamo=True, verbose=False, opset_version=opset).save(file)
    else:
        torch.onnx.export(module, (x,), file, dynamo=False, opset_version=opset)
    network = from_onnx(file.getvalue())
    named = activation.startswith("Identity") or network.layers[1].kind == "Activation"
    assert named and len(network.layers) == (2 if activation.startswith("Identity") else 3)
    equal(torch, file.getvalue(), module, x)


WAYS = {
    "Softsign": [("Abs", ["X"], ["a"]), ("Add", ["a", "1"], ["b"]), ("Div", ["X", "b"], ["Y"])],
    "Swish": [("Sigmoid", ["X"], ["a"]), ("Mul", ["a", "X"], ["Y"])],
    "Gelu": [
        ("Div", ["X", "root"], ["a"]),
        ("Erf", ["a"], ["b"]),
        ("Add", ["b", "1"], ["c"]),
        ("Mul", ["X", "c"], ["d"]),
        ("Mul", ["d", "half"], ["Y"]),
    ],
}
NUMBERS = {"1": 1.0, "2": 2.0, "half": 0.5, "root": 2**0.5}


def ways(nodes):
    """What they make of X, which is three columns times a matrix."""
    arrays = {name: np.array(number, np.float32) for name, number in NUMBERS.items()}
    arrays |= {"M": ends(3, 3)["M"]}
    nodes = [("MatMul", ["raw", "M"], ["X"]), *nodes]
    return graph([(*node, {}) for node in nodes], arrays, [("raw", ["T", 1, 3])])


@pytest.mark.parametrize("name", WAYS)
def test_an_activation_written_out_is_one_layer(name):
    X = 9 * samples()
    _, layer = from_onnx(ways(WAYS[name])).layers
    assert layer.options == {"function": {"Swish": "silu"}.get(name, name.lower())}
    Y = answer(ways(WAYS[name]), X)
    np.testing.assert_allclose(from_onnx(ways(WAYS[name])).run(X), Y, rtol=1e-6, atol=TOLERANCE)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("number", ["1", "half", "root"])
def test_ways_that_join_to_something_else_are_refused(name, number):
    nodes = [(op, ["2" if n == number else n for n in given], out) for op, given, out in WAYS[name]]
    if nodes == WAYS[name]:
        nodes[0] = ("Tanh", *nodes[0][1:]) if len(nodes[0][1]) == 1 else ("Sub", *nodes[0][1:])
    with pytest.raises(FormatError, match="joins two ways|cannot be streamed|expected what"):
        from_onnx(ways(nodes))


# two directions


def test_directions_that_are_split_and_joined_are_one_layer():
    """As tf2onnx writes a Bidirectional of Keras over whole sequences."""
    inner = cell("LSTM", direction="bidirectional", skip=("P", "initial_h", "initial_c"))
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in inner.graph.initializer}
    arrays |= {"axes": np.array([1]), "M": ends(18)["M"]}
    model = graph(
        [
            (
                "LSTM",
                ["X", "W", "R", "B"],
                ["up"],
                {"hidden_size": 9, "direction": "bidirectional"},
            ),
            ("Split", ["up"], ["there", "back"], {"axis": 1, "num_outputs": 2}),
            ("Squeeze", ["there", "axes"], ["a"], {}),
            ("Squeeze", ["back", "axes"], ["b"], {}),
            ("Concat", ["a", "b"], ["h"], {"axis": -1}),
            ("MatMul", ["h", "M"], ["Y"], {}),
        ],
        arrays,
    )
    X = samples()
    np.testing.assert_allclose(from_onnx(model).run(X), answer(model, X), rtol=0, atol=TOLERANCE)


def directions(last="", flipped=False):
    """A forward GRU and one of the way back, as nodes of their own, side by side."""
    there, back = cell("GRU", seed=1, skip=("initial_h",)), cell("GRU", seed=2)
    arrays = {f"{t.name}1": onnx.numpy_helper.to_array(t) for t in there.graph.initializer}
    arrays |= {f"{t.name}2": onnx.numpy_helper.to_array(t) for t in back.graph.initializer}
    arrays |= {"axis": np.array([1]), "M": ends(18)["M"], "0": np.array([0]), "1": np.array([1])}
    arrays |= {"-1": np.array([-1]), "-9": np.array([-(2**63)]), "end": np.array([2**63 - 1])}
    turned, way = ("R", {}) if flipped else ("X", {"direction": "reverse"})
    nodes = [
        ("Slice", ["X", "-1", "-9", "0", "-1"], ["R"], {}),
        ("GRU", ["X", "W1", "R1", "B1"], ["up"], {"hidden_size": 9}),
        ("GRU", [turned, "W2", "R2", "B2", "", "initial_h2"], ["down"], {"hidden_size": 9, **way}),
        ("Squeeze", ["up", "axis"], ["a"], {}),
        ("Squeeze", ["down", "axis"], ["b"], {}),
    ]
    if flipped and not last:
        nodes.append(("Slice", ["b", "-1", "-9", "0", "-1"], ["bb"], {}))
    elif last:  # of the way back the end is the first step
        first = ("-1", "end") if flipped else ("0", "1")
        nodes.append(("Slice", ["a", "-1", "end", "0"], ["aa"], {}))
        nodes.append(("Slice", ["b", *first, "0"], ["bb"], {}))
    names = ["aa" if last else "a", "bb" if last or flipped else "b"]
    nodes += [("Concat", names, ["h"], {"axis": -1}), ("MatMul", ["h", "M"], ["Y"], {})]
    return graph(nodes, arrays)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_directions_of_two_nodes_are_one_layer(last, flipped):
    model, X = directions(last, flipped), samples()
    network = from_onnx(model)
    assert [layer.kind for layer in network.layers] == ["GRU", "Linear"]
    assert network.layers[0].options["direction"] == "bidirectional"
    Y = answer(model, X)
    np.testing.assert_allclose(network.run(X)[-len(Y) :], Y, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("way", [0, 1])
def test_one_direction_alone_is_a_layer_of_that_direction(way):
    inner = cell("LSTM", direction="bidirectional", skip=("P",))
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in inner.graph.initializer}
    inputs = ["X", "W", "R", "B", "", "initial_h", "initial_c"]
    options = {"hidden_size": 9, "direction": "bidirectional"}
    model = graph(
        [
            ("LSTM", inputs, ["up"], options),
            ("Gather", ["up", "way"], ["h"], {"axis": 1}),
            ("Identity", ["h"], ["Y"], {}),
        ],
        arrays | {"way": np.array(way)},
    )
    network, X = from_onnx(model), samples()
    assert type(network).__name__ == ("Sequential" if way == 0 else "Bidirectional")
    np.testing.assert_allclose(network.run(X), answer(model, X), rtol=0, atol=TOLERANCE)


def test_steps_from_the_last_to_the_first_are_refused():
    model = directions(flipped=True)
    del model.graph.node[-2:]
    model.graph.output[0].name = "b"
    with pytest.raises(FormatError, match="b: gives its steps from the last to the first"):
        from_onnx(model)


# recorded files


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.onnx")), ids=lambda path: path.stem)
def test_recorded_files_give_the_recorded_outputs(path):
    recorded = load_file(path.with_suffix(".safetensors"))
    Y = from_onnx(path).run(recorded["X"])[-len(recorded["Y"]) :]
    np.testing.assert_allclose(Y, recorded["Y"], rtol=0, atol=TOLERANCE)
