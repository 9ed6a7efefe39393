"""Kernels work on addresses, where bounds checking sees nothing: buffers between canaries."""

import numpy as np
import pytest

import streamrnn as srnn
from streamrnn.kernels import network, rounds
from streamrnn.packed import pack
from streamrnn.step import flat
from tests import naive

CANARY = np.float32(12345.0)
GUARD = 64  # floats on either side


RANDOM = np.random.default_rng(0)
ROWS = {
    "one sample": [0],
    "one stream": [0] * 70,
    "ordered": list(range(61)),
    "mixed": [0, 1, 2, 2, 2, 1, 3, 4, 5, 6, 7],
    "backwards": list(range(100))[::-1],
    "two streams": [0, 1, 0, 0, 1] * 9,
    "more than a window": RANDOM.integers(0, 30, network.WINDOW + 40).tolist(),
}


class Guarded:
    """An array of `shape` with canaries before and after it."""

    def __init__(self, *shape: int) -> None:
        self.whole = np.full(2 * GUARD + int(np.prod(shape)), CANARY)
        self.inner = self.whole[GUARD:-GUARD].reshape(shape)

    def alive(self) -> bool:
        return bool((self.whole[:GUARD] == CANARY).all() and (self.whole[-GUARD:] == CANARY).all())


@pytest.mark.parametrize("cell", naive.MODELS)
@pytest.mark.parametrize(
    "sizes",
    [(1, 1, None, 1), (1, 16, None, 2), (3, 17, 5, 2), (33, 16, 16, 1), (2, 40, 1, 3)],
)
@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_nothing_is_written_beside_the_buffers(cell, sizes, tokens, rows):
    I, H, O, layers = sizes
    model = cell(I, H, O, num_layers=layers, tokens=tokens)
    plan, weights = pack(model.cell, model.config, model.parameters, model.scaling, model.layout)
    plan[network.LAYER + network.TILES :: network.RECORD] = model.cell.tile.address
    plan[network.ROUNDS] = rounds.in_rounds.address
    N, S = len(rows), max(rows) + 1
    states = Guarded(S, flat(np.zeros(1, model.layout)).shape[1])
    x, y = Guarded(N, model.inputs), Guarded(N, model.outputs)
    scratch = Guarded(network.scratch_size(plan, N))
    states.inner[:] = 0
    x.inner[:] = np.arange(x.inner.size).reshape(x.inner.shape) % I
    network.advance(plan, weights, states.inner, np.array(rows), x.inner, y.inner, scratch.inner)
    assert all(buffer.alive() for buffer in (states, x, y, scratch))
    bank = srnn.Bank(model)
    assert np.isfinite(y.inner).all() and (y.inner != CANARY).all()
    alone = [bank.step([row], x_n[None])[0] for row, x_n in zip(rows, x.inner, strict=True)]
    assert np.stack(alone).tobytes() == y.inner.tobytes()
