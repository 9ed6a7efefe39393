"""What a step costs: one Python call a sample, a long recording, many streams.

Where torch is installed its cell is timed beside ours in the same run: read the ratios.
"""

import time
from collections.abc import Callable

import numpy as np

import streamrnn as srnn

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
            run = best_ns(lambda model=model, X=X: model.run(X), 1000)
            many = best_ns(lambda b=bank, k=keys, X=X: b.step(k, X), 1000)
            peer = torch_step(kind, H)
            ratio = f"{best_ns(peer, 200) / step:.1f} x" if peer else "not installed"
            print(f"{kind:8}{H:5}{step / 1000:10.2f}{run:10.0f}{many:10.0f}{ratio:>14}", flush=True)


if __name__ == "__main__":
    main()
