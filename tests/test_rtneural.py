"""Networks of RTNeural and of Neural Amp Modeler: JSON, and what is refused."""

import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import streamrnn as srnn
from streamrnn.formats import FormatError
from tests import naive_layers
from tests.test_sequential import activation, linear, recurrent, samples

ATOL = 3e-6  # float32 sums of up to 64 terms of size 1, carried through the recurrence


def written(path, content):
    path.write_text(json.dumps(content))
    return path


def keras_order(layer):
    """A layer's weights as RTNeural has them: transposed, GRU z r h, LSTM i f c o."""

    def turned(array):
        if layer.kind != "GRU":
            return array
        r, z, n = np.split(array, 3)
        return np.concatenate([z, r, n])

    p = {name: turned(array) for name, array in layer.parameters.items()}
    biases = np.stack([p["bias_ih"], p["bias_hh"]])
    bias = biases if layer.kind == "GRU" else biases.sum(0)
    return [p["weight_ih"].T.tolist(), p["weight_hh"].T.tolist(), bias.tolist()]


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_rtneural_matches_naive(kind, tmp_path):
    below, up, top = linear(1, 4), recurrent(kind, 4, 8), linear(8, 1, 1)
    dense = [
        [a.parameters["weight"].T.tolist(), a.parameters["bias"].tolist()] for a in (below, top)
    ]
    path = written(
        tmp_path / "model.json",
        {
            "in_shape": [None, None, 1],
            "layers": [
                {"type": "dense", "activation": "tanh", "shape": [4], "weights": dense[0]},
                {"type": kind.lower(), "activation": "", "shape": [8], "weights": keras_order(up)},
                {"type": "time-distributed-dense", "activation": "", "weights": dense[1]},
                {"type": "activation", "activation": "elu", "weights": []},
            ],
        },
    )
    expected = [below, activation("tanh"), up, top, activation("elu")]
    model, X = srnn.from_rtneural(path), samples(200, 1)
    np.testing.assert_allclose(model.run(X), naive_layers.run(expected, X), atol=ATOL)


def nam(tmp_path, **changes):
    cells = [recurrent("LSTM", 1, 6, 1, initial=True), recurrent("LSTM", 6, 6, 2, initial=True)]
    head = linear(6, 1)
    weights = []
    for cell in cells:
        p = cell.parameters
        weights += [np.hstack([p["weight_ih"], p["weight_hh"]]), p["bias_ih"] + p["bias_hh"]]
        weights += [p["h_0"], p["c_0"]]
    weights += [head.parameters["weight"], head.parameters["bias"]]
    content = {
        "version": "0.5.0",
        "architecture": "LSTM",
        "config": {"input_size": 1, "hidden_size": 6, "num_layers": 2},
        "weights": np.concatenate([array.ravel() for array in weights]).tolist(),
    }
    return written(tmp_path / "amp.nam", content | changes), [*cells, head]


def test_nam_begins_with_its_stored_state(tmp_path):
    path, expected = nam(tmp_path)
    model, X = srnn.from_nam(path), samples(200, 1)
    Y = model.run(X)
    np.testing.assert_allclose(Y, naive_layers.run(expected, X), atol=ATOL)
    model.reset()
    assert model.run(X).tobytes() == Y.tobytes()
    assert srnn.Bank(model).step(["new"], X[:1]).tobytes() == Y[:1].tobytes()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"architecture": "WaveNet"},
            "architecture 'WaveNet' cannot be streamed here; imported is",
        ),
        ({"weights": [1.0] * 9}, "holds 9 weights, expected 535 for input_size 1, hidden_size 6"),
        ({"weights": ["a"]}, "expected a .nam file"),
        (
            {"config": {"input_size": 1, "hidden_size": 10**9, "num_layers": 1}},
            "expected sizes of at least 1",
        ),
        ({"weights": [float("nan")] * 535}, "layer 0: weight_ih holds NaN or infinite weights"),
    ],
)
def test_bad_nam_files_are_refused(tmp_path, changes, text):
    path, _ = nam(tmp_path, **changes)
    with pytest.raises(FormatError, match=re.escape(text)) as raised:
        srnn.from_nam(path)
    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([], "expected RTNeural's JSON"),
        ({"layers": []}, "no layers"),
        ({"layers": [{"type": "conv1d"}]}, "layer 0: 'conv1d' cannot be streamed; imported are"),
        (
            {"layers": [{"type": "lstm", "weights": [[[1.0]]]}]},
            "layer layer 0 (LSTM): has weights of shapes [(1, 1)], expected 3 of (2, 2, 1) axes",
        ),
    ],
)
def test_bad_rtneural_files_are_refused(tmp_path, content, text):
    path = written(tmp_path / "model.json", content)
    with pytest.raises(FormatError, match=re.escape(text)) as raised:
        srnn.from_rtneural(path)
    assert str(raised.value).startswith(f"{path}: ")


@given(data=st.data())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_file_is_refused_or_gives_a_network(data, tmp_path):
    path, _ = nam(tmp_path, weights=[n / 600 for n in range(535)])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        # a byte of the structure or of a number, in place of another
        content[data.draw(st.integers(0, 160))] = data.draw(st.sampled_from(b'09.-eE,:[]{}"nI '))
    path.write_bytes(content)
    try:
        assert srnn.from_nam(path).run([1.0, 2.0]).shape[0] == 2
    except FormatError as error:
        assert str(error).startswith(f"{path}: ")
