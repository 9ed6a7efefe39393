"""Networks that learn to write, side by side:  python -m tests.bench.text [--write]

Each reads the same two million characters of Python's library, with about as many parameters, and
is judged by modules that it has not seen. Needs torch for the last row: the same network, data,
order and rule of descent in PyTorch. --write puts the table into docs/text.md.
"""

import argparse
import math
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

import streamrnn as srnn
from streamrnn import charrnn
from streamrnn.demos import corpus
from streamrnn.packed import shapes
from streamrnn.train import fit
from tests.bench import into_docs

V = len(corpus.VOCABULARY)
CHARACTERS, HELD, EPOCHS = 1_000_000, 200_000, 2
B, T = 50, 50
MODELS = [("rnn", 1), ("rnn", 2), ("gru", 1), ("gru", 2), ("lru", 2), ("lstm", 1), ("lstm", 2)]
MODELS += [("lstm", 3)]
Model = srnn.RNN | srnn.GRU | srnn.LSTM | srnn.LRU


def size(kind: str, layers: int, hidden_size: int) -> int:
    """The number of parameters."""
    config = {"input_size": V, "hidden_size": hidden_size, "output_size": V}
    config |= {"num_layers": layers, "bias": True}
    return sum(math.prod(s) for s in shapes(charrnn.CELLS[kind].cell_of(config), config).values())


def model_of(kind: str, layers: int, parameters: int) -> Model:
    """A model with about that many parameters."""
    H = min(range(8, 1024), key=lambda H: abs(size(kind, layers, H) - parameters))
    return charrnn.CELLS[kind](V, H, V, num_layers=layers, tokens=True, seed=1)


def data() -> tuple[Any, Any]:
    """Ids to learn from, and ids of modules that are held out."""
    rng = np.random.default_rng(0)
    both = []
    for held, count in ((False, CHARACTERS), (True, HELD)):
        texts = corpus.encoded(held=held)
        both.append(np.concatenate([texts[n] for n in rng.permutation(len(texts))])[:count])
    return both[0], both[1]


def ours(model: Model, ids: Any, held: Any) -> float:
    """Bits per character of `held`, in the same pieces side by side as torch's."""
    history = fit(
        model,
        ids[:-1],
        ids[1:],
        loss="cross_entropy",
        optimizer=charrnn.OPTIMIZER,
        epochs=EPOCHS,
        batch_size=B,
        truncation=T,
        validation=(held[:-1], held[1:]),
        threads=1,
    )
    return history.validation[-1] / math.log(2)


def torchs(model: Model, ids: Any, held: Any) -> float:
    """The same in PyTorch, from the same parameters."""
    import torch

    torch.set_num_threads(1)
    H, functional = model.hidden_size, torch.nn.functional
    lstm = torch.nn.LSTM(V, H, model.num_layers)
    readout = torch.nn.Linear(H, V)
    with torch.no_grad():
        for name, array in model.parameters.items():
            renamed = {"weight_ho": readout.weight, "bias_o": readout.bias}
            (renamed[name] if name in renamed else getattr(lstm, name)).copy_(torch.tensor(array))
    parameters = [*lstm.parameters(), *readout.parameters()]
    rule = charrnn.OPTIMIZER
    descent = torch.optim.RMSprop(parameters, lr=rule.lr, alpha=rule.alpha, eps=rule.eps)

    def run(ids: Any, learn: bool) -> float:
        whole = len(ids[1:]) // B * B
        x, y = (torch.tensor(a[:whole].reshape(B, -1).T) for a in (ids[:-1], ids[1:]))
        state, total = None, 0.0
        for t in range(0, len(x), T):
            with torch.set_grad_enabled(learn):
                h, state = lstm(functional.one_hot(x[t : t + T].long(), V).float(), state)
                target = y[t : t + T].flatten().long()
                loss = functional.cross_entropy(readout(h).flatten(0, 1), target)
            if learn:
                descent.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 5.0)
                descent.step()
            state = tuple(part.detach() for part in state)
            total += loss.item() * len(target)
        return total / whole / math.log(2)

    for _ in range(EPOCHS):
        run(ids, True)
    return run(held, False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="into docs/text.md")
    arguments = parser.parse_args()
    ids, held = data()
    parameters = size("lstm", 2, 128)
    lines = ["| network | layers | units | parameters | bits per character |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for kind, layers in MODELS:
        model = model_of(kind, layers, parameters)
        bits = ours(model, ids, held)
        count = f"{size(kind, layers, model.hidden_size):,}".replace(",", " ")
        lines.append(f"| {kind.upper()} | {layers} | {model.hidden_size} | {count} | {bits:.3f} |")
        print(lines[-1], flush=True)
    bits = torchs(model_of("lstm", 2, parameters), ids, held)
    lines.append(f"| LSTM, PyTorch | 2 | 128 | the same | {bits:.3f} |")
    print(lines[-1])
    versions = ", ".join(f"{name} {version(name)}" for name in ("streamrnn", "numpy", "torch"))
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    lines.append(f"\nMeasured {date}: Python {platform.python_version()}, {versions}.")
    if arguments.write:
        into_docs("text.md", "python -m tests.bench.text --write", "\n".join(lines))


if __name__ == "__main__":
    main()
