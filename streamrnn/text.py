"""Text as a stream: a network that reads tokens as they come, and writes.

>>> from itertools import islice
>>> from streamrnn.model import LSTM
>>> from streamrnn.vocabulary import Vocabulary
>>> vocabulary = Vocabulary("abc")
>>> reader = Reader(LSTM(3, 8, 3, tokens=True), vocabulary)
>>> reader.surprise("abcabc").shape  # bits, of each character
(6,)
>>> len(reader.vocabulary.decode(list(islice(sample(reader, seed=1), 20))))
20
"""

import json
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.checkpoint import load
from streamrnn.formats import FormatError
from streamrnn.kernels import softmax
from streamrnn.model import Model
from streamrnn.step import Output, allocate, flat, padded
from streamrnn.vocabulary import Vocabulary, legal

RANKS = 5  # how many of the likeliest next tokens are told
WINDOW = 1000  # tokens over which the running mean of the surprise forgets
BLOCK = 256  # rows whose logits are held at once
Fields = list[tuple[str, int | tuple[int, ...]]]
PART = 1 << 16  # tokens of a text that are read at once


class Reader:
    """A step that reads one token at a time and says how surprised the network was.

    model        steps token ids (`tokens=True`); its outputs are the logits of the next token
    vocabulary   the text of each token id

    Columns of y: the surprise of the token just read, in bits, under what was predicted *before* it
    came; the running mean of it, which forgets over `WINDOW` tokens; then the five likeliest next
    tokens and their probabilities. The prediction made before belongs to the state, and starts as
    all tokens alike: nothing is known before the first one.

    x is one token id. A number that is no id (fractions, negative, too large) is read as the
    vocabulary's token for unknown characters, if it has one. Without it, and for NaN, a token is
    missing: the network goes on without knowing it, the surprise is NaN, its mean stays.

    Raises ValueError for a model that does not fit the vocabulary.
    """

    inputs = 1
    outputs = 2 + 2 * RANKS

    def __init__(self, model: Model, vocabulary: Vocabulary) -> None:
        V = len(vocabulary)
        if not model.tokens:
            raise ValueError(f"{model!r} reads vectors, expected a model with tokens=True")
        if (model.input_size, model.outputs) != (V, V):
            raise ValueError(
                f"the vocabulary has {V} tokens, but the model reads {model.input_size} "
                f"and predicts {model.outputs}; expected the same number"
            )
        self.model = model
        self.vocabulary = vocabulary
        # The model's own fields first: its `advance` then works on these rows as on its own.
        own: Fields = [(name, model.layout[name].shape) for name in model.cell.state]
        self._at = sum(math.prod(model.layout[name].shape) for name, _ in own)
        self.fields: Fields = [*own, ("log_p", V), ("bits", 1), ("count", 1)]
        self.layout = padded(self.fields, np.float32)
        self._other = np.float32(np.nan if vocabulary.other is None else vocabulary.other)

    def __repr__(self) -> str:
        return f"Reader({self.model!r}, {len(self.vocabulary)} tokens)"

    @property
    def metadata(self) -> dict[str, str]:
        """What a file of the model must carry for `load_reader`."""
        return {"vocabulary": json.dumps(self.vocabulary), "unit": self.vocabulary.unit}

    def initial(self) -> NDArray[Any]:
        """The state before the first token: the model's zeros, and all tokens alike."""
        state = np.zeros((), self.layout)
        state["log_p"] = -math.log(len(self.vocabulary))
        return state

    def advance(
        self,
        states: NDArray[Any],
        rows: NDArray[np.int64],
        x: NDArray[np.float32],
        y: NDArray[np.float32],
    ) -> None:
        """Read token x[n] (1,) on stream rows[n] and write y[n] (12,); see `Step`."""
        V = len(self.vocabulary)
        tokens = self.tokens(x)
        logits = np.empty((min(BLOCK, len(x)), V), np.float32)
        for start in range(0, len(x), BLOCK):
            block = slice(start, start + BLOCK)
            logits = logits[: len(x) - start]
            self.model.advance(states, rows[block], tokens[block], logits)
            softmax.read(
                self._at,
                np.float32(WINDOW),
                flat(states),
                rows[block],
                tokens[block],
                logits,
                y[block],
            )

    def tokens(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Numbers as the ids they are read as: the unknown's, or NaN, where a number is none."""
        return np.where(legal(x, len(self.vocabulary)) | np.isnan(x), x, self._other)

    @property
    def num_layers(self) -> int:
        """Of the model."""
        return self.model.num_layers

    def units(self, states: NDArray[Any]) -> NDArray[np.float32]:
        """The model's hidden units (S, U), in [-1, 1]."""
        return self.model.units(states)

    def describe(self, channels: tuple[str, ...]) -> tuple[Output, ...]:
        """What each column of y means."""
        ranks = range(1, RANKS + 1)
        return (
            Output("surprise", "surprise"),
            Output("bits", "bits"),
            *(Output(f"next_{k}", "next", ahead=k) for k in ranks),
            *(Output(f"next_p_{k}", "next_p", ahead=k) for k in ranks),
        )

    def surprise(self, text: str) -> NDArray[np.float32]:
        """The surprise of each token (len(text),), in bits, read from the initial state.

        Its mean is the bits per character that the network needs for this text.
        """
        return self._read(text)[1]

    def after(self, text: str, state: NDArray[Any] | None = None) -> NDArray[Any]:
        """The state once `text` is read, from `state` on, or from the initial one."""
        return self._read(text, state)[0]

    def _read(self, text: str, state: Any = None) -> tuple[NDArray[Any], NDArray[np.float32]]:
        ids = self.vocabulary.encode(text).reshape(-1, 1)
        states = allocate(self.layout, 1)
        states[0] = self.initial() if state is None else state
        surprise = np.empty(len(ids), np.float32)
        rows, y = np.zeros(PART, np.int64), np.empty((PART, self.outputs), np.float32)
        for start in range(0, len(ids), PART):  # a long text's columns of y would fill the memory
            x = ids[start : start + PART].astype(np.float32)
            self.advance(states, rows[: len(x)], x, y[: len(x)])
            surprise[start : start + len(x)] = y[: len(x), 0]
        return states[0:1].reshape(()), surprise


def sample(
    reader: Reader,
    state: NDArray[Any] | None = None,
    *,
    temperature: float = 0.8,
    seed: int | None = None,
) -> Iterator[int]:
    """Let the network write: token ids without end, each drawn from what it expects next.

    state        where it goes on from, as `reader.after` or a bank gives it; it is not moved
    temperature  divides the logits: 1 draws as the network expects, lower sticks to the likely, 0
                 always takes the likeliest

    The token for the unknown is never drawn. Raises ValueError for a temperature below 0.
    """
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature is {temperature}, expected a number from 0 on")
    states = allocate(reader.layout, 1)
    states[0] = reader.initial() if state is None else state
    return _drawn(reader, states, temperature, np.random.default_rng(seed))


def _drawn(
    reader: Reader, states: NDArray[Any], temperature: float, generator: np.random.Generator
) -> Iterator[int]:
    row, y = np.zeros(1, np.int64), np.empty((1, reader.outputs), np.float32)
    other = reader.vocabulary.other
    while True:
        log_p = states["log_p"][0].astype(np.float64)
        if other is not None and len(log_p) > 1:
            log_p[other] = -math.inf
        log_p -= log_p.max()
        if temperature == 0:
            token = int(log_p.argmax())
        else:
            p = np.exp(log_p / temperature)
            token = int(generator.choice(len(p), p=p / p.sum()))
        yield token
        reader.advance(states, row, np.array([[token]], np.float32), y)


def load_reader(path: str | os.PathLike[str]) -> Reader:
    """The reader of a model that was saved with its vocabulary:

        save(model, path, metadata=reader.metadata)

    Raises FormatError for a file without one, or one that does not fit its model.
    """
    model = load(path)
    text = getattr(model, "metadata", {}).get("vocabulary")
    if text is None:
        raise FormatError(
            f"{path}: no 'vocabulary' in the file's metadata, expected one; it is kept with "
            f"save(model, path, metadata=Reader(model, vocabulary).metadata)"
        )
    try:
        tokens = json.loads(text)
        if not isinstance(tokens, list):
            raise ValueError(f"expected a list of texts, got {tokens!r:.40}")
        return Reader(model, Vocabulary(tokens, model.metadata.get("unit", "character")))
    except ValueError as error:
        raise FormatError(f"{path}: vocabulary: {error}") from None
