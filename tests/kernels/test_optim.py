"""What the optimizers share; each of them is tested on its way down, beside torch's."""

import numpy as np
import pytest

from streamrnn.kernels.training import optim


@pytest.mark.parametrize("size", [1, 31, 1024, 1025, 5000])
def test_the_norm_equals_that_of_numpy(size):
    g = np.random.default_rng(size).normal(size=size).astype(np.float32)
    assert optim.norm(g) == pytest.approx(np.linalg.norm(g.astype(float)), rel=1e-6)


def test_the_norm_of_no_numbers_is_none():
    g = np.ones(3000, np.float32)
    g[100] = np.nan
    assert np.isnan(optim.norm(g))
    g[100] = np.inf
    assert optim.norm(g) == np.inf
