"""Damaged messages, frames and requests harm nobody but who sends them."""

from __future__ import annotations

import asyncio

import pytest

psutil = pytest.importorskip("psutil")
if not hasattr(psutil.Process, "num_fds"):
    pytest.skip("file handles are counted on Unix", allow_module_level=True)

from tests.bench.fuzz import fuzzed  # noqa: E402


def test_a_server_stands_two_thousand_mutants():
    """`python -m tests.bench.fuzz` takes 100 000; it also looks at the memory."""
    outcome = asyncio.run(fuzzed(2000, seed=3))
    assert outcome.done.total() == 2000 and set(outcome.done) == {
        "ingest",
        "live",
        "frames",
        "requests",
    }
    assert {"json", "columns", "value", "viewer", "batch", "label"} <= set(outcome.refused)
    assert "internal" not in outcome.refused
