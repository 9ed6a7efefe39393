"""Networks in float64."""

import re

import numpy as np
import pytest

import streamrnn as srnn
from streamrnn import exact
from tests import naive


@pytest.mark.parametrize("cell", naive.MODELS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("output_size", [None, 2])
def test_the_float64_network_is_naives(cell, bias, output_size):
    model = cell(3, 11, output_size, num_layers=2, bias=bias, seed=3)
    model.scale(mean=[1, 2, 3], std=[4, 5, 6])
    X = np.random.default_rng(0).normal(size=(50, 3)) * 5
    X[::7, 1] = np.nan
    X = X.astype(np.float32).astype(float)
    found = exact.run(model, X)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, naive.run(model, X), rtol=0, atol=1e-12)


def test_tokens_are_one_hot_vectors():
    model = srnn.LSTM(5, 7, 5, tokens=True)
    X = np.array([0, 4, 5, -1, np.nan, 2])
    np.testing.assert_allclose(exact.run(model, X), naive.run(model, X), atol=1e-12)


@pytest.mark.parametrize("cell", naive.MODELS)
def test_float32_strays_little_from_it(cell):
    model = cell(2, 24, 1, seed=1)
    X = np.random.default_rng(1).normal(size=(3000, 2))
    # a last place of float32 is 6e-8 of 1; sums of 26 terms, carried through the recurrence
    np.testing.assert_allclose(model.run(X), exact.run(model, X), rtol=0, atol=3e-6)


def test_the_stream_of_the_object_is_not_moved():
    model = srnn.GRU(1, 4, 1)
    exact.run(model, [1.0, 2.0])
    assert not model.h.any()


def test_extremes_are_limited_as_in_the_kernels():
    model = srnn.RNN(1, 4, nonlinearity="relu")
    for x in (np.inf, 1e30, -np.inf):
        model.reset()
        np.testing.assert_allclose(exact.run(model, [x]), model.run([x]), rtol=1e-5)


def test_another_network_is_refused():
    with pytest.raises(TypeError, match=re.escape("is none of RNN, GRU, LSTM, LRU")):
        exact.run(srnn.Forecaster(), [1.0])


def test_no_rows_give_no_rows():
    assert exact.run(srnn.GRU(1, 4, 2), np.zeros((0, 1))).shape == (0, 2)
