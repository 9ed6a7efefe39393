"""Live streams: batches, nodes, sources and the pipeline.  The only folder that imports streamz."""

from streamrnn.streams.batch import Batch, event_time
from streamrnn.streams.broker import Broker
from streamrnn.streams.groups import NOT_SAMPLED, Group, Result, Rule
from streamrnn.streams.marked import Marked
from streamrnn.streams.metrics import host
from streamrnn.streams.nodes import detect, forecast, rnn
from streamrnn.streams.picture import Picture, Point
from streamrnn.streams.pipeline import Pipeline
from streamrnn.streams.recorded import replay, text
from streamrnn.streams.refused import LastRefused, Refused
from streamrnn.streams.sources import Source
from streamrnn.streams.subscribed import mqtt
from streamrnn.streams.tail import follow, stdin
from streamrnn.streams.tokens import Reading, tokens
from streamrnn.streams.topics import Topic

__all__ = [
    "NOT_SAMPLED",
    "Batch",
    "Broker",
    "Group",
    "LastRefused",
    "Marked",
    "Picture",
    "Pipeline",
    "Point",
    "Reading",
    "Refused",
    "Result",
    "Rule",
    "Source",
    "Topic",
    "detect",
    "event_time",
    "follow",
    "forecast",
    "host",
    "mqtt",
    "replay",
    "rnn",
    "stdin",
    "text",
    "tokens",
]
