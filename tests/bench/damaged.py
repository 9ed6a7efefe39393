"""Importers on damaged files: 10 000 mutants of valid ones, each of which must end well.

Well is a network or a FormatError that begins with the path, in seconds, with no more memory than a
few times the file. An .h5 takes a process each, so there are fewer of them.
"""

import io
import json
import random
import sys
import tempfile
import time
import tracemalloc
from importlib.util import find_spec
from pathlib import Path

from safetensors.numpy import load_file, save

import streamrnn as srnn
from streamrnn.trained import from_file

VECTORS = Path(__file__).parents[1] / "vectors"
SHARES = {  # file -> mutants of 10 000, and the package that it needs
    "torch_gru.safetensors": (1000, "numpy"),
    "torch_projected.safetensors": (1000, "numpy"),
    "export_old_gru.onnx": (1000, "onnx"),
    "export_new_lstm.onnx": (1000, "onnx"),
    "export_new_rnn.onnx": (1000, "onnx"),
    "tf_simple.onnx": (500, "onnx"),
    "tf_gru_loops.onnx": (1000, "onnx"),
    "tf_lstm_loops_both.onnx": (500, "onnx"),
    "keras_gru.keras": (1000, "h5py"),
    "keras_plain.h5": (300, "h5py"),
    "tf_both.h5": (200, "h5py"),
    "gru.pt": (500, "torch"),
    "rtneural.json": (500, "numpy"),
    "lstm.nam": (500, "numpy"),
}


def pt() -> bytes:
    import torch

    file = io.BytesIO()
    torch.save(torch.nn.GRU(3, 8).state_dict(), file)
    return file.getvalue()


def nam() -> bytes:
    """One layer of 4 units, as formats/nam.py says: 4 4 (1 + 4) + 16 + 8, and the head's 5."""
    config = {"input_size": 1, "hidden_size": 4, "num_layers": 1}
    weights = [n / 99 for n in range(80 + 16 + 8 + 5)]
    return json.dumps({"architecture": "LSTM", "config": config, "weights": weights}).encode()


def rtneural() -> bytes:
    matrix = [[0.5] * 12] * 4
    gru = {"type": "gru", "shape": [None, None, 4], "weights": [matrix[:1], matrix, matrix[:2]]}
    dense = {"type": "dense", "activation": "tanh", "weights": [[[0.25]] * 4, [0.5]]}
    return json.dumps({"in_shape": [None, None, 1], "layers": [gru, dense]}).encode()


MADE = {"gru.pt": pt, "lstm.nam": nam, "rtneural.json": rtneural}


def valid(name: str) -> bytes:
    """A file that an importer takes: weights without what was recorded beside them."""
    if name in MADE:
        return MADE[name]()
    if not name.endswith(".safetensors"):
        return (VECTORS / name).read_bytes()
    tensors = load_file(VECTORS / name)
    return save({key: array for key, array in tensors.items() if key not in ("X", "Y")})


def mutant(content: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, more often among the first, where the structure is; or cut short."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(rng.choice((min(2048, len(changed)), len(changed))))
        changed[at] = rng.choice((rng.randrange(256), 0, 255, 128, rng.choice(content)))
    return bytes(changed[: rng.randrange(len(changed))] if rng.random() < 0.1 else changed)


def main() -> None:
    whole = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rng = random.Random(0)
    total = 0
    for name, (share, package) in SHARES.items():
        if find_spec(package) is None:
            print(f"{name}: left out, needs {package}")
            continue
        content = valid(name)
        networks, refused, slowest, most = 0, 0, 0.0, 0
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            for _ in range(share * whole // 10_000):
                path.write_bytes(mutant(content, rng))
                tracemalloc.start()
                started = time.perf_counter()
                try:
                    from_file(path)
                    networks += 1
                except srnn.FormatError as error:
                    assert str(error).startswith(str(path)), error
                    refused += 1
                slowest = max(slowest, time.perf_counter() - started)
                most = max(most, tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
        total += networks + refused
        print(
            f"{name:28} {networks:5} networks {refused:5} refused; slowest {slowest:.2f} s, most "
            f"{most / 2**20:.1f} MiB for {len(content) / 2**20:.2f}",
            flush=True,
        )
    print(f"{total} mutants, no crash")


if __name__ == "__main__":
    main()
