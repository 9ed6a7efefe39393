"""Recurrent operators of ONNX: ONNX Runtime's outputs, their own cases, what is refused."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from streamrnn.formats import FormatError
from streamrnn.trained import from_onnx
from tests.onnx_models import GATES, answer, cell, ends, graph, samples
from tests.optional import need

onnx = need("onnx", "reading ONNX")
VECTORS = Path(__file__).parent / "vectors"
TOLERANCE = 1e-5  # over 1000 steps
USES = {"RNN": 1, "GRU": 2, "LSTM": 3}


def test_the_operators_own_cases_hold(tmp_path):
    """All node cases that the onnx package carries for them; their weights become constants."""
    program = (
        "import sys, numpy as np, onnx\n"
        "from onnx.backend.test.case.node import collect_testcases\n"
        "for case in collect_testcases(sys.argv[1]):\n"
        "    if case.model.graph.node[0].op_type != sys.argv[1]: continue\n"
        "    (inputs, outputs), = case.data_sets\n"
        "    for info, array in list(zip(case.model.graph.input, inputs))[1:]:\n"
        "        tensor = onnx.numpy_helper.from_array(np.asarray(array), info.name)\n"
        "        case.model.graph.initializer.append(tensor)\n"
        "    onnx.save(case.model, f'{sys.argv[2]}/{case.name}.onnx')\n"
        "    np.savez(f'{sys.argv[2]}/{case.name}.npz', X=inputs[0], Y=outputs[0])\n"
    )
    for kind in GATES:  # a process each: the package keeps all cases that it has once made
        command = [sys.executable, "-W", "ignore", "-c", program, kind, str(tmp_path)]
        subprocess.run(command, check=True, capture_output=True)
    paths = sorted(tmp_path.glob("*.onnx"))
    assert len(paths) >= 18
    for path in paths:
        node = onnx.load(path).graph.node[0]
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        data = np.load(path.with_suffix(".npz"))
        X, Y = data["X"], data["Y"]
        if not attributes.get("layout"):
            X = X.transpose(1, 0, 2)
            Y = Y.transpose(2, 0, 1, 3) if Y.ndim == 4 else Y.transpose(1, 0, 2)
        for x, y in zip(X, Y, strict=True):  # a batch is so many streams
            given = from_onnx(path).run(x)
            given = given if node.output[0] else given[-1:]
            np.testing.assert_allclose(given, y.reshape(given.shape), rtol=0, atol=TOLERANCE)


FUNCTIONS = {
    "Relu": (),
    "Tanh": (),
    "Sigmoid": (),
    "Softsign": (),
    "Softplus": (),
    "LeakyRelu": (0.3,),
    "ThresholdedRelu": (0.2,),
    "Elu": (0.7,),
    "Affine": (0.3, 0.1),
    "ScaledTanh": (0.9, 0.8),
    "HardSigmoid": (0.3, 0.4),
}
ATTRIBUTES = [
    ("RNN", {"clip": 0.5}),
    ("GRU", {"clip": 0.5}),
    ("GRU", {"clip": 0.5, "linear_before_reset": 1}),
    ("GRU", {"linear_before_reset": 0}),
    ("LSTM", {"clip": 0.5}),
    ("LSTM", {"input_forget": 1}),
    ("RNN", {"direction": "bidirectional", "activations": ["Relu", "Tanh"], "clip": 0.9}),
]


def variants():
    """What of the operators is compared: a name, and what `cell` takes."""
    for kind in GATES:
        for direction in ("forward", "reverse", "bidirectional"):
            for skip in ((), ("P", "initial_h"), ("B", "P", "initial_h", "initial_c")):
                more = {"linear_before_reset": 1} if kind == "GRU" else {}
                name = f"{kind} {direction} without {' '.join(skip) or 'nothing'}"
                yield name, (kind, {"skip": skip, "direction": direction, **more})
        usual = {"RNN": [], "GRU": ["Sigmoid"], "LSTM": ["HardSigmoid", "Tanh"]}[kind]
        alpha, beta = [0.25] * (kind == "LSTM"), [0.45] * (kind == "LSTM")
        for function, constants in FUNCTIONS.items():
            more = {"activations": [*usual, function]}
            if alpha + list(constants[:1]):
                more["activation_alpha"] = alpha + list(constants[:1])
            if beta + list(constants[1:]):
                more["activation_beta"] = beta + list(constants[1:])
            yield f"{kind} {function}", (kind, {"skip": ("P",), **more})
    for n, (kind, more) in enumerate(ATTRIBUTES):
        for skip in (("P",), ()):
            yield (
                f"{kind} attributes {n} without {' '.join(skip) or 'nothing'}",
                (
                    kind,
                    {"skip": skip, **more},
                ),
            )


VARIANTS = dict(variants())
PART = np.s_[::50, :3]  # of outputs that are recorded


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_equals_onnx_runtime(name):
    kind, options = VARIANTS[name]
    model, X = cell(kind, **options), samples()
    np.testing.assert_allclose(from_onnx(model).run(X), answer(model, X), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_equals_what_was_recorded_of_onnx_runtime(name):
    kind, options = VARIANTS[name]
    given = from_onnx(cell(kind, **options)).run(samples())[PART]
    recorded = load_file(VECTORS / "onnx_variants.safetensors")[name]
    np.testing.assert_allclose(given, recorded, rtol=0, atol=TOLERANCE)


def test_a_state_that_a_graph_asks_for_begins_at_zero():
    model, told = cell("LSTM", skip=("initial_h", "initial_c")), cell("LSTM")
    for name in ("initial_h", "initial_c"):
        (tensor,) = (t for t in told.graph.initializer if t.name == name)
        told.graph.initializer.remove(tensor)
        info = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, 9])
        told.graph.input.append(info)
    assert from_onnx(told).run(samples(50)).tobytes() == from_onnx(model).run(samples(50)).tobytes()


def test_constants_at_the_ends_become_the_scaling():
    inner = cell("GRU", linear_before_reset=1, skip=("initial_h",))
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in inner.graph.initializer} | ends()
    model = graph(
        [
            ("Sub", ["raw", "mean"], ["centred"], {}),
            ("Div", ["centred", "std"], ["X"], {}),
            ("GRU", ["X", "W", "R", "B"], ["up"], {"hidden_size": 9, "linear_before_reset": 1}),
            ("Squeeze", ["up", "axes"], ["h"], {}),
            ("MatMul", ["h", "M"], ["scaled"], {}),
            ("Add", ["scaled", "b"], ["Y"], {}),
        ],
        arrays,
        [("raw", ["T", 1, 3])],
    )
    ours, X = from_onnx(model), samples() * [5, 10, 1] + [20, 1000, 0]
    assert type(ours).__name__ == "GRU"
    np.testing.assert_array_equal(ours.scaling["mean"], [20, 1000, 0])
    np.testing.assert_allclose(ours.scaling["std"], [5, 10, 1], rtol=1e-6)
    expected = answer(model, X.astype(np.float32))
    np.testing.assert_allclose(ours.run(X), expected, rtol=0, atol=2e-5)  # 1000 carries 6e-5 / 10


# what is refused


def without(model, name):
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    model.graph.initializer.remove(tensor)
    return model


def changed(model, name, array):
    without(model, name).graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model


def gigantic():
    model = graph(
        [
            ("ConstantOfShape", ["size"], ["big"], {}),
            ("Add", ["X", "big"], ["Y"], {}),
        ],
        {"size": np.array([10**6, 10**6])},
    )
    return model


def cyclic():
    return graph(
        [("Add", ["X", "b"], ["a"], {}), ("Relu", ["Y"], ["b"], {}), ("Relu", ["a"], ["Y"], {})], {}
    )


def huge_tensor():
    model = cell("GRU")
    model.graph.initializer[0].dims[1] = 10**12
    return model


def external():
    model = cell("GRU")
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    return model


def not_text():
    nodes = [("Coat", ["X"], ["a"], {}), ("Pike", ["a"], ["Y"], {})]
    content = graph(nodes, {}).SerializeToString()
    return content.replace(b"Coat", b"C\xff\xfet").replace(b"Pike", b"P\xff\xfee")


M = {"M": np.ones((3, 2), np.float32)}
REFUSED = [
    (lambda: b"", "the graph has no output"),
    (lambda: b"not a model", "not a whole ONNX file"),
    (lambda: 5, "int, expected a path, bytes or a ModelProto"),
    (
        lambda: graph([("Conv", ["X", "M"], ["Y"], {})], M),
        "node Y (Conv): Conv cannot be streamed; imported are RNN, GRU, LSTM, Gemm, MatMul, Add",
    ),
    (
        lambda: graph([("Pad", ["X", "M"], ["P"], {}), ("Conv", ["P", "M"], ["Y"], {})], M),
        "node P (Pad): Pad cannot be streamed, nor can Conv; imported are RNN, GRU, LSTM, Gemm",
    ),
    (lambda: graph([("Scan", ["X", "M"], ["Y"], {})], M), "node Y (Scan): Scan cannot be streamed"),
    (lambda: graph([("Loop", ["X", "M"], ["Y"], {})], M), "node Y (Loop): has no body"),
    (
        lambda: graph([("Relu", ["Z"], ["Y"], {})], M),
        "node Y (Relu): reads 'Z', which nothing gives",
    ),
    (not_text, "C\\xff\\xfet' cannot be streamed, nor can b'P\\xff\\xfee'; imported are RNN"),
    (cyclic, "reads what comes out of it: the graph has a cycle"),
    (gigantic, "makes an array of shape [1000000, 1000000], expected at most 4194304 numbers"),
    (huge_tensor, "W: [1, 1000000000000, 3] numbers of type 1 expected, found what NumPy cannot"),
    (external, "W: its numbers lie in another file; save the model with them inside"),
    (
        lambda: graph([("MatMul", ["X", "M"], ["Y"], {})], M, [("X", None)]),
        "input X: has shape None",
    ),
    (
        lambda: graph([("MatMul", ["X", "M"], ["Y"], {})], {"M": np.ones((4, 2), np.float32)}),
        "node Y (MatMul): its matrix has 4 columns, but x has 3",
    ),
    (
        lambda: graph(
            [("GRU", ["X", "W", "R"], ["Y"], {})],
            {"W": np.ones((1, 6, 4), np.float32), "R": np.ones((1, 6, 2), np.float32)},
        ),
        "node Y (GRU): its W has shape (1, 6, 4), but x has 3 columns",
    ),
    (
        lambda: graph([("Add", ["X", "X"], ["Y"], {})], M),
        "node Y (Add): joins two ways through the graph; expected a straight line",
    ),
    (
        lambda: graph(
            [("Reshape", ["X", "s"], ["flat"], {}), ("MatMul", ["flat", "M"], ["Y"], {})],
            {"s": np.array([1, 15]), "M": np.ones((15, 2), np.float32)},
            [("X", [5, 1, 3])],
        ),
        "node Y (MatMul): its last axis is made of x, x, expected columns alone; a layer over all",
    ),
    (lambda: graph([("Softmax", ["X"], ["Y"], {"axis": 0})], M), "goes along axis 0, expected the"),
    (
        lambda: cell("GRU", activations=["Sigmoid", "Cosh"]),
        "Y (GRU): no activation 'Cosh'; there are relu, tanh",
    ),
    (lambda: cell("GRU", activations=["Tanh"]), "activations are ['Tanh'], expected 2"),
    (lambda: cell("RNN", direction="up"), "direction is 'up'"),
    (
        lambda: changed(cell("GRU"), "R", np.ones((1, 27, 8), np.float32)),
        "Y (GRU): W has shape (1, 27, 3), expected (1, 24, 3) for 1 direction of 8 units",
    ),
    (
        lambda: changed(cell("GRU"), "B", np.full((1, 54), np.nan, np.float32)),
        "Y (GRU): bias_ih holds NaN or infinite weights",
    ),
    (
        lambda: changed(cell("GRU"), "initial_h", np.eye(2, 9, dtype=np.float32)[None]),
        "initial_h differs among the batch; here each stream begins alike",
    ),
    (lambda: without(cell("GRU"), "W"), "reads 'W', which nothing gives"),
]


@pytest.mark.parametrize(("make", "text"), REFUSED, ids=[text[:40] for _, text in REFUSED])
def test_what_cannot_be_streamed_is_refused_by_name(make, text):
    with pytest.raises(FormatError, match=re.escape(text)):
        model = make()
        try:
            from_onnx(model)
        except FormatError as error:
            assert str(error).startswith("the ONNX model: ")
            raise


def test_errors_name_the_file(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"not a model")
    with pytest.raises(FormatError, match=re.escape(f"{tmp_path / 'net.onnx'}: not a whole ONNX")):
        from_onnx(tmp_path / "net.onnx")
    with pytest.raises(FileNotFoundError):
        from_onnx(tmp_path / "absent.onnx")


def test_without_the_package_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match="reading ONNX needs the onnx package: pip install onnx"):
        from_onnx(b"")


@given(st.data())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_file_is_refused_or_gives_a_network(data):
    content = bytearray(cell("LSTM", H=2).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    try:
        from_onnx(bytes(content[:cut] if data.draw(st.booleans()) else content)).run(
            np.ones((2, 3))
        )
    except (FormatError, ValueError) as error:
        assert isinstance(error, FormatError) or "X has shape" in str(error)
