"""This machine as a source: processor, memory, network and disk, by psutil.

host/cpu      %      all cores, then each core
host/memory   %      of the memory in use
host/network  kB/s   received, sent; all interfaces but the loopback
host/disk     kB/s   read, written; all disks
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import numpy as np
import psutil
from streamz import Stream

from streamrnn.streams.batch import Batch
from streamrnn.streams.refused import Refused
from streamrnn.streams.sources import Source

UNITS = {
    "all cores": "%",
    **{f"core {n}": "%" for n in range(psutil.cpu_count() or 1)},
    "used": "%",
    "received": "kB/s",
    "sent": "kB/s",
    "read": "kB/s",
    "written": "kB/s",
}

Counters = Mapping[str, tuple[int, int]]  # device -> bytes in, bytes out since it came up
Reading = tuple[tuple[str, ...], list[float]]  # channels, values


@Stream.register_api(staticmethod)
class host(Source):
    """One stream for each kind of metric, `rate_hz` samples a second.

    A metric that this machine does not have, such as disks in a container, is left out; `detail`
    says which and why.
    """

    def __init__(self, *, rate_hz: float = 2.0, prefix: str = "host/", **kwargs: Any) -> None:
        if not rate_hz > 0:
            raise ValueError(f"expected rate_hz above 0, got {rate_hz!r}")
        self.rate_hz = rate_hz
        self.prefix = prefix
        super().__init__("host metrics", **kwargs)

    async def batches(self) -> AsyncGenerator[Batch, None]:
        metrics: dict[str, Callable[[], Reading]] = {
            "cpu": Cpu(),
            "memory": _memory,
            "network": Rates(("received", "sent"), _network),
            "disk": Rates(("read", "written"), _disk),
        }
        clock = asyncio.get_running_loop().time
        due = clock()
        first = True
        while True:
            for kind in list(metrics):
                try:
                    channels, values = metrics[kind]()
                except Exception as error:  # psutil raises whatever the system calls bring up
                    del metrics[kind]
                    self._leave_out(kind, error)
                    continue
                if first:  # rates begin with the second reading
                    continue
                now = time.time()
                x = np.array([values])
                yield Batch([self.prefix + kind], np.array([now]), x, None, now, channels)
            if not metrics:
                raise Refused("file", "host", "psutil finds no metric of this machine")
            first = False
            due = max(due + 1.0 / self.rate_hz, clock())  # after a sleep of the machine no burst
            await asyncio.sleep(due - clock())

    def _leave_out(self, kind: str, error: Exception) -> None:
        why = f"no {kind}: {error}" if str(error) else f"no {kind}: {type(error).__name__}"
        self.detail = f"{self.detail}; {why}" if self.detail else why


class Cpu:
    """Percent busy since the last call: the mean of all cores, then each."""

    def __init__(self) -> None:
        cores = len(psutil.cpu_percent(percpu=True))
        self.channels = ("all cores", *(f"core {n}" for n in range(cores)))

    def __call__(self) -> Reading:
        percent = psutil.cpu_percent(percpu=True)
        # Cores can be taken away and come back while we look: their channels stay.
        cores = (percent + [math.nan] * len(self.channels))[: len(self.channels) - 1]
        return self.channels, [float(np.nanmean(cores)), *cores]


def _memory() -> Reading:
    return ("used",), [psutil.virtual_memory().percent]


class Rates:
    """kB a second from counters of bytes, summed over devices."""

    def __init__(self, channels: tuple[str, str], read: Callable[[], Counters]) -> None:
        self.channels = channels
        self._read = read
        self._t = time.monotonic()
        self._before: Counters = {}

    def __call__(self) -> Reading:
        t, counters, before = time.monotonic(), self._read(), self._before
        rates = [math.nan, math.nan]
        if before and t > self._t:
            for n in range(2):
                # A device that is new has no rate yet; one whose counter went back began anew.
                grown = [
                    counters[device][n] - before[device][n]
                    for device in counters
                    if device in before
                ]
                rates[n] = sum(max(0, bytes) for bytes in grown) / 1000.0 / (t - self._t)
        self._t, self._before = t, counters
        return self.channels, rates


def _network() -> Counters:
    devices = psutil.net_io_counters(pernic=True)
    loopback = ("lo", "lo0")  # Linux, macOS; "Loopback Pseudo-Interface 1" on Windows
    counters = {
        name: (c.bytes_recv, c.bytes_sent)
        for name, c in devices.items()
        if name not in loopback and not name.startswith("Loopback")
    }
    if not counters:
        raise OSError("no interfaces here")
    return counters


def _disk() -> Counters:
    # Not by disk: that counts a partition beside the disk it is on.
    total = psutil.disk_io_counters()
    if total is None:  # in containers, for one
        raise OSError("no disks here")
    return {"all": (total.read_bytes, total.write_bytes)}
