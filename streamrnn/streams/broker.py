"""A connection to an MQTT broker that is kept up, whatever happens to either side.

With paho-mqtt, in a thread of its own. aiomqtt, which wraps it, hides what makes a message durable
before it is acknowledged: acknowledging by hand, whether a message is sent again, and whether the
broker still has the session; and it needs an event loop that can wait for sockets as on Unix.
"""

import random
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from streamrnn.streams.topics import Topic

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.properties import Properties

RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # each times a half to three halves, by chance
SESSION_S = 7 * 86_400  # how long a broker of version 5 keeps the session of a client that is gone
UNACKNOWLEDGED = 1000  # messages of QoS 1 that a broker of version 5 sends before it waits
QUEUED = 1000  # messages to publish that wait for the broker
MISSING = 'MQTT needs a package more: pip install "streamrnn[mqtt]"'


class Broker(NamedTuple):
    """Where a broker is, and as whom to speak to it.

    client_id  its session is kept under this name: two clients of one name drive each other out
    ca         certificates to trust instead of those of the system; cert, cert_key  one's own
    """

    host: str
    port: int = 1883
    tls: bool = False
    version: Literal["3.1.1", "5"] = "3.1.1"
    client_id: str = ""
    user: str = ""
    password: str = ""
    ca: Path | None = None
    cert: Path | None = None
    cert_key: Path | None = None
    keepalive_s: int = 30

    def context(self) -> ssl.SSLContext | None:
        """What TLS goes by. Raises OSError for files that cannot be read or do not fit."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.cert_key)
        return context


class Place(NamedTuple):
    host: str
    port: int
    tls: bool


def place(url: str) -> Place:
    """Where mqtt://host:port is, or mqtts:// with TLS. Raises ValueError.

    >>> place("mqtts://broker.example")
    Place(host='broker.example', port=8883, tls=True)
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    usual = {"mqtt": 1883, "mqtts": 8883}.get(parts.scheme)
    expected = "expected mqtt://host:port, or mqtts:// for TLS"
    if "@" in url:  # not shown: it may hold a password
        raise ValueError(f"{expected}, without user and password, which have keys of their own")
    host = parts.hostname or ""
    known = host.isprintable() and host.split() == [host]
    if usual is None or not known or port == 0 or parts.path.strip("/"):
        raise ValueError(f"{expected}, got {url!r}")
    return Place(host, port or usual, parts.scheme == "mqtts")


class Link:
    """The connection; what it calls is called in its own thread.

    connected  with whether the broker has kept the session
    lost       with the reason in words
    received   with each message, and the number of the connection it came on
    told       with the pattern that the broker does not let this client have, and why
    published  with the mid of a message that is on its way for good

    keep       the broker keeps a session: what comes while this client is gone waits there
    up         whether it is connected and subscribed; connects  how many connections there were
    """

    def __init__(
        self,
        broker: Broker,
        topics: Sequence[Topic] = (),
        *,
        connected: Callable[[bool], object] = lambda session: None,
        lost: Callable[[str], object] = lambda why: None,
        received: "Callable[[MQTTMessage, int], object]" = lambda message, generation: None,
        told: Callable[[str, str], object] = lambda pattern, why: None,
        published: Callable[[int], object] = lambda mid: None,
        keep: bool = True,
    ) -> None:
        from paho.mqtt import client as paho
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        self.broker = broker
        self.up = False
        self.connects = 0
        self._topics = topics
        self._connected = connected
        self._lost = lost
        self._received = received
        self._told = told
        self._published = published
        self._keep = keep
        self._failures = 0
        self._why = ""
        self._subscribed: dict[int, Sequence[Topic]] = {}
        self._stopping = threading.Event()
        v5 = broker.version == "5"
        self._clean_start = not keep if v5 else paho.MQTT_CLEAN_START_FIRST_ONLY
        self._client: Client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            clean_session=None if v5 else not keep,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if broker.user:
            self._client.username_pw_set(broker.user, broker.password or None)
        if (context := broker.context()) is not None:
            self._client.tls_set_context(context)
        self._client.max_queued_messages_set(QUEUED)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        # With it, what other threads send is written by the loop's thread. Else paho writes it in
        # theirs, and two in one TLS connection are not safe (it does so unless loop_start is used).
        self._client.on_socket_register_write = lambda client, userdata, sock: None
        # Nobody waits for it at the end: to look up a name may take long.
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye; the session stays if it was to be kept."""
        self._stopping.set()
        self._client.disconnect()

    def again(self) -> None:
        """Connect anew, so that the broker sends again what was not acknowledged."""
        self._client.disconnect()

    def acknowledge(self, mid: int, generation: int) -> None:
        """Tell the broker that a message was taken, if the connection it came on still stands."""
        if generation == self.connects:
            self._client.ack(mid, 1)

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Send a message, now or as soon as the broker is there; its mid, None if it is given up.

        `published` hears when it is sent, with QoS 1 when the broker has acknowledged it.
        """
        sent = self._client.publish(topic, payload, qos, retain)
        return sent.mid if sent.rc == 0 or (qos and sent.rc == 4) else None  # 4: not connected

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._client.connect(
                    self.broker.host,
                    self.broker.port,
                    self.broker.keepalive_s,
                    clean_start=self._clean_start,
                    properties=self._properties(),
                )
                if self._stopping.is_set():  # since before there was a connection to end
                    self._client.disconnect()
                while self._client.loop() == 0:
                    pass
            except OSError as error:
                self._why = str(error) or type(error).__name__
            except Exception as error:  # whatever paho makes of one that does not speak MQTT
                self._why = f"{type(error).__name__}: {error}"
            self.up = False
            if self._stopping.is_set():
                return
            wait_s = RETRY_S[min(self._failures, len(RETRY_S) - 1)] * random.uniform(0.5, 1.5)
            self._failures += 1
            self._lost(f"{self._why or 'the connection was lost'}; next try in {wait_s:.1f} s")
            self._why = ""
            self._stopping.wait(wait_s)

    def _properties(self) -> "Properties | None":
        if self.broker.version != "5":
            return None
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_S if self._keep else 0
        properties.ReceiveMaximum = UNACKNOWLEDGED
        return properties

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if reason.is_failure:
            self._why = f"the broker says: {reason}"
            return
        self._failures = 0
        self.connects += 1
        self.up = not self._topics
        self._connected(bool(flags.session_present))
        if self._topics:
            _, mid = client.subscribe(
                [(topic.pattern, self._asked(topic)) for topic in self._topics]
            )
            self._subscribed = {mid: self._topics}

    def _asked(self, topic: Topic) -> Any:
        if self.broker.version != "5":
            return topic.qos
        from paho.mqtt.subscribeoptions import SubscribeOptions

        # What is retained: only with a subscription that the session has not yet, or never.
        return SubscribeOptions(qos=topic.qos, retainHandling=1 if topic.retained else 2)

    def _on_subscribe(
        self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any
    ) -> None:
        for topic, reason in zip(self._subscribed.pop(mid, ()), reasons, strict=False):
            if reason.is_failure:
                self._told(topic.pattern, str(reason))
        self.up = True

    def _on_message(self, client: Any, userdata: Any, message: "MQTTMessage") -> None:
        self._received(message, self.connects)

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any
    ) -> None:
        self._published(mid)

    def _on_disconnect(
        self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        self.up = False
        if reason.is_failure and not self._why:
            self._why = f"the connection was lost: {reason}"
