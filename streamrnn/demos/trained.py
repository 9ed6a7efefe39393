"""What the demos of trained networks share: files of weights, figures, and how to train anew.

    python -m streamrnn.demos.trained digits

trains a demo's networks, prints their figures on data they have not seen, and writes the weights
that the package carries.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from streamrnn.checkpoint import load, save
from streamrnn.demos import CARRIED, named
from streamrnn.model import Model
from streamrnn.train import Report

DATA = Path(__file__).parent / "data"
MOST_BYTES = 100_000  # of a file of weights

Models = dict[str, Model]
Show = Callable[[str, Report], object]  # the network that is being trained, and how far it is


class Figure(NamedTuple):
    """How good a network is on data that it has not seen, beside a baseline.

    better   by how much it must be, or the demo is broken: a test holds it
    """

    what: str
    ours: float
    baseline: str
    theirs: float
    better: float


def kept(names: tuple[str, ...]) -> Models:
    """The networks of these names that the package carries."""
    return {name: load(DATA / f"{name}.safetensors") for name in names}


def keep(models: Models) -> None:
    """Write networks as the package carries them, in float16."""
    for name, model in models.items():
        path = DATA / f"{name}.safetensors"
        model.reset()
        save(model, path, dtype="float16")
        size = path.stat().st_size
        if size > MOST_BYTES:
            path.unlink()
            raise SystemExit(f"{path} has {size} bytes, expected at most {MOST_BYTES}")


def main(name: str, threads: int) -> None:
    demo = named(name)

    def show(what: str, report: Report) -> None:
        if report.update % max(report.updates // 20, 1) == 0:
            print(f"{what}: {report.update} of {report.updates}, loss {report.loss:.4f}")

    start = time.monotonic()
    keep(demo.train(show, threads=threads))
    print(f"trained in {time.monotonic() - start:.1f} s")
    for figure in demo.figures(demo.models()):
        print(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("demo", choices=CARRIED)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    main(arguments.demo, arguments.threads)
