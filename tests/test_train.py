"""fit: the same way down as torch's, data of every shape, and errors for what cannot be learned."""

import numpy as np
import pytest

import streamrnn as srnn

WAVE = np.sin(np.arange(1200) / 5).astype(np.float32)


def bits(model):
    return b"".join(array.tobytes() for array in model.parameters.values())


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
    reports = []
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
        callback=reports.append,
    )
    per_epoch = len(losses) // 3
    assert reports[0].loss == pytest.approx(losses[0], rel=1e-5)
    assert history.updates == len(losses)
    assert history.training[0] == pytest.approx(np.mean(losses[:per_epoch]), rel=1e-4)
    for key, tensor in lstm.state_dict().items():  # 24 updates, each with float32's rounding
        np.testing.assert_allclose(model.parameters[key], tensor.numpy(), rtol=0, atol=2e-4)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_seed_and_threads_give_the_same_bits(threads):
    models = []
    for _ in range(2):
        model = srnn.GRU(1, 20, 1, num_layers=2)
        srnn.fit(
            model, WAVE[:-1], WAVE[1:], epochs=2, batch_size=7, dropout=0.3, threads=threads, seed=4
        )
        models.append(model)
    assert bits(models[0]) == bits(models[1])
