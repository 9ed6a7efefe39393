"""Recursive least squares against the same problem solved at once."""

import numpy as np

from streamrnn.kernels import rls

FORGETTING, PRIOR = 0.99, 0.5
FREE = 1e12  # a limit of the trace that is never reached


def stream(T, d, H, seed=0):
    random = np.random.default_rng(seed)
    f = random.normal(size=(T, d))
    return f, f @ random.normal(size=(d, H)) + 0.1 * random.normal(size=(T, H))


def start(d):
    P, k = np.empty((d, d)), np.empty(d)
    rls.restart(P, PRIOR, k)
    return P, k


def teach(W, f, k, z):
    """z (H,) is the label of the row with inputs f and gain k."""
    F, K = (np.repeat(v[:, None], len(z), axis=1) for v in (f, k))
    predicted = np.empty(len(z))
    rls.predict(W, F, predicted)
    rls.learn(W, K, z - predicted)


def test_weights_solve_the_discounted_least_squares():
    T, d, H = 200, 7, 3
    f, z = stream(T, d, H)
    P, k = start(d)
    W = np.zeros((d, H))
    for t in range(T):
        assert rls.gain(P, f[t], FORGETTING, FREE, k)
        teach(W, f[t], k, z[t])
    discount = FORGETTING ** np.arange(T - 1, -1, -1.0)
    normal = (discount * f.T) @ f + FORGETTING**T / PRIOR * np.eye(d)
    expected = np.linalg.solve(normal, (discount * f.T) @ z)
    np.testing.assert_allclose(W, expected, rtol=1e-9)  # 200 updates, condition about 10
    np.testing.assert_allclose(P, np.linalg.inv(normal), rtol=1e-9)


def test_a_label_that_comes_later_teaches_the_same():
    T, d, H = 60, 4, 2
    f, z = stream(T, d, H)
    P, k = start(d)
    now, late = np.zeros((d, H)), np.zeros((d, H))
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
    assert np.trace(P) <= 100.0 * (1 + 1e-12)
    assert np.linalg.eigvalsh(P)[0] > 0
    assert (P == P.T).all()


def test_a_covariance_ruined_by_rounding_is_refused_and_left_as_it_is():
    P, k = start(3)
    P[0, 0] = -1.0
    before = P.copy()
    assert not rls.gain(P, np.array([1.0, 0.0, 0.0]), FORGETTING, FREE, k)
    assert (P == before).all()
    P[:] = np.nan
    assert not rls.gain(P, np.ones(3), FORGETTING, FREE, k)
