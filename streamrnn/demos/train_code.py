"""Train the network of the code demo: an LSTM that reads Python, one character at a time.

    python -m streamrnn.demos.train_code --minutes 30

The figures kept with the weights are measured on modules held out of training (corpus.py). Torch is
needed here alone; the demo reads the finished weights without it.
"""

import argparse
import json
import math
import platform
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.checkpoint import save
from streamrnn.demos.corpus import VOCABULARY, WEIGHTS, encoded
from streamrnn.text import Reader, load_reader
from streamrnn.trained import from_torch


def trigram_bits(training: NDArray[Any], texts: list[NDArray[Any]], size: int) -> float:
    """Bits per character of `texts` under a trigram model of `training`: the baseline to beat.

    Interpolated as Witten and Bell do (1991, method C): a context that was seen n times, followed
    by u different characters, trusts its own counts with weight n / (n + u), and the context
    shorter by one with the rest. The first two characters of a text are not scored.

    training (T,), each text (t,): token ids below `size`.
    """
    p = np.full(size, 1 / size)
    for order in (1, 2, 3):
        gram = np.zeros(len(training) - order + 1, np.int64)  # `order` tokens as one number
        for k in range(order):
            gram = gram * size + training[k : len(training) - order + 1 + k]
        count = np.bincount(gram, minlength=size**order).reshape((size,) * order)
        seen = count.sum(-1, keepdims=True)
        different = (count > 0).sum(-1, keepdims=True)
        # After a context that was never seen: the shorter one alone, 0 counts and a weight of 1.
        p = (count + np.where(seen, different, 1) * p) / np.where(seen, seen + different, 1)
    bits = [-np.log2(p[text[:-2], text[1:-1], text[2:]]) for text in texts if len(text) > 2]
    return float(np.concatenate(bits).mean())


def train(minutes: float, hidden_size: int, checkpoint: Path, seed: int = 0) -> None:
    """Train for that many minutes; `checkpoint` is written every minute, and at the end.

    Truncated backpropagation through time: `lanes` pieces of text side by side, `chunk` characters
    at a time, the state carried from chunk to chunk. The modules are shuffled for every epoch.

    The checkpoint is a state_dict of nn.LSTM ("lstm.") and nn.Linear ("readout.").
    """
    torch = import_torch()
    functional = torch.nn.functional
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # two gain a network this small little, and leave nothing to others
    # 1e-2 is high for Adam, but the gradient is clipped, and after 2 minutes it was at 1.98 bits
    # where 5e-3 was at 2.14 and 2e-3 at 2.51.
    lanes, chunk, peak_rate = 32, 100, 1e-2
    V = len(VOCABULARY)
    lstm = torch.nn.LSTM(V, hidden_size)
    readout = torch.nn.Linear(hidden_size, V)
    network = torch.nn.ModuleDict({"lstm": lstm, "readout": readout})
    with torch.no_grad():
        lstm.bias_ih_l0[hidden_size : 2 * hidden_size] = 1.0  # gates i f g o: remember at first
    optimizer = torch.optim.Adam(network.parameters(), betas=(0.9, 0.99))

    def side_by_side(texts: list[NDArray[np.int32]]) -> Any:
        """All texts as (T, lanes), column k their k-th piece; a few last characters are lost."""
        ids = torch.from_numpy(np.concatenate(texts)).long()
        return ids[: len(ids) // lanes * lanes].view(lanes, -1).T.contiguous()

    def bits(ids: Any, state: Any) -> tuple[Any, Any]:
        h, (h_last, c_last) = lstm(functional.one_hot(ids[:-1], V).float(), state)
        nats = functional.cross_entropy(readout(h).flatten(0, 1), ids[1:].flatten())
        return nats / math.log(2), (h_last.detach(), c_last.detach())

    training, unseen = encoded(held=False), side_by_side(encoded(held=True))
    shuffle = random.Random(seed)
    start = saved = time.monotonic()
    update = 0
    smooth = math.log2(V)
    while True:
        shuffle.shuffle(training)
        lines, state = side_by_side(training), None
        for t in range(0, len(lines) - 1, chunk):
            done = (time.monotonic() - start) / (60 * minutes)
            if done >= 1:
                torch.save(network.state_dict(), checkpoint)
                return
            warm_up = min(1.0, (update + 1) / 200)
            decay = 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2
            optimizer.param_groups[0]["lr"] = peak_rate * warm_up * decay
            loss, state = bits(lines[t : t + chunk + 1], state)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            update += 1
            smooth += 0.01 * (loss.item() - smooth)
            if time.monotonic() - saved > 60:
                saved = time.monotonic()
                torch.save(network.state_dict(), checkpoint)
                with torch.no_grad():
                    loss, _ = bits(unseen, None)
                print(
                    f"{(saved - start) / 60:5.1f} min, update {update}: "
                    f"{smooth:.3f} bits per character, held-out modules {loss.item():.3f}",
                    flush=True,
                )


def export(checkpoint: Path, path: Path) -> Reader:
    """Write a checkpoint's weights as the demo reads them, with the figures measured on these."""
    state_dict = import_torch().load(checkpoint, weights_only=True)
    model = from_torch(state_dict, tokens=True)
    metadata = {"vocabulary": json.dumps(VOCABULARY)}
    # Saved twice: first for the weights as they will be, rounded to float16.
    save(model, path, dtype="float16", metadata=metadata)
    reader = load_reader(path)
    training, unseen = encoded(held=False), encoded(held=True)
    surprise = np.concatenate([reader.surprise(VOCABULARY.decode(ids)) for ids in unseen])
    trigram = trigram_bits(np.concatenate(training), unseen, len(VOCABULARY))
    metadata |= {
        "bits_per_character": f"{surprise.mean(dtype=np.float64):.4f}",
        "trigram_bits_per_character": f"{trigram:.4f}",
        "training_characters": str(sum(map(len, training))),
        "held_out_characters": str(len(surprise)),
        "python": platform.python_version(),
        "torch": import_torch().__version__,
    }
    save(model, path, dtype="float16", metadata=metadata)
    return load_reader(path)


def import_torch() -> Any:
    try:
        import torch
    except ImportError:
        raise SystemExit(
            "train_code needs torch, which is not installed here: pip install torch "
            "(training alone needs it; the demo reads the finished weights without)"
        ) from None
    return torch


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--minutes", type=float, default=30, help="0: export the checkpoint as it is"
    )
    parser.add_argument("--hidden-size", type=int, default=192)
    parser.add_argument("--checkpoint", type=Path, default=Path("code_lstm.pt"))
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    if arguments.minutes > 0:
        train(arguments.minutes, arguments.hidden_size, arguments.checkpoint)
    exported = export(arguments.checkpoint, arguments.output)
    for name, text in exported.model.metadata.items():
        print(f"{name}: {text}")
