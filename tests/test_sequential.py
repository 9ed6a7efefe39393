"""Straight lines of layers: what they compute, how they step, what they refuse."""

import copy
import pickle
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import streamrnn as srnn
from streamrnn.formats import FormatError
from streamrnn.formats.layer import Layer
from streamrnn.kernels.functions import NAMES
from streamrnn.sequential import Sequential
from tests import naive_layers

ATOL = 3e-6  # float32 sums of up to 64 terms of size 1, carried through the recurrence
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent(kind, K, H, seed=0, projection=None, peepholes=False, initial=False, **options):
    rng = np.random.default_rng(seed)
    G, P = GATES[kind] * H, projection or H
    shapes = {"weight_ih": (G, K), "weight_hh": (G, P), "bias_ih": (G,), "bias_hh": (G,)}
    if projection:
        shapes["weight_hr"] = (P, H)
    if peepholes:
        shapes["weight_ch"] = (3 * H,)
    if initial:
        shapes |= {"h_0": (P,)} | ({"c_0": (H,)} if kind == "LSTM" else {})
    arrays = {name: rng.uniform(-1, 1, shape) / H**0.5 for name, shape in shapes.items()}
    return Layer(kind, arrays, options)


def linear(K, O, seed=0, bias=True):
    rng = np.random.default_rng(seed)
    arrays = {"weight": rng.uniform(-1, 1, (O, K)) / K**0.5, "bias": rng.normal(size=O)}
    return Layer("Linear", arrays if bias else {"weight": arrays["weight"]})


def activation(function, **constants):
    return Layer("Activation", options={"function": function} | constants)


def embedding(V, O):
    return Layer("Embedding", {"weight": np.random.default_rng(0).normal(size=(V, O))})


def affine(K):
    return Layer("Affine", {"scale": np.linspace(-1, 2, K), "shift": np.linspace(3, -1, K)})


def samples(T, K, seed=0):
    return np.random.default_rng(seed).normal(size=(T, K)).astype(np.float32)


LINES = {  # name -> columns of x, layers
    "cells of different kinds and sizes": lambda: (
        3,
        [recurrent("GRU", 3, 17), linear(17, 5), recurrent("LSTM", 5, 33), recurrent("RNN", 33, 2)],
    ),
    "activations between and after": lambda: (
        2,
        [recurrent("LSTM", 2, 8), linear(8, 20), activation("relu"), linear(20, 4, bias=False)]
        + [activation("softmax")],
    ),
    "no layer that remembers": lambda: (4, [linear(4, 20), activation("tanh"), affine(20)]),
    "an activation at the input": lambda: (3, [activation("softsign"), recurrent("GRU", 3, 5)]),
    "projections": lambda: (
        3,
        [recurrent("LSTM", 3, 20, projection=7), recurrent("LSTM", 7, 9, projection=1)],
    ),
    "relu, clipped": lambda: (3, [recurrent("RNN", 3, 20, activations=[["relu"]], clip=0.5)]),
    "relu": lambda: (3, [recurrent("RNN", 3, 20, activations=[["relu"]])]),
    "rare activations": lambda: (
        3,
        [
            recurrent("RNN", 3, 9, activations=[["elu", 0.7]]),
            recurrent("GRU", 9, 7, activations=[["hard_sigmoid", 0.3, 0.4], ["softsign"]]),
            recurrent(
                "LSTM", 7, 6, activations=[["sigmoid"], ["scaled_tanh", 0.9, 0.8], ["affine", 0.5]]
            ),
        ],
    ),
    "reset before the product, clipped or not": lambda: (
        3,
        [
            recurrent("GRU", 3, 9, reset_after=False),
            recurrent("GRU", 9, 7, reset_after=False, clip=0.8),
            recurrent("GRU", 7, 5, clip=0.8),
        ],
    ),
    "coupled gates, peepholes, a clip": lambda: (
        3,
        [
            recurrent("LSTM", 3, 9, coupled=True),
            recurrent("LSTM", 9, 7, peepholes=True),
            recurrent("LSTM", 7, 6, peepholes=True, coupled=True, clip=0.5),
            recurrent("LSTM", 6, 6, peepholes=True, clip=0.4),
        ],
    ),
    "states that do not begin at zero": lambda: (
        3,
        [
            recurrent("LSTM", 3, 9, initial=True),
            recurrent("GRU", 9, 20, initial=True),
            recurrent("LSTM", 20, 8, projection=5, initial=True),
        ],
    ),
}


@pytest.fixture(params=LINES)
def line(request):
    return LINES[request.param]()


def test_run_matches_naive(line):
    K, layers = line
    model = Sequential(layers)
    X = samples(200, K)
    np.testing.assert_allclose(model.run(X), naive_layers.run(layers, X), atol=ATOL)


@pytest.mark.parametrize("function", NAMES)
def test_every_activation_matches_naive(function):
    layer = activation(function)
    X = np.linspace(-6, 6, 200).reshape(20, 10).astype(np.float32)
    Y = Sequential([Layer("Affine", {"scale": np.ones(10), "shift": np.zeros(10)}), layer]).run(X)
    np.testing.assert_allclose(Y, naive_layers.run([layer], X.astype(float)), rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "a", "b"),
    [("leaky_relu", 0.3, 0), ("hard_sigmoid", 1 / 6, 0.5), ("clip", 0, 6), ("affine", -2, 3)],
)
def test_activations_take_their_constants(function, a, b):
    layers = [affine(5), activation(function, a=a, b=b)]
    X = 5 * samples(20, 5)
    Y = Sequential(layers).run(X)
    np.testing.assert_allclose(Y, naive_layers.run(layers, X), rtol=1e-6, atol=1e-6)


@st.composite
def lines(draw):
    """A line of one to four layers of any kind, and columns of x."""
    columns = first = draw(st.integers(1, 20))
    layers = []
    for n in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["Linear", "Affine", *GATES]))
        H = draw(st.integers(1, 40))
        if kind == "Affine":
            layers += [affine(columns), activation(draw(st.sampled_from(NAMES[:12])))]
            continue
        if kind == "Linear":
            layers.append(linear(columns, H, n))
        else:
            options = {"initial": draw(st.booleans())}
            if draw(st.booleans()):
                options["clip"] = 0.7
            if kind == "LSTM" and draw(st.booleans()):
                options["projection"] = draw(st.integers(1, H))
            layers.append(recurrent(kind, columns, H, n, **options))
            H = options.get("projection", H)
        columns = H
    return first, layers


@given(lines(), st.integers(1, 12), st.integers(1, 7), st.integers(0, 12), st.randoms())
@settings(max_examples=40, deadline=None)
def test_every_way_of_running_has_the_same_bits(line, T, streams, cut, random):
    K, layers = line
    model = Sequential(layers)
    X = samples(T, K)
    Y = model.run(X)
    end = model.state.tobytes()
    model.reset()
    assert np.concatenate([model.run(X[:cut]), model.run(X[cut:])]).tobytes() == Y.tobytes()
    model.reset()
    assert np.stack([model.step(x) for x in X]).tobytes() == Y.tobytes()
    model.reset()
    step = model.stepper()
    assert np.stack([step(x).copy() for x in X]).tobytes() == Y.tobytes()
    assert model.state.tobytes() == end
    bank = srnn.Bank(model)
    left = {n: T for n in range(streams)}
    while left:  # streams come in any order, each in its own
        keys = random.choices(list(left), k=min(8, sum(left.values())))
        keys = [key for n, key in enumerate(keys) if keys[:n].count(key) < left[key]]
        at = [T - left[key] + keys[:n].count(key) for n, key in enumerate(keys)]
        assert bank.step(keys, X[at]).tobytes() == Y[at].tobytes()
        left = {key: count - keys.count(key) for key, count in left.items()}
        left = {key: count for key, count in left.items() if count}
    assert all(bank[key].tobytes() == end for key in range(streams))


def test_tokens_choose_rows_of_an_embedding():
    layers = [embedding(7, 4), recurrent("GRU", 4, 9), linear(9, 7)]
    model = Sequential(layers)
    tokens = np.random.default_rng(0).integers(0, 7, 60)
    assert model.tokens and model.inputs == 1
    np.testing.assert_allclose(model.run(tokens), naive_layers.run(layers, tokens), atol=ATOL)


@pytest.mark.parametrize("options", [{}, {"clip": 0.7}, {"activations": [["softsign"]]}])
@pytest.mark.parametrize("first", ["RNN", "Linear"])
def test_a_token_gives_the_bits_of_its_one_hot_vector(first, options):
    below = recurrent("RNN", 7, 12, **options) if first == "RNN" else linear(7, 12)
    by_token = Sequential([below, linear(12, 3)], tokens=True)
    by_vector = Sequential([below, linear(12, 3)])
    tokens = np.random.default_rng(0).integers(0, 7, 50)
    assert by_token.run(tokens).tobytes() == by_vector.run(np.eye(7)[tokens]).tobytes()
    banks = srnn.Bank(by_token), srnn.Bank(by_vector)
    Y = [
        bank.step(range(50), x) for bank, x in zip(banks, (tokens, np.eye(7)[tokens]), strict=True)
    ]
    assert Y[0].tobytes() == Y[1].tobytes()


def test_a_stream_begins_with_the_initial_state():
    layer = recurrent("LSTM", 2, 5, initial=True)
    model = Sequential([layer])
    first = model.step([1, 2])
    np.testing.assert_array_equal(model.initial()["h_l0"][:5], layer.parameters["h_0"].astype("f4"))
    model.reset()
    assert model.h.tobytes() == layer.parameters["h_0"].astype(np.float32).tobytes()
    bank = srnn.Bank(model)
    bank.step(["a", "b"], [[1, 2], [3, 4]])
    bank.reset(["a"])
    assert bank.step(["new", "a"], [[1, 2]] * 2).tobytes() == 2 * first.tobytes()


def test_scale_takes_and_gives_raw_units():
    layers = [recurrent("GRU", 2, 8), activation("relu"), linear(8, 3)]
    raw, unit = Sequential(layers), Sequential(layers)
    raw.scale(mean=[20, 1000], std=[5, 10], out_mean=[1, 2, 3], out_std=5)
    X = samples(30, 2)
    Y = raw.run(X * [5, 10] + [20, 1000])
    np.testing.assert_allclose(
        Y,
        unit.run(X) * 5 + [1, 2, 3],
        atol=2e-4,  # 1000 carries 6e-5 in float32, of a std of 10, given back times 5
    )
    bank = srnn.Bank(raw)
    assert bank.step(range(30), np.repeat([[20, 1000]], 30, 0)).shape == (30, 3)


def test_a_loaded_line_goes_on_with_the_same_bits(line, tmp_path):
    K, layers = line
    model = Sequential(layers)
    model.scale(mean=1, std=2, out_mean=3, out_std=4)
    X = samples(40, K)
    model.run(X[:20])
    srnn.save(model, tmp_path / "model.safetensors", metadata={"made": "today"})
    loaded = srnn.load(tmp_path / "model.safetensors")
    assert type(loaded) is Sequential and loaded.metadata == {"made": "today"}
    assert loaded.run(X[20:]).tobytes() == model.run(X[20:]).tobytes()
    assert loaded.initial().tobytes() == model.initial().tobytes()


@given(data=st.data())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_file_is_refused_or_loads_as_a_line(data, tmp_path):
    path = tmp_path / "model.safetensors"
    srnn.save(Sequential([recurrent("LSTM", 2, 3, clip=0.5, initial=True), linear(3, 1)]), path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert isinstance(srnn.load(path), Sequential)
    except FormatError as error:
        assert str(error).startswith(f"{path}: ")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_has_a_stream_of_its_own(copied):
    model = Sequential([recurrent("GRU", 2, 8), linear(8, 1)])
    model.step([1, 2])
    other = copied(model)
    assert other.step([1, 2]).tobytes() == model.step([1, 2]).tobytes()


def test_assigned_parameters_are_used_at_the_next_step():
    model = Sequential([linear(1, 2), activation("relu")])
    model.parameters["0.weight"], model.parameters["0.bias"] = [[2], [-2]], [1, 1]
    np.testing.assert_array_equal(model.step(3), [7, 0])
    np.testing.assert_array_equal(model.layers[0].parameters["weight"], [[2], [-2]])


def test_units_are_those_of_the_layers_that_remember():
    model = Sequential([recurrent("GRU", 2, 4), linear(4, 3), recurrent("LSTM", 3, 4)])
    model.step([1, 2])
    units = model.units(model.state.reshape(1))
    assert units.shape == (1, 8) and model.num_layers == 2
    assert units[0, 4:].tobytes() == model.h.tobytes()


def changed(layer, drop=(), **arrays):
    kept = {name: array for name, array in layer.parameters.items() if name not in drop}
    return Layer(layer.kind, kept | arrays, layer.options, "the_name")


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ([], "no layers, expected at least one"),
        ([Layer("Conv1D", name="c")], "c: no layer 'Conv1D'; there are Linear, Embedding"),
        (
            [linear(3, 4), linear(5, 2)],
            "layer 1: Linear takes 5 columns, but what is below gives 4",
        ),
        ([activation("relu")], "layer 0: an activation at the input, before any layer with a size"),
        (
            [linear(3, 4), activation("rleu")],
            "layer 1: no activation 'rleu'; there are identity, t",
        ),
        (
            [linear(3, 4), activation("elu", a="x")],
            "layer 1: elu has constants ['x'], expected num",
        ),
        ([linear(3, 4), embedding(4, 2)], "layer 1: an Embedding reads tokens, above it comes no"),
        (
            [changed(linear(3, 4), weight=np.full((4, 3), np.nan))],
            "the_name: weight holds NaN or infinite weights",
        ),
        (
            [changed(linear(3, 4), weight=np.ones(3))],
            "the_name: weight is of shape (3,), expected a",
        ),
        ([changed(linear(3, 4), ["weight"])], "the_name: weight is missing, expected a matrix"),
        ([changed(linear(3, 4), bias=np.ones(5))], "the_name: bias has shape (5,), expected (4,)"),
        (
            [changed(linear(3, 4), weight=np.ones((4, 0)))],
            "the_name: weight has shape (4, 0), expected numbers",
        ),
        ([changed(linear(3, 4), gamma=np.ones(4))], "the_name: Linear has no parameter gamma"),
        (
            [changed(recurrent("LSTM", 2, 3), weight_hh=np.ones((12, 4)))],
            "the_name: weight_hh has shape (12, 4), expected (12, 3)",
        ),
        (
            [changed(recurrent("GRU", 2, 3), weight_ih=np.ones((10, 2)))],
            "the_name: weight_ih has shape (10, 2), expected (9, 2)",
        ),
        ([recurrent("RNN", 2, 3, clip=-1)], "layer 0: clip is -1, expected a number above 0"),
        ([recurrent("RNN", 2, 3, coupled=True)], "layer 0: RNN has no option coupled"),
        (
            [recurrent("GRU", 2, 3, activations=[["tanh"]])],
            "activations are [['tanh']], expected 2",
        ),
        ([recurrent("RNN", 2, 3, activations=[["softmax"]])], "layer 0: softmax inside a cell"),
        (
            [recurrent("RNN", 2, 3, direction="reverse")],
            "layer 0: a reverse layer needs the end of the sequence before its first output and",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(layers, text):
    with pytest.raises(FormatError, match=re.escape(text)):
        Sequential(layers)
