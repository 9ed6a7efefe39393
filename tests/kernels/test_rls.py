"""Recursive least squares against the same problem solved at once."""

import numpy as np
import pytest

from streamrnn.kernels import rls
from streamrnn.kernels.jit import jit

FORGETTING, PRIOR = 0.99, 0.5
FREE = 1e12  # a limit of the trace that is never reached


@jit
def teach(W, f, k, z):
    """z (H,) is the label of the row with inputs f and gain k."""
    d = f.size
    for h in range(z.size):
        rls.add(W, h * d, k, 0, z[h] - rls.dot(W, h * d, f, 0, d), d)


@jit
def four(W, F, K, i, j, d, z):
    """z (4,): dots of four rows of W and F, by which the rows of W then learn from those of K."""
    z0, z1, z2, z3 = rls.dots(W, i, 1, F, j, 2, d)
    z[0], z[1], z[2], z[3] = z0, z1, z2, z3
    rls.adds(W, i, K, j, 1, (1.0 - z0, 1.0 - z1, 1.0 - z2, 0.0), d)


@jit
def one(W, F, K, i, j, d, z):
    for n in range(4):
        z[n] = rls.dot(W, i[n] + 1, F, j[n] + 2, d)
    for n in range(3):
        rls.add(W, i[n] + 1, K, j[n] + 1, 1.0 - z[n], d)


def stream(T, d, H, seed=0):
    random = np.random.default_rng(seed)
    f = random.normal(size=(T, d))
    return f, f @ random.normal(size=(d, H)) + 0.1 * random.normal(size=(T, H))


def start(d):
    P, k = np.empty(rls.size(d)), np.empty(d)
    rls.restart(P, PRIOR, k)
    return P, k


def square(P, d):
    """P as a matrix (d, d)."""
    whole, at = np.empty((d, d)), 0
    for i in range(d):
        first = 4 * (i // 4)
        row = P[at : at + d - first]
        assert (row[: i - first] == whole[i, first:i]).all()  # kept on both sides of the diagonal
        whole[i, first:] = whole[first:, i] = row
        at += d - first
    assert at == len(P)
    return whole


@pytest.mark.parametrize("d", [1, 3, 4, 7, 8, 12, 14])
def test_weights_solve_the_discounted_least_squares(d):
    T, H = 200, 3
    f, z = stream(T, d, H)
    P, k = start(d)
    W = np.zeros((H, d))
    for t in range(T):
        assert rls.gain(P, f[t], FORGETTING, FREE, k)
        teach(W, f[t], k, z[t])
    discount = FORGETTING ** np.arange(T - 1, -1, -1.0)
    normal = (discount * f.T) @ f + FORGETTING**T / PRIOR * np.eye(d)
    expected = np.linalg.solve(normal, (discount * f.T) @ z)
    np.testing.assert_allclose(W.T, expected, rtol=1e-9)  # 200 updates, condition about 10
    np.testing.assert_allclose(square(P, d), np.linalg.inv(normal), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("d", [1, 4, 7, 8, 12, 20, 27, 44])
def test_four_at_once_are_the_same_bits(d):
    W, F, K = np.random.default_rng(0).normal(size=(3, 4 * 50))
    i, j = (0, 50, 100, 100), (150, 50, 100, 0)  # the last row of W twice: it learns once
    slow, ours, theirs = W.copy(), np.empty(4), np.empty(4)
    four(W, F, K, i, j, d, ours)
    one(slow, F, K, i, j, d, theirs)
    assert ours.tobytes() == theirs.tobytes() and W.tobytes() == slow.tobytes()


def test_a_label_that_comes_later_teaches_the_same():
    T, d, H = 60, 4, 2
    f, z = stream(T, d, H)
    P, k = start(d)
    now, late = np.zeros((H, d)), np.zeros((H, d))
    waiting = []
    for t in range(T):
        assert rls.gain(P, f[t], FORGETTING, FREE, k)
        teach(now, f[t], k, z[t])
        waiting.append((f[t], k.copy(), z[t]))
        if len(waiting) > 12:
            teach(late, *waiting.pop(0))
    for row in waiting:
        teach(late, *row)
    assert now.tobytes() == late.tobytes()


def test_trace_stays_within_its_limit_when_inputs_stay_the_same():
    P, k = start(5)
    f = np.array([1.0, 2.0, 0.0, 0.0, 0.0])
    for _ in range(20_000):
        assert rls.gain(P, f, FORGETTING, 100.0, k)
    whole = square(P, 5)
    assert np.trace(whole) <= 100.0 * (1 + 1e-12)
    assert np.linalg.eigvalsh(whole)[0] > 0


def test_a_covariance_ruined_by_rounding_is_refused_and_left_as_it_is():
    P, k = start(3)
    P[0] = -1.0
    before = P.copy()
    assert not rls.gain(P, np.array([1.0, 0.0, 0.0]), FORGETTING, FREE, k)
    assert (P == before).all()
    P[:] = np.nan
    assert not rls.gain(P, np.ones(3), FORGETTING, FREE, k)
