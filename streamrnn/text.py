"""Text as a stream: characters to token ids and back, and a network that reads them as they come.

>>> from streamrnn.model import LSTM
>>> vocabulary = Vocabulary("abc")
>>> reader = Reader(LSTM(3, 8, 3, tokens=True), vocabulary)
>>> reader.surprise("abcabc").shape  # bits, of each character
(6,)
"""

import json
import math
import os
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.checkpoint import load
from streamrnn.formats import FormatError
from streamrnn.kernels import softmax
from streamrnn.model import Model
from streamrnn.step import Output, allocate, flat, padded

OTHER = "\ufffd"  # Unicode's replacement character
RANKS = 5  # how many of the likeliest next tokens are told
WINDOW = 1000  # tokens over which the running mean of the surprise forgets
BLOCK = 256  # rows whose logits are held at once


class Vocabulary(tuple[str, ...]):
    """The characters that a network knows, each at the position that is its token id.

    A vocabulary that contains U+FFFD (`OTHER`) reads every character it does not know as that one;
    without it, an unknown character is an error.

    >>> vocabulary = Vocabulary(["a", "b", OTHER])
    >>> vocabulary.encode("abä")
    array([0, 1, 2], dtype=int32)
    >>> vocabulary.decode([1, 0])
    'ba'

    Raises ValueError for a token that is not one character, or is there twice.
    """

    def __new__(cls, tokens: Iterable[str]) -> Self:
        vocabulary = super().__new__(cls, tokens)
        if not vocabulary:
            raise ValueError("the vocabulary is empty, expected at least one character")
        first: dict[str, int] = {}
        for i, token in enumerate(vocabulary):
            if not isinstance(token, str) or len(token) != 1:
                raise ValueError(f"token {i} is {token!r}, expected one character")
            if first.setdefault(token, i) != i:
                raise ValueError(f"token {i} is {token!r}, as token {first[token]} is already")
        return vocabulary

    @property
    def other(self) -> int | None:
        """The id that stands for every unknown character, if there is one."""
        return self.index(OTHER) if OTHER in self else None

    def encode(self, text: str) -> NDArray[np.int32]:
        """The token ids of a text, (len(text),).

        Raises ValueError for an unknown character if the vocabulary has no token for these.
        """
        points = _code_points(text)
        known = _code_points("".join(self))
        order = np.argsort(known)
        at = np.minimum(np.searchsorted(known[order], points), len(self) - 1)
        ids = order[at].astype(np.int32)
        unknown = known[ids] != points
        if unknown.any():
            if self.other is None:
                i = int(unknown.argmax())
                raise ValueError(
                    f"character {i} is {text[i]!r}, which is none of the vocabulary's {len(self)}; "
                    f"add {OTHER!r} to the vocabulary to stand for unknown characters"
                )
            ids[unknown] = self.other
        return ids

    def decode(self, ids: ArrayLike) -> str:
        """The text of token ids.  Raises ValueError for a number that is none."""
        numbers = np.atleast_1d(np.asarray(ids))
        legal = _legal(numbers, len(self))
        if not legal.all():
            i = int(legal.argmin())
            raise ValueError(
                f"id {i} is {numbers[i]}, expected a whole number from 0 to {len(self) - 1}"
            )
        return "".join(self[i] for i in numbers.astype(np.int64).tolist())


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
        fields: list[tuple[str, int | tuple[int, ...]]] = [
            (name, model.layout[name].shape) for name in model.cell.state
        ]
        self._at = sum(math.prod(model.layout[name].shape) for name, _ in fields)
        self.layout = padded([*fields, ("log_p", V), ("bits", 1), ("count", 1)], np.float32)
        self._other = np.float32(np.nan if vocabulary.other is None else vocabulary.other)

    def __repr__(self) -> str:
        return f"Reader({self.model!r}, {len(self.vocabulary)} tokens)"

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
        tokens = np.where(_legal(x, V) | np.isnan(x), x, self._other)
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
        """The surprise of each character (len(text),), in bits, read from the initial state.

        Its mean is the bits per character that the network needs for this text.
        """
        ids = self.vocabulary.encode(text).astype(np.float32).reshape(-1, 1)
        states = allocate(self.layout, 1)
        states[0] = self.initial()
        y = np.empty((len(ids), self.outputs), np.float32)
        self.advance(states, np.zeros(len(ids), np.int64), ids, y)
        return y[:, 0]


def load_reader(path: str | os.PathLike[str]) -> Reader:
    """The reader of a model that was saved with its vocabulary:

        save(model, path, metadata={"vocabulary": json.dumps(vocabulary)})

    Raises FormatError for a file without one, or one that does not fit its model.
    """
    model = load(path)
    text = getattr(model, "metadata", {}).get("vocabulary")
    if text is None:
        raise FormatError(
            f"{path}: no 'vocabulary' in the file's metadata, expected one; it is kept with "
            f"save(model, path, metadata={{'vocabulary': json.dumps(vocabulary)}})"
        )
    try:
        tokens = json.loads(text)
        if not isinstance(tokens, list):
            raise ValueError(f"expected a list of characters, got {tokens!r:.40}")
        return Reader(model, Vocabulary(tokens))
    except ValueError as error:
        raise FormatError(f"{path}: vocabulary: {error}") from None


def _legal(ids: NDArray[Any], size: int) -> NDArray[np.bool_]:
    """Which of the numbers are whole and from 0 to size - 1; NaN is not."""
    legal: NDArray[np.bool_] = (ids >= 0) & (ids < size) & (ids == np.floor(ids))
    return legal


def _code_points(text: str) -> NDArray[np.uint32]:
    # surrogatepass: a lone surrogate is an unknown character like any other
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
