"""A reader that learns as it reads."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamrnn as srnn
from streamrnn.bank import Bank
from streamrnn.learner import Learner
from streamrnn.text import Reader
from streamrnn.train import fit
from streamrnn.training.optimizers import SGD, Adam
from streamrnn.vocabulary import Vocabulary
from tests import naive

LETTERS = Vocabulary("abcd\ufffd")
V = len(LETTERS)
TEXT = np.random.default_rng(0).integers(0, V, 200).astype(np.float32).reshape(-1, 1)


def model_of(cell=srnn.LSTM, **options):
    return cell(V, 7, V, num_layers=2, seed=1, tokens=True, **options)


def learner_of(cell=srnn.LSTM, truncation=10, **options):
    return Learner(model_of(cell), LETTERS, truncation=truncation, **options)


@pytest.mark.parametrize("cell", naive.MODELS)
def test_a_chunk_moves_the_parameters_as_an_update_of_fit_does(cell):
    learner, model = learner_of(cell), model_of(cell)
    bank = Bank(learner)
    bank.step(["text"] * 11, TEXT[:11])
    ids = TEXT[:11, 0].astype(int)
    fit(
        model,
        ids[:-1],
        ids[1:],
        loss="cross_entropy",
        optimizer=Adam(lr=2e-3),
        epochs=1,
        batch_size=1,
        truncation=10,
        validation=None,
    )
    learned = learner.reader(bank["text"]).model
    for name, array in learned.parameters.items():
        assert array.tobytes() == model.parameters[name].tobytes()
        assert not np.array_equal(array, model_of(cell).parameters[name])


def test_before_the_first_update_it_reads_as_a_reader_does():
    learned = Bank(learner_of()).step(["text"] * 11, TEXT[:11])
    read = Bank(Reader(model_of(), LETTERS)).step(["text"] * 11, TEXT[:11])
    assert learned.tobytes() == read.tobytes()


def test_a_rate_of_zero_learns_nothing():
    learned = Bank(learner_of(optimizer=SGD(lr=0.0))).step(["text"] * 200, TEXT)
    read = Bank(Reader(model_of(), LETTERS)).step(["text"] * 200, TEXT)
    assert learned.tobytes() == read.tobytes()


@given(
    keys=st.lists(st.sampled_from("abc"), min_size=1, max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=5),
    holes=st.sets(st.integers(0, 29)),
    save_at=st.integers(0, 30),
)
@settings(max_examples=15, deadline=None)
def test_any_interleaving_gives_the_bits_of_each_stream_alone(keys, cuts, holes, save_at):
    learner, x = learner_of(truncation=4), TEXT[: len(keys)].copy()
    x[[n for n in holes if n < len(keys)]] = np.nan
    bank, Y = Bank(learner), []
    for part in np.split(np.arange(len(keys)), sorted({min(c, len(keys)) for c in cuts})):
        Y += list(bank.step([keys[n] for n in part], x[part]))
        if save_at in part:
            snapshot, bank = bank.snapshot(), Bank(learner_of(truncation=4))
            bank.restore(snapshot)
    for key in set(keys):
        own = [n for n, k in enumerate(keys) if k == key]
        alone = Bank(learner)
        y = alone.step([key] * len(own), x[own])
        assert np.stack([Y[n] for n in own]).tobytes() == y.tobytes()
        assert bank[key].tobytes() == alone[key].tobytes()


def test_what_it_learns_lowers_the_surprise():
    text = LETTERS.encode("abcdabdc" * 250).reshape(-1, 1)
    y = Bank(learner_of(truncation=5, optimizer=Adam(lr=1e-2))).step(["text"] * len(text), text)
    assert y[:8, 0].mean() > 2.0  # log2 of 5 is 2.3
    assert y[-80:, 0].mean() < 0.1


def test_a_missing_token_ends_the_chunk():
    bank = Bank(learner_of())
    x = TEXT[:30].copy()
    x[9::10] = np.nan
    bank.step(["text"] * 30, x)
    assert bank["text"]["updates"] == 0


def test_what_it_learned_becomes_a_reader_of_its_own():
    learner = learner_of()
    bank = Bank(learner)
    bank.step(["text"] * 100, TEXT[:100])
    reader = learner.reader(bank["text"])
    surprise = reader.surprise("abcd")
    bank.step(["text", "other"] * 50, TEXT[100:])
    assert reader.surprise("abcd").tobytes() == surprise.tobytes()
    assert learner.reader(bank["text"]).surprise("abcd").tobytes() != surprise.tobytes()


def test_before_it_has_read_its_reader_is_the_model_it_was_given():
    surprise = learner_of().reader().surprise("abcd")
    assert surprise.tobytes() == Reader(model_of(), LETTERS).surprise("abcd").tobytes()


def test_a_truncation_below_one_is_refused():
    with pytest.raises(ValueError, match=re.escape("truncation is 0, expected at least 1")):
        learner_of(truncation=0)
