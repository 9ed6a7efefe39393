"""What viewers may ask of a stream of text: that its network writes on, or forgets what it read."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from streamrnn.learner import Learner
from streamrnn.text import Reader
from streamrnn_server import protocol
from streamrnn_server.protocol import ProtocolError
from streamrnn_server.rings import Ring
from streamrnn_server.writing import States, Writing

if TYPE_CHECKING:
    from streamrnn.streams.groups import Group

WRITERS = 8  # at once, for all viewers: each costs some 60 steps a second


class Texts:
    """Streams by their ids in the hub, viewers by whatever the hub knows them by."""

    def __init__(self) -> None:
        self._states = States()
        self._steps: dict[int, Reader | Learner] = {}
        self._before: dict[str, NDArray[Any]] = {}  # by key, of streams that go on
        self._writings: dict[Hashable, Writing] = {}

    def go_on(self, stream: int | None, key: str, seq: int, state: NDArray[Any]) -> None:
        """A stream, perhaps not added yet, is in `state`; from where before, nobody knows."""
        if stream is None:
            self._before[key] = state
        else:
            self._states.forget(stream)
            self._states.keep(stream, seq, state)

    def add(self, stream: int, key: str, group: Group) -> None:
        """A new stream, of any kind."""
        if isinstance(group.step, Reader | Learner):
            self._steps[stream] = group.step
            before = self._before.pop(key, None)
            self._states.keep(stream, -1, group.step.initial() if before is None else before)

    def read(self, stream: int, seq: int, state: NDArray[Any]) -> None:
        """The stream was in `state` after its sample `seq`."""
        self._states.keep(stream, seq, state)

    def reset(self, stream: int, seq: int) -> None:
        """The state after sample `seq` was put back to the initial one."""
        if stream in self._steps:
            self._states.keep(stream, seq, self._steps[stream].initial())

    def check(self, what: str, stream: int, key: str) -> None:
        """Raises ProtocolError where a stream is no text that can be written."""
        if stream not in self._steps:
            raise ProtocolError(f"{what}: expected a stream of text, and {key} is none")

    def write(self, viewer: Hashable, request: protocol.Write, key: str, ring: Ring) -> None:
        """Begin to write, instead of what the viewer has written now. Raises ProtocolError."""
        stream, after = request.stream, request.after
        self.check("write", stream, key)
        if viewer not in self._writings and len(self._writings) >= WRITERS:
            raise ProtocolError(
                f"write: {WRITERS} texts are written for others now; ask again when one has ended"
            )
        oldest = self._states.oldest(stream, ring.first)
        found = self._states.before(stream, after)
        if found is None or found[0] < ring.first - 1 or after >= ring.count:
            raise ProtocolError(
                f"write: expected a sample of {key} from {oldest} to {ring.count - 1}, got {after}"
            )
        seq, state = found
        tokens = ring.read(seq + 1, after + 1)["x"][:, 0].tolist() if seq < after else []
        self._writings[viewer] = Writing(
            self._steps[stream],
            state,
            tokens,
            stream=stream,
            after=after,
            temperature=request.temperature,
            length=request.length,
        )

    def stop(self, viewer: Hashable) -> None:
        """Write no more for a viewer."""
        self._writings.pop(viewer, None)

    def writing(self, viewer: Hashable) -> bool:
        """Whether more is to come for a viewer."""
        return viewer in self._writings

    def written(self, viewer: Hashable, now: float) -> protocol.Written | None:
        """What was written for a viewer since it was asked last."""
        writing = self._writings.get(viewer)
        tokens = writing.due(now) if writing is not None else []
        if writing is None or not tokens:
            return None
        if writing.left == 0:
            self.stop(viewer)
        return protocol.Written(writing.stream, writing.after, tokens, writing.left == 0)
