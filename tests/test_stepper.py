"""The fast doors, a network's and a learner's: the same bits, whatever comes in."""

import gc
import re
import sys
import weakref

import numpy as np
import pytest

import streamrnn as srnn
from streamrnn.kernels import door
from tests import naive


@pytest.fixture(params=["fast", "slow"], autouse=True)
def way(request, monkeypatch):
    """Both doors: where objects are laid out otherwise, there is only the slow one."""
    if request.param == "slow":
        monkeypatch.setattr(door, "available", lambda: False)
    else:
        assert door.available()


@pytest.mark.parametrize("cell", naive.MODELS)
@pytest.mark.parametrize("inputs", [1, 5])
def test_gives_the_bits_of_step(cell, inputs):
    by_step, by_stepper = (cell(inputs, 20, 3, num_layers=2) for _ in range(2))
    step = by_stepper.stepper()
    for x in np.random.default_rng(0).normal(size=(50, inputs)).astype(np.float32):
        assert step(x).tobytes() == by_step.step(x).tobytes()
    assert by_stepper.state.tobytes() == by_step.state.tobytes()


@pytest.mark.parametrize("x", [0.5, 1, True, np.float32(0.5), np.float64(0.5), np.array(2), [1.5]])
def test_takes_what_step_takes(x):
    by_step, by_stepper = srnn.GRU(1, 8, 2), srnn.GRU(1, 8, 2)
    assert by_stepper.stepper()(x).tobytes() == by_step.step(x).tobytes()


@pytest.mark.parametrize(
    "x",
    [
        np.arange(3.0),
        np.arange(3),
        np.arange(6, dtype=np.float32)[::2],
        np.arange(3, dtype=">f4"),
        [0.0, 1.0, 2.0],
        np.zeros((3, 2), np.float32)[:, 1],
    ],
)
def test_takes_arrays_of_any_kind_and_stride(x):
    by_step, by_stepper = srnn.LSTM(3, 8), srnn.LSTM(3, 8)
    assert by_stepper.stepper()(x).tobytes() == by_step.step(list(x)).tobytes()


def test_returns_the_same_array_each_time_and_floats_when_scalar():
    step = srnn.GRU(1, 8, 1).stepper()
    assert step(1.0) is step(2.0)
    scalar = srnn.GRU(1, 8, 1).stepper(scalar=True)
    assert type(scalar(1.0)) is float and type(scalar([1.0])) is float


def test_moves_the_stream_of_its_model():
    model = srnn.LSTM(1, 8)
    step = model.stepper()
    y = step(1.0).copy()
    assert model.h.tobytes() == y.tobytes()
    model.reset()
    assert step(1.0).tobytes() == y.tobytes()


@pytest.mark.parametrize("cell", naive.MODELS)
def test_tokens_go_by_their_index(cell):
    by_step, by_stepper = (cell(7, 12, 7, tokens=True) for _ in range(2))
    step = by_stepper.stepper()
    for token in (0.0, 6.0, 7.0, -1.0, float("nan"), 3):
        assert step(token).tobytes() == by_step.step(token).tobytes()


@pytest.mark.parametrize("cell", naive.MODELS)
def test_missing_and_extreme_values_leave_the_state_finite(cell):
    model = cell(1, 8)
    step = model.stepper()
    for x in (float("nan"), float("inf"), -1e300, 1e39):
        assert np.isfinite(step(x)).all()


@pytest.mark.parametrize("cell", naive.MODELS)
def test_lives_on_when_its_model_is_gone(cell):
    step = cell(1, 64, 1).stepper()
    gc.collect()
    filler = [np.full(4096, np.nan, np.float32) for _ in range(100)]
    model = cell(1, 64, 1)
    for x in np.linspace(-1, 1, 100):
        assert step(float(x)).tobytes() == model.step(x).tobytes()
    assert len(filler) == 100


@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        ("abc", TypeError, "x holds str, expected numbers"),
        (None, TypeError, "x holds NoneType, expected numbers"),
        ([1.0, 2.0], ValueError, "x has shape (2,), expected (1,)"),
        (np.zeros((1, 1), np.float32), ValueError, "x has shape (1, 1), expected (1,)"),
        (1j, TypeError, "x holds complex, expected numbers"),
    ],
)
def test_what_does_not_fit_is_refused_and_moves_no_state(x, error, text):
    model = srnn.GRU(1, 8)
    step = model.stepper()
    step(1.0)
    before = model.state.tobytes()
    with pytest.raises(error, match=re.escape(text)):
        step(x)
    assert model.state.tobytes() == before


def test_scalar_is_for_one_output():
    with pytest.raises(ValueError, match=re.escape("scalar=True is for one output, and GRU(")):
        srnn.GRU(1, 8).stepper(scalar=True)


def test_wrong_counts_of_arguments_are_refused():
    step = srnn.GRU(1, 8).stepper()
    for arguments in ((), (1.0, 2.0)):
        with pytest.raises(TypeError):
            step(*arguments)


LEARNERS = (srnn.Forecaster, srnn.Detector)


def bits(result):
    """All that a step of a learner returned, as bytes."""
    forecast = result if isinstance(result, srnn.Forecast) else result.forecast
    told = () if forecast is result else result[:-1]
    return repr(told), *(line.tobytes() for line in forecast)


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_learner_steps_as_it_runs(learner, channels):
    stepped, ran = learner(channels), learner(channels)
    X = np.random.default_rng(0).normal(size=(200, channels))
    X[50:53] = np.nan
    t = 60.0 * np.arange(200)
    for n in range(100):
        stepped.step(X[n])
    for n in range(100, 200):
        stepped.step(X[n], t=t[n])
    ran.run(X[:100])
    ran.run(X[100:], t[100:])
    assert stepped.state.tobytes() == ran.state.tobytes()


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(
    "row",
    [0.5, 1, True, np.float32(0.5), np.float64(0.5), np.array(2.0), [1.5], np.array([7.0])]
    + [np.arange(1, dtype=">f8"), np.ones(1, np.float32), np.ones((3, 2))[:1, 1]],
)
def test_a_learner_takes_a_number_of_any_kind(learner, row):
    given, plain = learner(), learner()
    for _ in range(3):
        assert bits(given.step(row)) == bits(plain.step([float(np.ravel(row)[0])]))


@pytest.mark.parametrize(
    "row",
    [
        np.arange(3.0),
        np.arange(3),
        np.arange(6.0)[::2],
        np.arange(3.0)[::-1],
        np.arange(3, dtype=">f8"),
        [0.0, np.nan, 2.0],
        np.zeros((3, 2))[:, 1],
    ],
)
def test_a_learner_takes_rows_of_any_kind_and_stride(row):
    given, plain = srnn.Forecaster(3), srnn.Forecaster(3)
    assert bits(given.step(row)) == bits(plain.step(np.array(list(row), np.float64)))
    assert given.state.tobytes() == plain.state.tobytes()


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(
    ("row", "error", "text"),
    [
        ("abc", TypeError, "x holds str, expected numbers"),
        (None, TypeError, "x holds NoneType, expected numbers"),
        ([1.0, 2.0], ValueError, "x has shape (2,), expected (1,)"),
        (np.zeros(2), ValueError, "x has shape (2,), expected (1,)"),
        (np.zeros((1, 1)), ValueError, "x has shape (1, 1), expected (1,)"),
    ],
)
def test_a_learner_refuses_what_does_not_fit_and_stays(learner, row, error, text):
    model = learner()
    model.step(1.0)
    before = model.state.tobytes()
    with pytest.raises(error, match=re.escape(text)):
        model.step(row)
    assert model.state.tobytes() == before


def test_what_a_learner_returned_stays():
    forecaster = srnn.Forecaster()
    first = forecaster.step(1.0)
    kept = bits(first)
    forecaster.step(5.0)
    assert bits(first) == kept


def test_what_a_learner_returned_is_gone_when_it_is_left():
    forecaster = srnn.Forecaster()
    result = forecaster.step(1.0)
    assert type(result) is srnn.Forecast and result._fields == ("mean", "lower", "upper")
    known = sys.getrefcount(srnn.Forecast), sys.getrefcount(None)
    for x in range(1000):
        result = forecaster.step(float(x))
        assert sys.getrefcount(result) == 2  # `result`, and the argument of this call
        # of an array: its tuple, `line`, the argument
        assert [sys.getrefcount(line) for line in result if line.base is None] in ([3] * 3, [])
    assert abs(sys.getrefcount(srnn.Forecast) - known[0]) < 10
    assert abs(sys.getrefcount(None) - known[1]) < 100  # a thousand, were one lost in each row


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_time_belongs_to_its_row_only(learner):
    timed, plain = learner(), learner()
    for n in range(50):
        timed.step(float(n), t=60.0 * n)
        plain.step(float(n), t=60.0 * n)
    with pytest.raises(ValueError):
        timed.step([1.0, 2.0], t=60.0 * 53)
    assert bits(timed.step(50.0)) == bits(plain.step(50.0))
    assert timed.state.tobytes() == plain.state.tobytes()


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_learner_that_is_gone_leaves_nothing(learner):
    model = learner()
    model.step(1.0)
    gone = weakref.ref(model)
    del model
    assert gone() is None
