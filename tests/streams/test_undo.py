"""Copies that may be put back: their memory is kept from use to use, not for ever."""

import numpy as np

from streamrnn.bank import Bank
from streamrnn.forecast import Forecaster
from streamrnn.streams import undo as module
from streamrnn.streams.undo import SPARED, Undo


def test_memory_that_is_not_used_any_more_is_given_back(monkeypatch):
    monkeypatch.setattr(module, "KEPT_BYTES", 1 << 20)
    bank = Bank(Forecaster())
    rows, undo = bank.rows(range(100)), Undo(bank)

    def use(count):
        undo.copy(rows[:count])
        undo.clear()

    use(100)
    for _ in range(SPARED - 1):
        use(1)
    assert len(undo._copies) == 100
    use(50)
    for _ in range(SPARED):
        use(1)
    assert len(undo._copies) == 0
    before = bank.states.tobytes()
    undo.copy(rows[:2])
    bank.advance(rows[:2], np.ones((2, 1)), np.empty((2, 36)))
    undo.put_back()
    assert bank.states.tobytes() == before
