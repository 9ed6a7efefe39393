"""Messages a second from an MQTT broker through journal and GRU: `python -m tests.bench.mqtt`.

A process publishes them as fast as the broker takes them, of 100 topics; mosquitto does not save.
With QoS 1 the broker waits for acknowledgements, which wait for commits: its window matters.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from streamrnn_server.app import Server, Settings
from streamrnn_server.journal import Journal

import streamrnn as srnn
from streamrnn.streams import Broker, Pipeline, Rule, Topic, mqtt
from tests.mosquitto import Client, Mosquitto

MESSAGES = 10_000
TOPICS = 100


def publish(port: int, qos: int) -> None:
    client = Client(port)
    client.client.max_inflight_messages_set(1000)
    with client:
        for start in range(0, MESSAGES, TOPICS):
            for n in range(TOPICS):
                client.client.publish(f"plant/{n}", str(start), qos)
        client.publish("end", "1")


async def measure(folder: Path, window: int, qos: int) -> tuple[float, float]:
    """Messages a second, and microseconds of this process's processor time for each."""
    lines = (f"max_inflight_messages {window}", "autosave_interval 1000000")
    with Mosquitto(folder, *lines) as broker:
        at = Broker("127.0.0.1", broker.port, client_id="bench")
        topics = [Topic("plant/+", key="{1}", qos=qos)]
        gru = srnn.GRU(1, 32, 1)
        server = Server(
            Pipeline([Rule("*", lambda channels: gru, ("value",))]),
            [partial(mqtt, at, topics, asynchronous=True)],
            settings=Settings(port=0),
            journal=Journal(folder / "journal"),
        )
        async with server:
            await server.ready()
            while not server.sources[0].figures["connected"]:
                await asyncio.sleep(0.01)
            command = [sys.executable, "-m", "tests.bench.mqtt", str(broker.port), str(qos)]
            with subprocess.Popen(command):
                while not server.pipeline.samples:
                    await asyncio.sleep(0.001)
                before = server.pipeline.samples
                begin, spent = time.perf_counter(), time.process_time()
                while server.pipeline.samples < MESSAGES:
                    await asyncio.sleep(0.001)
                count = MESSAGES - before
                spent = time.process_time() - spent
                return count / (time.perf_counter() - begin), 1e6 * spent / count


def main() -> None:
    print("| QoS | the broker's window | messages a second | us of processor time each |")
    print("| --- | --- | --- | --- |")
    for qos, window in ((0, 20), (1, 20), (1, 1000)):
        measured = []
        for _ in range(3):
            with tempfile.TemporaryDirectory() as folder:
                measured.append(asyncio.run(measure(Path(folder), window, qos)))
        rates, spent = zip(*measured, strict=True)
        print(f"| {qos} | {window} | {max(rates):.0f} | {min(spent):.0f} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        publish(int(sys.argv[1]), int(sys.argv[2]))
    else:
        main()
