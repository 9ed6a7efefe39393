"""What may import what: imports point one way, and each outside package is known to few."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "streamrnn").rglob("*.py"))
SERVER = sorted((ROOT / "server" / "streamrnn_server").glob("*.py"))

# a part may import parts before it and its own
ORDER = [
    {"kernels", "formats", "keys", "shelf", "vocabulary"},
    {"step"},
    {"parts", "threads"},
    {"packed"},
    {"windowed"},
    {"network"},
    {"model", "sequential", "forecast", "detect"},
    {"bidirectional"},
    {"bank", "trained"},
    {"checkpoint", "evaluate", "exact", "river"},
    {"modes"},
    {"training", "sequences"},
    {"train"},
    {"text"},
    {"charrnn", "learner"},
    {"streams"},
    {"demos"},
]
LEVEL = {part: level for level, parts in enumerate(ORDER) for part in parts}
SOCKETS = {"app", "connections", "live", "pages", "send", "senders"}


def imported(path: Path) -> set[str]:
    """The modules that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / "streamrnn").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_of_the_library_point_one_way(path):
    if part_of(path) == "__init__":
        return
    level = LEVEL[part_of(path)]
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "streamrnn" and len(parts) > 1 and parts[1] in LEVEL:
            assert LEVEL[parts[1]] <= level, f"{path} imports {name}"


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_outside_packages_are_known_to_few(path):
    known = packages(path)
    assert not known & {"streamrnn_server", "streamrnn_web", "websockets", "typer", "rich"}
    assert "numba" not in known or part_of(path) == "kernels"
    assert "streamz" not in known or part_of(path) == "streams"
    assert "river" not in known or part_of(path) == "river"
    if part_of(path) == "formats":
        own = {"torch": "torch", "safetensors": "safetensors", "onnx": "onnx", "hdf5": "h5py"}
        outside = known - sys.stdlib_module_names
        assert outside <= {"streamrnn", "numpy", own.get(path.stem.partition("_")[0])}


@pytest.mark.parametrize("path", SERVER, ids=lambda path: path.stem)
def test_sockets_are_known_to_few(path):
    assert ("websockets" in packages(path)) == (path.stem in SOCKETS)
    assert not packages(path) & {"numba", "streamz"}


def test_without_river_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "river", None)
    monkeypatch.delitem(sys.modules, "streamrnn.river", raising=False)
    with pytest.raises(ImportError, match=r'needs river .*: pip install "streamrnn\[river\]"'):
        importlib.import_module("streamrnn.river")
