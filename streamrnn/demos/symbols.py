"""Symbols in a row, with questions about them: what was the cue, and was the phrase there?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.demos.playing import Rows, marked

CUES = "AB"  # one of them, then other letters, then the question: which of the two was it?
OTHERS = "abcd"
ASK = "?"
SYMBOLS = CUES + OTHERS + ASK
V = len(SYMBOLS)
LONGEST = 24  # letters between the cue and the question

PHRASE = "abac"  # is it somewhere in a line of so many letters?
LINE = 24

Ids = NDArray[np.int64]


class Asked(NamedTuple):
    """ids (T,): numbers of SYMBOLS; answers (T,): 0 or 1 where there is a question, else -1."""

    ids: Ids
    answers: Ids

    @property
    def rows(self) -> Rows:
        """As a stream has it."""
        return marked(self.ids[:, None])


def cues(count: int, seed: int, longest: int = LONGEST) -> list[Asked]:
    """Lines of ten cues, each with its question after 0 to `longest` other letters."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        ids: list[int] = []
        answers: list[int] = []
        for _ in range(10):
            cue, lag = int(generator.integers(2)), int(generator.integers(longest + 1))
            others = generator.integers(len(CUES), V - 1, lag).tolist()
            ids += [cue, *others, V - 1]
            answers += [-1] * (lag + 1) + [cue]
        found.append(Asked(np.array(ids), np.array(answers)))
    return found


def lines(count: int, seed: int) -> list[Asked]:
    """Lines of letters; half of them have the PHRASE, at any position. It is asked at the end."""
    generator = np.random.default_rng(seed)
    phrase = np.array([SYMBOLS.index(letter) for letter in PHRASE])
    found = []
    for n in range(count):
        while True:
            ids = generator.integers(len(CUES), V - 1, LINE)
            if n % 2:
                at = int(generator.integers(LINE - len(phrase) + 1))
                ids[at : at + len(phrase)] = phrase
            if has_phrase(ids) == bool(n % 2):
                break
        answers = np.full(LINE, -1)
        answers[-1] = n % 2
        found.append(Asked(ids, answers))
    return found


def has_phrase(ids: Ids) -> bool:
    """Whether the PHRASE is somewhere in a line (T,)."""
    return PHRASE in "".join(SYMBOLS[n] for n in ids)
