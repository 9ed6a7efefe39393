"""Models and banks on disk."""

import json
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import streamrnn as srnn
from streamrnn.formats import FormatError
from streamrnn.step import padded


@pytest.mark.parametrize("cell", [srnn.RNN, srnn.GRU, srnn.LSTM])
def test_a_loaded_model_goes_on_with_the_same_bits(cell, tmp_path):
    model = cell(3, 7, 2, num_layers=2)
    model.scale(mean=1, std=2, out_mean=3, out_std=4)
    X = np.random.default_rng(0).normal(size=(40, 3))
    model.run(X[:20])
    srnn.save(model, tmp_path / "model.safetensors", metadata={"made": "today"})
    loaded = srnn.load(tmp_path / "model.safetensors")
    assert type(loaded) is cell and loaded.config == model.config
    assert loaded.metadata == {"made": "today"}
    assert loaded.run(X[20:]).tobytes() == model.run(X[20:]).tobytes()


def test_a_loaded_model_without_readout_or_of_tokens_goes_on_too(tmp_path):
    for model in (srnn.GRU(5, 3), srnn.GRU(5, 3, 5, tokens=True)):
        x = 2 if model.tokens else np.ones(5)
        model.step(x)
        srnn.save(model, tmp_path / "model.safetensors")
        loaded = srnn.load(tmp_path / "model.safetensors")
        assert loaded.step(x).tobytes() == model.step(x).tobytes()


@pytest.mark.parametrize(
    "step",
    [
        srnn.Forecaster(2, horizon=3),
        srnn.Forecaster(2, horizon=3, rtrl=True),
        srnn.Detector(2, horizon=3),
    ],
)
def test_what_was_learned_goes_on_with_the_same_bits(step, tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 2))
    for row in X[:40]:
        step.step(row)
    srnn.save(step, tmp_path / "learned.safetensors")
    loaded = srnn.load(tmp_path / "learned.safetensors")
    for row in X[40:]:
        step.step(row)
        loaded.step(row)
    assert loaded.state.tobytes() == step.state.tobytes()


@pytest.mark.parametrize("step", [srnn.GRU(2, 5, 1), srnn.Forecaster(2, horizon=3)])
def test_a_loaded_bank_goes_on_with_the_same_bits(step, tmp_path):
    bank = srnn.Bank(step)
    keys = ["a", 7, ("b", 1)]
    X = np.random.default_rng(0).normal(size=(3, 2))
    bank.step(keys, X)
    srnn.save(bank, tmp_path / "bank.safetensors")
    loaded = srnn.load(tmp_path / "bank.safetensors")
    assert list(loaded) == keys
    assert loaded.step(keys, X).tobytes() == bank.step(keys, X).tobytes()


def test_a_forecaster_of_many_channels_is_loaded(tmp_path):
    forecaster = srnn.Forecaster(60)
    forecaster.step(np.arange(60.0))
    srnn.save(forecaster, tmp_path / "learned.safetensors")
    loaded = srnn.load(tmp_path / "learned.safetensors")
    assert loaded.state.tobytes() == forecaster.state.tobytes()


def test_a_bank_over_a_step_of_ones_own_is_loaded_with_the_step(tmp_path):
    class Count:
        layout = padded([("n", 1)], np.float64)
        inputs = outputs = 1

        def advance(self, states, rows, x, y):
            for n, row in enumerate(rows):
                states["n"][row] += 1
                y[n] = states["n"][row]

    bank = srnn.Bank(Count())
    bank.step(["a", "a"], [[0.0], [0.0]])
    path = tmp_path / "bank.safetensors"
    srnn.save(bank, path)
    assert srnn.load(path, step=Count()).step(["a"], [[0.0]]) == [[3]]
    with pytest.raises(FormatError, match=re.escape("the bank's step is not in the file; give it")):
        srnn.load(path)
    with pytest.raises(FormatError, match="states have shape .1, 8. and dtype float64, expected"):
        srnn.load(path, step=srnn.GRU(1, 2))


def test_float16_halves_the_file(tmp_path):
    model = srnn.LSTM(8, 64)
    srnn.save(model, tmp_path / "full.safetensors")
    srnn.save(model, tmp_path / "half.safetensors", dtype="float16")
    sizes = [(tmp_path / name).stat().st_size for name in ("full.safetensors", "half.safetensors")]
    assert sizes[1] < 0.55 * sizes[0]
    loaded = srnn.load(tmp_path / "half.safetensors")
    for name, array in loaded.parameters.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, model.parameters[name], rtol=5e-4, atol=1e-7)


def test_an_old_file_stays_whole_when_saving_fails(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    srnn.save(srnn.RNN(1, 2, seed=1), path)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("streamrnn.checkpoint.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        srnn.save(srnn.RNN(1, 2, seed=2), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("what", "options", "error", "text"),
    [
        (object(), {}, TypeError, "object cannot be saved, expected one of RNN, GRU, LSTM"),
        (srnn.RNN(1, 2), {"dtype": "int8"}, ValueError, "dtype is 'int8', expected 'float32' or"),
    ],
)
def test_what_cannot_be_saved_is_refused(what, options, error, text, tmp_path):
    with pytest.raises(error, match=re.escape(text)):
        srnn.save(what, tmp_path / "file", **options)
    assert not list(tmp_path.iterdir())


def test_keys_that_json_cannot_hold_are_refused(tmp_path):
    bank = srnn.Bank(srnn.RNN(1, 2))
    bank.rows([frozenset()])
    with pytest.raises(TypeError, match="is of type frozenset, expected text, whole numbers or"):
        srnn.save(bank, tmp_path / "file")


def test_weights_beyond_float16_are_refused(tmp_path):
    model = srnn.RNN(1, 2)
    model.parameters["bias_ih_l0"] = [1e6, 0]
    with pytest.raises(ValueError, match="bias_ih_l0 holds weights beyond float16's range"):
        srnn.save(model, tmp_path / "file", dtype="float16")


def rewrite(path, change, what=None, metadata="{}"):
    """Save a small GRU, then let `change(description, tensors)` alter what the file says."""
    srnn.save(what or srnn.GRU(2, 3, 1), path)
    tensors = load_file(path)
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))["__metadata__"]
    description = json.loads(header["streamrnn"])
    change(description, tensors)
    header |= {"streamrnn": json.dumps(description), "metadata": metadata}
    save_file(tensors, path, header)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d, t: d.update(version=99), "written in version 99 of the format, this streamrnn"),
        (lambda d, t: d.update(kind="Rocket"), "kind is 'Rocket', expected one of RNN, GRU, LSTM"),
        (lambda d, t: d.pop("config"), "the description does not fit the content (KeyError"),
        (
            lambda d, t: t.pop("weight_hh_l0"),
            "weight_hh_l0 is missing, expected (9, 3) for input_size=2, hidden_size=3",
        ),
        (
            lambda d, t: d["config"].update(hidden_size=10**12),
            "config.hidden_size is 1000000000000, b",
        ),
        (
            lambda d, t: d["config"].update(hidden_size=4),
            "weight_ih_l0 is (9, 2), expected (12, 2) for input_size=2, hidden_size=4",
        ),
        (lambda d, t: d["config"].update(num_layers=2), "weight_ih_l1 is missing, expected (9, 3)"),
        (
            lambda d, t: d["config"].update(output_size=2),
            "weight_ho is (1, 3), expected (2, 3)",
        ),
        (lambda d, t: t["weight_ho"].fill(np.nan), "weight_ho holds NaN or infinite weights"),
        (lambda d, t: t.update(state=np.zeros((1, 3), "f4")), "states have shape (1, 3) and dtype"),
    ],
)
def test_a_wrong_file_is_refused_with_its_path(change, text, tmp_path):
    path = tmp_path / "model.safetensors"
    rewrite(path, change)
    with pytest.raises(FormatError, match=re.escape(text)) as raised:
        srnn.load(path)
    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("what", "name", "size", "text"),
    [
        (
            srnn.GRU(2, 300, 1),
            "num_layers",
            200_000,
            "num_layers is 200000, but the file holds 11 tensors",
        ),
        (
            srnn.GRU(2, 300, 1),
            "output_size",
            200_000,
            "weight_ho is (1, 300), expected (200000, 300)",
        ),
        (srnn.GRU(2, 300), "output_size", 200_000, "weight_ho is missing, expected (200000, 300)"),
        (srnn.Forecaster(horizon=30), "horizon", 7000, "horizon 7000 need a state of"),
        (srnn.Detector(horizon=30), "channels", 7000, "channels 7000, horizon 30 need a state of"),
        (srnn.Forecaster(horizon=30), "horizon", 90_000, "horizon is 90000, but the file holds"),
    ],
)
def test_a_size_that_the_file_does_not_hold_is_refused_before_it_is_made(
    what, name, size, text, tmp_path
):
    path = tmp_path / "step.safetensors"
    rewrite(path, lambda d, t: d["config"].update({name: size}), what)
    tracemalloc.start()
    with pytest.raises(FormatError, match=re.escape(text)):
        srnn.load(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2 * path.stat().st_size + 2**20


@pytest.mark.parametrize("key", ["streamrnn", "metadata"])
def test_json_nested_without_end_is_refused(key, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({}, path, {"streamrnn": '{"version": 1}', "metadata": "{}"} | {key: "[" * 100_000})
    with pytest.raises(FormatError, match="the description does not fit the content"):
        srnn.load(path)


def test_metadata_that_is_not_texts_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    for metadata in ("[1]", '{"vocabulary": 5}'):
        rewrite(path, lambda d, t: None, metadata=metadata)
        with pytest.raises(FormatError, match="metadata: expected texts by name, found"):
            srnn.load(path)


def test_tensors_of_a_dtype_without_numpy_are_refused(tmp_path):
    path = tmp_path / "bf16.safetensors"
    header = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(FormatError, match=re.escape(f"{path}: tensor w:")):
        srnn.load(path)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_text("not a model")
    with pytest.raises(FormatError, match="not a whole safetensors file"):
        srnn.load(path)
    save_file({"w": np.zeros(3)}, path)
    with pytest.raises(FormatError, match=re.escape("expected a file of streamrnn.save, found no")):
        srnn.load(path)
    with pytest.raises(FileNotFoundError):
        srnn.load(tmp_path / "absent")


@given(at=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.booleans())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_file_is_refused_or_loads_as_a_model(at, value, cut, tmp_path):
    path = tmp_path / "model.safetensors"
    srnn.save(srnn.GRU(2, 3, 1), path)
    content = bytearray(path.read_bytes())
    at %= len(content)
    content[at] = value
    path.write_bytes(content[:at] if cut else content)
    try:
        assert isinstance(srnn.load(path), srnn.GRU | srnn.RNN | srnn.LSTM)
    except FormatError:
        pass
