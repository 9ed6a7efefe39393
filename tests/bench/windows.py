"""What a network trained on windows gives when its state never ends; --write draws docs/import.svg.

A GRU learns to forecast one step ahead on windows of W samples of a noisy wave with a slow drift,
each from the zero state. Then it steps along a later part of the series, as it is and windowed.
"""

import sys

import numpy as np
import torch

import streamrnn as srnn
from streamrnn.network import Network
from tests.bench import DOCS

W = 24


def series(T: int) -> np.ndarray:
    rng, t = np.random.default_rng(0), np.arange(T)
    return (np.sin(t / 12 * np.pi) + 0.1 * rng.normal(size=T) + t / 800).astype(np.float32)


def trained(x: np.ndarray) -> Network:
    torch.manual_seed(0)
    cell, head = torch.nn.GRU(1, 16), torch.nn.Linear(16, 1)
    windows = torch.from_numpy(np.lib.stride_tricks.sliding_window_view(x, W + 1).copy())
    optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()], 5e-3)
    for _ in range(300):
        batch = windows[torch.randint(len(windows), (64,))].T[..., None]
        loss = torch.nn.functional.mse_loss(head(cell(batch[:W])[0][-1]), batch[W])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    read = srnn.from_torch(torch.nn.ModuleDict({"cell": cell, "head": head}).state_dict())
    assert isinstance(read, Network)
    return read


def main() -> None:
    x = series(1600)
    network = trained(x[:800])
    ahead, offline = x[800:], network.windowed(W).run(x[:-1])[799:, 0]
    endless = network.run(x[:-1])[799:, 0]
    for name, y in (("windowed", offline), ("endless", endless)):
        print(f"{name:9} mean absolute error {np.abs(y - ahead).mean():.3f}")
    print(f"largest difference {np.abs(endless - offline).max():.3f}")
    if "--write" in sys.argv:
        draw(ahead, offline, endless)


def draw(x: np.ndarray, offline: np.ndarray, endless: np.ndarray) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "streamrnn"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3), layout="constrained")
    last = np.s_[-200:]
    axes.plot(x[last], color="#999999", lw=1, label="what came")
    axes.plot(offline[last], color="#1f77b4", lw=1.2, label=f"windowed({W}), as offline")
    axes.plot(endless[last], color="#d62728", lw=1.2, label="a state that never ends")
    axes.set(xlabel="step", ylabel="value")
    axes.legend(frameon=False)
    figure.savefig(DOCS / "import.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
