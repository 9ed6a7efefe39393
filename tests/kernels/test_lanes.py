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

generator = np.random.default_rng(0)
Y = [np.full(1, LANES, np.float32)]
for cell in naive.MODELS:
    for H, O in ((1, None), (17, 3), (50, 20)):
        model = cell(3, H, O, num_layers=2)
        X = generator.normal(size=(40, 3)).astype(np.float32)
        Y += [model.run(X), srnn.Bank(model).step([*range(37), 5, 5, 6], X)]
sys.stdout.buffer.write(np.concatenate([y.ravel() for y in Y]).tobytes())
"""


def outputs(**environment: str) -> np.ndarray:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
    )
    return np.frombuffer(result.stdout, np.float32)


@pytest.fixture(scope="module")
def usual():
    return outputs()


@pytest.mark.parametrize("lanes", ["4", "8", "16"])
def test_the_width_changes_no_bit(lanes, usual, tmp_path):
    forced = outputs(STREAMRNN_LANES=lanes, NUMBA_CACHE_DIR=str(tmp_path))
    assert forced[0] == int(lanes)
    assert forced[1:].tobytes() == usual[1:].tobytes()


def test_a_cpu_without_multiply_add_agrees(usual, tmp_path):
    plain = outputs(NUMBA_CPU_NAME="generic", NUMBA_CACHE_DIR=str(tmp_path))
    assert plain[0] == 4
    np.testing.assert_allclose(plain[1:], usual[1:], atol=2e-6)  # a rounding more in each product


def test_another_width_is_refused():
    with pytest.raises(subprocess.CalledProcessError) as raised:
        outputs(STREAMRNN_LANES="5")
    assert b"STREAMRNN_LANES is '5', expected 4, 8 or 16" in raised.value.stderr
