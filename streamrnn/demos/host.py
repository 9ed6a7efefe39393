"""The machine that runs the demo: a detector for each kind of metric, learning as it goes."""

from typing import Any

from streamrnn.detect import Detector
from streamrnn.streams import Rule, Source
from streamrnn.streams import host as metrics
from streamrnn.streams.metrics import UNITS

title = "This machine"


def rule() -> Rule:
    """Streams host/cpu, host/memory, host/network and host/disk, in the channels psutil gives."""
    return Rule("host/*", lambda channels: Detector(channels=len(channels)), units=UNITS)


def source(**kwargs: Any) -> Source:
    """Twice a second."""
    return metrics(**kwargs)
