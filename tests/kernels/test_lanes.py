"""The same results at every width of vectors; each width in a process of its own."""

import os
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import sys
import numpy as np
import streamrnn as srnn
from streamrnn.kernels.simd import LANES
from tests import naive
from tests.padding import padding

generator = np.random.default_rng(0)
Y = [np.full(1, LANES, np.float32)]
for cell in naive.MODELS:
    for H, O in ((1, None), (17, 3), (50, 20)):
        model, by_token = cell(3, H, O, num_layers=2), cell(3, H, O, num_layers=2, tokens=True)
        bank = srnn.Bank(model)
        X = generator.normal(size=(40, 3)).astype(np.float32)
        tokens = generator.integers(0, 4, 40)
        Y += [model.run(X), bank.step([*range(37), 5, 5, 6], X), by_token.run(tokens)]
        Y += [bank.step(generator.permutation(40), X), bank.step(generator.integers(0, 9, 40), X)]
        step = model.stepper()
        Y += [step(x).copy() for x in X[:3]]
        assert not padding(model, bank.states).any() and not padding(model, model.state).any()
sys.stdout.buffer.write(np.concatenate([y.ravel() for y in Y]).tobytes())
"""


def outputs(**environment: str) -> np.ndarray:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    return np.frombuffer(result.stdout, np.float32)


@pytest.fixture(scope="module")
def usual():
    return outputs()


@pytest.mark.parametrize("lanes", ["4", "8", "16"])
def test_the_width_changes_no_bit_and_leaves_the_padding_zero(lanes, usual, tmp_path):
    forced = outputs(STREAMRNN_LANES=lanes, NUMBA_CACHE_DIR=str(tmp_path))
    assert forced[0] == int(lanes)
    assert forced[1:].tobytes() == usual[1:].tobytes()


def test_a_cpu_without_multiply_add_agrees(usual, tmp_path):
    plain = outputs(NUMBA_CPU_NAME="generic", NUMBA_CACHE_DIR=str(tmp_path))
    assert plain[0] == 4
    np.testing.assert_allclose(plain[1:], usual[1:], atol=2e-6)  # a rounding more in each product


def test_another_width_is_refused():
    with pytest.raises(AssertionError, match="STREAMRNN_LANES is '5', expected 4, 8 or 16"):
        outputs(STREAMRNN_LANES="5")
