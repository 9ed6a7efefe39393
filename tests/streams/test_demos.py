"""The demo's parts, each through a pipeline for a moment: what they show, in which units."""

import asyncio
import csv
from types import ModuleType

import numpy as np
import pytest

from streamrnn.demos import ALL, code, host, office, weather
from streamrnn.step import Output
from streamrnn.streams import Pipeline
from tests.streams.virtual import run, until


def shown(demo: ModuleType, samples: int):
    """The pipeline after that many samples, and its results."""

    async def main():
        pipeline, results = Pipeline([demo.rule()]), []
        pipeline.warm(demo.rule())
        pipeline.sink(results.append)
        source = demo.source(asynchronous=True)
        source.on_refused(pipeline.refuse)
        sink = source.sink(pipeline.take_batch)
        source.start()
        await until(lambda: pipeline.samples >= samples)
        assert source.state == "running" and not pipeline.refused
        source.stop()
        sink.destroy()
        await asyncio.sleep(1)
        return pipeline, results

    return run(main())


def test_the_demo_has_four_parts_in_the_order_in_which_they_are_shown():
    assert ALL == (host, weather, office, code)
    assert len({demo.title for demo in ALL}) == 4


def test_this_machine_is_a_stream_for_each_kind_of_metric():
    pipeline, _ = shown(host, 12)
    cpu, memory = (pipeline.group_of(f"host/{kind}") for kind in ("cpu", "memory"))
    assert cpu.channels[:2] == ("all cores", "core 0") and set(cpu.units) == {"%"}
    assert memory.channels == ("used",) and memory.units == ("%",)
    kinds = {output.kind for output in cpu.outputs}
    assert {"forecast", "lower", "upper", "score", "alarm", "reason", "error"} <= kinds


def test_the_weather_is_forecast_from_eight_channels_with_missing_values():
    pipeline, results = shown(weather, 400)
    group = pipeline.group_of("weather/newark")
    assert group.channels[group.target] == "temp" and group.units[group.target] == "°F"
    assert len(group.channels) == 8 and all(group.units) and group.U > 0
    x = np.concatenate([r.batch.x for r in results])
    with weather.PATH.open() as file:
        rows = list(csv.DictReader(file))[: len(x)]
    expected = [[float(row[name] or "nan") for name in group.channels] for row in rows]
    assert np.array_equal(x, expected, equal_nan=True) and np.isnan(x).any()
    assert results[0].batch.t[0] == 1357020000.0  # 2013-01-01T06:00:00Z
    y = np.concatenate([r.batch.y for r in results])
    error, persistence = y[-1, -2:]  # columns of the error of one step
    assert group.outputs[-2].kind == "error" and 0 < error < persistence
    assert group.outputs[0] == Output("temp +1", "forecast", 0, 1)


def test_the_office_has_one_channel():
    pipeline, results = shown(office, 50)
    group = pipeline.group_of("office/temperature")
    assert (group.channels, group.units) == (("value",), ("°F",))
    assert results[0].batch.x[0, 0] == pytest.approx(69.88083514)


def test_the_code_is_read_character_by_character_and_guessed():
    pipeline, results = shown(code, 600)
    group = pipeline.group_of("code/python")
    assert group.rule.kind == "tokens" and len(group.vocabulary) > 90
    x = np.concatenate([r.batch.x for r in results])[:, 0].astype(int)
    text = "".join(group.vocabulary[token] for token in x)
    assert "\n" in text and " " in text
    y = np.concatenate([r.batch.y for r in results])
    bits = y[-1, [output.kind for output in group.outputs].index("bits")]
    assert bits < 4.5  # of log2(97) = 6.6 for a reader who knows nothing
    assert results[0].h.shape[1] == group.U > 0
