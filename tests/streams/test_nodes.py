"""Steps as streamz nodes: what they take, what they refuse, and that the stream goes on."""

import asyncio
import gc
import importlib
import tomllib
from pathlib import Path

import numpy as np
import pytest
from streamz import Stream
from streamz.core import RefCounter

from streamrnn.bank import Bank
from streamrnn.detect import Detector
from streamrnn.forecast import Forecaster
from streamrnn.model import GRU
from streamrnn.streams import Batch, Refused, rnn
from tests.leaky import Leaky

NAN = float("nan")


def batch(keys, x):
    return Batch(keys, np.arange(len(x), dtype=float), np.array(x, float))


@pytest.mark.parametrize(
    ("channels", "element", "y"),
    [
        (1, 4, [1.0]),
        (1, np.float32(4), [1.0]),
        (1, [4.0], [1.0]),
        (1, [[4.0], [4.0]], [[1.0], [1.75]]),
        (2, (4, 8), [1.0, 2.0]),
        (2, np.array([4, 8], np.int16), [1.0, 2.0]),
        (2, [4.0, None], [1.0, 0.0]),
        (2, [4.0, NAN], [1.0, 0.0]),
        (2, [[4, 8], [4, 8]], [[1.0, 2.0], [1.75, 3.5]]),
        (2, np.zeros((0, 2)), np.zeros((0, 2)).tolist()),
    ],
)
def test_numbers_rows_and_arrays_come_out_in_the_shape_they_went_in(channels, element, y):
    source = Stream()
    found = source.rnn(Leaky(channels)).sink_to_list()
    source.emit(element)
    assert [f.tolist() for f in found] == [y]


def test_a_batch_advances_the_stream_of_each_key():
    source = Stream()
    found = source.rnn(Leaky()).sink_to_list()
    source.emit(batch(["a", "b", "a"], [[4], [8], [4]]))
    (out,) = found
    assert out.y.tolist() == [[1.0], [2.0], [1.75]]
    assert out.keys == ["a", "b", "a"] and out.t.tolist() == [0.0, 1.0, 2.0]


def test_nodes_share_a_bank_that_they_are_given():
    bank = Bank(Leaky())
    first, second = Stream(), Stream()
    nodes = [first.rnn(bank, key="a"), second.rnn(bank, key="b")]
    first.emit(4.0)
    second.emit(batch(["a", "b"], [[4.0], [4.0]]))
    assert bank["a"]["h"] == 1.75 and bank["b"]["h"] == 1.0
    assert nodes[0].bank is bank


@pytest.mark.parametrize("asynchronous", [None, False, True])
def test_every_kind_of_graph_gives_the_bits_of_the_model_alone(asynchronous):
    X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    model = GRU(3, 8, 2)

    async def emit_awaiting():
        source = Stream(asynchronous=True)
        found = source.rnn(model).sink_to_list()
        for x in X:
            await source.emit(x)
        return found

    def emit():
        source = Stream(asynchronous=asynchronous)
        found = source.rnn(model).sink_to_list()
        for x in X:
            source.emit(x)
        return found

    found = asyncio.run(emit_awaiting()) if asynchronous else emit()
    assert np.stack(found).tobytes() == model.run(X).tobytes()


def same(found, expected):
    """Equal to the bit, whatever tuples of arrays they are made of."""
    assert type(found) is type(expected)
    if isinstance(found, tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    else:
        assert np.array_equal(found, expected, equal_nan=not isinstance(found, str))


@pytest.mark.parametrize(("name", "cls"), [("forecast", Forecaster), ("detect", Detector)])
def test_forecasts_and_detections_are_those_of_the_object(name, cls):
    X = np.random.default_rng(0).normal(20, 1, (300, 2))
    X[150, 1] = X[250, 0] = NAN
    X[200] = 95
    alone = cls(channels=2, target=1, horizon=5)
    first, rest = [alone.step(x) for x in X[:290]], alone.run(X[290:])
    source = Stream()
    found = getattr(source, name)(channels=2, target=1, horizon=5).sink_to_list()
    for element in (*X[:290], X[290:]):
        source.emit(element)
    for one, other in zip(found, [*first, rest], strict=True):
        same(one, other)

    source = Stream()
    (found,) = [getattr(source, name)(2, 1, 5).sink_to_list()]
    source.emit(batch(["a"] * 300, X))
    expected = Bank(cls(2, 1, 5)).step(["a"] * 300, X, np.arange(300.0))
    assert np.array_equal(found[0].y, expected, equal_nan=True)


@pytest.mark.parametrize(("name", "cls"), [("forecast", Forecaster), ("detect", Detector)])
def test_batches_of_many_streams_hold_what_each_stream_s_object_says(name, cls):
    random = np.random.default_rng(0)
    keys = np.array(["pump", "fan", "oven"])[random.integers(0, 3, 600)].tolist()
    X = random.normal(20, 1, (600, 2))
    X[400, 0] = 95
    X[500:510, 0] = NAN
    source = Stream()
    node = getattr(source, name)(channels=2, horizon=4)
    found = node.sink_to_list()
    for begin in range(0, 600, 50):
        part = slice(begin, begin + 50)
        source.emit(batch(keys[part], X[part]))
    assert [key for out in found for key in out.keys] == keys
    told = [node.shaped(out.y[n : n + 1]) for out in found for n in range(50)]
    objects = {key: cls(channels=2, horizon=4) for key in set(keys)}
    for n, (key, x, one) in enumerate(zip(keys, X, told, strict=True)):
        same(one, objects[key].run(x.reshape(1, 2), [n % 50]))  # the times of `batch`


BAD = [
    ("junk", "expected numbers, NaN or None where missing, got 'junk'"),
    (b"junk", "expected numbers, NaN or None where missing, got b'junk'"),
    (None, "expected numbers, NaN or None where missing, got None"),
    (True, "expected numbers, NaN or None where missing, got True"),
    ({"temp": 1.0}, "expected numbers, NaN or None where missing, got {'temp': 1.0}"),
    (1.0, "expected 2 channels: a row (2,) or consecutive rows (T, 2), got shape ()"),
    ([], "expected 2 channels: a row (2,) or consecutive rows (T, 2), got shape (0,)"),
    ([1, 2, 3], "expected 2 channels: a row (2,) or consecutive rows (T, 2), got shape (3,)"),
    ([[1, 2, 3]], "expected 2 channels: a row (2,) or consecutive rows (T, 2), got shape (1, 3)"),
    ([[[1, 2]]], "expected 2 channels: a row (2,) or consecutive rows (T, 2), got shape (1, 1, 2)"),
    (["1.5", "2"], "expected numbers, NaN or None where missing, got ['1.5', '2']"),
    ([1.0, "2"], "expected numbers, NaN or None where missing, got [1.0, '2']"),
    ([1.0, True, None], "expected numbers, NaN or None where missing, got [1.0, True, None]"),
    ([1.0, [2.0]], "expected numbers in rows of one length, got [1.0, [2.0]]"),
    ([[1.0, 2.0], [3.0]], "expected numbers in rows of one length, got [[1.0, 2.0], [3.0]]"),
    ([1.0, 2j], "expected numbers, NaN or None where missing, got [1.0, 2j]"),
    ([1.0, float("inf")], "expected finite numbers or NaN, got an infinite one"),
    ([1.0, 1e39], "expected finite numbers or NaN, got an infinite one"),  # in float32
    (batch(["a"], [[1.0, 2.0]] * 2), "expected a key for each row, got 1 for 2 rows"),
    (batch([[], []], [[1.0, 2.0]] * 2), "unhashable type: 'list'"),
    (
        batch(["a"], [[1.0]]),
        "expected 2 channels: a row (2,) or consecutive rows (T, 2), got shape (1, 1)",
    ),
]


@pytest.mark.parametrize(("element", "error"), BAD, ids=[repr(e)[:40] for e, _ in BAD])
def test_a_bad_element_is_counted_and_reported_and_the_stream_goes_on(element, error, caplog):
    source, reported = Stream(), []
    node = source.rnn(Leaky(2))
    node.on_refused(reported.append)
    found = node.sink_to_list()
    source.emit([4.0, 4.0])
    source.emit(element)
    source.emit([4.0, 4.0])
    assert [y.tolist() for y in found] == [[1.0, 1.0], [1.75, 1.75]]
    assert node.refused == {"value": 1}
    assert [str(r) for r in reported] == [f"rnn node: {error}"]
    assert caplog.messages == [f"refused (value, 1 so far): rnn node: {error}"]


class Fails(Leaky):
    """Raises in the middle of its work, at 13."""

    def advance(self, states, rows, x, y):
        super().advance(states, rows, x, y)
        if (x == 13).any():
            raise RuntimeError("thirteen")


def test_a_step_that_fails_leaves_the_state_as_it_was():
    source = Stream()
    node = source.rnn(Fails(), stream_name="unlucky")
    found = node.sink_to_list()
    reported = []
    node.on_refused(reported.append)
    for element in (4.0, [[4.0], [13.0]], 4.0):
        source.emit(element)
    assert [y.tolist() for y in found] == [[1.0], [1.75]]
    assert node.refused == {"internal": 2}
    assert str(reported[0]) == "rnn node unlucky: RuntimeError: thirteen"


def test_an_element_that_fails_downstream_may_be_emitted_again():
    source, found, failures = Stream(), [], [RuntimeError("disk full")]

    def store(y):
        if failures:
            raise failures.pop()
        found.append(y.tolist())

    sink = source.rnn(Leaky()).sink(store)
    with pytest.raises(RuntimeError, match="disk full"):
        source.emit(4.0)
    source.emit(4.0)
    assert found == [[1.0]]
    sink.destroy()


def test_a_refused_element_gives_back_its_reference():
    async def main():
        done = asyncio.Event()
        source = Stream(asynchronous=True)
        sink = source.rnn(Leaky()).sink(lambda y: None)
        for element in ("junk", 4.0):
            done.clear()
            reference = RefCounter(cb=done.set, loop=source.loop)
            await source.emit(element, metadata=[{"ref": reference}])
            await asyncio.wait_for(done.wait(), 10)
        sink.destroy()

    asyncio.run(main())


def test_a_chain_without_a_sink_is_gone_unless_it_is_kept():
    source = Stream()
    bank = Bank(Leaky())
    source.rnn(bank)
    gc.collect()
    source.emit(4.0)
    assert len(bank) == 0
    kept = source.rnn(bank)
    source.emit(4.0)
    assert len(bank) == 1 and kept.refused == {}


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("streamz.nodes", {"rnn", "forecast", "detect", "tokens"}),
        ("streamz.sources", {"replay", "follow", "stdin", "host", "text", "mqtt"}),
    ],
)
def test_nodes_and_sources_are_registered_with_streamz(group, names):
    project = Path(__file__).parents[2] / "pyproject.toml"
    places = tomllib.loads(project.read_text("utf-8"))["project"]["entry-points"][group]
    assert set(places) == names
    for name, place in places.items():
        module, _, attribute = place.partition(":")
        assert issubclass(getattr(importlib.import_module(module), attribute), Stream)
        assert callable(getattr(Stream, name))


def test_the_class_can_be_used_without_the_method():
    source = Stream()
    found = rnn(source, Leaky()).sink_to_list()
    source.emit(4.0)
    assert found[0].tolist() == [1.0]
    assert issubclass(Refused, ValueError)
