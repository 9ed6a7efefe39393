"""A year of hourly weather at Newark airport, with missing values; the temperature is forecast."""

from pathlib import Path
from typing import Any

from streamrnn.detect import Detector
from streamrnn.streams import Rule, Source, replay

title = "Weather at Newark airport, 2013"

STREAM = "weather/newark"
PATH = Path(__file__).parent / "data" / "weather_ewr_2013.csv"  # origin, licence: data/SOURCES.md
UNITS = {
    "temp": "°F",
    "dewp": "°F",
    "humid": "%",
    "wind_dir": "°",
    "wind_speed": "mph",
    "precip": "inch",
    "pressure": "mbar",
    "visib": "mile",
}


def rule() -> Rule:
    """Eight channels; the target is the first, temp."""
    channels = tuple(UNITS)
    return Rule(STREAM, lambda names: Detector(channels=len(names)), channels, units=UNITS)


def source(**kwargs: Any) -> Source:
    """20 hours of weather a second, over and over; event times are the station's, in UTC."""
    return replay(PATH, rate_hz=20, loop=True, key=STREAM, time="time_hour", **kwargs)
