"""Training that goes on from its file: the same bits, or an error that names what differs."""

import errno
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

import streamrnn as srnn
from streamrnn.formats import FormatError
from tests.test_train import WAVE, bits

PROGRAM = """
import os
import signal
import sys
import streamrnn as srnn
from tests.test_resume import train

def die(report):
    if report.update == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

train(srnn.GRU(1, 8, 1, num_layers=2), checkpoint=sys.argv[1], callback=die)
"""

SETTINGS = {"epochs": 3, "batch_size": 6, "truncation": 20, "dropout": 0.2, "seed": 3}


def train(model, **more):
    """9 updates an epoch, saved after each."""
    return srnn.fit(model, WAVE[:-1], WAVE[1:], checkpoint_every_s=0, **SETTINGS | more)


@pytest.mark.parametrize("update", [3, 18, 20])
def test_a_killed_training_goes_on_to_the_same_bits(update, tmp_path):
    path = tmp_path / "training.safetensors"
    killed = subprocess.run([sys.executable, "-c", PROGRAM, str(path), str(update)], check=False)
    assert killed.returncode == -9
    resumed, whole = (srnn.GRU(1, 8, 1, num_layers=2) for _ in range(2))
    updates = []
    history = train(resumed, checkpoint=path, callback=lambda r: updates.append(r.update))
    assert updates[0] == update  # the update that the kill came after was not saved any more
    expected = train(whole)
    assert bits(resumed) == bits(whole)
    assert history == expected


def test_separate_sequences_go_on_in_the_same_order(tmp_path):
    class Stop(Exception):
        pass

    def stop(report):
        if report.update == 8:
            raise Stop

    rows = [np.random.default_rng(n).normal(size=(5 + n % 4, 1)) for n in range(20)]
    settings = {"epochs": 3, "batch_size": 5, "truncation": 3, "optimizer": "rmsprop"}
    models = [srnn.LSTM(1, 6, 1) for _ in range(2)]
    path = tmp_path / "training.safetensors"
    with pytest.raises(Stop):
        srnn.fit(
            models[0], rows, rows, checkpoint=path, checkpoint_every_s=0, callback=stop, **settings
        )
    srnn.fit(models[0], rows, rows, checkpoint=path, **settings)
    srnn.fit(models[1], rows, rows, **settings)
    assert bits(models[0]) == bits(models[1])


def test_a_finished_training_is_not_repeated_but_may_be_extended(tmp_path):
    path = tmp_path / "training.safetensors"
    model, again, whole = (srnn.RNN(1, 5, 1) for _ in range(3))
    first = train(model, checkpoint=path)
    assert train(again, checkpoint=path) == first
    assert bits(again) == bits(model)
    extended = train(again, checkpoint=path, epochs=5)
    assert extended == train(whole, epochs=5)
    assert bits(again) == bits(whole)


def test_a_training_that_lost_patience_does_not_go_on(tmp_path):
    noise = np.random.default_rng(0).normal(size=(2, 10, 8, 1))
    settings = {"validation": (noise[1], noise[0]), "patience": 1, "epochs": 100}
    settings |= {"checkpoint": tmp_path / "training.safetensors", "optimizer": srnn.Adam(lr=0.03)}
    models = [srnn.LSTM(1, 16, 1) for _ in range(2)]
    histories = [srnn.fit(model, noise[0], noise[1], **settings) for model in models]
    assert histories[0].stopped == "patience" and histories[0] == histories[1]
    assert bits(models[0]) == bits(models[1])


def test_an_interrupted_training_goes_on_in_the_middle_of_its_epoch(tmp_path):
    path = tmp_path / "training.safetensors"
    stopped, whole = srnn.GRU(1, 8, 1), srnn.GRU(1, 8, 1)
    history = train(stopped, checkpoint=path, callback=lambda report: report.update == 13)
    assert history.stopped == "callback"
    assert train(stopped, checkpoint=path) == train(whole)
    assert bits(stopped) == bits(whole)


@pytest.mark.parametrize(
    ("model", "more", "text"),
    [
        (srnn.RNN(1, 7, 1), {}, "has model RNN(input_size=1, hidden_size=5, output_size=1,"),
        (srnn.GRU(1, 5, 1), {}, "this one GRU(input_size=1, hidden_size=5, output_size=1,"),
        (srnn.RNN(1, 5, 1), {"batch_size": 5}, "has batch_size 6, this one 5; delete the file to"),
        (srnn.RNN(1, 5, 1), {"optimizer": "sgd"}, "has optimizer Adam(lr=0.001, betas=(0.9, 0.9"),
        (srnn.RNN(1, 5, 1), {"validation": 0.5}, "has data "),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(model, more, text, tmp_path):
    path = tmp_path / "training.safetensors"
    train(srnn.RNN(1, 5, 1), checkpoint=path, epochs=1)
    before, held = path.read_bytes(), bits(model)
    with pytest.raises(ValueError, match=re.escape(f"{path}: the training in this file ")) as told:
        train(model, checkpoint=path, **more)
    assert text in str(told.value)
    assert path.read_bytes() == before and bits(model) == held


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    srnn.save(srnn.RNN(1, 5, 1), path)
    with pytest.raises(FormatError, match=re.escape("expected a checkpoint that fit() wrote")):
        train(srnn.RNN(1, 5, 1), checkpoint=path)
    path.write_text("text")
    with pytest.raises(FormatError, match="not a whole safetensors file"):
        train(srnn.RNN(1, 5, 1), checkpoint=path)


def test_a_full_disk_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "training.safetensors"
    train(srnn.RNN(1, 5, 1), checkpoint=path, epochs=1)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("streamrnn.checkpoint.os.fsync", full)
    model = srnn.RNN(1, 5, 1)
    with pytest.raises(OSError, match="No space left on device"):
        train(model, checkpoint=path, epochs=2)
    assert path.read_bytes() == before and [*tmp_path.iterdir()] == [path]
    best = np.concatenate([array.ravel() for array in model.parameters.values()])
    np.testing.assert_array_equal(best, load_file(path)["best"])
