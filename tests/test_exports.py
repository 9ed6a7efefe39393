"""ONNX files as torch's exporters and tf2onnx write them: the same outputs, or refused by name."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from streamrnn.formats import FormatError
from streamrnn.trained import from_onnx
from tests.optional import need
from tests.test_onnx import GATES, answer, cell, ends, graph, samples

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


def test_loops_are_the_cells_that_keras_had():
    layers = from_onnx(VECTORS / "tf_gru_loops.onnx").layers
    assert [(layer.kind, layer.options) for layer in layers] == [
        ("GRU", {"reset_after": True}),
        ("GRU", {"reset_after": True, "activations": [["sigmoid"], ["relu"]]}),
        (
            "GRU",
            {
                "reset_after": False,
                "activations": [["hard_sigmoid", np.float32(0.2), 0.5], ["tanh"]],
            },
        ),
        ("Linear", {}),
    ]


def test_a_loop_that_is_no_cell_is_refused():
    model = onnx.load(VECTORS / "tf_before.onnx")
    of_gru(model, "Tanh:0").op_type = "Sin"
    with pytest.raises(
        FormatError,
        match=re.escape(
            "the ONNX model: node sequential_6/gru_2/while_loop (Loop): is a loop over single "
            "operators, of which those of an RNN and a GRU alone are known, f(x_t W + h R + b) and "
            "z h + (1 - z) n over all steps; read the network from the file of the library that "
            "trained it: from_keras takes .keras"
        ),
    ):
        from_onnx(model)


def body(model, n=0):
    """The nodes inside the first Loop, or the n-th, by their kind."""
    loop = [node for node in model.graph.node if node.op_type == "Loop"][n]
    (graph,) = (a.g for a in loop.attribute if a.name == "body")
    return loop, graph, {node.op_type: node for node in graph.node}


def other_operator(model):
    body(model)[2]["Tanh"].op_type = "Sin"


def subtracted(model):
    for node in body(model)[1].node:
        if node.op_type == "Add" and "cell" in node.name:
            node.op_type = "Sub"


def twice_the_state(model):
    _, _, nodes = body(model)
    nodes["Gather"].op_type = "Mul"


def from_the_second_step_on(model):
    loop, _, _ = body(model)
    (start,) = (t for t in model.graph.initializer if t.name == loop.input[2])
    start.CopyFrom(onnx.numpy_helper.from_array(np.array(1, np.int32), start.name))


def until_another_count(model):
    _, graph, nodes = body(model)
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(7, np.float32), "seven"))
    nodes["Less"].input[1] = "seven"


def of_itself(model):
    nodes = body(model)[2]
    nodes["Identity"].input[0] = nodes["Identity"].output[0]


def with_more_terms(model):
    _, graph, nodes = body(model)
    for n in range(12):
        name = nodes["Tanh"].input[0]
        add = onnx.helper.make_node("Add", [name, name], [f"more{n}"])
        graph.node.insert(list(graph.node).index(nodes["Tanh"]), add)
        nodes["Tanh"].input[0] = f"more{n}"


CHANGES = [other_operator, subtracted, twice_the_state, from_the_second_step_on]
CHANGES += [until_another_count, of_itself, with_more_terms]


def of_gru(model, end, n=0):
    """The node of a loop's cell whose output it is."""
    (node,) = (o for o in body(model, n)[1].node if o.output[0].endswith(f"/gru_cell/{end}"))
    return node


def another_number(model, name, number, n=0):
    graph = body(model, n)[1]
    (tensor,) = (t for t in graph.initializer if t.name.endswith(name))
    dtype = onnx.numpy_helper.to_array(tensor).dtype
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(number, dtype), tensor.name))


def another_gate_function(model):
    of_gru(model, "Sigmoid_1:0").op_type = "Tanh"


def two_less_z(model):
    another_number(model, "gru_cell/sub/x:0", 2)


def z_less_one(model):
    sub = of_gru(model, "sub:0")
    sub.input[0], sub.input[1] = sub.input[1], sub.input[0]


def one_less_r(model):
    of_gru(model, "sub:0").input[1] = of_gru(model, "Sigmoid_1:0").output[0]


def keeping_by_r(model):
    of_gru(model, "mul_1:0").input[0] = of_gru(model, "Sigmoid_1:0").output[0]


def parts_taken_from_one_another(model):
    next(o for o in body(model)[1].node if o.output[0].endswith("Identity_4:0")).op_type = "Sub"


def a_part_added_twice(model):
    of_gru(model, "add_2:0").input[1] = of_gru(model, "add_2:0").input[0]


def a_gate_of_x_alone(model):
    of_gru(model, "Sigmoid:0").input[0] = of_gru(model, "split:0").output[0]


def reset_added(model):
    of_gru(model, "mul:0").op_type = "Add"


def split_along_the_batch(model):
    (axis,) = of_gru(model, "split:0").attribute
    axis.i = 0


def split_unevenly(model):
    another_number(model, "split__1583", [6, 5, 1])


def split_into_too_many(model):
    another_number(model, "split__1583", [6, 6, 6])


def other_columns(model):
    another_number(model, "const_starts__1577", [0, 11])


def x_of_another_step(model):
    gather = body(model)[2]["Gather"]
    gather.input[1] = body(model)[1].initializer[2].name  # the constant 1 of the counter
    assert gather.input[1].endswith("while/add/y:0")


def reset_of_x(model):
    of_gru(model, "mul:0").input[1] = of_gru(model, "split:0").output[2]


def clipped_at_two(model):
    another_number(model, "clip_by_value/Minimum/y:0", 2, 2)


def gates_of_two_slopes(model):
    another_number(model, "gru_cell/Const_1:0", 0.3, 2)


GRU_CHANGES = [another_gate_function, two_less_z, z_less_one, one_less_r, keeping_by_r]
GRU_CHANGES += [parts_taken_from_one_another, a_part_added_twice, a_gate_of_x_alone, reset_added]
GRU_CHANGES += [split_along_the_batch, split_unevenly, split_into_too_many, other_columns]
GRU_CHANGES += [x_of_another_step]


@pytest.mark.parametrize(
    ("name", "change"),
    [("simple", change) for change in CHANGES]
    + [("before", change) for change in GRU_CHANGES]
    + [("gru_loops", change) for change in (reset_of_x, clipped_at_two, gates_of_two_slopes)],
    ids=lambda it: getattr(it, "__name__", it),
)
def test_a_loop_that_differs_from_a_cell_is_refused(name, change):
    model = onnx.load(VECTORS / f"tf_{name}.onnx")
    from_onnx(model)
    change(model)
    with pytest.raises(
        FormatError,
        match=r"\(Loop\): (is a loop over|its body reads a value|its inputs do not fit|R has shape)"
        r"|\(Split\): splits \d+ columns into parts of",
    ):
        from_onnx(model)


def test_each_gate_of_a_loop_has_the_columns_that_it_reads():
    """With r and z exchanged it is another GRU, and so are the weights."""
    model, X = onnx.load(VECTORS / "tf_before.onnx"), samples()
    for at in (0, 1):
        z, r = of_gru(model, "add:0"), of_gru(model, "add_1:0")
        z.input[at], r.input[at] = r.input[at], z.input[at]
    Y = answer(model, X)
    assert np.abs(from_onnx(VECTORS / "tf_before.onnx").run(X) - Y).max() > 0.1
    np.testing.assert_allclose(from_onnx(model).run(X), Y, rtol=0, atol=TOLERANCE)


def step(model, n, kind="Tanh"):
    return [node for node in model.graph.node if node.op_type == kind][n]


def another_matrix(model):
    product = [n for n in model.graph.node if n.op_type == "MatMul" and "val" in n.input[1]][3]
    (R,) = (t for t in model.graph.initializer if t.name == product.input[1])
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(R) * 2, "doubled")
    )
    product.input[1] = "doubled"


def a_step_added_twice(model):
    """The sum of the third step takes its part of x W + b once more."""
    at = list(model.graph.node).index(step(model, 2))
    (sum_,) = (n for n in model.graph.node if n.output[0] == step(model, 2).input[0])
    part = next(n for n in sum_.input if n.startswith("getitem"))
    more = onnx.helper.make_node("Add", [sum_.output[0], part], ["more"])
    step(model, 2).input[0] = "more"
    model.graph.node.insert(at, more)


def reading_nothing(model):
    del step(model, 2).input[:]


def another_function(model):
    step(model, 2).op_type = "Relu"


def another_order(model):
    joined = step(model, 0, "Concat")
    assert len(joined.input) == 8
    joined.input[2], joined.input[3] = joined.input[3], joined.input[2]


def a_step_left_out(model):
    joined = step(model, 0, "Concat")
    del joined.input[-1]


def over_more_steps(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 9


@pytest.mark.parametrize(
    "change",
    [
        another_matrix,
        a_step_added_twice,
        reading_nothing,
        another_function,
        another_order,
        a_step_left_out,
        over_more_steps,
    ],
    ids=lambda change: change.__name__,
)
def test_steps_that_differ_from_one_another_are_refused(change):
    model = onnx.load(VECTORS / "export_new_rnn.onnx")
    change(model)
    with pytest.raises(FormatError, match="of an axis of size|sequence_lens are|does not fit"):
        from_onnx(model)
