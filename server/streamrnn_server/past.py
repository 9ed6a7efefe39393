"""/past: what a stream was, at a glance, for the page and whoever asks.

/past?stream=boiler/7&pixels=800                       from the oldest to the newest sample
/past?stream=boiler/7&from=1700000000&to=1700003600    or a part; seconds or ISO 8601

{"stream": .., "first": .., "last": .., "from": .., "to": .., "pixels": 800, "samples": 86400,
 "values": {"temp": {"low": [20.1, null, ..], "high": [20.9, null, ..]}, ..}}
"""

from __future__ import annotations

import math
from pathlib import Path
from urllib.parse import parse_qs

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamrnn.streams import event_time
from streamrnn_server.database import JournalError
from streamrnn_server.decimate import MOST_PIXELS, glance
from streamrnn_server.history import History

PIXELS = 800


class NoPast(Exception):
    """Why there is no answer; `status` of HTTP."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def answer(folder: Path, query: str) -> bytes:
    """The JSON for a request. Raises NoPast. Reads files: not for an event loop."""
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    try:
        begin, end = (event_time(given[name]) if name in given else None for name in ("from", "to"))
    except ValueError as error:
        raise NoPast(400, str(error)) from None
    low, high = -math.inf if begin is None else begin, math.inf if end is None else end
    if not low < high:
        raise NoPast(400, f"expected a time from before to, got {low:.15g} and {high:.15g}")
    if begin is not None and math.isinf(begin) or end is not None and math.isinf(end):
        raise NoPast(400, f"expected finite times, got {low:.15g} and {high:.15g}")
    asked = given.get("pixels", str(PIXELS))
    pixels = int(asked) if asked.isdecimal() and len(asked) < 9 else 0
    if not 1 <= pixels <= MOST_PIXELS:
        raise NoPast(400, f"expected pixels from 1 to {MOST_PIXELS}, got {asked:.20}")
    key = given.get("stream", "")
    try:
        with History(folder, stream=key) as past:
            found = glance(past, key, begin, end, pixels)
    except KeyError:
        raise NoPast(404, f"the journal has no stream {key!r}") from None
    except JournalError as error:
        raise NoPast(404, str(error)) from None
    values = {
        name: {"low": _rounded(low), "high": _rounded(high)}
        for name, (low, high) in found.values.items()
    }
    return msgspec.json.encode(
        {
            "stream": key,
            "first": found.first,
            "last": found.last,
            "from": found.begin,
            "to": found.end,
            "pixels": pixels,
            "samples": found.samples,
            "values": values,
        }
    )


def _rounded(values: NDArray[np.float32]) -> list[float]:
    """Seven digits, which is what float32 has; NaN becomes null in JSON."""
    return [float(f"{value:.7g}") for value in values.tolist()]
