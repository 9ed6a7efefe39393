"""Air temperature in an office, hour by hour, until the heating fails; the failure is an alarm."""

from pathlib import Path
from typing import Any

from streamrnn.detect import Detector
from streamrnn.streams import Rule, Source, replay

title = "Office temperature"

STREAM = "office/temperature"
PATH = (
    Path(__file__).parent / "data" / "ambient_temperature.csv"
)  # origin, licence: data/SOURCES.md


def rule() -> Rule:
    """One channel. The source states no unit; the values fit degrees Fahrenheit."""
    return Rule(STREAM, lambda names: Detector(), ("value",), units=("°F",))


def source(**kwargs: Any) -> Source:
    """20 hours a second, over and over; event times are the recording's."""
    return replay(PATH, rate_hz=20, loop=True, key=STREAM, time="timestamp", **kwargs)
