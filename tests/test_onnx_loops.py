"""Cells that ONNX files hold as loops over single operators, or step by step: read, or refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from streamrnn.formats import FormatError
from streamrnn.trained import from_onnx
from tests.onnx_models import answer, samples
from tests.optional import need

onnx = need("onnx", "reading ONNX")
VECTORS = Path(__file__).parent / "vectors"
TOLERANCE = 1e-5  # over 1000 steps
HARD = ["hard_sigmoid", np.float32(0.2), 0.5]
AFTER, BEFORE = {"reset_after": True}, {"reset_after": False}
LAYERS = {
    "gru_loops": [
        ("GRU", AFTER),
        ("GRU", {**AFTER, "activations": [["sigmoid"], ["relu"]]}),
        ("GRU", {**BEFORE, "activations": [HARD, ["tanh"]]}),
    ],
    "dropout": [("RNN", {}), ("GRU", AFTER), ("GRU", AFTER), ("GRU", BEFORE), ("LSTM", {})],
    "bent": [
        ("RNN", {"activations": [["identity"]]}),
        ("GRU", {**AFTER, "activations": [["sigmoid"], ["silu"]]}),
        ("LSTM", {"activations": [HARD, ["identity"], ["identity"]]}),
        ("GRU", {**BEFORE, "activations": [["sigmoid"], ["identity"]]}),
        ("LSTM", {"activations": [["sigmoid"], ["silu"], ["silu"]]}),
        ("RNN", {"activations": [["silu"]]}),
    ],
}


@pytest.mark.parametrize("name", LAYERS)
def test_loops_are_the_cells_that_keras_had(name):
    layers = from_onnx(VECTORS / f"tf_{name}.onnx").layers
    assert [(layer.kind, layer.options) for layer in layers] == [*LAYERS[name], ("Linear", {})]


def test_a_loop_that_is_no_cell_is_refused():
    model = onnx.load(VECTORS / "tf_before.onnx")
    of_cell(model, "Tanh:0").op_type = "Sin"
    with pytest.raises(
        FormatError,
        match=re.escape(
            "the ONNX model: node sequential_6/gru_2/while_loop (Loop): is a loop over single "
            "operators, of which those of an RNN, a GRU and an LSTM alone are known, f(x_t W + h R "
            "+ b), z h + (1 - z) n and o tanh(f c + i g) over all steps; read the network from the "
            "file of the library that trained it: from_keras takes .keras"
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


def of_cell(model, end, n=0):
    """The node of a loop's cell whose output it is."""
    (node,) = (o for o in body(model, n)[1].node if o.output[0].endswith(f"_cell/{end}"))
    return node


def another_number(model, name, number, n=0):
    graph = body(model, n)[1]
    (tensor,) = (t for t in graph.initializer if t.name.endswith(name))
    dtype = onnx.numpy_helper.to_array(tensor).dtype
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(number, dtype), tensor.name))


def another_gate_function(model):
    of_cell(model, "Sigmoid_1:0").op_type = "Tanh"


def two_less_z(model):
    another_number(model, "gru_cell/sub/x:0", 2)


def z_less_one(model):
    sub = of_cell(model, "sub:0")
    sub.input[0], sub.input[1] = sub.input[1], sub.input[0]


def one_less_r(model):
    of_cell(model, "sub:0").input[1] = of_cell(model, "Sigmoid_1:0").output[0]


def keeping_by_r(model):
    of_cell(model, "mul_1:0").input[0] = of_cell(model, "Sigmoid_1:0").output[0]


def parts_taken_from_one_another(model):
    next(o for o in body(model)[1].node if o.output[0].endswith("Identity_4:0")).op_type = "Sub"


def a_part_added_twice(model):
    of_cell(model, "add_2:0").input[1] = of_cell(model, "add_2:0").input[0]


def a_gate_of_x_alone(model):
    of_cell(model, "Sigmoid:0").input[0] = of_cell(model, "split:0").output[0]


def reset_added(model):
    of_cell(model, "mul:0").op_type = "Add"


def split_along_the_batch(model):
    (axis,) = of_cell(model, "split:0").attribute
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
    of_cell(model, "mul:0").input[1] = of_cell(model, "split:0").output[2]


def clipped_at_two(model):
    another_number(model, "clip_by_value/Minimum/y:0", 2, 2)


def gates_of_two_slopes(model):
    another_number(model, "gru_cell/Const_1:0", 0.3, 2)


def another_input_gate(model):
    of_cell(model, "Sigmoid:0", 2).op_type = "Tanh"


def forgetting_h(model):
    loop, graph, _ = body(model, 2)
    (product,) = (o for o in graph.node if of_cell(model, "Sigmoid_1:0", 2).output[0] in o.input)
    product.input[1] = graph.input[3].name
    assert product.input[1].endswith("placeholder_2:0")


def giving_the_old_c(model):
    graph = body(model, 2)[1]
    of_cell(model, "Elu_1:0", 2).input[0] = graph.input[4].name
    assert graph.input[4].name.endswith("placeholder_3:0")


def output_added(model):
    (product,) = (
        o for o in body(model, 2)[1].node if of_cell(model, "Elu_1:0", 2).output[0] in o.input
    )
    product.op_type = "Add"


def gates_along_the_batch(model):
    (axis,) = of_cell(model, "split:0", 2).attribute
    axis.i = 0


def kept_twice(model):
    ones = body(model, 3)[2]["ConstantOfShape"]
    ones.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(np.float32([2])))


def ones_like_another(model):
    body(model, 3)[2]["Shape"].input[0] = body(model, 3)[2]["Gather"].output[0]


def swish_of_another(model):
    of_cell(model, "Sigmoid_2:0", 1).input[0] = of_cell(model, "add:0", 1).output[0]


def swish_of_twice(model):
    another_number(model, "lstm_cell/beta_1:0", 2, 4)


GRU_CHANGES = [another_gate_function, two_less_z, z_less_one, one_less_r, keeping_by_r]
GRU_CHANGES += [parts_taken_from_one_another, a_part_added_twice, a_gate_of_x_alone, reset_added]
GRU_CHANGES += [split_along_the_batch, split_unevenly, split_into_too_many, other_columns]
GRU_CHANGES += [x_of_another_step]
LSTM_CHANGES = [another_input_gate, forgetting_h, giving_the_old_c, output_added]
LSTM_CHANGES += [gates_along_the_batch]


@pytest.mark.parametrize(
    ("name", "change"),
    [("simple", change) for change in CHANGES]
    + [("before", change) for change in GRU_CHANGES]
    + [("gru_loops", change) for change in (reset_of_x, clipped_at_two, gates_of_two_slopes)]
    + [("lstm_loops_both", change) for change in LSTM_CHANGES]
    + [("dropout", change) for change in (kept_twice, ones_like_another)]
    + [("bent", change) for change in (swish_of_another, swish_of_twice)],
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


@pytest.mark.parametrize(
    ("name", "n", "inputs", "ends"),
    [("before", 0, 2, ("add:0", "add_1:0")), ("bent", 4, 1, ("Sigmoid:0", "Sigmoid_3:0"))],
    ids=["r and z", "i and o"],
)
def test_each_gate_of_a_loop_has_the_columns_that_it_reads(name, n, inputs, ends):
    """With two of them exchanged it is another cell, and so are the weights."""
    model, X = onnx.load(VECTORS / f"tf_{name}.onnx"), samples()
    one, other = (of_cell(model, end, n) for end in ends)
    for at in range(inputs):
        one.input[at], other.input[at] = other.input[at], one.input[at]
    Y = answer(model, X)
    assert np.abs(from_onnx(VECTORS / f"tf_{name}.onnx").run(X) - Y).max() > 1e-3
    np.testing.assert_allclose(from_onnx(model).run(X), Y, rtol=0, atol=TOLERANCE)


# step by step


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
