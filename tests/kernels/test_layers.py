"""Lines of layers work on addresses, too: buffers between canaries, and narrower vectors."""

import os
import subprocess
import sys

import numpy as np
import pytest

from streamrnn.kernels import network
from streamrnn.packed import pack_line
from streamrnn.sequential import Sequential
from streamrnn.step import flat
from tests.kernels.test_network import Guarded
from tests.test_sequential import LINES, activation, embedding, linear, recurrent

MORE = {
    "tokens": lambda: (1, [embedding(7, 5), recurrent("LSTM", 5, 17, clip=0.5), linear(17, 3)]),
    "one unit": lambda: (1, [recurrent("GRU", 1, 1, clip=0.5), linear(1, 1), activation("tanh")]),
}


@pytest.mark.parametrize("name", [*LINES, *MORE])
@pytest.mark.parametrize(
    "rows", [[0], [0] * 70, list(range(61)), [0, 1, 2, 2, 2, 1, 3, 4, 5, 6, 7]]
)
def test_nothing_is_written_beside_the_buffers(name, rows):
    K, layers = (LINES | MORE)[name]()
    model = Sequential(layers)
    plan, weights = pack_line(model._parts(), model.tokens, model.scaling, model.layout)
    plan[network.LAYER + network.TILES :: network.RECORD] = model._tiles()
    N, S = len(rows), max(rows) + 1
    states = Guarded(S, flat(np.zeros(1, model.layout)).shape[1])
    x, y = Guarded(N, model.inputs), Guarded(N, model.outputs)
    scratch = Guarded(network.scratch_size(plan, N))
    states.inner[:] = 0
    x.inner[:] = np.arange(x.inner.size).reshape(x.inner.shape) % 7
    network.advance(plan, weights, states.inner, np.array(rows), x.inner, y.inner, scratch.inner)
    assert all(buffer.alive() for buffer in (states, x, y, scratch))
    assert np.isfinite(y.inner).all()


def test_narrower_vectors_give_the_same_numbers():
    """In a process of its own: the width is chosen when the kernels are imported."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["tests/test_sequential.py", "-k", "run_matches_naive and (kinds or projections)"]
    environment = os.environ | {"STREAMRNN_LANES": "4"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert "2 passed" in ran.stdout
