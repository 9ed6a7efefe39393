"""Training that a kill interrupted, on disk: all that the next update depends on.

A safetensors file: the parameters, the best so far, what the optimizer remembers, the states of the
streams; in its header the settings and the position. Random numbers are drawn anew for each epoch
and update from the seed and their numbers, so the position stands for them.
"""

import dataclasses
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from streamrnn.checkpoint import write
from streamrnn.formats import FormatError
from streamrnn.model import Model
from streamrnn.training.batches import Batches
from streamrnn.training.layers import Array
from streamrnn.training.trainer import Trainer

VERSION = 1


@dataclasses.dataclass
class History:
    """What happened: mean losses after each epoch, and why training stopped.

    best      the epoch, from 0, whose parameters the model keeps; -1 before the first has ended
    updates   made in all
    stopped   "epochs", "patience", "callback" or "interrupt"
    """

    training: list[float] = dataclasses.field(default_factory=list)
    validation: list[float] = dataclasses.field(default_factory=list)
    best: int = -1
    updates: int = 0
    stopped: str = "epochs"


@dataclasses.dataclass
class Position:
    """The next chunk, and the losses of the epoch so far: their sum, over how many targets."""

    epoch: int = 0
    piece: int = 0
    total: float = 0.0
    count: float = 0.0

    @property
    def loss(self) -> float:
        return self.total / max(self.count, 1)

    def add(self, total: float, count: float) -> None:
        """One chunk has been learned from."""
        self.piece, self.total, self.count = self.piece + 1, self.total + total, self.count + count

    def next_epoch(self) -> None:
        self.epoch, self.piece, self.total, self.count = self.epoch + 1, 0, 0.0, 0.0


def describe(model: Model, batches: Batches, settings: dict[str, Any]) -> dict[str, str]:
    """What a run must have in common with the one that it goes on from, name -> text."""
    data = 0
    for example in batches.examples:
        for array in example:
            data = zlib.crc32(np.ascontiguousarray(array).data, data)
    scaling = zlib.crc32(b"".join(array.tobytes() for array in model.scaling.values()))
    texts = {name: str(value) for name, value in settings.items()}
    return {"model": repr(model), **texts, "scaling": f"{scaling:08x}", "data": f"{data:08x}"}


def save(
    path: Path,
    run: dict[str, str],
    trainer: Trainer,
    best: Array,
    history: History,
    position: Position,
) -> None:
    """Write the file; an old one stays whole until the new one is complete."""
    tensors = {"parameters": trainer.p, "good": trainer.good, "best": best}
    tensors |= {f"optimizer.{n}": array for n, array in enumerate(trainer.memory)}
    tensors |= {f"states.{n}": array for n, array in enumerate(trainer.states)}
    header = {"version": VERSION, "run": run, "step": trainer.step}
    header |= {"history": dataclasses.asdict(history), "position": dataclasses.asdict(position)}
    content = safetensors.numpy.save(tensors, metadata={"training": json.dumps(header)})
    write(path, content)


def load(
    path: Path, run: dict[str, str], trainer: Trainer, best: Array
) -> tuple[History, Position]:
    """Let `trainer` and `best` go on from the file.

    Raises FormatError for a file that is no training checkpoint, and ValueError for one of another
    model, other data or other settings, naming which.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise FormatError(f"{path}: not a whole safetensors file ({error})") from None
    if "training" not in metadata:
        raise FormatError(
            f"{path}: expected a checkpoint that fit() wrote, found a safetensors file of "
            "something else; name another file"
        )
    header = json.loads(metadata["training"])
    if header["version"] != VERSION:
        raise FormatError(f"{path}: version {header['version']}, expected {VERSION}")
    for name, expected in run.items():
        found = header["run"].get(name, "nothing")
        if found != expected:
            raise ValueError(
                f"{path}: the training in this file has {name} {found}, this one {expected}; "
                "delete the file to start anew, or name another"
            )
    for name, array in (("parameters", trainer.p), ("good", trainer.good), ("best", best)):
        array[:] = tensors[name]
    for n, array in enumerate(trainer.memory):
        array[:] = tensors[f"optimizer.{n}"]
    trainer.states = [tensors[f"states.{n}"] for n in range(len(trainer.states))]
    trainer.step = header["step"]
    return History(**header["history"]), Position(**header["position"])
