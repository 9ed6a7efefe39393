"""Trains the networks of the demos anew, and tells how long it took and what they reach.

    python -m tests.bench.shapes [--write]

With --write the tables between the marks in docs/demos.md are replaced. Nothing else is: the
weights that the package carries are written by python -m streamrnn.demos.trained.
"""

import argparse
import time
from datetime import UTC, datetime

from streamrnn.demos import SHAPES, named, window
from streamrnn.demos.symbols import lines
from tests.bench import into_docs

THREADS = 2
MOST_S = 120.0
COUNTS = (100, 300, 1000, 3000, 10_000)


def nothing(what: str, report: object) -> None:
    """What is called after every update."""


def reached() -> list[str]:
    """A row for each figure of each demo."""
    rows = [
        "| `streamrnn demo` | on data it has not seen | reached | baseline | | trained in |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in SHAPES:
        demo = named(name)
        start = time.monotonic()
        models = demo.train(nothing, threads=THREADS)
        spent = time.monotonic() - start
        if spent > MOST_S:
            raise SystemExit(f"{name} took {spent:.0f} s to train, expected at most {MOST_S:.0f}")
        for figure in demo.figures(models):
            if figure.ours < figure.theirs + figure.better:
                raise SystemExit(f"{figure}: expected to be better by {figure.better}")
            rows.append(
                f"| `{name}` | {figure.what} | {100 * figure.ours:.1f} % | {figure.baseline} "
                f"| {100 * figure.theirs:.1f} % | {spent:.0f} s |"
            )
    return rows


def by_examples() -> list[str]:
    """How many lines with and without the phrase each kind of net must see."""
    rows = [
        "| lines learned from | " + " | ".join(map(str, COUNTS)) + " |",
        "| --- |" + " --- |" * len(COUNTS),
    ]
    for kind, words in zip(window.KINDS, ("recurrent", "sliding window"), strict=True):
        net = (window.PHRASE, kind)
        cells = []
        for count in COUNTS:
            model = window.trained(net, lines(count, seed=0), nothing, THREADS)
            cells.append(f"{100 * window.score(net, model):.1f} %")
        size = window.parameters(net, model)
        rows.append(f"| {words}, {size} parameters | " + " | ".join(cells) + " |")
    return rows


def main(write: bool) -> None:
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    tables = {"reached": reached, "by-examples": by_examples}
    for mark, table in tables.items():
        rows = [*table(), "", f"({day}, {THREADS} threads; `python -m tests.bench.shapes --write`)"]
        text = "\n".join(rows)
        print(text, flush=True)
        if write:
            into_docs("demos.md", mark, text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    main(parser.parse_args().write)
