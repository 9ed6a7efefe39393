"""Steps beside other runtimes', as ratios from one run:  python -m tests.bench.peers [--write]

Needs the extra `bench` (torch, onnx, onnxruntime, matplotlib). One core; each pair is timed in
turn, and each side's best run counts, so that another process on the machine slows neither alone.
A turn is many calls where one is short: a model in use finds its weights where the last call left
them, not behind those of its peer.
--write puts the table, with versions and date, into docs/speed.md, and the plot beside it.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

import streamrnn as srnn
from tests.bench import DOCS, best, into_docs, processor

SIZES = (16, 32, 64, 128, 256)


class Row(NamedTuple):
    what: str
    ours: str
    ratio: float
    goal: float
    peer: str


# ONNX Runtime


def onnx_session(model: srnn.RNN, steps: int, batch: int) -> onnxruntime.InferenceSession:
    """The model's recurrent layers as an ONNX graph: X (steps, batch, I), states in and out."""
    kind = type(model).__name__
    order = {"GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}[kind]  # onnx: z r h, and i o f c
    H = model.hidden_size
    nodes, values, inputs, outputs = [], [], [], []
    below = "X"
    for layer in range(model.num_layers):

        def gates(name: str, layer: int = layer) -> Any:
            parts = np.split(model.parameters[f"{name}_l{layer}"], len(order))
            return np.concatenate([parts[k] for k in order])

        names = {"W": gates("weight_ih"), "R": gates("weight_hh")}
        names["B"] = np.concatenate([gates("bias_ih"), gates("bias_hh")])
        values += [numpy_helper.from_array(a[None], f"{n}{layer}") for n, a in names.items()]
        states = [f"{part}{layer}" for part in model.cell.state]
        extra: dict[str, Any] = {"linear_before_reset": 1} if kind == "GRU" else {}
        nodes.append(
            helper.make_node(
                kind,
                [below, f"W{layer}", f"R{layer}", f"B{layer}", "", *states],
                [f"Y{layer}", *(f"{state}_next" for state in states)],
                hidden_size=H,
                **extra,
            )
        )
        for state in states:
            shape = (1, batch, H)
            inputs.append(helper.make_tensor_value_info(state, TensorProto.FLOAT, shape))
            outputs.append(helper.make_tensor_value_info(f"{state}_next", TensorProto.FLOAT, shape))
        nodes.append(helper.make_node("Squeeze", [f"Y{layer}", "one"], [f"S{layer}"]))
        below = f"S{layer}"
    values.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    size = H
    if model.output_size is not None:
        size = model.output_size
        values.append(numpy_helper.from_array(model.parameters["weight_ho"].T.copy(), "Wo"))
        values.append(numpy_helper.from_array(np.array(model.parameters["bias_o"]), "Bo"))
        nodes.append(helper.make_node("MatMul", [below, "Wo"], ["M"]))
        nodes.append(helper.make_node("Add", ["M", "Bo"], ["Y"]))
        below = "Y"
    shape = (steps, batch, model.input_size)
    inputs.insert(0, helper.make_tensor_value_info("X", TensorProto.FLOAT, shape))
    outputs.insert(0, helper.make_tensor_value_info(below, TensorProto.FLOAT, (steps, batch, size)))
    graph = helper.make_graph(nodes, "peer", inputs, outputs, values)
    opset = [helper.make_opsetid("", 17)]
    made = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.checker.check_model(made)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def onnx_bound(model: Any, X: Any) -> tuple[Callable[[], None], Any]:
    """ONNX Runtime with IO binding on X (steps, batch, I): a call that runs it, and its output."""
    session = onnx_session(model, *X.shape[:2])
    binding = session.io_binding()
    arrays = {}

    def bind(name: str, shape: Any, output: bool) -> None:
        array = arrays[name] = np.zeros(shape, np.float32)
        method = binding.bind_output if output else binding.bind_input
        method(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    for value in session.get_inputs():
        bind(value.name, value.shape, False)
    for value in session.get_outputs():
        bind(value.name, value.shape, True)
    arrays["X"][:] = X

    def run(arrays: Any = arrays) -> None:  # the binding itself does not keep them
        session.run_with_iobinding(binding)

    return run, arrays[session.get_outputs()[0].name]


# the rows


def one_sample(kind: str, H: int) -> list[Row]:
    """A call of `stepper` beside one of ONNX Runtime and one of torch's cell."""
    model = getattr(srnn, kind)(1, H)
    step = model.stepper()
    run, theirs = onnx_bound(model, np.full((1, 1, 1), 0.5, np.float32))
    cell = getattr(torch.nn, f"{kind}Cell")(1, H)
    x = torch.full((1, 1), 0.5)
    first = step(0.5).copy()
    run()
    np.testing.assert_allclose(theirs.ravel(), first, atol=1e-6)

    def ours() -> None:
        for _ in range(200):
            step(0.5)

    def torchs() -> None:
        state = None
        with torch.inference_mode():
            for _ in range(20):
                state = cell(x, state)

    def onnxs() -> None:
        for _ in range(20):
            run()

    a, b, c = best(ours, onnxs, torchs)
    a, b, c = a / 200, b / 20, c / 20
    onnx_goal = dict(zip(SIZES, (50, 30, 12, 4, 2.3), strict=True))[H]
    torch_goal = dict(zip(SIZES, (140, 90, 33, 11, 5), strict=True))[H]
    what = f"one sample, {kind}, H={H}"
    return [
        Row(what, f"{a * 1e9:.0f} ns", b / a, onnx_goal, "ONNX Runtime, IO binding"),
        Row(what, f"{a * 1e9:.0f} ns", c / a, torch_goal, f"torch {kind}Cell"),
    ]


def recording(kind: str, H: int, goal: float) -> Row:
    """A chunk of 1000 samples."""
    model = getattr(srnn, kind)(1, H)
    X = np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32)
    run, theirs = onnx_bound(model, X[:, None])
    first = model.run(X)
    run()
    np.testing.assert_allclose(theirs[:, 0], first, atol=1e-5)
    a, b = best(lambda: model.run(X), run)
    return Row(f"1000 samples, {kind}, H={H}", f"{a * 1e6:.0f} ns", b / a, goal, "ONNX Runtime")


def token_model() -> Row:
    """Two LSTM layers of 128 over 96 tokens, logits out: one token a call."""
    model = srnn.LSTM(96, 128, 96, num_layers=2)
    tokens = srnn.LSTM(96, 128, 96, num_layers=2, tokens=True)
    step = tokens.stepper()
    X = np.zeros((1, 1, 96), np.float32)
    X[0, 0, 17] = 1
    run, theirs = onnx_bound(model, X)
    first = step(17.0).copy()
    run()
    np.testing.assert_allclose(theirs.ravel(), first, atol=1e-5)

    def ours() -> None:
        for _ in range(50):
            step(17.0)

    def onnxs() -> None:
        for _ in range(20):
            run()

    a, b = best(ours, onnxs)
    a, b = a / 50, b / 20
    what = "one token, LSTM 2 x 128, 96 logits"
    return Row(what, f"{a * 1e9:.0f} ns", b / a, 3.2, "ONNX Runtime, IO binding")


def many_streams(kind: str, S: int, peer_goal: float) -> list[Row]:
    """One step of S streams: flops beside those of a matrix product, time beside ONNX Runtime."""
    H = 64
    model = getattr(srnn, kind)(1, H)
    x = np.full((S, 1), 0.5, np.float32)
    states, rows = np.zeros(S, model.layout), np.arange(S)
    y = np.empty((S, H), np.float32)
    run, _ = onnx_bound(model, x[None])
    A = np.random.default_rng(0).normal(size=(1024, 1024)).astype(np.float32)
    C = np.empty_like(A)
    calls = max(1, 10_000 // S)

    def ours() -> None:
        for _ in range(calls):
            model.advance(states, rows, x, y)

    def onnxs() -> None:
        for _ in range(calls):
            run()

    a, b, c = best(ours, onnxs, lambda: np.matmul(A, A, out=C))
    a, b = a / calls, b / calls
    flops = 2 * S * model.cell.gates * H * (H + 1) / a
    share = flops / (2 * 1024**3 / c)
    what, rate = f"{S} streams, {kind}, H=64", f"{S / a / 1e6:.2f} M steps/s"
    return [
        Row(what, rate, share, 0.85, "NumPy's sgemm, by flops"),
        Row(what, rate, b / a, peer_goal, "ONNX Runtime, batch"),
    ]


def starts() -> list[Row]:
    """Import and first step of a GRU in a new process, with an empty and with a filled cache."""
    program = "import streamrnn as srnn; srnn.GRU(1, 16).stepper()(1.0)"
    with tempfile.TemporaryDirectory() as folder:
        times = []
        for _ in range(4):
            start = time.perf_counter()
            environment = os.environ | {"NUMBA_CACHE_DIR": folder}
            subprocess.run([sys.executable, "-c", program], check=True, env=environment)
            times.append(time.perf_counter() - start)
    cold, warm = times[0], min(times[1:])
    return [
        Row("import and first step, warm cache", f"{warm:.2f} s", 0.5 / warm, 1, "0.5 s"),
        Row("import and first step, cold cache", f"{cold:.2f} s", 3 / cold, 1, "3 s"),
    ]


def table(rows: list[Row]) -> str:
    lines = [
        "| what | ours | beside | ratio | goal | |",
        "| --- | ---: | --- | ---: | ---: | --- |",
    ]
    for row in rows:
        reached = "" if row.ratio >= row.goal else "missed"
        cells = (row.what, row.ours, row.peer, f"{row.ratio:.3g} x", f"{row.goal:g} x", reached)
        lines.append(f"| {' | '.join(cells)} |")
    packages = ("streamrnn", "numba", "numpy", "onnxruntime", "torch")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    python = f"Python {platform.python_version()}"
    return (
        "\n".join(lines)
        + f"\n\nMeasured {date} on one core of a {processor()}: {python}, {versions}."
    )


def plot(rows: list[Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    chart = [row for row in rows if row.what.startswith("one sample")]
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for kind, style in (("LSTM", "-"), ("GRU", "--")):
        for peer, colour in (("ONNX Runtime", "#0072B2"), ("torch", "#D55E00")):
            ratios = [r.ratio for r in chart if kind in r.what and r.peer.startswith(peer)]
            axes.plot(SIZES, ratios, style, color=colour, marker="o", label=f"{kind}, {peer}")
    axes.set(
        xscale="log", yscale="log", xlabel="hidden units", ylabel="times slower than streamrnn"
    )
    axes.set_xticks(SIZES, [str(size) for size in SIZES])
    axes.grid(True, alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="into docs/speed.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rows: list[Row] = []
    for kind in ("LSTM", "GRU"):
        for H in SIZES:
            rows += one_sample(kind, H)
        for H, goal in ((16, 4.0), (64, 1.8), (256, 1.3)):
            rows.append(recording(kind, H, goal))
    rows.append(token_model())
    for kind, goal in (("LSTM", 1.5), ("GRU", 2.2)):
        for S in (1024, 10_000):
            rows += many_streams(kind, S, goal)
    rows += starts()
    text = table(rows)
    print(text)
    if arguments.write:
        into_docs("speed.md", "python -m tests.bench.peers --write", text)
        plot(rows, DOCS / "speed.svg")


if __name__ == "__main__":
    main()
