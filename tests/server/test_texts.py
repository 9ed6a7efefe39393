"""Viewers who let a network write, and who reset it."""

from __future__ import annotations

import numpy as np
import pytest
from streamrnn_server import protocol as p
from streamrnn_server.example import TEXT, VOCABULARY, example
from streamrnn_server.hub import Hub
from streamrnn_server.texts import WRITERS, Texts
from streamrnn_server.writing import BURST, States

import streamrnn as srnn
from streamrnn.learner import Learner
from streamrnn.step import allocate, initial
from streamrnn.streams import Pipeline, Result, Rule
from streamrnn.streams.groups import STATE_EVERY
from streamrnn.text import Reader
from streamrnn.training.optimizers import Adam
from streamrnn.vocabulary import Vocabulary
from tests.server.fakes import say, taken, watch

LETTERS = Vocabulary("abcd e")


def reader_of(seed: int = 3) -> Reader:
    """A reader with large enough weights for its predictions to differ clearly."""
    model = srnn.LSTM(len(LETTERS), 9, len(LETTERS), seed=seed, tokens=True)
    model.parameters["weight_ho"] = 9 * model.parameters["weight_ho"]
    return Reader(model, LETTERS)


READER = reader_of()


LEARNER = Learner(READER.model, LETTERS, truncation=10, optimizer=Adam(lr=0.05))


def served(n: int, *, key: str = "text"):
    """A pipeline and its hub, after n tokens of a stream; and those tokens."""
    pipeline = Pipeline(
        [
            Rule("text*", lambda names: READER, ("token",), kind="tokens"),
            Rule("learning", lambda names: LEARNER, ("token",), kind="tokens"),
            Rule("*", lambda names: srnn.GRU(1, 4, 1), ("value",)),
        ]
    )
    hub = Hub(
        epoch=7, name="test", server="", started=0.0, ring_bytes=1 << 20, reset=pipeline.reset
    )
    pipeline.sink(hub.publish)
    pipeline.on_reset(hub.was_reset)
    tokens = np.random.default_rng(5).integers(0, len(LETTERS), n).tolist()
    for token in tokens:
        pipeline.take(key, [token])
        pipeline.flush()
    return pipeline, hub, tokens


def likeliest(tokens: list[int], count: int, reader: Reader = READER) -> list[int]:
    """What the network takes for likeliest after `tokens`, again and again."""
    states, x, y = allocate(reader.layout, 1), np.empty((1, 1), np.float32), np.empty((1, 12), "f4")
    states[0] = reader.initial()
    row, found = np.zeros(1, np.int64), []

    def read(token: int) -> None:
        x[:] = token
        reader.advance(states, row, x, y)

    for token in tokens:
        read(token)
    for _ in range(count):
        found.append(int(states["log_p"][0].argmax()))
        read(found[-1])
    return found


def written(hub: Hub, viewer, *, seconds: float = 60.0) -> list[p.Written]:
    """All that is written within so many seconds, looked at 30 times a second."""
    found = []
    for tick in range(int(30 * seconds)):
        hub.tick(1000.0 + tick / 30)
        found += [m for m in taken(hub, viewer) if isinstance(m, p.Written)]
        if found and found[-1].done:
            break
    return found


@pytest.mark.parametrize(
    "after", [-1, 0, 5, STATE_EVERY - 2, STATE_EVERY - 1, STATE_EVERY, 2 * STATE_EVERY + 7, 599]
)
def test_the_network_writes_on_from_where_it_was(after):
    _, hub, tokens = served(600)
    viewer = hub.join()
    say(hub, viewer, p.Write(stream=0, after=after, temperature=0, length=40))
    parts = written(hub, viewer)
    assert {(m.stream, m.after) for m in parts} == {(0, after)}
    assert [m.done for m in parts] == [False] * (len(parts) - 1) + [True]
    assert [t for m in parts for t in m.tokens] == likeliest(tokens[: after + 1], 40)


def test_what_is_read_meanwhile_does_not_touch_what_is_written():
    pipeline, hub, tokens = served(20)
    viewer = hub.join()
    say(hub, viewer, p.Write(stream=0, after=19, temperature=0, length=30))
    found = []
    for tick in range(40):
        pipeline.take("text", [tick % 5])
        pipeline.flush()
        hub.tick(1000.0 + tick / 30)
        found += [t for m in taken(hub, viewer) if isinstance(m, p.Written) for t in m.tokens]
    assert found == likeliest(tokens, 30)


def test_characters_come_sixty_a_second_and_no_more_at_once_after_a_pause():
    _, hub, _ = served(10)
    viewer = hub.join()
    say(hub, viewer, p.Write(stream=0, after=9, length=500))
    assert sum(len(m.tokens) for m in written(hub, viewer, seconds=2)) == pytest.approx(120, abs=3)
    say(hub, viewer, p.Pause())
    hub.tick(1010.0)
    assert not hub.busy(viewer)
    assert not [m for m in taken(hub, viewer) if isinstance(m, p.Written)]
    say(hub, viewer, p.Resume())
    assert hub.busy(viewer)
    (later,) = [m for m in taken(hub, viewer) if isinstance(m, p.Written)]
    assert len(later.tokens) == BURST


def test_a_viewer_can_stop_and_go_and_ask_for_something_else():
    _, hub, tokens = served(30)
    viewer = hub.join()
    say(hub, viewer, p.Write(stream=0, after=29))
    assert hub.busy(viewer)
    say(hub, viewer, p.Stop())
    assert not hub.busy(viewer) and not written(hub, viewer, seconds=1)
    say(hub, viewer, p.Write(stream=0, after=29))
    say(hub, viewer, p.Write(stream=0, after=3, temperature=0, length=5))
    (part,) = {tuple(m.tokens) for m in written(hub, viewer)[:1]}
    assert list(part) == likeliest(tokens[:4], 5)[: len(part)]
    say(hub, viewer, p.Write(stream=0, after=29))
    hub.leave(viewer)
    assert not hub.busy(viewer)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (p.Write(stream=4, after=0), "write: no stream 4; there are 2, counted from 0"),
        (p.Write(stream=1, after=0), "write: expected a stream of text, and pump is none"),
        (p.Write(stream=0, after=30), "write: expected a sample of text from -1 to 29, got 30"),
        (p.Write(stream=0, after=-2), "write: expected a sample of text from -1 to 29, got -2"),
        (p.Reset(stream=4), "reset: no stream 4; there are 2, counted from 0"),
        (p.Reset(stream=1), "reset: expected a stream of text, and pump is none"),
    ],
)
def test_a_request_that_cannot_be_met_says_what_could_be(request_, error):
    pipeline, hub, _ = served(30)
    pipeline.take("pump", [1.0])
    pipeline.flush()
    viewer = hub.join()
    with pytest.raises(p.ProtocolError) as caught:
        say(hub, viewer, request_)
    assert str(caught.value) == error


def test_text_that_is_no_longer_kept_is_not_written_on():
    pipeline, hub, _ = served(0)
    hub.rings.budget_bytes = 0  # 256 tokens are kept
    for k in range(700):
        pipeline.take("text", [k % 5])
        pipeline.flush()
    viewer = hub.join()
    with pytest.raises(p.ProtocolError, match="expected a sample of text from 511 to 699, got 400"):
        say(hub, viewer, p.Write(stream=0, after=400))  # states are those after 255 and 511
    say(hub, viewer, p.Write(stream=0, after=511, length=3))
    assert sum(len(m.tokens) for m in written(hub, viewer)) == 3


def test_only_so_many_texts_are_written_at_once():
    _, hub, _ = served(5)
    viewers = [hub.join() for _ in range(WRITERS + 1)]
    for viewer in viewers[:-1]:
        say(hub, viewer, p.Write(stream=0, after=4))
    say(hub, viewers[0], p.Write(stream=0, after=3))  # its own is replaced
    with pytest.raises(p.ProtocolError, match="8 texts are written for others now; ask again"):
        say(hub, viewers[-1], p.Write(stream=0, after=4))
    say(hub, viewers[0], p.Stop())
    say(hub, viewers[-1], p.Write(stream=0, after=4))


def test_a_reset_begins_anew_and_everybody_who_looks_hears_of_it():
    pipeline, hub, _ = served(30)
    viewers = [hub.join() for _ in range(3)]
    for viewer in viewers[:2]:
        watch(hub, viewer, 0)
    for viewer in viewers:
        taken(hub, viewer)
    pipeline.take("text", [2])  # pending: it comes before the reset
    say(hub, viewers[0], p.Reset(stream=0))
    told = [[m for m in taken(hub, v) if isinstance(m, p.WasReset)] for v in viewers]
    assert told == [[p.WasReset(0, 30)], [p.WasReset(0, 30)], []]
    group = pipeline.group_of("text")
    assert group is not None and group.bank["text"].tobytes() == initial(READER).tobytes()
    tokens = [1, 4, 0, 3]
    for token in tokens:
        pipeline.take("text", [token])
    pipeline.flush()
    say(hub, viewers[0], p.Write(stream=0, after=34, temperature=0, length=10))
    assert [t for m in written(hub, viewers[0]) for t in m.tokens] == likeliest(tokens, 10)


def test_a_stream_that_goes_on_after_a_restart_is_written_on_from_its_state():
    _, _, before = served(20)
    pipeline, hub, _ = served(0)
    for token in before:
        pipeline.take("text", [token])
    pipeline.flush()
    again = Hub(epoch=8, name="test", server="", started=0.0, ring_bytes=1 << 20)
    again.go_on(pipeline.groups)
    pipeline.sink(again.publish)
    tokens = [1, 4, 0, 3]
    for token in tokens:
        pipeline.take("text", [token])
    pipeline.flush()
    viewer = again.join()
    say(again, viewer, p.Write(stream=0, after=3, temperature=0, length=10))
    found = [t for m in written(again, viewer) for t in m.tokens]
    assert found == likeliest(before + tokens, 10)


def test_of_what_was_remembered_only_the_newest_place_is_written_on():
    pipeline, hub, tokens = served(0)
    results: list[Result] = []
    pipeline.sink(results.append)
    tokens = [1, 4, 0, 3, 2, 2]
    for token in tokens:
        pipeline.take("text", [token])
    pipeline.flush()
    again = Hub(epoch=8, name="test", server="", started=0.0, ring_bytes=1 << 20)
    (result,) = results
    again.remember(100, result)
    again.go_on(pipeline.groups)
    viewer = again.join()
    with pytest.raises(p.ProtocolError, match="expected a sample of text from 105 to 105, got 104"):
        say(again, viewer, p.Write(stream=0, after=104))
    say(again, viewer, p.Write(stream=0, after=105, temperature=0, length=10))
    assert [t for m in written(again, viewer) for t in m.tokens] == likeliest(tokens, 10)


def test_states_give_way_to_newer_ones_when_they_take_too_many_bytes():
    state = np.zeros((), READER.layout)
    states = States(budget_bytes=3 * state.nbytes)
    for seq in (-1, 255, 511):
        states.keep(0, seq, state)
    states.keep(1, 0, state)
    assert states.bytes == 3 * state.nbytes
    assert states.before(0, 254) is None and states.before(0, 600) == (511, state)
    assert states.oldest(0, 0) == 255 and states.oldest(0, 300) == 511
    states.keep(1, 0, state)  # of the same place: instead of the one before
    assert states.bytes == 3 * state.nbytes
    states.forget(0)
    assert states.bytes == state.nbytes and states.before(0, 600) is None


def test_a_network_that_learns_writes_what_it_has_learned_and_learns_nothing_from_it():
    pipeline, hub, _ = served(0)
    tokens = LETTERS.encode("abc d" * 110).tolist()
    for token in tokens[:512]:
        pipeline.take("learning", [token])
        pipeline.flush()
    group = pipeline.group_of("learning")
    assert group is not None
    state = group.bank["learning"]
    viewer = hub.join()
    say(hub, viewer, p.Write(stream=0, after=511, temperature=0, length=38))
    found = [t for m in written(hub, viewer) for t in m.tokens]
    assert found == tokens[512:550]
    assert group.bank["learning"].tobytes() == state.tobytes()


def test_a_stream_that_knows_no_next_token_cannot_be_written():
    texts = Texts()
    with pytest.raises(p.ProtocolError, match="write: expected a stream of text, and a is none"):
        texts.check("write", 0, "a")


def test_the_example_is_what_a_network_of_these_weights_computes():
    said = example()
    model = srnn.RNN(4, 3, 4, tokens=True)
    model.parameters["weight_ih_l0"] = said.weight_ih
    model.parameters["weight_hh_l0"] = said.weight_hh
    model.parameters["bias_ih_l0"] = said.bias_h
    model.parameters["bias_hh_l0"] = np.zeros(3)
    model.parameters["weight_ho"] = said.weight_ho
    model.parameters["bias_o"] = said.bias_o
    for moment in said.moments:
        np.testing.assert_allclose(moment.h_before, model.h, atol=2e-6)
        np.testing.assert_allclose(moment.y, model.step(moment.x), atol=5e-6)
        np.testing.assert_allclose(moment.h, model.h, atol=2e-6)
        assert sum(moment.p) == pytest.approx(1, abs=1e-5)


def test_the_example_expects_the_next_letter_of_hello():
    expected = [VOCABULARY[int(np.argmax(moment.p))] for moment in example().moments]
    assert "".join(expected) == (TEXT + "h")[1:]
    assert min(max(moment.p) for moment in example().moments) > 0.95


def test_who_asks_gets_the_example_once():
    _, hub, _ = served(0)
    viewer = hub.join()
    say(hub, viewer, p.ShowExample())
    messages = [m for m in taken(hub, viewer) if isinstance(m, p.Example)]
    assert messages == [example()]
    assert taken(hub, viewer) == []
