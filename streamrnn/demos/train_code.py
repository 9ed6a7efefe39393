"""Train the network of the code demo: an LSTM that reads Python, one character at a time.

    python -m streamrnn.demos.train_code

The figures kept with the weights are measured on modules held out of training (corpus.py).
"""

import argparse
import math
import platform
import random
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn import __version__
from streamrnn.checkpoint import save
from streamrnn.demos.corpus import VOCABULARY, WEIGHTS, encoded
from streamrnn.model import LSTM
from streamrnn.text import Reader, load_reader
from streamrnn.train import fit
from streamrnn.training.optimizers import Adam
from streamrnn.training.progress import Report


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


def train(hidden_size: int, epochs: int, threads: int, seed: int = 0) -> LSTM:
    """An LSTM of one layer that has read all modules but those held out, in shuffled order."""
    training, unseen = encoded(held=False), np.concatenate(encoded(held=True))
    random.Random(seed).shuffle(training)
    ids, V = np.concatenate(training), len(VOCABULARY)
    model = LSTM(V, hidden_size, V, tokens=True, seed=seed)
    bias = model.parameters["bias_ih_l0"].copy()
    bias[hidden_size : 2 * hidden_size] = 1.0  # gates i f g o: remember at first
    model.parameters["bias_ih_l0"] = bias
    done = -1

    def show(report: Report) -> None:
        nonlocal done
        if report.epoch > done:
            done = report.epoch
            bits = report.loss / math.log(2), report.validation_loss / math.log(2)
            print(
                f"epoch {done + 1} of {epochs}: {report.samples_per_s:,.0f} characters/s, held-out "
                f"modules {bits[1]:.3f} bits per character",
                flush=True,
            )

    fit(
        model,
        ids[:-1],
        ids[1:],
        loss="cross_entropy",
        # 1e-2 is high for Adam, but the gradient is clipped, and what it learns first it learns
        # faster; each epoch from the third on lowers it by a quarter
        optimizer=Adam(lr=1e-2, betas=(0.9, 0.99)),
        lr_decay=0.75,
        decay_after=3,
        clip_norm=1.0,
        epochs=epochs,
        batch_size=32,
        truncation=100,
        validation=(unseen[:-1], unseen[1:]),
        threads=threads,
        seed=seed,
        callback=show,
    )
    return model


def export(model: LSTM, path: Path) -> Reader:
    """Write the weights as the demo reads them, with the figures measured on these."""
    metadata = Reader(model, VOCABULARY).metadata
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
        "streamrnn": __version__,
    }
    save(model, path, dtype="float16", metadata=metadata)
    return load_reader(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hidden-size", type=int, default=192)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    trained = train(arguments.hidden_size, arguments.epochs, arguments.threads)
    for name, text in export(trained, arguments.output).model.metadata.items():
        print(f"{name}: {text}")
