"""Damaged messages, frames and requests harm nobody but who sends them."""

from __future__ import annotations

import asyncio

import pytest

from tests.optional import need

psutil = pytest.importorskip("psutil")
need("paho.mqtt.client", "damage of MQTT messages")
if not hasattr(psutil.Process, "num_fds"):
    pytest.skip("file handles are counted on Unix", allow_module_level=True)

from tests.bench.fuzz import SHARES, fuzzed  # noqa: E402


def test_a_server_stands_two_thousand_mutants():
    """`python -m tests.bench.fuzz` takes 100 000; it also looks at the memory."""
    outcome = asyncio.run(fuzzed(2000, seed=4))
    assert outcome.done.total() == 2000 and set(outcome.done) == set(SHARES)
    told = {"json", "columns", "value", "viewer", "batch", "label", "sender", "topic", "line"}
    assert told <= set(outcome.refused)
    assert not {"internal", "journal"} & set(outcome.refused)
