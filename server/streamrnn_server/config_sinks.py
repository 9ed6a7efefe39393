"""Where predictions and alarms go: the tables of `[[sinks]]`, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streamrnn_server.config_sources import BrokerTable
from streamrnn_server.schema import SECRET, Text

Name = Annotated[
    Text | None,
    Meta(description="under which it is counted and its deliveries noted; default: its kind"),
]
Match = Annotated[Text, Meta(description="streams it is for, as in [[streams]]")]


class MqttSink(BrokerTable, frozen=True, kw_only=True, tag_field="kind", tag="mqtt"):
    """Alarms or predictions, each a JSON object, to topics of an MQTT broker."""

    name: Name = None
    match: Match = "*"
    topic: Annotated[Text, Meta(description="{stream} in it is the stream's name")]
    what: Annotated[Literal["alarms", "predictions"], Meta(description="what is published")] = (
        "alarms"
    )
    qos: Annotated[Literal[0, 1], Meta(description="1: until the broker has acknowledged it")] = 1
    retain: Annotated[bool, Meta(description="let the broker keep the last of each topic")] = False


class WebhookSink(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="webhook"):
    """Each alarm as a POST of a JSON object."""

    name: Name = None
    match: Match = "*"
    url: Annotated[Text, Meta(description="http:// or https:// address", extra=SECRET)]
    headers: Annotated[
        dict[str, str],
        Meta(
            description='sent along: { Authorization = "Bearer ${file:/run/secrets/hook}" }',
            extra=SECRET,
        ),
    ] = {}


class StdoutSink(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="stdout"):
    """Each alarm as a line of JSON on standard output; what else is said goes to standard error."""

    name: Name = None
    match: Match = "*"


AnySink = MqttSink | WebhookSink | StdoutSink
