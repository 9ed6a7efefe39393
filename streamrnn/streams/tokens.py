"""Text as a streamz node: `stream.tokens(reader)`."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from streamz import Stream

from streamrnn.bank import Bank
from streamrnn.learner import Learner
from streamrnn.model import Model
from streamrnn.streams.nodes import rnn
from streamrnn.text import RANKS, Reader
from streamrnn.vocabulary import Vocabulary


class Reading(NamedTuple):
    """What is known after a token, or after each of T, with one more dimension in front.

    surprise   of the token, in bits, under what was expected before it came
    bits       running mean of it
    next       (5,): ids of the likeliest next tokens, NaN beyond the vocabulary
    next_p     (5,): their probabilities
    """

    surprise: NDArray[np.float32]
    bits: NDArray[np.float32]
    next: NDArray[np.float32]
    next_p: NDArray[np.float32]


@Stream.register_api()
class tokens(rnn):
    """Read text, or ids of tokens, as it arrives; emits a Reading (Batch: its columns as y).

    >>> from streamz import Stream
    >>> import streamrnn as srnn, streamrnn.streams
    >>> from streamrnn.vocabulary import Vocabulary
    >>> source = Stream()
    >>> model = srnn.LSTM(3, 16, 3, tokens=True)
    >>> found = source.tokens(model, Vocabulary("abc"), learn=True).sink_to_list()
    >>> source.emit("abcabcabc")
    >>> found[0].surprise.shape, found[0].next.shape
    ((9,), (9, 5))

    model       a Reader, a Learner, or a model of tokens with its vocabulary
    learn       go on learning from what is read (`streamrnn.learner`)
    key         the stream in the bank that elements without keys belong to
    """

    def __init__(
        self,
        upstream: Stream,
        model: Reader | Learner | Model,
        vocabulary: Vocabulary | None = None,
        *,
        learn: bool = False,
        key: Hashable = "",
        **kwargs: Any,
    ) -> None:
        if isinstance(model, Model):
            if vocabulary is None:
                raise ValueError("a model needs its vocabulary: stream.tokens(model, vocabulary)")
            model = Reader(model, vocabulary)
        if learn and isinstance(model, Reader):
            model = Learner(model.model, model.vocabulary)
        self.vocabulary = model.vocabulary
        super().__init__(upstream, Bank(model), key=key, **kwargs)

    def _checked(self, x: Any) -> tuple[Sequence[Hashable], NDArray[Any], int]:
        if isinstance(x, str):
            x = self.vocabulary.encode(x).reshape(-1, 1)
        return super()._checked(x)

    def shaped(self, y: NDArray[Any]) -> Reading:
        return Reading(y[..., 0], y[..., 1], y[..., 2 : 2 + RANKS], y[..., 2 + RANKS :])
