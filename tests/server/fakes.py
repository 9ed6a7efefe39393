"""Groups, batches and viewers without a pipeline, kernels or sockets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from streamrnn_server import binary, protocol
from streamrnn_server.hub import Hub, Viewer

from streamrnn.step import Output
from streamrnn.streams.batch import Batch

OUTPUTS = (
    Output("next", "forecast", 0, 1),
    Output("score", "score"),
    Output("alarm", "alarm"),
    Output("error", "error", 0, 1),
    Output("persistence", "error_persistence", 0, 1),
)


def group(id: int = 0, *, outputs: tuple[Output, ...] = OUTPUTS, **changes: Any) -> Any:
    """What the hub uses of streamrnn.streams.Group."""
    fields = {
        "id": id,
        "rule": SimpleNamespace(kind="sensor", mode="synced", picture=None),
        "channels": ("temp", "load"),
        "units": ("°C", ""),
        "target": 0,
        "outputs": outputs,
        "step": SimpleNamespace(),
        "writes": False,
        "U": 2,
        "reasons": (),
        "vocabulary": (),
    }
    return SimpleNamespace(**(fields | changes))


def hub(*, ring_bytes: int = 1 << 20, epoch: int = 7) -> Hub:
    return Hub(epoch=epoch, name="test", server="streamrnn 0", started=0.0, ring_bytes=ring_bytes)


def result(of: Any, keys: list[str], x0: Any, *, arrived: float = 100.0, **y: float) -> Any:
    """A batch whose first channel is x0 (a list), whose other columns are constant."""
    n = len(keys)
    x = np.zeros((n, len(of.channels)))
    x[:, 0] = x0
    columns = [np.full(n, y.get(o.kind, np.nan), np.float32) for o in of.outputs]
    batch = Batch(keys, 1000.0 + x[:, 0], x, np.stack(columns, axis=1), arrived)
    return SimpleNamespace(group=of, batch=batch, h=None, states={})


def filled(n: int = 3, *keys: str, **options: Any) -> tuple[Hub, Any]:
    """A hub with n samples 0, 1, ... of each stream."""
    made = hub(**options)
    of = group()
    for key in keys or ("a",):
        made.publish(result(of, [key] * n, range(n)))
    return made, of


def taken(hub: Hub, viewer: Viewer) -> list[Any]:
    """Everything a viewer with unlimited room gets now, decoded."""
    found = []
    while messages := hub.take(viewer):
        found += [decoded(m) for m in messages]
    return found


def decoded(message: str | bytes) -> Any:
    if isinstance(message, str):
        return protocol.decode_control(message)
    return binary.decode_binary(message)


def say(hub: Hub, viewer: Viewer, message: protocol.FromViewer) -> None:
    hub.receive(viewer, protocol.encode(message))


def watch(hub: Hub, viewer: Viewer, *ids: int, **options: Any) -> None:
    streams = [protocol.WatchStream(id) for id in ids]
    say(hub, viewer, protocol.Watch(streams=streams, **options))


def samples(messages: list[Any]) -> dict[int, list[tuple[int, float]]]:
    """stream -> [(seq, x0)] of all sample frames."""
    found: dict[int, list[tuple[int, float]]] = {}
    for message in messages:
        for c in message.chunks if isinstance(message, binary.Samples) else ():
            assert c.x[0].tolist() == (c.t - 1000.0).tolist()
            found.setdefault(c.stream, []).extend(
                zip(range(c.first, c.first + len(c.t)), c.x[0].tolist(), strict=True)
            )
    return found
