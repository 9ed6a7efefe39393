"""A network that learns to write from files, with the defaults of char-rnn.

>>> reader, history = train("abcabd" * 300, hidden_size=16, epochs=2, batch_size=4, truncation=10)
>>> bits_per_character(reader, "abcabdabcabd") < 3
True

Karpathy 2015, "The Unreasonable Effectiveness of Recurrent Neural Networks", and its program
char-rnn: two layers of 128 LSTM units, RMSprop, 50 characters at a time, 50 pieces side by side.
It limits each number of the gradient to 5, this the gradient's norm.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from streamrnn.model import GRU, LRU, LSTM, RNN
from streamrnn.text import Reader
from streamrnn.train import fit
from streamrnn.training.optimizers import Optimizer, RMSprop
from streamrnn.training.progress import Report
from streamrnn.training.resume import History
from streamrnn.vocabulary import Vocabulary

CELLS: dict[str, type[RNN | GRU | LSTM | LRU]] = {
    "rnn": RNN,
    "gru": GRU,
    "lstm": LSTM,
    "lru": LRU,
}
OPTIMIZER = RMSprop(lr=2e-3, alpha=0.95)


def read(paths: Iterable[str | os.PathLike[str]]) -> str:
    """The text of files, in UTF-8, one after another.

    Raises ValueError, with file and offset, for one that is not UTF-8, and for no text at all.
    """
    texts = []
    for path in map(Path, paths):
        content = path.read_bytes()
        try:
            texts.append(content.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}: byte {error.start} is 0x{content[error.start]:02x}, which is not UTF-8; "
                f"convert the file, for example: iconv -f latin1 -t utf-8 {path}"
            ) from None
    text = "".join(texts)
    if not text:
        raise ValueError("the corpus is empty, expected text to learn from")
    return text


def train(
    text: str,
    held: str | None = None,
    *,
    unit: str = "character",
    limit: int | None = None,
    cell: str = "lstm",
    hidden_size: int = 128,
    num_layers: int = 2,
    optimizer: Optimizer = OPTIMIZER,
    epochs: int = 50,
    batch_size: int = 50,
    truncation: int = 50,
    dropout: float = 0.0,
    validation: float = 0.05,
    seed: int = 123,
    threads: int = 1,
    checkpoint: str | os.PathLike[str] | None = None,
    callback: Callable[[Report], object] | None = None,
) -> tuple[Reader, History]:
    """A reader of `text`, and how its training went; the losses are in nats a token.

    held         text to judge by, never learned from; without it the last `validation` of `text`
    unit, limit  as of `Vocabulary.of`
    cell         "rnn", "gru", "lstm" or "lru"
    the rest     as of `fit`; from epoch 10 on the learning rate falls by 3 % an epoch

    Raises ValueError for a text with fewer than two different tokens, or one too short to be cut.
    """
    if cell not in CELLS:
        raise ValueError(f"cell is {cell!r}, expected one of {', '.join(CELLS)}")
    vocabulary = Vocabulary.of(text, unit, limit)
    ids = vocabulary.encode(text)
    if len(ids) < 2 or (ids == ids[0]).all():
        raise ValueError(
            f"the corpus is {len(ids)} times the {unit} {vocabulary[ids[0]]!r}, expected at least "
            "two different ones: there is nothing to learn"
        )
    V = len(vocabulary)
    model = CELLS[cell](V, hidden_size, V, num_layers=num_layers, seed=seed, tokens=True)
    judged = None if held is None else vocabulary.encode(held)
    history = fit(
        model,
        ids[:-1],
        ids[1:],
        loss="cross_entropy",
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        truncation=truncation,
        lr_decay=0.97,
        decay_after=10,
        dropout=dropout,
        validation=validation if judged is None else (judged[:-1], judged[1:]),
        seed=seed,
        threads=threads,
        checkpoint=checkpoint,
        callback=callback,
    )
    return Reader(model, vocabulary), history


def bits_per_character(reader: Reader, text: str) -> float:
    """The bits that the network needs for each character of a text that it reads from the start."""
    return float(reader.surprise(text).sum(dtype=np.float64)) / len(text)
