"""/metrics for Prometheus, and the figures in the status of the page."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from streamrnn.streams.pipeline import Pipeline
    from streamrnn.streams.sources import Source
    from streamrnn_server.hub import Hub
    from streamrnn_server.recorder import Recorder
    from streamrnn_server.sinks import Sinks

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)  # seconds
_OF_SOURCES = {
    "reconnects": "Connections after the first",
    "messages": "Messages that came for the first time",
    "repeated": "Messages that came again and were known",
    "ignored": "Messages that the broker had kept and nobody asked for",
}
_OF_SINKS = {
    "delivered": "Alarms or predictions delivered",
    "failed": "Attempts that failed",
    "dropped": "Alarms or predictions given up",
}
_RECENT_S = 10.0  # over which the status gives percentiles


class Metrics:
    """Reads most figures where they are kept; keeps latencies, as nobody else does."""

    def __init__(self, counts: Counts) -> None:
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            "streamrnn_latency_seconds",
            "From the arrival of a batch's newest sample until its predictions were published",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(counts)
        self._pipeline = counts.pipeline
        self._latencies: deque[tuple[float, float]] = deque(maxlen=4096)
        self._samples: deque[tuple[float, int]] = deque(maxlen=4)

    def observe(self, now: float, latency_s: float) -> None:
        """A batch was published."""
        self._latency.observe(latency_s)
        self._latencies.append((now, latency_s))

    def latency(self, now: float) -> tuple[float | None, float | None]:
        """Median and 99th percentile over the batches of the last seconds."""
        recent = [latency for t, latency in self._latencies if now - t < _RECENT_S]
        if not recent:
            return None, None
        p50, p99 = np.percentile(recent, (50, 99))
        return float(p50), float(p99)

    def rate(self, now: float) -> float:
        """Samples a second over the last three calls; called once a second."""
        self._samples.append((now, self._pipeline.samples))
        (t0, n0), (t1, n1) = self._samples[0], self._samples[-1]
        return (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0

    def text(self) -> bytes:
        return generate_latest(self._registry)


class Counts(Collector):
    """What is counted where it happens."""

    def __init__(
        self,
        pipeline: Pipeline,
        hub: Hub,
        sources: Sequence[Source],
        sinks: Sinks,
        recorder: Recorder | None,
    ) -> None:
        self.pipeline = pipeline
        self._hub = hub
        self._sources = sources
        self._sinks = sinks
        self._recorder = recorder

    def collect(self) -> Iterator[Metric]:
        pipeline, hub = self.pipeline, self._hub

        def count(name: str, help: str, value: float) -> Metric:
            return CounterMetricFamily(f"streamrnn_{name}", help, value=value)

        def gauge(name: str, help: str, value: float) -> Metric:
            return GaugeMetricFamily(f"streamrnn_{name}", help, value=value)

        refused = CounterMetricFamily(
            "streamrnn_refused", "Samples, lines and messages that were not taken", labels=["kind"]
        )
        for kind, n in sorted(pipeline.refused.items()):
            refused.add_metric([kind], n)
        yield refused
        yield count("samples", "Samples predicted", pipeline.samples)
        yield count("frames", "Binary messages handed to viewers", hub.frames)
        yield count("gaps", "Gaps announced to viewers", hub.gaps)
        yield count("cut_off", "Viewers cut off for not acknowledging", hub.cut_off)
        yield gauge("viewers", "Connected viewers", len(hub.viewers))
        yield gauge("streams", "Streams seen", len(hub.rings))
        yield gauge("ring_bytes", "Memory of the rings", hub.rings.bytes)
        states = [(bank, bank.model.layout.itemsize) for g in pipeline.groups for bank in g.banks]
        held = sum(bank.resident * size for bank, size in states)
        yield gauge("state_bytes", "Memory of the states of streams", held)
        filed = sum((len(bank) - bank.resident) * size for bank, size in states)
        yield gauge("filed_state_bytes", "States of idle streams that wait in a file", filed)
        if self._recorder is not None:
            about = "What the journal takes on the disk, without snapshots and free space"
            yield gauge("journal_bytes", about, self._recorder.bytes)
            about = "Of these, batches that are no chunks yet; more than 256 MB slow commits down"
            yield gauge("journal_log_bytes", about, self._recorder.log_bytes)
            about = "The journal's write-ahead log; what reads it for long lets it grow"
            yield gauge("journal_ahead_bytes", about, self._recorder.ahead_bytes)
            yield gauge("halted", "1 while the journal cannot be written", bool(pipeline.halted))
        yield from self._of_sources()
        yield from self._of_sinks()

    def _of_sources(self) -> Iterator[Metric]:
        connected = GaugeMetricFamily(
            "streamrnn_source_connected", "Whether there is a connection", labels=["source"]
        )
        counts = {
            name: CounterMetricFamily(f"streamrnn_source_{name}", help, labels=["source"])
            for name, help in _OF_SOURCES.items()
        }
        refused = CounterMetricFamily(
            "streamrnn_source_refused",
            "Lines, messages and batches that a source could not read",
            labels=["source", "kind"],
        )
        for source in self._sources:
            name = str(source.name)
            for figure, value in source.figures.items():
                counts.get(figure, connected).add_metric([name], value)
            for kind, n in sorted(source.refused.items()):
                refused.add_metric([name, kind], n)
        yield connected
        yield from counts.values()
        yield refused

    def _of_sinks(self) -> Iterator[Metric]:
        for name, help in _OF_SINKS.items():
            counts = CounterMetricFamily(f"streamrnn_sink_{name}", help, labels=["sink"])
            for sink in self._sinks.all:
                counts.add_metric([sink.name], getattr(sink, name))
            yield counts
        waiting = GaugeMetricFamily(
            "streamrnn_sink_waiting", "Alarms that are not delivered yet", labels=["sink"]
        )
        for sink in self._sinks.all:
            waiting.add_metric([sink.name], len(sink.waiting))
        yield waiting
