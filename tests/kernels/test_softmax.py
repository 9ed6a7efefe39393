"""Probabilities and ranks out of logits."""

import numpy as np
import pytest

from streamrnn.kernels import softmax


@pytest.mark.parametrize("shift", [0, 1000, -1000])
def test_log_softmax_matches_float64(shift):
    logits = np.random.default_rng(0).normal(shift, 5, 97).astype(np.float32)
    log_p = np.full(99, 7, np.float32)
    softmax.log_softmax(logits, log_p[1:-1])
    exact = logits.astype(float) - shift
    exact -= np.log(np.exp(exact).sum())
    # float32: numbers near 1000 are 6e-5 apart, near 1 the sum's rounding decides
    np.testing.assert_allclose(log_p[1:-1], exact, atol=1e-4 if shift else 3e-6)
    assert log_p[0] == log_p[-1] == 7  # wrote nowhere else


def test_one_sure_token_leaves_finite_logarithms():
    log_p = np.empty(3, np.float32)
    softmax.log_softmax(np.array([500, 0, -500], np.float32), log_p)
    assert log_p.tolist() == [0, -500, -1000]


@pytest.mark.parametrize("V", [1, 4, 5, 6, 97])
def test_the_likeliest_come_first_and_of_equals_the_first(V):
    rng = np.random.default_rng(V)
    p = rng.integers(1, 8, V) / 8  # many equals
    ids, found = np.empty((2, 5), np.float32)
    softmax.likeliest(np.log(p).astype(np.float32), ids, found)
    best = np.argsort(-p, kind="stable")[:5]
    assert ids[: len(best)].tolist() == best.tolist()
    np.testing.assert_allclose(found[: len(best)], p[best], rtol=1e-6)  # exp within a few ulp
    assert np.isnan(ids[len(best) :]).all() and np.isnan(found[len(best) :]).all()
