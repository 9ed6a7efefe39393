"""A real MQTT broker for tests: mosquitto on a free port of loopback, with its memory on the disk.

It can be killed and started again on the same port, and asked who is there.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.web.tools import need

WITHIN_S = 20.0  # nothing takes so long unless it hangs


def program() -> str:
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    return need(shutil.which("mosquitto", path=path), "mosquitto")


def tls(folder: Path) -> tuple[str, str]:
    """Lines for a broker that speaks TLS, with a new certificate for localhost: cert.pem."""
    openssl = need(shutil.which("openssl"), "openssl")
    subprocess.run(
        [openssl, *"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(),
         *("-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost"),
         *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return f"certfile {folder}/cert.pem", f"keyfile {folder}/key.pem"


class Mosquitto:
    """The broker; `lines` are added to its configuration."""

    def __init__(self, folder: Path, *lines: str, anonymous: bool = True) -> None:
        self.folder = folder
        self.program = program()
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port: int = sock.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._file = folder / "mosquitto.conf"
        self._file.write_text(
            "\n".join(
                [
                    f"listener {self.port} 127.0.0.1",
                    f"allow_anonymous {str(anonymous).lower()}",
                    f"user {getpass.getuser()}",  # as root it would become mosquitto
                    "persistence true",
                    f"persistence_location {folder}/",
                    "autosave_on_changes true",
                    "autosave_interval 1",  # each change, at the latest a second later
                    "max_queued_messages 0",  # as many as come
                    "connection_messages true",
                    *lines,
                ]
            )
        )
        self._process: subprocess.Popen[str] | None = None
        self._log: list[str] = []
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self.stop()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self.program, "-c", str(self._file)], stderr=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        self.wait_for("running")

    def kill(self) -> None:
        """Without a word, as a loss of power would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def wait_for(self, text: str) -> None:
        """Until its log since the last start says so."""
        with self._news:
            found = self._news.wait_for(
                lambda: any(text in line for line in self._log), timeout=WITHIN_S
            )
            assert found, f"mosquitto does not say {text!r}: {self._log}"

    def has_said(self, text: str) -> bool:
        with self._news:
            return any(text in line for line in self._log)

    def _end(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait()
        self._process = None
        with self._news:
            self._log.clear()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                with self._news:
                    self._log.append(line.rstrip())
                    self._news.notify_all()


class Client:
    """Another client of the broker on `port`: publishes, and notes what it hears.

    tls   for paho's tls_set
    """

    def __init__(
        self,
        port: int,
        *,
        topics: Sequence[str] = (),
        version: int = 4,
        tls: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._heard: list[tuple[str, bytes, bool]] = []
        self._sent: set[int] = set()
        self._news = threading.Condition()
        self._ready = threading.Event()
        self._topics = topics
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=version, **options)
        self.client.on_connect = self._connected
        self.client.on_subscribe = lambda *arguments: self._ready.set()
        self.client.on_message = self._message
        self.client.on_publish = self._published
        if tls is not None:
            self.client.tls_set(**tls)
        self._port = port

    def __enter__(self) -> Self:
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", self._port)
        self.client.loop_start()
        assert self._ready.wait(WITHIN_S)
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def publish(
        self, topic: str, *payloads: str | bytes, qos: int = 1, retain: bool = False
    ) -> None:
        """Until the broker has them all."""
        sent = {self.client.publish(topic, payload, qos, retain).mid for payload in payloads}
        with self._news:
            assert self._news.wait_for(lambda: sent <= self._sent, timeout=WITHIN_S)
            self._sent -= sent

    def let_it_save(self) -> None:
        """So that what was published before outlives its death.

        mosquitto acknowledges a message before it has saved it, and saves at the second change: it
        has when it acknowledges the second of two more.
        """
        for payload in ("1", "2"):
            self.publish("let/it/save", payload, retain=True)

    def hears(self, count: int) -> list[tuple[str, bytes, bool]]:
        """Topic, payload and whether it was retained, of all messages, once there are so many."""
        with self._news:
            assert self._news.wait_for(lambda: len(self._heard) >= count, timeout=WITHIN_S), (
                f"{len(self._heard)} of {count} messages: {self._heard}"
            )
            return list(self._heard)

    def _connected(self, client: paho.Client, *arguments: Any) -> None:
        if self._topics:
            client.subscribe([(topic, 1) for topic in self._topics])
        else:
            self._ready.set()

    def _message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        with self._news:
            self._heard.append((message.topic, bytes(message.payload), message.retain))
            self._news.notify_all()

    def _published(self, client: paho.Client, userdata: Any, mid: int, *arguments: Any) -> None:
        with self._news:
            self._sent.add(mid)
            self._news.notify_all()
