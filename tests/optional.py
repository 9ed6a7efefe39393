"""What tests need of the optional packages, and what happens where one is absent."""

import importlib
import os

import pytest

REQUIRED = os.environ.get("STREAMRNN_REQUIRE_EXTRAS") == "1"


def need(module: str, why: str):
    """The module, or a skip of the whole test file; where extras are required, its ImportError."""
    try:
        return importlib.import_module(module)
    except ImportError:
        if REQUIRED:
            raise
        pytest.skip(f"{why} needs {module.partition('.')[0]}", allow_module_level=True)
