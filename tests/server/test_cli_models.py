"""`streamrnn inspect` and `convert`: what they print, write and refuse."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from streamrnn_server.cli import app
from typer.testing import CliRunner

import streamrnn as srnn

VECTORS = Path(__file__).parents[1] / "vectors"


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code in (0, 1), result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Weights, X.npy and Y.npy of a recorded GRU and of a bidirectional one, in this folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("gru", "bidirectional"):
        tensors = load_file(VECTORS / f"torch_{name}.safetensors")
        np.save(f"{name}_X.npy", tensors.pop("X"))
        np.save(f"{name}_Y.npy", tensors.pop("Y"))
        save_file(tensors, f"{name}.safetensors")


def test_inspect_lists_the_layers(recorded):
    code, text = run("inspect", "gru.safetensors")
    # 3 H (K + H) + 6 H: 3 16 (3 + 16) + 96 and 3 16 (16 + 16) + 96
    for part in ("layer 0 GRU 3 -> 16 1,008", "layer 1 GRU 16 -> 16 1,632", "Linear 16 -> 2 34"):
        assert part in text
    assert code == 0 and "in: 3 columns; out: 2 columns; 2,674 parameters" in text
    assert "can be stepped, as GRU" in text


def test_inspect_says_what_cannot_be_streamed_and_why(recorded):
    code, text = run("inspect", "bidirectional.safetensors", "--forward", "gru,fc")
    assert code == 0 and "GRU, bidirectional 3 -> 24" in text
    assert "cannot be stepped: gru (layer 0): a bidirectional layer needs the end of the" in text


def test_convert_checks_and_writes_what_load_takes(recorded):
    code, text = run(
        *("convert", "gru.safetensors", "model.safetensors", "--check", "gru_X.npy", "gru_Y.npy")
    )
    assert code == 0 and re.search(r"largest difference from gru_Y.npy: \d\.?\d*e-0[678]", text)
    X, Y = np.load("gru_X.npy"), np.load("gru_Y.npy")
    np.testing.assert_allclose(srnn.load("model.safetensors").run(X), Y, rtol=0, atol=1e-5)


def test_convert_names_the_first_step_that_differs_and_writes_nothing(recorded):
    Y = np.load("gru_Y.npy")
    Y[500:] += 0.5
    np.save("wrong.npy", Y)
    check = ("--check", "gru_X.npy", "wrong.npy")
    code, text = run("convert", "gru.safetensors", "model.safetensors", *check)
    assert code == 1 and "largest difference from wrong.npy: 0.5" in text
    assert "beyond 1e-05 from step 500 on: 0.5; nothing is written" in text
    assert not Path("model.safetensors").exists()
    assert run("convert", "gru.safetensors", "m.safetensors", *check, "--tolerance", "1")[0] == 0


def test_check_takes_sequences_each_from_the_start_and_last_steps(recorded):
    X = np.load("gru_X.npy")[:60].reshape(3, 20, 3)
    model = srnn.from_torch("gru.safetensors")
    Y = np.stack([model.answers(one[None])[0] for one in X])
    np.save("X.npy", X)
    np.save("Y.npy", Y)
    check = ("--check", "X.npy", "Y.npy")
    assert run("convert", "gru.safetensors", "model.safetensors", *check)[0] == 0
    Y[2] += 1
    np.save("Y.npy", Y)
    code, text = run("convert", "gru.safetensors", "model.safetensors", *check)
    assert code == 1 and "beyond 1e-05 from step 19 of sequence 2 on: 1; nothing is" in text


def test_what_reads_backwards_is_converted_over_a_window(recorded):
    source = ("convert", "bidirectional.safetensors", "model.safetensors", "--forward", "gru,fc")
    check = ("--check", "bidirectional_X.npy", "bidirectional_Y.npy")
    code, text = run(*source, *check)
    assert code == 1 and "train it forward only; or convert with --windowed" in text
    assert run(*source, *check, "--windowed", 20)[0] == 0
    assert srnn.load("model.safetensors").window == 20


def test_converted_with_means_it_takes_and_gives_raw_units(recorded):
    source = ("convert", "gru.safetensors", "model.safetensors")
    scaled = ("--mean", "20,1000,-3", "--std", "5,10,2", "--out-mean", "20", "--out-std", "5")
    check = ("--check", "gru_X.npy", "gru_Y.npy")  # in the units of the file's own network
    assert run(*source, *scaled, *check)[0] == 0
    X, Y = np.load("gru_X.npy")[:50], np.load("gru_Y.npy")[:50]
    given = srnn.load("model.safetensors").run(X * [5, 10, 2] + [20, 1000, -3])
    np.testing.assert_allclose(given, Y * 5 + 20, atol=2e-4)  # 1000 carries 6e-5, of a std of 10
    np.save("gru_Y.npy", np.load("gru_Y.npy") * 5 + 20)
    code, text = run(*source, *scaled, *check)
    assert code == 1 and "X and Y are in the units that the file's network has, before" in text
    code, text = run(*source, "--mean", "20,x")
    assert code == 1 and "--mean 20,x: expected numbers with commas between, as --mean 20" in text
    code, text = run(*source, "--mean", "1,2")
    assert code == 1 and "--mean 1,2: expected numbers with commas between" in text
    assert "mean has shape (2,), expected (3,)" in text


def test_inspect_of_what_convert_wrote_says_who_takes_it(recorded):
    assert run("convert", "gru.safetensors", "model.safetensors")[0] == 0
    code, text = run("inspect", "model.safetensors")
    assert code == 1 and "was written by streamrnn.save; streamrnn.load and serve take it" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("inspect", "net.tflite"), "net.tflite: ends in '.tflite', expected .pt, .pth, .bin"),
        *(
            (("inspect", f"absent.{ending}"), f"absent.{ending}: No such file or directory")
            for ending in ("safetensors", "pt", "onnx", "keras")
        ),
        (
            ("convert", "gru.safetensors", "gru.onnx"),
            "gru.onnx: expected another name than SRC, that ends in .safetensors",
        ),
        (
            ("convert", "gru.safetensors", "./gru.safetensors"),
            "gru.safetensors: expected another name than SRC, that ends in .safetensors",
        ),
        (
            ("convert", "gru.safetensors", "made/gru.safetensors"),
            "made/gru.safetensors: no such folder as made",
        ),
        (
            ("convert", "gru.safetensors", "m.safetensors", "--check", "gru_X.npy", "no.npy"),
            "no.npy: No such file or directory",
        ),
        *(
            (
                ("convert", "gru.safetensors", "m.safetensors", "--check", name, "gru_Y.npy"),
                f"{name}: expected one array of numbers, as numpy.save writes it",
            )
            for name in ("gru.safetensors", "empty.npy", "cut.npz")
        ),
        (
            ("convert", "gru.safetensors", "m.safetensors", "--check", "gru_X.npy", "gru_X.npy"),
            "gru_X.npy: Y has shape (1000, 3), but the network gives (1000, 2) for (1000, 3)",
        ),
        (
            ("convert", "gru.safetensors", "m.safetensors", "--check", "gru_Y.npy", "gru_Y.npy"),
            "gru_Y.npy: X has shape (1000, 2), expected (N, 3)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(recorded, monkeypatch, arguments, text):
    for package in ("torch", "onnx", "h5py"):  # that one is absent is not the matter here
        monkeypatch.setitem(sys.modules, package, None)
    Path("empty.npy").touch()
    Path("net.tflite").touch()
    Path("cut.npz").write_bytes(b"PK\3\4" + bytes(99))
    code, found = run(*arguments)
    assert code == 1 and text in found and not Path("m.safetensors").exists()


def test_a_difference_of_nan_is_not_hidden(recorded):
    Y = np.load("gru_Y.npy")
    Y[500:] = np.nan
    np.save("gru_Y.npy", Y)
    code, text = run(
        "convert", "gru.safetensors", "m.safetensors", "--check", "gru_X.npy", "gru_Y.npy"
    )
    assert code == 1 and "largest difference from gru_Y.npy: nan beyond 1e-05 from step 500" in text
