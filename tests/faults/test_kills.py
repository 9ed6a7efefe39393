"""Nothing acknowledged is lost, nothing is there twice, every prediction stays: SIGKILL decides."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.faults.kills import torture


@pytest.mark.skipif(not hasattr(os, "fork"), reason="servers to kill are forked")
def test_a_server_that_is_killed_ten_times_goes_on_to_the_same_bits(tmp_path):
    """`python -m tests.faults.kills 50` does it more often."""
    acknowledged, recorded = asyncio.run(torture(tmp_path, 10, seed=7))
    assert 1000 <= acknowledged <= recorded
