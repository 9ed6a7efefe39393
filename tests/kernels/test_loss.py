"""Losses and their gradients, by hand and against differences in float64."""

import numpy as np
import pytest

from streamrnn.kernels.training import loss

N, O, D = 5, 3, 16
GENERATOR = np.random.default_rng(0)
Y = GENERATOR.normal(size=(N, D)).astype(np.float32)
WEIGHT = np.array([1, 1, 0, 1, 1], np.float32)
QUANTILES = np.array([0.1, 0.5, 0.9], np.float32)


def squared(y, target):
    return np.nansum((y - target) ** 2, axis=1)


def pinball(y, target):
    above = target - y
    return np.nansum(np.maximum(QUANTILES * above, (QUANTILES - 1) * above), axis=1)


def entropy(y, target):
    log_p = y - np.log(np.exp(y).sum(1, keepdims=True))
    return np.where(target < 0, 0, -log_p[np.arange(N), target])


NUMBERS = GENERATOR.normal(size=(N, O)).astype(np.float32)
NUMBERS[1, 2] = np.nan
CASES = {
    "squared_error": (squared, NUMBERS, ()),
    "pinball": (pinball, NUMBERS, (QUANTILES,)),
    "cross_entropy": (entropy, np.array([0, 2, 1, -1, 1]), (O,)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_loss_and_its_gradient_equal_those_in_float64(name):
    expected, target, more = CASES[name]
    y = Y.copy()
    total = getattr(loss, name)(y, target, WEIGHT, np.float32(0.5), *more)
    exact = Y[:, :O].astype(float)
    assert total == pytest.approx((WEIGHT * expected(exact, target)).sum(), rel=1e-6)
    for n in range(N):
        for o in range(O):
            ends = []
            for h in (1e-6, -1e-6):
                moved = exact.copy()
                moved[n, o] += h
                ends.append((WEIGHT * expected(moved, target)).sum())
            slope = (ends[0] - ends[1]) / 2e-6
            assert y[n, o] == pytest.approx(0.5 * slope, abs=1e-6)
    assert (y[:, O:] == 0).all()


def test_the_cross_entropy_of_large_outputs_is_exact():
    y = np.zeros((2, 16), np.float32)
    y[0, :2] = 1000, -1000  # exp(1000) is beyond any float
    y[1, :2] = -3e38, 3e38
    total = loss.cross_entropy(y, np.array([1, 1]), np.ones(2, np.float32), np.float32(1), 2)
    assert total == 2000  # -log(e^-1000 / e^1000), and -log 1
    np.testing.assert_array_equal(y[:, :2], [[1, -1], [0, 0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_of_no_number_is_none(bad):
    for name, (_, target, more) in CASES.items():
        y = Y.copy()
        y[0, 0] = bad
        assert not np.isfinite(getattr(loss, name)(y, target, WEIGHT, np.float32(1), *more)), name
