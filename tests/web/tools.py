"""What tests need from the machine (browser, Node.js, broker), and what happens without it."""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

T = TypeVar("T")

REQUIRED = os.environ.get("STREAMRNN_REQUIRE_BROWSER") == "1"


def need(found: T | None, what: str) -> T:
    """`found`, or a skip that names what to install; where browsers are required, a failure."""
    if found:
        return found
    text = f"this test needs {what}"
    if REQUIRED:
        pytest.fail(text)
    pytest.skip(text)
