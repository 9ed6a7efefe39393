"""Kills a server again and again while sensors publish, and looks at what its journal holds.

python -m tests.faults.mqtt 20      as often, for each version of MQTT; what went wrong raises
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import streamrnn as srnn
from tests.mosquitto import Client, Mosquitto
from tests.server.test_mqtt import VERSIONS, config, recorded

MESSAGES = 200  # for each kill
PAUSE_S = 0.05  # after each twenty


def torture(folder: Path, version: str, kills: int) -> int:
    """Kill a server `kills` times; how many messages were published, and are recorded once each."""
    count = MESSAGES * kills
    srnn.save(srnn.GRU(1, 4, 1), folder / "net.safetensors")
    with Mosquitto(folder) as broker, Client(broker.port) as client:
        text = config(broker.url, '[{ topic = "plant/+", key = "{1}" }]', version)
        runs = 'model = "net.safetensors"\nchannels = ["value"]'
        (folder / "c.toml").write_text(text.replace('step = "leaky"', runs))
        command = [sys.executable, "-m", "tests.server.serving", folder / "c.toml", str(count)]

        def publish() -> None:
            for n in range(0, count, 20):
                client.publish("plant/7", *map(str, range(n, n + 20)))
                time.sleep(PAUSE_S)

        publishing = threading.Thread(target=publish)
        for kill in range(kills + 1):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None and process.stdout.readline() == "connected\n"
            if kill == 0:  # what nobody has subscribed to yet the broker does not keep
                publishing.start()
            if kill < kills:
                time.sleep(random.uniform(0.0, 1.0))
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
        publishing.join()
        assert process.stdout.readline() == "done\n", "some messages are lost"
        process.send_signal(signal.SIGTERM)
        process.wait()
    assert recorded(folder) == {"7": [float(n) for n in range(count)]}, "some are there twice"
    return count


if __name__ == "__main__":
    for version in VERSIONS:
        with tempfile.TemporaryDirectory() as name:
            done = torture(Path(name), version, int(sys.argv[1]))
        print(f"MQTT {version}, {sys.argv[1]} kills: {done} messages, each once", flush=True)
