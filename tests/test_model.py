"""Networks: what they compute, how they step, what they refuse."""

import copy
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrnn.bank import Bank
from streamrnn.model import GRU, LRU, LSTM, RNN, Model
from streamrnn.step import flat
from tests import naive
from tests.padding import padding

ATOL = 3e-6  # float32 sums of up to 64 terms of size 1, carried through the recurrence


def samples(T, I, seed=0):
    return np.random.default_rng(seed).normal(size=(T, I)).astype(np.float32)


@pytest.mark.parametrize("cell", naive.MODELS)
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("output_size", [None, 2])
def test_run_matches_naive(cell, num_layers, bias, output_size):
    model = cell(3, 13, output_size, num_layers=num_layers, bias=bias, seed=1)
    X = samples(200, 3)
    np.testing.assert_allclose(model.run(X), naive.run(model, X), atol=ATOL)


@pytest.mark.parametrize("cell", naive.MODELS)
@given(
    I=st.integers(1, 40),
    H=st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 65, 127, 130, 257])),
    O=st.one_of(st.none(), st.integers(1, 40)),
    num_layers=st.integers(1, 4),
    bias=st.booleans(),
    tokens=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_networks_of_any_size_match_naive_alone_and_side_by_side(
    cell, I, H, O, num_layers, bias, tokens
):
    model = cell(I, H, O, num_layers=num_layers, bias=bias, tokens=tokens)
    generator = np.random.default_rng(H)
    X = generator.integers(0, I + 1, (12, 1)) if tokens else samples(12, I)
    Y = model.run(X)
    expected = naive.run(model, X.ravel() if tokens else X)
    np.testing.assert_allclose(Y, expected, atol=1e-5)  # up to 4 layers, one on another
    keys = generator.permutation(np.arange(60) % 5)  # 12 samples of each of 5 streams
    bank, count = Bank(model), np.zeros(5, int)
    rows = np.empty((60, model.inputs), np.float32)
    for n, key in enumerate(keys):
        rows[n] = X[count[key]]
        count[key] += 1
    together = bank.step(keys.tolist(), rows)
    for key in range(5):
        assert together[keys == key].tobytes() == Y.tobytes()
    assert not padding(model, bank.states).any()


@pytest.mark.parametrize("cell", naive.MODELS)
@given(T=st.integers(1, 30), cuts=st.lists(st.integers(0, 30)), H=st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_run_has_the_same_bits_in_any_pieces(cell, T, cuts, H):
    X = samples(T, 2)
    whole, pieces, steps = (cell(2, H, 1, num_layers=2) for _ in range(3))
    Y = whole.run(X)
    parts = [pieces.run(part) for part in np.split(X, sorted({min(c, T) for c in cuts}))]
    assert np.concatenate(parts).tobytes() == Y.tobytes()
    assert np.stack([steps.step(x) for x in X]).tobytes() == Y.tobytes()
    assert whole.state.tobytes() == pieces.state.tobytes() == steps.state.tobytes()


def test_rnn_is_the_class_of_the_2015_essay():
    """The RNN class of "The Unreasonable Effectiveness of Recurrent Neural Networks", in NumPy."""

    class Essay:
        def step(self, x):
            self.h = np.tanh(np.dot(self.W_hh, self.h) + np.dot(self.W_xh, x))
            return np.dot(self.W_hy, self.h)

    ours = RNN(input_size=5, hidden_size=20, output_size=4, bias=False)
    essay = Essay()
    essay.h = np.zeros(20)
    essay.W_xh = ours.parameters["weight_ih_l0"]
    essay.W_hh = ours.parameters["weight_hh_l0"]
    essay.W_hy = ours.parameters["weight_ho"]
    for x in samples(100, 5):
        np.testing.assert_allclose(ours.step(x), essay.step(x), atol=ATOL)
        np.testing.assert_allclose(ours.h, essay.h, atol=ATOL)


@pytest.mark.parametrize("cell", naive.MODELS)
def test_a_token_gives_the_bits_of_its_one_hot_vector(cell):
    by_token, by_vector = cell(7, 12, 7, tokens=True), cell(7, 12, 7)
    tokens = np.random.default_rng(0).integers(0, 7, 50)
    assert by_token.run(tokens).tobytes() == by_vector.run(np.eye(7)[tokens]).tobytes()


def test_a_token_outside_the_vocabulary_adds_nothing():
    X = np.array([0, 7, -1, np.nan, 1e9, 3])
    model = GRU(7, 12, 2, tokens=True)
    np.testing.assert_allclose(model.run(X), naive.run(model, X), atol=ATOL)


@pytest.mark.parametrize("cell", naive.MODELS)
def test_a_missing_value_counts_as_the_mean(cell):
    holes, means = cell(2, 8, 1), cell(2, 8, 1)
    for model in (holes, means):
        model.scale(mean=[20, 1000], std=[5, 10])
    X = samples(30, 2) * [5, 10] + [20, 1000]
    filled = X.copy()
    X[::3, 1], filled[::3, 1] = np.nan, 1000
    assert holes.run(X).tobytes() == means.run(filled).tobytes()


EXTREME = [[np.inf, -np.inf], [1e300, -1e300], [3.4e38, 3.4e38], [1e-45, 0], [np.nan, np.nan]]


@pytest.mark.parametrize("cell", naive.MODELS)
@pytest.mark.parametrize("H", [8, 19])
def test_extreme_inputs_leave_the_state_finite_and_its_padding_zero(cell, H):
    model = cell(2, H, 1, num_layers=2)
    for x in EXTREME * 20:
        assert np.isfinite(model.step(x)).all()
    assert np.isfinite(flat(model.state.reshape(1))).all()
    bank = Bank(model)
    keys = [*range(10), *range(10)[::-1]]  # side by side, in two rounds
    assert np.isfinite(bank.step(keys, EXTREME * 4)).all()
    assert np.isfinite(flat(bank.states)).all()
    assert not padding(model, model.state).any() and not padding(model, bank.states).any()


def test_an_lru_that_hardly_forgets_stays_finite_under_the_largest_inputs():
    model = LRU(1, 5)
    model.parameters["nu_log_l0"] = np.full(5, -18)  # |l| = exp(-exp(-18)) = 1 - 1.5e-8
    model.parameters["theta_log_l0"] = [-20, -5, 0, 0.5, 1]
    assert np.isfinite(model.run(np.full(20_000, np.inf))).all()
    # x is limited to 1e18, so each step adds at most 1e18 g |B|, and 20 000 of them less than 1e24
    assert np.isfinite(model.state["s"]).all() and np.abs(model.state["s"]).max() < 1e24


def test_a_relu_that_doubles_at_each_step_stops_at_its_limit():
    model = RNN(1, 2, nonlinearity="relu", bias=False)
    model.parameters["weight_hh_l0"] = 2 * np.eye(2)
    model.parameters["weight_ih_l0"] = np.ones((2, 1))
    Y = model.run(np.ones(200))
    assert Y[:3, 0].tolist() == [1, 3, 7]  # h = 2 h + 1
    assert Y[-1].tolist() == [np.float32(1e18)] * 2


@pytest.mark.parametrize("part", [np.s_[::2], np.s_[::-1], np.s_[3::-1]])
def test_a_row_may_be_a_view_with_any_stride(part):
    x = np.arange(8, dtype=np.float32)[part]
    model, other = (GRU(len(x), 8, 1) for _ in range(2))
    assert model.step(x).tobytes() == other.step(x.tolist()).tobytes()
    assert model.stepper()(x).tobytes() == other.step(x.tolist()).tobytes()


def test_scale_takes_and_gives_raw_units():
    raw, unit = LSTM(2, 8, 1), LSTM(2, 8, 1)
    raw.scale(mean=[20, 1000], std=[5, 10], out_mean=20, out_std=5)
    X = samples(30, 2)
    np.testing.assert_allclose(
        raw.run(X * [5, 10] + [20, 1000]),
        unit.run(X) * 5 + 20,
        atol=2e-4,  # 1000 carries 6e-5 in float32, of a std of 10, given back times 5
    )


def test_reset_forgets_and_state_can_be_put_back():
    model = GRU(1, 6)
    model.step(1.0)
    state, h = model.state, model.h
    y = model.step(2.0)
    model.reset()
    assert not model.h.any()
    model.state = state
    assert model.h.tobytes() == h.tobytes()
    assert model.step(2.0).tobytes() == y.tobytes()


def test_reading_the_state_gives_a_copy():
    model = RNN(1, 4)
    model.step(1.0)
    before = model.h
    model.state["h"][:] = 9
    model.h[:] = 9
    assert model.h.tobytes() == before.tobytes()


def test_units_are_those_of_all_layers_the_lowest_first():
    model, lowest = LSTM(2, 5, 1, num_layers=2), LSTM(2, 5)
    for name in lowest.parameters:
        lowest.parameters[name] = model.parameters[name]
    X = samples(10, 2)
    model.run(X)
    units = model.units(model.state.reshape(1))
    assert units.tobytes() == lowest.run(X)[-1].tobytes() + model.h.tobytes()


def test_assigned_parameters_are_used_at_the_next_step():
    model = RNN(1, 4, 1, bias=False)
    before = model.step(1.0)
    model.reset()
    model.parameters["weight_ho"] = -model.parameters["weight_ho"]
    np.testing.assert_array_equal(model.step(1.0), -before)


def test_parameters_have_the_names_and_shapes_of_pytorch():
    shapes = {name: array.shape for name, array in LSTM(3, 5, 2, num_layers=2).parameters.items()}
    assert shapes == {
        "weight_ih_l0": (20, 3),
        "weight_hh_l0": (20, 5),
        "bias_ih_l0": (20,),
        "bias_hh_l0": (20,),
        "weight_ih_l1": (20, 5),
        "weight_hh_l1": (20, 5),
        "bias_ih_l1": (20,),
        "bias_hh_l1": (20,),
        "weight_ho": (2, 5),
        "bias_o": (2,),
    }


def test_the_seed_decides_the_parameters():
    first, same, other = (GRU(2, 3, seed=seed).parameters["weight_ih_l0"] for seed in (0, 0, 1))
    assert np.array_equal(first, same) and not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda m: m.step([1, 2]), ValueError, "x has shape (2,), expected (3,): one number for"),
        (lambda m: m.step(1.0), ValueError, "x has shape (), expected (3,)"),
        (lambda m: m.step("abc"), TypeError, "x holds str, expected numbers"),
        (lambda m: m.step([1, None, 3]), TypeError, "values of dtype object, expected numbers;"),
        (lambda m: m.step([1j, 2, 3]), TypeError, "values of dtype complex128, expected numbers"),
        (lambda m: m.run([[1, 2, 3], [1, 2]]), ValueError, "x is not an array of numbers"),
        (lambda m: m.run([1, 2, 3]), ValueError, "X has shape (3,), expected (N, 3): a row for"),
        (
            lambda m: m.run(np.zeros((2, 2, 3))),
            ValueError,
            "X has shape (2, 2, 3), expected (N, 3)",
        ),
        (lambda m: setattr(m, "state", np.zeros(3)), ValueError, "a state of GRU(input_size=3"),
        (lambda m: m.scale(std=0), ValueError, "std is 0, expected positive numbers"),
        (lambda m: m.scale(mean=[1, 2]), ValueError, "mean has shape (2,), expected (3,)"),
        (lambda m: m.scale(mean=np.nan), ValueError, "mean is nan, expected finite numbers"),
        (lambda m: m.scale(out_std=2), ValueError, "scale the readout, and output_size is None"),
        (lambda m: m.parameters["w"], KeyError, "w"),
        (
            lambda m: m.parameters.__setitem__("w", 1),
            KeyError,
            "no parameter 'w'; there are weight_ih_l0, weight_hh_l0",
        ),
        (
            lambda m: m.parameters.__setitem__("bias_ih_l0", np.zeros(4)),
            ValueError,
            "bias_ih_l0 has shape (4,), expected (12,)",
        ),
        (
            lambda m: m.parameters.__setitem__("bias_ih_l0", np.full(12, np.nan)),
            ValueError,
            "bias_ih_l0 holds NaN or infinite weights",
        ),
        (lambda m: m.parameters["bias_ih_l0"].fill(1), ValueError, "read-only"),
        (lambda m: m.parameters.pop("bias_ih_l0"), TypeError, "cannot be removed from a model"),
        (lambda m: GRU(0, 4), ValueError, "input_size is 0, expected a whole number of at least 1"),
        (lambda m: GRU(1, 4.5), ValueError, "hidden_size is 4.5, expected a whole number"),
        (lambda m: GRU(1, True), ValueError, "hidden_size is True, expected a whole number"),
        (
            lambda m: GRU(3, 4, tokens=True).scale(mean=1),
            ValueError,
            "a model of tokens has no units to scale",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, error, text):
    with pytest.raises(error, match=re.escape(text)):
        call(GRU(3, 4))


def test_a_model_goes_on_in_another_process(tmp_path):
    """A plan holds addresses of this process: they must not travel."""
    model = LSTM(2, 20, 1, num_layers=2)
    model.scale(mean=1, std=2)
    model.run(samples(100, 2))
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps(model))
    program = (
        "import pathlib, pickle, sys\n"
        "model = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "print(model.step([1.0, 2.0]).tobytes().hex())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == model.step([1.0, 2.0]).tobytes().hex()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_has_parameters_and_a_stream_of_its_own(copied):
    model = GRU(2, 4, 1)
    model.step([1.0, 2.0])
    other = copied(model)
    assert other.step([1.0, 2.0]).tobytes() == model.step([1.0, 2.0]).tobytes()
    with pytest.raises(ValueError, match="read-only"):
        other.parameters["bias_o"].fill(1)
    other.parameters["bias_o"] = [5.0]
    assert model.parameters["bias_o"] != 5.0


def test_run_writes_into_an_array_of_ones_own():
    model, other = GRU(2, 4, 3), GRU(2, 4, 3)
    X, Y = samples(10, 2), np.zeros((10, 3), np.float32)
    assert model.run(X, out=Y) is Y
    assert Y.tobytes() == other.run(X).tobytes()
    for out in (np.zeros((10, 3)), np.zeros((9, 3), np.float32), np.zeros((10, 6), "f4")[:, ::2]):
        with pytest.raises(ValueError, match=re.escape("expected (10, 3) of float32, contiguous")):
            model.run(X, out=out)


@pytest.mark.parametrize("T", [0, 1])
def test_run_takes_no_rows_and_one(T):
    model: Model = GRU(2, 4, 3)
    assert model.run(np.zeros((T, 2))).shape == (T, 3)


def test_advance_takes_rows_of_any_whole_numbers():
    model, x = GRU(1, 4), np.ones((3, 1), np.float32)
    Y = np.zeros((2, 3, 4), np.float32)
    model.advance(np.zeros(4, model.layout), np.array([3, 1, 3]), x, Y[0])
    model.advance(np.zeros(4, model.layout), np.array([3, 1, 3], np.int32)[::1], x, Y[1])
    assert Y[0].tobytes() == Y[1].tobytes()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"rows": np.array([0, 2])}, "rows go from 0 to 2, expected 0 to 1"),
        ({"rows": np.array([-1, 0])}, "rows go from -1 to 0, expected 0 to 1"),
        (
            {"x": np.zeros((2, 3))},
            "x has shape (2, 3) and dtype float64, expected (2, 3) of float32",
        ),
        ({"x": np.zeros((3, 2), "f4").T}, "x has shape (2, 3) and dtype float32, expected (2, 3)"),
        ({"x": np.zeros((1, 3), "f4")}, "x has shape (1, 3) and dtype float32, expected (2, 3)"),
        ({"y": np.zeros((2, 3), "f4")}, "y has shape (2, 3) and dtype float32, expected (2, 4)"),
    ],
)
def test_advance_refuses_arrays_that_its_addresses_would_misread(change, text):
    model = GRU(3, 4)
    arguments = {
        "states": np.zeros(2, model.layout),
        "rows": np.array([0, 1]),
        "x": np.ones((2, 3), np.float32),
        "y": np.zeros((2, 4), np.float32),
    } | change
    with pytest.raises(ValueError, match=re.escape(text)):
        model.advance(**arguments)
    assert not arguments["states"]["h"].any()


@pytest.mark.parametrize("cell", naive.MODELS)
def test_units_of_all_layers_are_shown_within_one(cell):
    model = cell(2, 5, num_layers=2)
    states = np.zeros(1, model.layout)
    y = np.zeros((20, 5), np.float32)
    model.advance(states, np.zeros(20, np.int64), 100 * samples(20, 2), y)
    units = model.units(states)
    assert units.shape == (1, 10) and np.abs(units).max() <= 1
    assert np.array_equal(np.argsort(units[0, 5:]), np.argsort(y[-1]))  # the top layer's come last
