"""Text as a streamz node."""

import numpy as np
import pytest
from streamz import Stream

import streamrnn as srnn
from streamrnn.learner import Learner
from streamrnn.streams import Batch, Reading
from streamrnn.text import Reader
from streamrnn.vocabulary import Vocabulary

LETTERS = Vocabulary("abcd")


def model():
    return srnn.GRU(4, 6, 4, tokens=True, seed=1)


def test_text_and_ids_are_read_alike():
    source = Stream()
    found = source.tokens(Reader(model(), LETTERS)).sink_to_list()
    other = source.tokens(model(), LETTERS).sink_to_list()
    source.emit("abca")
    source.emit([[3], [1]])
    source.emit(2)
    expected = Reader(model(), LETTERS).surprise("abcadbc")
    for readings in (found, other):
        assert np.hstack([r.surprise for r in readings]).tobytes() == expected.tobytes()
    assert [r.next.shape for r in found] == [(4, 5), (2, 5), (5,)]
    assert all(isinstance(r, Reading) for r in found)
    assert found[0].next_p[:, :4].sum(axis=1) == pytest.approx(np.ones(4), abs=1e-5)


def test_a_batch_keeps_its_shape():
    source = Stream()
    found = source.tokens(model(), LETTERS).sink_to_list()
    source.emit(Batch(["a", "b"], np.zeros(2), np.array([[0.0], [1.0]])))
    assert found[0].y.shape == (2, 12)


def test_an_unknown_character_is_refused_and_the_stream_goes_on():
    source = Stream()
    node = source.tokens(model(), LETTERS)
    found, refused = node.sink_to_list(), []
    node.on_refused(refused.append)
    source.emit("axa")
    source.emit("a")
    assert len(found) == 1 and node.refused == {"value": 1}
    assert "character 1 is 'x', which is none of the vocabulary's 4" in str(refused[0])


def test_learning_is_asked_for():
    source = Stream()
    node = source.tokens(model(), LETTERS, learn=True)
    found = node.sink_to_list()
    for _ in range(120):
        source.emit("abcd" * 15)
    assert isinstance(node.bank.model, Learner)
    assert found[-1].surprise.mean() < found[0].surprise.mean() - 0.5


def test_a_model_without_its_vocabulary_is_refused():
    with pytest.raises(ValueError, match="a model needs its vocabulary"):
        Stream().tokens(model())
