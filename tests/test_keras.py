"""Networks from Keras: recorded outputs of Keras 3 in both of its layouts, what is refused."""

import json
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from streamrnn.formats import FormatError
from streamrnn.trained import from_keras
from tests.optional import need

h5py = need("h5py", "reading Keras' files")
VECTORS = Path(__file__).parent / "vectors"
TOLERANCE = 1e-5  # over 1000 steps
NAMES = ["plain", "gru", "bidirectional", "embedding"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_outputs_equal_the_recorded_ones(name, ending):
    recorded = load_file(VECTORS / f"keras_{name}.safetensors")
    model = from_keras(VECTORS / f"keras_{name}.{ending}")
    Y = model.run(recorded["X"])[-len(recorded["Y"]) :]
    np.testing.assert_allclose(Y, recorded["Y"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("path", sorted(VECTORS.glob("tf_*.h5")), ids=lambda path: path.stem)
def test_files_of_keras_2_give_its_outputs(path):
    recorded = load_file(path.with_suffix(".safetensors"))
    model = from_keras(path)
    Y = model.run(recorded["X"])[-len(recorded["Y"]) :]
    np.testing.assert_allclose(Y, recorded["Y"], rtol=0, atol=TOLERANCE)
    assert model.scaling["out_mean"][0] == (20 if path.stem == "tf_scaled" else 0)


KINDS = {
    "SimpleRNN": {},
    "SimpleRNN relu": {"activation": "relu"},
    "GRU": {},
    "GRU before": {"reset_after": False},
    "LSTM": {},
    "LSTM hard": {"recurrent_activation": "hard_sigmoid", "activation": "softsign"},
}


@pytest.mark.filterwarnings("ignore")  # of Keras, over torch and of .h5
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shape", "bias"), [("stacked", True), ("last", False), ("back", False), ("both", True)]
)
def test_outputs_equal_keras_where_it_is_installed(kind, bias, shape, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="Keras' backend here; recorded files are read")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="Keras is not installed; recorded files are read")
    keras.utils.set_random_seed(1)
    L = keras.layers

    def cell(units, **more):
        return getattr(L, kind.split()[0])(units, use_bias=bias, **KINDS[kind], **more)

    every = {"return_sequences": True}
    middle = {
        "stacked": lambda: [cell(6, **every), cell(5, **every), L.TimeDistributed(L.Dense(4))],
        "last": lambda: [cell(6, **every), cell(5)],
        "back": lambda: [cell(6, **every), cell(5, go_backwards=True)],
        "both": lambda: [L.Bidirectional(cell(6, **every)), L.Bidirectional(cell(5))],
    }[shape]()
    model = keras.Sequential([L.Input((None, 3)), *middle, L.Dense(2, activation="tanh")])
    X = samples()
    Y = np.asarray(model.predict(X[None], verbose=0)).reshape(-1, 2)
    for ending in ("keras", "h5"):
        model.save(tmp_path / f"model.{ending}")
        given = from_keras(tmp_path / f"model.{ending}").run(X)[-len(Y) :]
        np.testing.assert_allclose(given, Y, rtol=0, atol=TOLERANCE)


def samples():
    return np.random.default_rng(1).normal(size=(1000, 3)).astype(np.float32)


def test_a_variance_below_zero_is_refused(plain):
    rewritten(plain, on(1, variance=[4.0, -5.0, 6.0]))
    with pytest.raises(FormatError, match="has a variance of -5, expected at least 0"):
        from_keras(plain)


def test_a_normalization_becomes_the_scaling():
    scaling = from_keras(VECTORS / "keras_plain.keras").scaling
    np.testing.assert_allclose(scaling["mean"], [1, 2, 3], rtol=1e-6)
    np.testing.assert_allclose(scaling["std"], np.sqrt([4, 5, 6]), rtol=1e-6)
    of_all = from_keras(VECTORS / "tf_bent.h5").scaling  # one number for all columns
    np.testing.assert_array_equal([of_all["mean"], of_all["std"]], [[0] * 3, [0.5] * 3])


def rewritten(path, change):
    """The configuration of a .h5 file, changed: change(layers) -> layers."""
    with h5py.File(path, "r+") as file:
        model = json.loads(file.attrs["model_config"])
        model["config"]["layers"] = change(model["config"]["layers"])
        file.attrs["model_config"] = json.dumps(model)


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "plain.h5"
    path.write_bytes((VECTORS / "keras_plain.h5").read_bytes())
    return path


def on(index, **changes):
    def change(layers):
        layers[index]["config"] |= changes
        return layers

    return change


def of_kind(index, kind):
    def change(layers):
        layers[index]["class_name"] = kind
        return layers

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            of_kind(2, "Conv1D"),
            "layer simple_rnn (Conv1D): Conv1D cannot be streamed; imported are",
        ),
        (
            of_kind(2, "Lambda"),
            "layer simple_rnn (Lambda): Lambda cannot be streamed; imported are",
        ),
        (on(2, activation="cosh"), "layer simple_rnn (SimpleRNN): no activation 'cosh'; there are"),
        (
            on(2, use_bias=False),
            "has weights of shapes [(3, 7), (7, 7), (7,)], expected 2 of (2, 2)",
        ),
        (of_kind(2, "LSTM"), "has kernels of shapes (3, 7) and (7, 7), expected (columns, 28) and"),
        (
            on(2, return_sequences=False),
            "layer lstm (LSTM): reads simple_rnn, which gives its last",
        ),
        (
            on(5, go_backwards=True),
            "go_backwards gives its steps in reverse; expected Bidirectional",
        ),
        (lambda layers: layers[:1], "no layers with weights"),
        (
            lambda layers: [*layers[:3], *layers[5:]],
            "lstm: LSTM takes 5 columns, but what is below gives 7",
        ),
        (lambda layers: 5, "its content does not fit (TypeError"),
    ],
)
def test_what_cannot_be_streamed_is_refused_by_name(plain, change, text):
    rewritten(plain, change)
    with pytest.raises(FormatError, match=re.escape(text)) as raised:
        from_keras(plain)
    assert str(raised.value).startswith(f"{plain}: ")


def test_weights_of_nan_are_refused(plain):
    with h5py.File(plain, "r+") as file:
        file["model_weights/simple_rnn/sequential/simple_rnn/simple_rnn_cell/bias"][:] = np.nan
    with pytest.raises(FormatError, match="simple_rnn: bias_ih holds NaN or infinite weights"):
        from_keras(plain)


def test_gigantic_arrays_are_refused_before_they_are_made(plain):
    place = "model_weights/simple_rnn/sequential/simple_rnn/simple_rnn_cell"
    with h5py.File(plain, "r+") as file:
        del file[place]["bias"]
        file[place].create_dataset("bias", (10**11,), "f4", chunks=(1024,))
    with pytest.raises(FormatError, match=r"bias: \(100000000000,\) of float32 declared in a file"):
        from_keras(plain)


def test_a_file_that_points_to_another_is_refused(plain, tmp_path):
    place = "model_weights/simple_rnn/sequential/simple_rnn/simple_rnn_cell"
    with h5py.File(plain, "r+") as file:
        del file[place]["bias"]
        file[place]["bias"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")
    with pytest.raises(
        FormatError, match="simple_rnn_cell/bias: expected an array of numbers, found none"
    ):
        from_keras(plain)


def test_weights_alone_are_refused(plain):
    with h5py.File(plain, "r+") as file:
        del file.attrs["model_config"]
    with pytest.raises(FormatError, match="holds weights without the layers' configuration; save"):
        from_keras(plain)


def test_what_a_gpu_wrote_is_turned_about(plain):
    """CuDNNLSTM of Keras 2: each gate's matrices as their transposes lie in memory, two biases."""
    recorded = load_file(VECTORS / "keras_plain.safetensors")
    names = ("kernel", "recurrent_kernel", "bias")
    place = "model_weights/lstm/sequential/lstm/lstm_cell"
    rewritten(plain, on(5, recurrent_activation="sigmoid"))
    expected = from_keras(plain).run(recorded["X"])
    rewritten(plain, of_kind(5, "CuDNNLSTM"))
    with h5py.File(plain, "r+") as file:
        kernel, recurrent, bias = (file[f"{place}/{name}"][()] for name in names)
        stored = np.hstack([part.T.reshape(part.shape) for part in np.hsplit(kernel, 4)])
        recurrent = np.hstack([part.T for part in np.hsplit(recurrent, 4)])
        for name, array in zip(names, (stored, recurrent, np.tile(bias / 2, 2)), strict=True):
            del file[f"{place}/{name}"]
            file[f"{place}/{name}"] = array
    np.testing.assert_allclose(from_keras(plain).run(recorded["X"]), expected, atol=TOLERANCE)


@pytest.mark.parametrize(
    "content", [b"", b"not a model", b"PK\3\4" + bytes(99), b"\x89HDF\r\n\x1a\n"]
)
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=re.escape(f"{path}: expected a whole file of Keras'")):
        from_keras(path)
    with pytest.raises(FileNotFoundError):
        from_keras(tmp_path / "absent.keras")


def test_an_archive_that_unpacks_without_end_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * 2**26)
    with pytest.raises(
        FormatError, match=r"config.json: 67108864 bytes in a file of \d+, expected"
    ):
        from_keras(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", b"{}")
    with pytest.raises(FormatError, match="metadata.json is missing, found config.json"):
        from_keras(path)


def test_without_the_package_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match="reading Keras' files needs h5py: pip install h5py"):
        from_keras("model.h5")


def damaged(data, content):
    """Up to four bytes changed, and perhaps the end cut off."""
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    return (
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )


def read_or_refused(path):
    try:
        assert from_keras(path).run(np.zeros((2, 3))).shape[0] == 2
    except FormatError as error:
        assert str(error).startswith(f"{path}: ")


FIXTURE = [HealthCheck.function_scoped_fixture]


@given(data=st.data())
@settings(max_examples=170, deadline=None, suppress_health_check=FIXTURE)
def test_a_damaged_archive_is_refused_or_gives_a_network(data, tmp_path):
    path = tmp_path / "damaged.keras"
    path.write_bytes(damaged(data, (VECTORS / "keras_gru.keras").read_bytes()))
    read_or_refused(path)


@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=FIXTURE)  # a process each
def test_a_damaged_h5_file_is_refused_or_gives_a_network(data, tmp_path):
    path = tmp_path / "damaged.h5"
    path.write_bytes(damaged(data, (VECTORS / "keras_gru.h5").read_bytes()))
    read_or_refused(path)


def test_what_breaks_hdf5_itself_is_refused(tmp_path, monkeypatch):
    """The library crashes on some files; which ones changes with its version."""
    monkeypatch.setattr("streamrnn.formats.hdf5.sys.executable", tmp_path / "crash")
    (tmp_path / "crash").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "crash").chmod(0o755)
    with pytest.raises(FormatError, match="HDF5 breaks on it, with exit code -11"):
        from_keras(VECTORS / "keras_gru.h5")


def test_what_hdf5_reads_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("streamrnn.formats.hdf5.sys.executable", tmp_path / "endless")
    monkeypatch.setattr("streamrnn.formats.hdf5.LIMIT_S", 0.1)
    (tmp_path / "endless").write_text("#!/bin/sh\nwhile :; do :; done\n")
    (tmp_path / "endless").chmod(0o755)
    with pytest.raises(FormatError, match=r"HDF5 finds no end of it in 0\.1\d* s"):
        from_keras(VECTORS / "keras_gru.h5")
