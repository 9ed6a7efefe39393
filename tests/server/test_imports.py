"""What may import what: the hub is tested without sockets, the library runs without the server."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER = ROOT / "server" / "streamrnn_server"
SOCKETS = {"app", "connections", "live", "pages", "send"}


def imported(path: Path) -> set[str]:
    """The packages that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", sorted(SERVER.glob("*.py")), ids=lambda path: path.stem)
def test_sockets_are_known_to_few(path):
    assert ("websockets" in imported(path)) == (path.stem in SOCKETS)


def test_the_library_knows_no_server():
    for path in (ROOT / "streamrnn").rglob("*.py"):
        assert "streamrnn_server" not in imported(path), path
