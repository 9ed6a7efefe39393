"""What brings samples: the tables of `[[sources]]`, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streamrnn_server.schema import SECRET, Above0, Text


class ReplaySource(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="replay"):
    """A CSV or NDJSON recording."""

    path: Annotated[Text, Meta(description="the recording; paths are from this file")]
    speed: Annotated[Above0 | None, Meta(description="a multiple of real time; default 1")] = None
    rate_hz: Annotated[Above0 | None, Meta(description="or so many samples a second")] = None
    loop: Annotated[bool, Meta(description="begin again at the end")] = False
    key: Annotated[
        Text | None, Meta(description="stream of lines that name none; default: the file's name")
    ] = None
    time: Annotated[Text | None, Meta(description="the column of times; default: t, time, ...")] = (
        None
    )
    channels: Annotated[
        tuple[Text, ...] | None, Meta(description="columns to read, in order; default: all")
    ] = None


class FollowSource(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="follow"):
    """Lines that are appended to a CSV or NDJSON file."""

    path: Annotated[Text, Meta(description="the file; it may come later")]
    from_end: Annotated[bool, Meta(description="leave out what is there at the start")] = False
    poll_s: Annotated[Above0, Meta(description="seconds between looks at the file")] = 0.2
    key: Annotated[Text | None, Meta(description="as for replay")] = None
    time: Annotated[Text | None, Meta(description="as for replay")] = None
    channels: Annotated[tuple[Text, ...] | None, Meta(description="as for replay")] = None


class StdinSource(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="stdin"):
    """Lines of CSV or NDJSON from standard input."""

    key: Annotated[Text, Meta(description="stream of lines that name none")] = "stdin"
    time: Annotated[Text | None, Meta(description="as for replay")] = None
    channels: Annotated[tuple[Text, ...] | None, Meta(description="as for replay")] = None


class HostSource(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="host"):
    """This machine's processor, memory, network and disks."""

    rate_hz: Annotated[Above0, Meta(description="readings a second")] = 2.0
    prefix: Annotated[Text, Meta(description="before the names of its streams")] = "host/"


class TextSource(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="text"):
    """Characters of text files, for streams with a text model."""

    files: Annotated[tuple[Text, ...], Meta(description="read one after the other")]
    rate_hz: Annotated[Above0, Meta(description="characters a second")]
    key: Annotated[Text, Meta(description="name of the stream")] = "text"
    loop: Annotated[bool, Meta(description="begin again at the end")] = False


class BrokerTable(msgspec.Struct, frozen=True, kw_only=True):
    url: Annotated[
        Text, Meta(description="mqtt://host:port, or mqtts:// for TLS", extra=SECRET)
    ]  # in which somebody may have put a password
    client_id: Annotated[
        Text,
        Meta(description="name of the session that the broker keeps; of no other client"),
    ]
    version: Annotated[Literal["3.1.1", "5"], Meta(description="of MQTT")] = "3.1.1"
    user: Annotated[str, Meta(description="who it is, for a broker that asks")] = ""
    password: Annotated[
        str,
        Meta(description='best "${file:/run/secrets/mqtt}" or "${MQTT_PASSWORD}"', extra=SECRET),
    ] = ""
    ca: Annotated[
        Text | None, Meta(description="file of certificates to trust instead of the system's")
    ] = None
    cert: Annotated[Text | None, Meta(description="file of this client's certificate")] = None
    cert_key: Annotated[Text | None, Meta(description="file of its private key")] = None
    keepalive_s: Annotated[
        int, Meta(ge=5, le=3600, description="seconds of silence after which it is asked for life")
    ] = 30


class TopicTable(msgspec.Struct, frozen=True, kw_only=True):
    topic: Annotated[
        Text, Meta(description="pattern: `+` is one level, `#` all that follow; the first counts")
    ]
    key: Annotated[
        Text | None,
        Meta(
            description="the stream, with {0}, {1} for levels and {topic} for all; default: the "
            "topic, without the level of the channel"
        ),
    ] = None
    channel: Annotated[
        Text | None,
        Meta(description='where each topic brings one channel, its name: "{2}"'),
    ] = None
    fields: Annotated[
        tuple[Text, ...] | dict[str, str] | None,
        Meta(
            description="what to read from an object: dotted paths, or a table of them by channel; "
            "default: all numbers, with channel: value"
        ),
    ] = None
    time: Annotated[
        Text | None, Meta(description="dotted path of the time; default: when it arrives")
    ] = None
    time_unit: Annotated[Literal["s", "ms"], Meta(description="since 1970; a text is ISO 8601")] = (
        "s"
    )
    id: Annotated[
        Text | None,
        Meta(description="dotted path of a number that grows from message to message of a topic"),
    ] = None
    qos: Annotated[
        Literal[0, 1], Meta(description="1: acknowledged when durable, sent again if it was not")
    ] = 1
    retained: Annotated[bool, Meta(description="take what the broker has kept of a topic, too")] = (
        False
    )


class MqttSource(BrokerTable, frozen=True, kw_only=True, tag_field="kind", tag="mqtt"):
    """Messages that an MQTT broker passes on; see mqtt.md."""

    topics: Annotated[tuple[TopicTable, ...], Meta(description="what to subscribe to")]


SourceTable = ReplaySource | FollowSource | StdinSource | HostSource | TextSource | MqttSource
