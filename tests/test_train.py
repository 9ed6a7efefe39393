"""fit: the same way down as torch's, data of every shape, and errors for what cannot be learned."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import streamrnn as srnn
from streamrnn.kernels.network import padded
from streamrnn.kernels.training import loss as loss_kernels
from streamrnn.train import Diverged, mean_loss
from streamrnn.training import bptt
from tests import naive

WAVE = np.sin(np.arange(1200) / 5).astype(np.float32)


def bits(model):
    return b"".join(array.tobytes() for array in model.parameters.values())


def moved(model, inputs, targets, mode="synced", **settings):
    """The parameters after one plain step of size 1 down the gradient, minus those before."""
    before = {name: array.astype(float) for name, array in model.parameters.items()}
    settings = {"truncation": None, "clip_norm": None, "validation": None} | settings
    srnn.fit(model, inputs, targets, mode, optimizer=srnn.SGD(lr=1.0), epochs=1, **settings)
    return {name: model.parameters[name] - array for name, array in before.items()}


def same(moves, expected):
    for name, move in moves.items():  # float32, sums in another order
        np.testing.assert_allclose(move, expected[name], rtol=0, atol=2e-6, err_msg=name)


OPTIMIZERS = [
    (srnn.SGD(lr=0.05), "SGD", {"lr": 0.05}),
    (srnn.SGD(lr=0.05, momentum=0.9), "SGD", {"lr": 0.05, "momentum": 0.9}),
    (srnn.Adagrad(lr=0.02), "Adagrad", {"lr": 0.02}),
    (srnn.RMSprop(lr=0.002), "RMSprop", {"lr": 0.002}),
    (srnn.Adam(lr=0.005), "Adam", {"lr": 0.005}),
]


@pytest.mark.parametrize(
    ("own", "name", "arguments"), OPTIMIZERS, ids=[str(o[0]) for o in OPTIMIZERS]
)
def test_training_takes_the_same_way_as_torch(own, name, arguments):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.manual_seed(0)
    lstm, readout = torch.nn.LSTM(1, 12, num_layers=2), torch.nn.Linear(12, 1)
    modules = torch.nn.ModuleDict({"lstm": lstm, "readout": readout})
    model = srnn.from_torch(modules.state_dict())
    x, y = WAVE[: 8 * 140], WAVE[1 : 8 * 140 + 1]
    optimizer = getattr(torch.optim, name)(modules.parameters(), **arguments)
    X, Y = (torch.from_numpy(a.reshape(8, -1, 1)).transpose(0, 1) for a in (x, y))
    losses = []
    for epoch in range(3):
        optimizer.param_groups[0]["lr"] = arguments["lr"] * 0.5 ** max(0, epoch - 1)
        state = None
        for t in range(0, len(X), 20):
            h, state = lstm(X[t : t + 20], state)
            state = tuple(part.detach() for part in state)
            loss = torch.nn.functional.mse_loss(readout(h), Y[t : t + 20])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(modules.parameters(), 0.5)
            optimizer.step()
            losses.append(loss.item())
    history = srnn.fit(
        model,
        x,
        y,
        optimizer=own,
        epochs=3,
        batch_size=8,
        truncation=20,
        clip_norm=0.5,
        lr_decay=0.5,
        decay_after=2,
        validation=None,
    )
    assert history.updates == len(losses)
    expected = np.mean(np.reshape(losses, (3, -1)), axis=1)
    np.testing.assert_allclose(history.training, expected, rtol=1e-3)
    for key, tensor in lstm.state_dict().items():  # 21 updates, each with float32's rounding
        np.testing.assert_allclose(model.parameters[key], tensor.numpy(), rtol=0, atol=2e-4)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_seed_and_threads_give_the_same_bits(threads):
    models = []
    for _ in range(2):
        model = srnn.GRU(1, 20, 1, num_layers=2)
        settings = {"epochs": 2, "batch_size": 7, "dropout": 0.3, "threads": threads, "seed": 4}
        srnn.fit(model, WAVE[:-1], WAVE[1:], **settings)
        models.append(model)
    assert bits(models[0]) == bits(models[1])


PROGRAM = """
import sys
import streamrnn as srnn
from tests.test_train import WAVE, bits

model = srnn.LSTM(1, 20, 1, num_layers=2)
settings = {"batch_size": 7, "truncation": 20, "clip_norm": 0.1, "threads": 2, "epochs": 1}
srnn.fit(model, WAVE[:-1], WAVE[1:], **settings)
sys.stdout.buffer.write(bits(model))
"""


def test_the_width_of_vectors_changes_no_bit(tmp_path):
    def outputs(**environment):
        command = [sys.executable, "-c", PROGRAM]
        return subprocess.run(
            command, env=os.environ | environment, capture_output=True, check=True
        ).stdout

    assert outputs() == outputs(STREAMRNN_LANES="4", NUMBA_CACHE_DIR=str(tmp_path))


def test_threads_share_a_minibatch_out():
    rows = [np.random.default_rng(n).normal(size=(4 + n % 3, 2)) for n in range(7)]
    moves = [
        moved(srnn.LSTM(2, 9, 2, num_layers=2), rows, rows, batch_size=7, threads=threads)
        for threads in (1, 3)
    ]
    same(*moves)


def test_dropout_takes_units_out_on_the_way_up_and_back():
    model = srnn.GRU(2, 20, 3, num_layers=3)
    network = bptt.Network(model)
    network.pack(model.parameters)
    generator = np.random.default_rng(0)
    x = np.zeros((5, 4, padded(2)), np.float32)
    x[:, :, :2] = generator.normal(size=(5, 4, 2))
    kept = generator.random((2, 5, 4, padded(20))) < 0.5
    keep = list(kept.astype(np.float32) * 2)
    chunk = bptt.Chunk(x, np.zeros((5, 4, 3), np.float32), np.ones((5, 4), np.float32))

    def loss(parameters, more):
        network.pack(parameters)
        part = bptt.Part(network, 5, 4)
        return part.run(chunk, loss_kernels.squared_error, 1.0, more), part.g

    total, g = loss(model.parameters, keep)
    for name, gradient in g.items():  # along the gradient the loss grows by its square
        size, p = np.linalg.norm(gradient), dict(model.parameters)
        ends = []
        for h in (0.01, -0.01):
            p[name] = model.parameters[name] + np.float32(h / size) * gradient
            ends.append(loss(p, keep)[0])
        assert (ends[0] - ends[1]) / 0.02 == pytest.approx(size, rel=2e-3), name
    assert total != pytest.approx(loss(model.parameters, None)[0], rel=1e-3)
    nothing = [keep[0], 0 * keep[1]]
    g = loss(model.parameters, nothing)[1]
    assert not g["weight_ih_l2"].any() and not g["weight_hh_l0"].any() and g["weight_hh_l2"].any()


@pytest.mark.parametrize("make", naive.MODELS, ids=lambda make: str(make(1, 1))[:70])
def test_every_cell_learns_a_wave(make):
    model = make(1, 16, 1, num_layers=2)
    settings = {"optimizer": srnn.Adam(lr=0.01), "batch_size": 8, "truncation": 25, "epochs": 20}
    history = srnn.fit(model, WAVE[:-1], WAVE[1:], **settings)
    assert history.validation[-1] < 0.02  # of 0.5, the variance of the wave
    rows = model.run(WAVE[:200])  # the kernels that step read the same network
    assert np.mean((rows[50:, 0] - WAVE[51:201]) ** 2) < 0.02


# data


def test_sequences_of_different_lengths_weigh_by_their_steps():
    rows = [np.random.default_rng(n).normal(size=(3 + n, 2)) for n in range(4)]
    together = moved(srnn.GRU(2, 9, 2), rows, rows, batch_size=4)
    alone = [moved(srnn.GRU(2, 9, 2), [row], [row]) for row in rows]
    steps = [len(row) for row in rows]
    same(together, {name: np.average([a[name] for a in alone], 0, steps) for name in together})


def test_nan_in_a_target_asks_for_nothing_and_in_an_input_counts_as_the_mean():
    x = np.random.default_rng(0).normal(size=(1, 6, 2))
    y = np.random.default_rng(1).normal(size=(1, 6, 1))
    y[0, 4:] = np.nan
    same(moved(srnn.RNN(2, 5, 1), x, y), moved(srnn.RNN(2, 5, 1), x[:, :4], y[:, :4]))
    x[0, 1] = 0
    expected = moved(srnn.RNN(2, 5, 1), x, y)
    x[0, 1] = np.nan
    same(moved(srnn.RNN(2, 5, 1), x, y), expected)


def test_data_are_in_the_units_of_step():
    celsius = 20 + 5 * np.random.default_rng(0).normal(size=(1, 9, 1))
    model = srnn.LSTM(1, 6, 1)
    model.scale(20, 5, 20, 5)
    plain = (celsius - 20) / 5
    same(moved(model, celsius, celsius), moved(srnn.LSTM(1, 6, 1), plain, plain))
    rows = model.run(celsius[0])
    expected = np.mean(((rows - celsius[0]) / 5) ** 2)
    model.reset()
    assert mean_loss(model, celsius, celsius) == pytest.approx(expected, rel=1e-5)


def test_a_sequence_longer_than_the_truncation_keeps_its_state():
    x = np.random.default_rng(0).normal(size=(1, 40, 1))
    model = srnn.GRU(1, 6, 1)
    whole = mean_loss(model, x, x)
    history = srnn.fit(
        model, x, x, optimizer=srnn.SGD(lr=0.0), epochs=1, truncation=7, validation=None
    )
    assert history.updates == 6
    assert history.training[0] == pytest.approx(whole, rel=1e-6)


def test_the_mode_says_which_outputs_count():
    x = np.random.default_rng(0).normal(size=(3, 5, 2))
    y = np.random.default_rng(1).normal(size=(3, 1))
    late = np.full((3, 5, 1), np.nan)
    late[:, -1] = y
    same(moved(srnn.LSTM(2, 7, 1), x, y, "many_to_one"), moved(srnn.LSTM(2, 7, 1), x, late))


def test_pinball_finds_quantiles():
    target = np.random.default_rng(0).exponential(size=(4000, 1))
    model = srnn.RNN(1, 2, 3)
    settings = {"batch_size": 20, "truncation": 20, "optimizer": srnn.Adam(lr=0.05)}
    settings |= {"epochs": 30, "lr_decay": 0.9, "validation": None}
    srnn.fit(model, np.zeros(4000), target, loss="pinball", quantiles=(0.1, 0.5, 0.9), **settings)
    expected = np.quantile(target, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(model.run(np.zeros(50))[-1], expected, atol=0.1)


ECHO = [np.random.default_rng(n).integers(0, 4, 3) for n in range(300)]


@pytest.mark.parametrize(
    ("mode", "inputs", "targets"),
    [
        ("one_to_one", [row[:1] for row in ECHO], [row[0] for row in ECHO]),
        ("one_to_many", [row[:1] for row in ECHO], [(row[0] + np.arange(3)) % 4 for row in ECHO]),
        ("many_to_one", ECHO, [row[0] for row in ECHO]),
        ("many_to_many", ECHO, ECHO),
        ("synced", ECHO, [row[[0, 0, 1]] for row in ECHO]),
    ],
)
def test_every_mode_learns_what_it_is_for(mode, inputs, targets):
    fed_back = mode in ("one_to_many", "many_to_many")
    model = srnn.GRU(8 if fed_back else 4, 24, 4, tokens=True)
    settings = {"loss": "cross_entropy", "optimizer": srnn.Adam(lr=0.02), "batch_size": 20}
    history = srnn.fit(model, inputs, targets, mode, epochs=20, **settings)
    assert min(history.validation) < 0.1 * np.log(4)  # of 30 sequences that it has not learned


# when it ends


def test_the_best_parameters_are_kept_and_patience_ends_training():
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(2, 20, 10, 1))  # nothing to learn but by heart
    model = srnn.LSTM(1, 16, 1)
    history = srnn.fit(
        model,
        noise[0],
        noise[1],
        optimizer=srnn.Adam(lr=0.03),
        epochs=200,
        validation=(noise[1], noise[0]),
        patience=3,
    )
    scores = history.validation
    assert history.stopped == "patience" and len(scores) < 200
    assert history.best == int(np.argmin(scores)) == len(scores) - 4
    assert mean_loss(model, noise[1], noise[0]) == pytest.approx(min(scores), rel=1e-6)


def test_a_callback_sees_every_update_and_may_end_training():
    reports = []

    def stop_at_9(report):
        reports.append((report.epoch, report.update, report.updates))
        return report.update == 9

    model = srnn.RNN(1, 4, 1)
    settings = {"batch_size": 8, "truncation": 20, "validation": None, "epochs": 3}
    history = srnn.fit(model, WAVE[:1120], WAVE[1:1121], callback=stop_at_9, **settings)
    assert history.stopped == "callback" and history.updates == 9
    assert reports == [(n // 7, n + 1, 21) for n in range(9)]
    assert len(history.training) == 2


def test_ctrl_c_ends_training_after_the_update_and_keeps_the_best():
    results = []
    for way in ("interrupt", "callback"):

        def stop(report, way=way):
            if report.update == 9 and way == "interrupt":
                signal.raise_signal(signal.SIGINT)
            return report.update == 9 and way == "callback"

        model = srnn.GRU(1, 8, 1)
        history = srnn.fit(model, WAVE[:-1], WAVE[1:], batch_size=8, truncation=20, callback=stop)
        assert history.stopped == way
        results.append((bits(model), history.updates, history.validation))
    assert results[0] == results[1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(("spoiled", "kept"), [(3, 2), (10, 8)])
def test_a_loss_that_is_no_number_ends_training_and_keeps_the_last_good_model(spoiled, kept):
    """Of 8 updates an epoch: before the first epoch has ended, and after."""
    seen = {}

    def spoil(report):
        seen[report.update] = b"".join(array.tobytes() for array in report.parameters.values())
        if report.update == spoiled:
            report.parameters["bias_o"][:] = np.nan

    model = srnn.LSTM(1, 8, 1)
    text = f"the loss is nan at update {spoiled + 1}, in epoch {1 + spoiled // 8}; the model keeps"
    with pytest.raises(Diverged, match=re.escape(text)):
        srnn.fit(model, WAVE[:1000], WAVE[1:1001], batch_size=6, truncation=20, callback=spoil)
    assert bits(model) == seen[kept]


def test_a_loss_that_overflows_ends_training_at_its_first_step():
    model = srnn.RNN(1, 4, 1)
    before = bits(model)
    with pytest.raises(Diverged, match=re.escape("the loss is inf at update 1, in epoch 1")):
        srnn.fit(model, WAVE[:100], np.full(100, 1e30), batch_size=2, truncation=10)
    assert bits(model) == before


# what cannot be learned


def refuse(model, inputs, targets, text, kind=ValueError, **settings):
    with pytest.raises(kind, match=re.escape(text)):
        srnn.fit(model, inputs, targets, **settings)


@pytest.mark.parametrize(
    ("inputs", "targets", "text"),
    [
        (np.zeros((0, 2)), np.zeros((0, 1)), "inputs are empty, expected at least one step"),
        ([], [], "inputs are empty, expected at least one step to learn from"),
        (
            np.zeros((900, 2)),
            np.zeros((900, 1)),
            "the stream to learn from has 810 steps, expected at least 2500: batch_size=50 streams "
            "of truncation=50 steps; lower one of them",
        ),
        (np.zeros((9, 3)), np.zeros((9, 1)), "inputs has shape (9, 3), expected (T, 2)"),
        (np.zeros((9, 2)), np.zeros((9, 2)), "targets has shape (9, 2), expected (T, 1)"),
        (np.zeros((9, 2)), np.zeros((8, 1)), "inputs and targets: 9 rows of inputs and 8 of"),
        (
            [np.zeros((4, 2)), np.zeros((4, 3))],
            [np.zeros((4, 1))] * 2,
            "inputs[1] has shape (4, 3), expected (T, 2)",
        ),
        ([np.zeros((4, 2))], [], "1 sequences of inputs and 0 of targets, expected as many"),
        (
            np.full((9, 2), np.inf),
            np.zeros((9, 1)),
            "inputs holds infinite numbers; write a missing value as NaN",
        ),
        (
            np.zeros((2, 9, 2)),
            np.full((2, 9, 1), np.nan),
            "targets ask for nothing: all of them are missing",
        ),
    ],
)
def test_data_that_do_not_fit_are_refused(inputs, targets, text):
    refuse(srnn.RNN(2, 4, 1), inputs, targets, text)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"epochs": 0}, "epochs is 0, expected a whole number of at least 1"),
        ({"batch_size": 2.5}, "batch_size is 2.5, expected a whole number of at least 1"),
        ({"truncation": 0}, "truncation is 0, expected a whole number of at least 1"),
        ({"threads": 0}, "threads is 0, expected a whole number of at least 1"),
        ({"dropout": 1.0}, "dropout is 1.0, expected a share from 0 to below 1"),
        ({"validation": -0.1}, "validation is -0.1, expected a share from 0 to below 1"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0, expected a number above 0, or None"),
        ({"optimizer": "adamw"}, "optimizer is 'adamw', expected one of sgd, adagrad, rmsprop"),
        ({"loss": "mse"}, "loss is 'mse', expected 'squared_error', 'cross_entropy' or 'pinball'"),
        ({"mode": "sync"}, "mode is 'sync', expected one of one_to_one, one_to_many"),
        ({"loss": "pinball"}, "quantiles are (0.1, 0.5, 0.9), expected numbers between 0 and 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, text):
    refuse(srnn.RNN(1, 4, 1), WAVE, WAVE, text, **settings)


def test_ids_are_whole_numbers_of_the_vocabulary():
    model = srnn.GRU(5, 4, 5, tokens=True)
    ids = np.arange(60) % 5
    small = {"loss": "cross_entropy", "batch_size": 2, "truncation": 5}
    refuse(model, ids + 1, ids, "inputs goes from 1 to 5, expected ids from 0 to 4", **small)
    refuse(model, ids, ids - 2, "targets goes from -2 to 2, expected ids from 0 to 4", **small)
    text = "targets holds values of dtype float64, expected integers, ids"
    refuse(model, ids, ids * 1.0, text, TypeError, **small)
    refuse(model, [["a"]], [ids], "inputs[0] holds values of dtype <U1", TypeError, **small)


def test_a_model_that_is_no_recurrent_network_is_refused():
    refuse(srnn.Forecaster(1), WAVE, WAVE, "Forecaster(", TypeError)
