"""Networks over the last samples of a stream, and networks that read backwards."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamrnn as srnn
from streamrnn.bidirectional import Bidirectional
from streamrnn.formats import FormatError
from streamrnn.formats.layer import Layer
from streamrnn.sequential import Sequential
from tests import naive, naive_layers
from tests.test_sequential import activation, embedding, linear, recurrent, samples

ATOL = 3e-6  # float32 sums of up to 64 terms of size 1, carried through the recurrence


def both(kind, K, H, direction="bidirectional", **options):
    """A layer whose way back has weights of its own, and of direction reverse no others."""
    there, back = recurrent(kind, K, H, 1, initial=True), recurrent(kind, K, H, 2, initial=True)
    arrays = {f"{name}_reverse": array for name, array in back.parameters.items()}
    if direction == "bidirectional":
        arrays |= there.parameters
    return Layer(kind, arrays, {"direction": direction, **options}, "up")


NETWORKS = {
    "rnn": lambda: srnn.RNN(2, 7, 3, num_layers=2),
    "line": lambda: Sequential([recurrent("LSTM", 2, 9, initial=True), linear(9, 3)]),
    "both ways": lambda: Bidirectional([linear(2, 4), both("GRU", 4, 5), linear(10, 3)]),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("W", [1, 4, 50])
def test_each_answer_is_that_of_the_window_alone(make, W):
    """To the bit: what a network gives does not depend on how it is run."""
    X, live = samples(30, 2), make().windowed(W)
    Y = live.run(X)
    for t in range(30):
        network = make()  # anew, from its initial state
        assert network.run(X[max(0, t - W + 1) : t + 1])[-1].tobytes() == Y[t].tobytes()


def test_windows_match_naive():
    model, X = srnn.LSTM(2, 20, 3), samples(40, 2)
    Y = model.windowed(8).run(X)
    expected = [naive.run(model, X[max(0, t - 7) : t + 1])[-1] for t in range(40)]
    np.testing.assert_allclose(Y, expected, atol=ATOL)


def test_the_stream_of_the_network_itself_is_left_alone():
    model = srnn.GRU(2, 5)
    model.step([1, 2])
    before = model.state.tobytes()
    model.windowed(3).run(samples(10, 2))
    assert model.state.tobytes() == before


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
@given(T=st.integers(1, 20), cut=st.integers(0, 20), streams=st.integers(1, 5), W=st.integers(1, 9))
@settings(max_examples=10, deadline=None)
def test_every_way_of_running_has_the_same_bits(make, T, cut, streams, W):
    X, live = samples(T, 2), make().windowed(W)
    Y = live.run(X)
    live.reset()
    assert np.concatenate([live.run(X[:cut]), live.run(X[cut:])]).tobytes() == Y.tobytes()
    live.reset()
    assert np.stack([live.step(x) for x in X]).tobytes() == Y.tobytes()
    bank = srnn.Bank(live)
    for t in range(T):
        parts = bank.step(range(streams), np.repeat(X[t : t + 1], streams, 0))
        assert all(y.tobytes() == Y[t].tobytes() for y in parts)
    later = srnn.Bank(live)
    assert later.step([0] * T, X).tobytes() == Y.tobytes()


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_a_loaded_one_goes_on_with_the_same_bits(make, tmp_path):
    network, X = make(), samples(20, 2)
    network.scale(mean=1, std=2, out_mean=3, out_std=4)
    live = network.windowed(6)
    live.run(X[:10])
    srnn.save(live, tmp_path / "live.safetensors", metadata={"made": "today"})
    loaded = srnn.load(tmp_path / "live.safetensors")
    assert loaded.metadata == {"made": "today"} and loaded.window == 6
    assert loaded.run(X[10:]).tobytes() == live.run(X[10:]).tobytes()


@pytest.mark.parametrize("window", [0, -1, 2.5, True])
def test_a_window_is_a_whole_number(window):
    with pytest.raises(ValueError, match="window is .*, expected a whole number of at least 1"):
        srnn.GRU(1, 2).windowed(window)


# both ways


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("direction", ["bidirectional", "reverse"])
@pytest.mark.parametrize("last", [False, True])
def test_reading_backwards_matches_naive(kind, direction, last):
    above = 2 * 6 if direction == "bidirectional" else 6
    layers = [recurrent("GRU", 3, 5), both(kind, 5, 6, direction, last=last), linear(above, 2)]
    model, X = Bidirectional([*layers, activation("softmax")]), samples(40, 3)
    Y = naive_layers.run([*layers, activation("softmax")], X)
    assert model.run(X).shape == ((1, 2) if last else (40, 2))
    np.testing.assert_allclose(model.run(X), Y, atol=ATOL)


def test_two_layers_both_ways_over_tokens_match_naive():
    layers = [embedding(7, 4), both("LSTM", 4, 3), both("LSTM", 6, 5)]
    tokens = np.random.default_rng(0).integers(0, 7, 30)
    np.testing.assert_allclose(
        Bidirectional(layers).run(tokens), naive_layers.run(layers, tokens), atol=ATOL
    )
    by_token = Bidirectional([both("GRU", 7, 4), both("GRU", 8, 2)], tokens=True)
    by_vector = Bidirectional([both("GRU", 7, 4), both("GRU", 8, 2)])
    assert by_token.run(tokens).tobytes() == by_vector.run(np.eye(7)[tokens]).tobytes()


def test_raw_units_go_in_and_come_out():
    layers = [both("GRU", 2, 4)]
    raw, unit, X = Bidirectional(layers), Bidirectional(layers), samples(20, 2)
    raw.scale(mean=[20, 1000], std=[5, 10], out_mean=20, out_std=5)
    np.testing.assert_allclose(
        raw.run(X * [5, 10] + [20, 1000]),
        unit.run(X) * 5 + 20,
        atol=2e-4,  # 1000 carries 6e-5 in float32, of a std of 10, given back times 5
    )


def test_a_loaded_network_of_both_ways_is_the_same(tmp_path):
    model = Bidirectional([both("LSTM", 2, 4), linear(8, 1)])
    model.scale(mean=1, std=2, out_mean=3, out_std=4)
    srnn.save(model, tmp_path / "model.safetensors")
    X = samples(20, 2)
    loaded = srnn.load(tmp_path / "model.safetensors")
    assert loaded.run(X).tobytes() == model.run(X).tobytes()


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.step([1, 2]),
        lambda m: m.stepper(),
        lambda m: srnn.Bank(m),
    ],
)
def test_what_reads_backwards_cannot_be_stepped(call):
    text = (
        "up: a reverse layer needs the end of the sequence before its first output and cannot be "
        "streamed; take run(X) for whole sequences, windowed(W) for the last W samples of a stream"
    )
    with pytest.raises(FormatError, match=re.escape(text)):
        call(Bidirectional([linear(2, 3), both("GRU", 3, 4, "reverse")]))


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ([both("GRU", 3, 4), linear(4, 1)], "layer 1: takes 4 columns, but what is below gives 8"),
        ([both("GRU", 3, 4, "sideways")], "up: direction is 'sideways', expected forward, reverse"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(layers, text):
    with pytest.raises(FormatError, match=re.escape(text)):
        Bidirectional(layers)
