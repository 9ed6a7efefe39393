"""What a step costs: one Python call a sample, a long recording, many streams.

Where torch is installed its cell is timed beside ours in the same run: read the ratios.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np

import streamrnn as srnn
from streamrnn.step import scalar

SIZES = (16, 32, 64, 128, 256)


def best_ns(call: Callable[[], object], steps: int, repeats: int = 7) -> float:
    """The fastest of several runs of `call`, which makes `steps` steps, in ns a step."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return min(times) / steps


def torch_step(kind: str, H: int) -> Callable[[], object] | None:
    """200 steps of torch's cell, or None where torch is not installed."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    cell = getattr(torch.nn, f"{kind}Cell")(1, H)
    x = torch.zeros(1, 1)

    def run() -> None:
        state = None
        with torch.inference_mode():
            for _ in range(200):
                state = cell(x, state)

    return run


def on_two_threads() -> None:
    """A step of 10 000 streams by one thread and by two."""
    print(f"\n{'10 000 streams':16}{'1 thread, us':>14}{'2 threads, us':>15}{'ratio':>8}")
    X = np.zeros((10_000, 1), np.float32)
    steps = [getattr(srnn, kind)(1, H) for kind in ("GRU", "LSTM") for H in (16, 64, 128)]
    for step in [*steps, srnn.Forecaster()]:
        bank = srnn.Bank(step)
        rows = bank.rows(range(10_000))
        x = X.astype(scalar(step.layout))
        y = np.empty((len(x), step.outputs), x.dtype)
        one, two = (best_ns(partial(bank.advance, rows, x, y, threads=n), 1000, 30) for n in (1, 2))
        name = f"{type(step).__name__} {getattr(step, 'hidden_size', '')}"
        print(f"{name:16}{one:14.0f}{two:15.0f}{one / two:6.2f} x", flush=True)


def main() -> None:
    print(f"{'':8}{'H':>5}{'step, us':>10}{'run, ns':>10}{'bank, ns':>10}{'torch / step':>14}")
    for kind in ("RNN", "GRU", "LSTM"):
        for H in SIZES:
            model = getattr(srnn, kind)(1, H)
            x, X = np.zeros(1, np.float32), np.zeros((1000, 1), np.float32)
            bank = srnn.Bank(model)
            keys = list(range(1000))
            bank.step(keys, X)
            model.step(x)

            def steps(model: srnn.LSTM = model, x: np.ndarray = x) -> None:
                for _ in range(200):
                    model.step(x)

            step = best_ns(steps, 200)
            run = best_ns(partial(model.run, X), 1000)
            many = best_ns(partial(bank.step, keys, X), 1000)
            peer = torch_step(kind, H)
            ratio = f"{best_ns(peer, 200) / step:.1f} x" if peer else "not installed"
            print(f"{kind:8}{H:5}{step / 1000:10.2f}{run:10.0f}{many:10.0f}{ratio:>14}", flush=True)
    on_two_threads()


if __name__ == "__main__":
    main()
