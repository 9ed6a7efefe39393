"""Training beside torch's, as ratios from one run:  python -m tests.bench.train

A character model as in Karpathy's char-rnn: LSTM 2 x 128 over 96 tokens, chunks of 50 steps, 50
streams, Adam. Both sides start from the same weights, read the same tokens, clip by norm, and take
turns, update by update; each side's best one counts, so that another process on the machine slows
neither alone. torch's allocator is tuned: without these settings of malloc it gives its memory back
after every update, and takes a third longer.
"""

import os
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

import streamrnn as srnn
from streamrnn.modes import Example
from streamrnn.training.batches import Batches, cut
from streamrnn.training.examples import loss_named
from streamrnn.training.trainer import Trainer

V, H, LAYERS, T, B = 96, 128, 2, 50, 50
UPDATES = 60
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "1000000000"}


class Ours:
    def __init__(self, model: srnn.LSTM, tokens: np.ndarray, threads: int) -> None:
        loss = loss_named("cross_entropy", model, ())
        self.batches = Batches(model, cut(Example(tokens[:-1], tokens[1:]), B), B, T)
        self.trainer = Trainer(model, loss, srnn.Adam(lr=2e-3), self.batches, threads=threads)
        self.pieces = self.batches.pieces()

    def update(self, n: int) -> float:
        piece = self.pieces[n]
        total, count = self.trainer.update(self.batches.load(piece), piece, 2e-3, 5.0)
        return total / count


class Torch:
    def __init__(self, model: srnn.LSTM, tokens: np.ndarray, threads: int) -> None:
        import torch

        self.torch = torch
        torch.set_num_threads(threads)
        self.lstm, self.readout = torch.nn.LSTM(V, H, LAYERS), torch.nn.Linear(H, V)
        p = {name: torch.tensor(array) for name, array in model.parameters.items()}
        self.readout.load_state_dict({"weight": p.pop("weight_ho"), "bias": p.pop("bias_o")})
        self.lstm.load_state_dict(p)
        self.parameters = [*self.lstm.parameters(), *self.readout.parameters()]
        self.adam = torch.optim.Adam(self.parameters, lr=2e-3, fused=True)
        L = (len(tokens) - 1) // B
        self.x, self.y = (
            torch.tensor(a[: B * L].reshape(B, L).T.copy()).long()
            for a in (tokens[:-1], tokens[1:])
        )
        self.state: tuple[Any, ...] | None = None
        self.one_hot = torch.eye(V)

    def update(self, n: int) -> float:
        part = slice(n * T, n * T + T)
        h, state = self.lstm(self.one_hot[self.x[part]], self.state)
        self.state = tuple(s.detach() for s in state)
        logits = self.readout(h).reshape(-1, V)
        loss = self.torch.nn.functional.cross_entropy(logits, self.y[part].reshape(-1))
        self.adam.zero_grad()
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.adam.step()
        return loss.item()


def tokens() -> np.ndarray:
    return np.random.default_rng(0).integers(0, V, (UPDATES * T + 1) * B + 1)


def timed(side: Ours | Torch, n: int) -> float:
    time.sleep(0.02)  # torch's threads spin for a while after their turn, on the other side's cores
    start = time.perf_counter()
    side.update(n)
    return time.perf_counter() - start


def compare(threads: int, goal: float) -> None:
    model = srnn.LSTM(V, H, V, num_layers=LAYERS, tokens=True)
    ours, peer = Ours(model, tokens(), threads), Torch(model, tokens(), threads)
    first = ours.update(0), peer.update(0)
    assert abs(first[0] - first[1]) < 1e-5, first
    times = np.array([[timed(ours, n), timed(peer, n)] for n in range(1, UPDATES)])[5:]
    rates = T * B / times.min(axis=0)
    ratio = rates[0] / rates[1]
    print(f"{threads:7}{rates[0]:18,.0f}{rates[1]:19,.0f}{ratio:7.2f}{goal:6.1f}", flush=True)


def memory() -> None:
    """The most that one training process without torch holds."""
    model = srnn.LSTM(V, H, V, num_layers=LAYERS, tokens=True)
    ours = Ours(model, tokens(), 1)
    for n in range(5):
        ours.update(n)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    most = subprocess.run(
        [sys.executable, "-m", "tests.bench.train", "memory"], capture_output=True, check=True
    )
    print(
        f"LSTM {LAYERS} x {H}, T={T}, B={B}, V={V}, Adam; memory {int(most.stdout)} MB, goal < 1000"
    )
    if find_spec("torch") is None:
        print('torch is not installed: pip install -e ".[bench]"')
        return
    print("streamrnn", version("streamrnn"), "torch", version("torch"), "numba", version("numba"))
    print("threads  ours, tokens/s  torch, tokens/s  ratio  goal")
    compare(1, 1.3)
    compare(2, 1.4)


if __name__ == "__main__":
    if "memory" in sys.argv:
        memory()
    elif MALLOC.items() <= os.environ.items():
        main()
    else:  # malloc reads its settings when a process starts
        os.execve(sys.executable, [sys.executable, "-m", "tests.bench.train"], os.environ | MALLOC)
