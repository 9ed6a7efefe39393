"""Text to token ids and back: characters, bytes or words.

>>> vocabulary = Vocabulary(["a", "b", OTHER])
>>> vocabulary.encode("abä")
array([0, 1, 2], dtype=int32)
>>> vocabulary.decode([1, 0])
'ba'
>>> tuple(Vocabulary.of("to be, or not to be", unit="word", limit=4))
('�', ' be', 'to', ',')
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

OTHER = "\ufffd"  # Unicode's replacement character
UNITS = ("character", "byte", "word")
# A word or a mark keeps the one space before it, so that tokens join to the text that they were.
WORD = re.compile(r" ?\w+| ?[^\w\s]|\s")


class Vocabulary(tuple[str, ...]):
    """The tokens that a network knows, each at the position that is its id.

    unit  "character": each token is one character
          "word": words and marks with the space before them, and white space
          "byte": the 256 bytes of UTF-8, each shown as the Latin-1 character of its number

    A vocabulary that contains U+FFFD (`OTHER`) reads every token it does not know as that one;
    without it, an unknown token is an error.

    Raises ValueError for a token that does not fit the unit, or is there twice.
    """

    unit: str

    def __new__(cls, tokens: Iterable[str], unit: str = "character") -> Self:
        if unit not in UNITS:
            raise ValueError(f"unit is {unit!r}, expected one of {', '.join(UNITS)}")
        vocabulary = super().__new__(cls, tokens)
        vocabulary.unit = unit
        if not vocabulary:
            raise ValueError(f"the vocabulary is empty, expected at least one {unit}")
        first: dict[str, int] = {}
        for i, token in enumerate(vocabulary):
            if not isinstance(token, str) or not token or (unit != "word" and len(token) != 1):
                raise ValueError(f"token {i} is {token!r}, expected one {unit}")
            if first.setdefault(token, i) != i:
                raise ValueError(f"token {i} is {token!r}, as token {first[token]} is already")
        if unit == "byte" and vocabulary != BYTES:
            raise ValueError("the tokens of unit 'byte' are the 256 bytes in order; see of()")
        return vocabulary

    @classmethod
    def of(cls, text: str, unit: str = "character", limit: int | None = None) -> Self:
        """The vocabulary of a text: its characters in order, its words with the frequent first.

        OTHER is among the tokens, and stands for those beyond the `limit` most frequent.

        Raises ValueError for an empty text, and for a limit below 2.
        """
        if limit is not None and limit < 2:
            raise ValueError(f"limit is {limit}, expected at least 2 tokens")
        if unit == "byte":
            return cls(BYTES, unit)
        if not text:
            raise ValueError("the text is empty, expected at least one character")
        counts = Counter(text if unit == "character" else WORD.findall(text))
        del counts[OTHER]
        frequent = [token for token, _ in counts.most_common(limit and limit - 1)]
        if unit == "character":
            return cls([*sorted(frequent), OTHER], unit)
        return cls([OTHER, *frequent], unit)

    def __repr__(self) -> str:
        return f"Vocabulary({list(self)!r}, unit={self.unit!r})"

    def __getnewargs__(self) -> tuple[tuple[str, ...], str]:
        return tuple(self), self.unit

    @property
    def other(self) -> int | None:
        """The id that stands for every unknown token, if there is one."""
        return self.index(OTHER) if OTHER in self else None

    def encode(self, text: str) -> NDArray[np.int32]:
        """The token ids of a text, (len(text),) for characters.

        Raises ValueError for an unknown token if the vocabulary has none for these.
        """
        if self.unit == "byte":
            # surrogatepass, here and below: a lone surrogate is a character like any other
            return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int32)
        if self.unit == "word":
            words: Sequence[str] = WORD.findall(text)
            id_of = {token: i for i, token in enumerate(self)}
            ids = np.array([id_of.get(word, -1) for word in words], np.int32)
            unknown = ids < 0
        else:
            words = text
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
                    f"{self.unit} {i} is {words[i]!r}, which is none of the vocabulary's "
                    f"{len(self)}; add {OTHER!r} to the vocabulary to stand for the unknown"
                )
            ids[unknown] = self.other
        return ids

    def decode(self, ids: ArrayLike) -> str:
        """The text of token ids.  Raises ValueError for a number that is none."""
        numbers = np.atleast_1d(np.asarray(ids))
        allowed = legal(numbers, len(self))
        if not allowed.all():
            i = int(allowed.argmin())
            raise ValueError(
                f"id {i} is {numbers[i]}, expected a whole number from 0 to {len(self) - 1}"
            )
        if self.unit == "byte":
            return numbers.astype(np.uint8).tobytes().decode("utf-8", "replace")
        return "".join(self[i] for i in numbers.astype(np.int64).tolist())


BYTES = tuple(map(chr, range(256)))


def legal(ids: NDArray[np.generic], size: int) -> NDArray[np.bool_]:
    """Which of the numbers are whole and from 0 to size - 1; NaN is not."""
    numbers = ids.astype(np.float64)
    allowed: NDArray[np.bool_] = (numbers >= 0) & (numbers < size) & (numbers == np.floor(numbers))
    return allowed


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
