"""Metrics of the machine: rates from counters, and counters that are absent, reset or new."""

from types import SimpleNamespace

import psutil
import pytest

from streamrnn.streams import host
from streamrnn.streams.metrics import UNITS, Rates
from tests.streams.virtual import Started, run


def readings(source, count):
    async def main():
        made = source(asynchronous=True)
        async with Started(made) as batches:
            found = [await batches.get() for _ in range(count)]
            assert made.state == "running"
            return made.name, made.detail, found

    return run(main())


def test_this_machine_has_a_stream_for_each_kind_with_a_unit_for_each_channel():
    name, detail, found = readings(host, 8)
    assert {batch.keys[0] for batch in found} <= {
        "host/cpu", "host/memory", "host/network", "host/disk",
    }  # fmt: skip
    cpu = next(batch for batch in found if batch.keys == ["host/cpu"])
    assert cpu.channels[:2] == ("all cores", "core 0")
    assert cpu.x.shape == (1, 1 + len(psutil.cpu_percent(percpu=True)))
    for batch in found:
        assert all(UNITS[channel] for channel in batch.channels)
        assert (batch.x >= 0).all() and batch.t[0] == batch.arrived
    assert name == "host metrics" and "cpu" not in detail


def test_what_a_machine_does_not_have_is_left_out(monkeypatch):
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)  # as in containers
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: {"lo": None})

    def denied():
        raise psutil.AccessDenied(1)

    monkeypatch.setattr(psutil, "virtual_memory", denied)
    _, detail, found = readings(host, 3)
    assert {batch.keys[0] for batch in found} == {"host/cpu"}
    memory, network, disk = detail.split("; ")
    assert (network, disk) == ("no network: no interfaces here", "no disk: no disks here")
    assert memory.startswith("no memory: ")


def test_the_mean_of_all_cores_comes_first_and_a_core_taken_away_is_missing(monkeypatch):
    percents = iter([[0.0, 0.0], [0.0, 0.0], [10.0, 30.0], [50.0], [1.0, 2.0, 3.0]])
    monkeypatch.setattr(psutil, "cpu_percent", lambda percpu: next(percents))
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: {})
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    _, _, found = readings(host, 6)
    cpu = [batch.x[0].tolist() for batch in found if batch.keys == ["host/cpu"]]
    nan = float("nan")
    assert cpu[0] == [20.0, 10.0, 30.0] and cpu[2] == [1.5, 1.0, 2.0]
    assert cpu[1] == pytest.approx([50.0, 50.0, nan], nan_ok=True)


def test_rates_are_sums_over_devices_that_were_there_before(monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 4.0, 5.0])
    monkeypatch.setattr("streamrnn.streams.metrics.time", SimpleNamespace(monotonic=clock.__next__))
    counters = iter(
        [
            {"eth0": (1000, 0), "eth1": (5000, 0)},
            {"eth0": (5000, 2000), "eth1": (7000, 0), "wlan0": (10**9, 10**9)},
            {"eth0": (100, 3000), "eth1": (8000, 0), "wlan0": (10**9, 10**9)},
            {},
        ]
    )
    rates = Rates(("received", "sent"), lambda: next(counters))
    nan = float("nan")
    assert rates()[1] == pytest.approx([nan, nan], nan_ok=True)
    assert rates() == (("received", "sent"), [3.0, 1.0])  # 6 kB and 2 kB in 2 s
    assert rates()[1] == [1.0, 1.0]  # eth0 was reset: counted as nothing received
    assert rates()[1] == [0.0, 0.0]


def test_the_rate_is_a_positive_number():
    with pytest.raises(ValueError, match="expected rate_hz above 0, got 0"):
        host(rate_hz=0)
