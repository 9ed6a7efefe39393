"""Threads: a call shared out among them has the bits of one thread, whatever comes in."""

import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamrnn as srnn
from streamrnn import threads
from streamrnn.step import flat
from tests import naive
from tests.leaky import Leaky

STEPS = [model(2, 9, 3) for model in naive.MODELS] + [srnn.Forecaster(2), srnn.Detector(2)]
NAMES = [repr(step) for step in STEPS]


@pytest.mark.parametrize("step", STEPS, ids=NAMES)
@given(
    keys=st.lists(st.integers(0, 30), max_size=100),
    count=st.integers(1, 9),
    seed=st.integers(0, 9),
)
@settings(max_examples=25, deadline=None)
def test_any_interleaving_on_any_threads_gives_the_bits_of_one(step, keys, count, seed):
    X = np.random.default_rng(seed).normal(size=(len(keys), 2))
    one, several = srnn.Bank(step), srnn.Bank(step)
    Y = one.step(keys, X, threads=1)
    assert several.step(keys, X, threads=count).tobytes() == Y.tobytes()
    assert several.snapshot().states.tobytes() == one.snapshot().states.tobytes()


class Recorded(Leaky):
    """Keeps who called and with how many samples; fails where x is 99."""

    parallel = 10

    def __init__(self, barrier=None):
        super().__init__()
        self.calls, self.barrier = [], barrier

    def advance(self, states, rows, x, y):
        self.calls.append((threading.current_thread().name, len(rows)))
        if self.barrier is not None:
            self.barrier.wait(timeout=30)
        if (x == 99).any():
            raise ArithmeticError("99")
        super().advance(states, rows, x, y)


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)


@pytest.mark.parametrize(
    ("samples", "shares"), [(0, [0]), (19, [19]), (20, [10, 10]), (500, [250, 250])]
)
def test_by_default_a_thread_is_taken_for_as_many_samples_as_are_worth_it(
    samples, shares, two_cores
):
    step = Recorded()
    srnn.Bank(step).step(range(samples), np.ones((samples, 1)))
    assert [count for _, count in step.calls] == shares


def test_shares_run_side_by_side():
    step = Recorded(threading.Barrier(2))  # passed only when two are inside
    srnn.Bank(step).step(range(20), np.ones((20, 1)), threads=2)
    assert len({name for name, _ in step.calls}) == 2


def test_a_step_that_does_not_say_it_can_is_called_once():
    class Plain(Recorded):
        parallel = 0

    for step in (Plain(), Leaky()):
        assert threads.count(step, 10**6, None) == threads.count(step, 10**6, 5) == 1
    step = Plain()
    srnn.Bank(step).step(range(20), np.ones((20, 1)), threads=5)
    assert [count for _, count in step.calls] == [20]


def test_streams_with_most_samples_are_shared_out_by_their_samples():
    step = Recorded()
    keys = [0] * 50 + [1, 2, 3, 4, 5] * 10
    srnn.Bank(step).step(keys, np.ones((100, 1)), threads=2)
    assert [count for _, count in step.calls] == [50, 50]


def test_one_stream_stays_on_one_thread():
    step = Recorded()
    srnn.Bank(step).step(["a"] * 100, np.ones((100, 1)), threads=4)
    assert [count for _, count in step.calls] == [100]


@pytest.mark.parametrize("bad", [0, 19])
def test_an_exception_in_any_thread_reaches_the_caller(bad):
    x = np.ones((20, 1))
    x[bad] = 99
    with pytest.raises(ArithmeticError, match="99"):
        srnn.Bank(Recorded(threading.Barrier(2))).step(range(20), x, threads=2)


@pytest.mark.parametrize("portion", [1, 200, 10**9])  # bytes; a state of Leaky has 64
@pytest.mark.parametrize("count", [1, 2])
@given(keys=st.lists(st.integers(0, 9), min_size=1, max_size=60), bad=st.integers(0, 200))
@settings(deadline=None)
def test_states_are_copied_before_they_move_even_if_a_part_fails(keys, bad, count, portion):
    bank, plain = srnn.Bank(Recorded()), srnn.Bank(Leaky())
    X = np.arange(1, len(keys) + 1, dtype=np.float32).reshape(-1, 1)
    bank.step(range(10), np.ones((10, 1)))
    plain.restore(bank.snapshot())
    before = bank.states.copy()
    X[bad:] = 99
    touched, numbers = np.unique(bank.rows(keys), return_inverse=True)
    out, y = np.empty_like(flat(before)[touched]), np.empty_like(X)
    copies = threads.Copies(touched, numbers, out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "PORTION_BYTES", portion)
        try:
            bank.advance(bank.rows(keys), X, y, threads=count, copies=copies)
        except ArithmeticError:
            assert bad < len(keys)
        else:
            assert bad >= len(keys)
            assert y.tobytes() == plain.step(keys, X, threads=1).tobytes()
            assert bank.states.tobytes() == plain.states.tobytes()
    assert out.tobytes() == flat(before)[touched].tobytes()


@pytest.mark.parametrize("wrong", [0, -1, 257, 1.5, True, "2"])
def test_a_wrong_number_of_threads_is_refused_and_makes_no_key(wrong):
    for step in (srnn.RNN(1, 3), Leaky()):
        bank = srnn.Bank(step)
        text = f"threads is {wrong!r}, expected a whole number from 1 to 256"
        with pytest.raises(ValueError, match=re.escape(text)):
            bank.step(["a"], [[1.0]], threads=wrong)
        assert len(bank) == 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_only_cores_that_the_process_may_use_count():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert threads.cores() == 1
        assert threads.count(srnn.RNN(1, 8), 10**6, None) == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert threads.cores() == len(allowed)


def run_shared(samples: int) -> bytes:
    bank = srnn.Bank(srnn.GRU(1, 8))
    return bank.step(range(samples), np.ones((samples, 1)), threads=2).tobytes()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_makes_threads_of_its_own():
    expected = run_shared(50)
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as children:
        assert children.submit(run_shared, 50).result(timeout=60) == expected


def test_a_thread_that_outlives_the_main_one_goes_on_stepping():
    program = """
import threading, numpy as np, streamrnn as srnn
bank = srnn.Bank(srnn.GRU(1, 8))
def late():
    threading.main_thread().join()
    print(bank.step(range(50), np.ones((50, 1)), threads=2).shape)
threading.Thread(target=late).start()
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "(50, 8)" and ran.stderr == ""
