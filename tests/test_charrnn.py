"""Networks that learn to write from files."""

import re

import numpy as np
import pytest

from streamrnn import charrnn
from streamrnn.checkpoint import save
from streamrnn.text import load_reader
from streamrnn.training.optimizers import RMSprop

TEXT = "the cat sat on the mat. the dog sat on the log. " * 60
SMALL = {"hidden_size": 24, "num_layers": 1, "batch_size": 4, "truncation": 20, "epochs": 6}


def counted_bits(training, text):
    """Bits per character of a bigram model, counted by hand: what a network must at least beat."""
    alphabet = sorted(set(training))
    pairs = list(zip(training, training[1:], strict=False))
    p = [
        (pairs.count(pair) + 1) / (training.count(pair[0]) + len(alphabet))
        for pair in zip(text, text[1:], strict=False)
    ]
    return -np.log2(p).mean()


@pytest.mark.parametrize("cell", charrnn.CELLS)
def test_what_was_learned_beats_counted_pairs_on_text_it_has_not_seen(cell):
    reader, history = charrnn.train(TEXT, cell=cell, optimizer=RMSprop(lr=1e-2), **SMALL)
    unseen = "the dog sat on the mat. the cat sat on the log. "
    assert charrnn.bits_per_character(reader, unseen) < counted_bits(TEXT, unseen) - 0.3
    assert history.validation[history.best] == min(history.validation)


@pytest.mark.parametrize("unit", ["character", "byte", "word"])
def test_every_unit_trains_and_comes_back_from_its_file(unit, tmp_path):
    reader, _ = charrnn.train(TEXT, unit=unit, limit=20, **SMALL | {"epochs": 1})
    path = tmp_path / "model.safetensors"
    save(reader.model, path, metadata=reader.metadata)
    loaded = load_reader(path)
    assert loaded.vocabulary == reader.vocabulary and loaded.vocabulary.unit == unit
    assert loaded.surprise(TEXT).tobytes() == reader.surprise(TEXT).tobytes()


def test_held_text_is_judged_by_and_not_learned():
    _, own = charrnn.train(TEXT, TEXT, **SMALL)
    _, other = charrnn.train(TEXT, TEXT[::-1], **SMALL)
    assert own.training == other.training
    assert own.validation[-1] < other.validation[-1]


def test_bits_per_character_count_characters_in_any_unit():
    reader, _ = charrnn.train(TEXT, unit="byte", **SMALL | {"epochs": 1})
    assert len(reader.surprise("é")) == 2
    bits = reader.surprise("é").sum()
    assert charrnn.bits_per_character(reader, "é") == pytest.approx(bits)


def test_files_are_read_one_after_another(tmp_path):
    (tmp_path / "a").write_text("één ", "utf-8")
    (tmp_path / "b").write_text("two", "utf-8")
    assert charrnn.read([tmp_path / "a", tmp_path / "b"]) == "één two"


def test_what_is_not_utf_8_is_named_with_file_and_offset(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"caf\xe9 au lait")
    with pytest.raises(ValueError, match=re.escape(f"{path}: byte 3 is 0xe9, which is not UTF-8")):
        charrnn.read([path])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("aaaa" * 1000, "the corpus is 4000 times the character 'a', expected at least two"),
        ("ab" * 20, "the stream to learn from has 37 steps, expected at least 80: batch_size=4"),
        ("", "the text is empty"),
    ],
)
def test_a_corpus_with_nothing_to_learn_is_refused(text, expected):
    with pytest.raises(ValueError, match=re.escape(expected)):
        charrnn.train(text, **SMALL)


def test_no_text_in_the_files_is_refused(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="the corpus is empty, expected text to learn from"):
        charrnn.read([tmp_path / "empty"])
