"""Who gets what: streams and their rings, viewers and their cursors. No sockets, no clock.

The shell (live.py) hands out what is due of what the pipeline published:

    hub.tick(now)
    for each viewer: while its socket has room and (messages := hub.take(viewer)): send them

Nothing is queued for anybody. What a viewer lacks follows from its cursors into the rings; it gets
the next frame when it has credit (it acknowledges frames) and its socket has room. A viewer that
falls behind gets larger frames, then, once a ring has run over its cursor, a gap, said in so many
words. Chunks are encoded once a tick, and viewers in the same place share whole frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from streamrnn.keys import Keys
from streamrnn_server import protocol
from streamrnn_server.binary import NOT_SAMPLED
from streamrnn_server.example import example
from streamrnn_server.explanations import Explanations, explains
from streamrnn_server.frames import Frames, Messages
from streamrnn_server.overview import Overviews, Reader
from streamrnn_server.pictures import on_the_wire
from streamrnn_server.protocol import ACK_EVERY, WINDOW, ProtocolError, StreamInfo
from streamrnn_server.rings import Rings, row_dtype
from streamrnn_server.texts import Texts

if TYPE_CHECKING:
    from streamrnn.streams.groups import Group, Result

STALL_S = 10.0  # ACK_EVERY frames in that time are 52 kB/s: a slow link
RESETS = 64  # kept for viewers that have not heard of them


class Viewer:
    """What the hub knows of one connection; everything here is the hub's to change."""

    def __init__(self) -> None:
        self.sent = 0  # binary messages
        self.acked = 0
        self.paused = False
        self.waiting_since: float | None = None
        self.told: tuple[int, int] | None = None  # groups and streams it knows of, from hello on
        self.status = 0
        self.survey = 0
        self.resets = 0
        self.curious = False  # asked for the example
        # Next sequence number by stream, in the order of service. Never changed, only replaced:
        # viewers in the same place hold the same dict, and by it find the frame built for another.
        self.cursors: dict[int, int] = {}
        # By stream, where the samples end that were there before the viewer asked for it.
        self.history: dict[int, int] = {}


class _Group:
    def __init__(self, group: Group) -> None:
        self.wire = protocol.Group(
            id=group.id,
            kind=group.rule.kind,
            channels=[protocol.Channel(*c) for c in zip(group.channels, group.units, strict=True)],
            target=group.target,
            outputs=[protocol.Column(*output) for output in group.outputs],
            units=group.U,
            layers=getattr(group.step, "num_layers", 1),
            reasons=list(group.reasons),
            vocabulary=list(group.vocabulary) if group.vocabulary else None,
            mode=group.rule.mode,
            pictured=group.rule.picture is not None,
            writes=group.writes,
            explains=explains(group),
        )
        self.group = group
        self.picture = group.rule.picture
        self.dtype = row_dtype(len(group.channels), len(group.outputs), group.U)
        self.read = Reader(group)


class _Stream(NamedTuple):
    key: str
    group: int


class Hub:
    """Streams, and who looks at them.

    reset(key)    puts the state of a stream back; `was_reset` hears when it is done
    undecided()   whether the banks hold what could still be taken back
    """

    def __init__(
        self,
        *,
        epoch: int,
        name: str,
        server: str,
        started: float,
        ring_bytes: int,
        reset: Callable[[str], object] = lambda key: None,
        undecided: Callable[[], bool] = lambda: False,
    ):
        self.epoch = epoch
        self.name = name
        self.server = server
        self.started = started
        self.now = started
        self.watched: set[str] = set()  # keys whose hidden state somebody looks at
        self.rings = Rings(ring_bytes)
        self.viewers: set[Viewer] = set()
        self.frames = 0  # binary messages taken by all viewers
        self.cut_off = 0  # viewers that did not acknowledge
        self._overviews = Overviews(epoch)
        self._groups: dict[int, _Group] = {}  # by its number in the pipeline
        self._streams: list[_Stream] = []  # by id
        self._ids: dict[str, int] = {}
        self._status = (0, "")
        self._texts = Texts()
        self._explanations = Explanations(undecided)
        self._reset_now = reset
        self._resets: deque[protocol.WasReset] = deque(maxlen=RESETS)
        self._reset_count = 0
        self._frames = Frames(epoch, self.rings)
        self._hello: Messages = ()

    # --- from the pipeline ----------------------------------------------------------------------

    def publish(self, result: Result) -> None:
        """Take a batch with its predictions; it is due at the next tick."""
        batch = result.batch
        known = self._known(result.group)
        n = len(batch.keys)
        ids = Keys.of(batch.keys).each(lambda key: self._id(key, known))
        rows = np.empty(n, known.dtype)
        rows["t"], rows["x"], rows["y"] = batch.t, batch.x, batch.y
        rows["h"] = NOT_SAMPLED if result.h is None else result.h
        self._overviews.update(ids, known.read(rows, batch.arrived))
        raw = rows.view(np.uint8).reshape(n, rows.itemsize)
        order = np.argsort(ids, kind="stable")
        bounds = [0, *(np.flatnonzero(np.diff(ids[order])) + 1).tolist(), n]
        raw = raw[order]
        for a, b, stream in zip(bounds, bounds[1:], ids[order[bounds[:-1]]].tolist(), strict=False):
            self.rings.extend(stream, raw[a:b], batch.arrived)
        for key, state in result.states.items():
            id = self._ids[key]
            self._texts.read(id, self.rings[id].count - 1, state)
        self._explanations.answer()
        self._begin()
        if known.picture is not None:  # last: one that fails is counted, and the samples are out
            for key, picture in known.picture(batch).items():
                id = self._id(key, known)
                self._frames.pictures[id] = on_the_wire(key, picture, id, self.rings[id].count - 1)

    def last(self, key: str) -> int:
        """The number of a stream's newest sample, -1 if there is none."""
        id = self._ids.get(key)
        return -1 if id is None else self.rings[id].count - 1

    def go_on(self, groups: Iterable[Group]) -> None:
        """Streams of these groups have been read before, up to what is remembered of them."""
        for group in groups:
            for key in group.bank if group.writes else ():
                name = str(key)
                id = self._ids.get(name)
                seq = -1 if id is None else self.rings[id].count - 1
                self._texts.go_on(id, name, seq, group.bank[key])

    def was_reset(self, key: str) -> None:
        """The state of a stream was put back to the initial one, after all that was published."""
        id = self._ids.get(key)
        if id is None:
            return
        seq = self.rings[id].count - 1
        self._texts.reset(id, seq)
        self._resets.append(protocol.WasReset(id, seq))
        self._reset_count += 1

    def remember(self, before: int, result: Result) -> None:
        """Take samples of one stream from before the server started; `before` were before these."""
        known = self._known(result.group)
        ring = self.rings[self._id(result.batch.keys[0], known)]
        if ring.count == 0:
            ring.count = ring.first = before
        self.publish(result)

    def survey(self) -> None:
        """Twice a second: let the overview show what changed."""
        counts = (self.rings[i].count for i in range(len(self.rings)))
        self._overviews.survey(np.fromiter(counts, np.int64, len(self.rings)))

    def set_status(self, status: protocol.Status) -> None:
        """Every second. A viewer that is slow misses some, and gets the newest."""
        self._status = (self._status[0] + 1, protocol.encode(status))

    # --- from viewers ---------------------------------------------------------------------------

    def join(self) -> Viewer:
        viewer = Viewer()
        self.viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        self.viewers.discard(viewer)
        self._texts.stop(viewer)
        self._explanations.leave(viewer)
        self._watched()

    def receive(self, viewer: Viewer, text: str | bytes) -> None:
        """A message of a viewer. Raises ProtocolError, after which the connection can go on."""
        message = protocol.decode_viewer(text)
        match message:
            case protocol.Watch():
                self._watch(viewer, message)
            case protocol.Ack():
                self._ack(viewer, message.frames)
            case protocol.Pause():
                viewer.paused = True
                self._watched()
            case protocol.Resume():
                viewer.paused = False
                viewer.survey = 0
                self._watched()
            case protocol.Write(stream=stream):
                self._check("write", stream)
                key = self._streams[stream].key
                self._texts.write(viewer, message, key, self.rings[stream])
            case protocol.Stop():
                self._texts.stop(viewer)
            case protocol.Reset(stream=stream):
                self._reset(stream)
            case protocol.Explain(stream=stream):
                self._check("explain", stream)
                key, group = self._streams[stream]
                self._explanations.ask(viewer, stream, key, self._groups[group].group)
            case protocol.ShowExample():
                viewer.curious = True

    def waiting(self, viewer: Viewer, clock: float, *, blocked: bool) -> bool:
        """Whether a viewer has not acknowledged for too long and is to be cut off.

        clock: monotonic seconds; blocked: its socket has no room. Less than ACK_EVERY frames
        unacknowledged are no sign: a viewer of quiet streams need not say anything for hours.
        """
        if not blocked and viewer.sent - viewer.acked < ACK_EVERY:
            viewer.waiting_since = None
        elif viewer.waiting_since is None:
            viewer.waiting_since = clock
        return viewer.waiting_since is not None and clock - viewer.waiting_since > STALL_S

    @property
    def gaps(self) -> int:
        """How many were announced."""
        return self._frames.gaps

    # --- to viewers -----------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Begin to hand out what is there at `now`."""
        self.now = now
        self._explanations.answer()
        self._begin()

    def _begin(self) -> None:
        """Drop what viewers share only as long as nothing changes."""
        self._hello = ()
        self._frames.begin(self.now)

    def take(self, viewer: Viewer) -> Messages:
        """What to send to a viewer next, all of it together; empty if there is nothing for now."""
        status, text = self._status
        known = (len(self._groups), len(self._streams))
        if viewer.told is None:
            viewer.told, viewer.resets = known, self._reset_count
            self._hello = self._hello or self._greeting()  # all come at once after a restart
            return self._hello
        if viewer.status < status:
            viewer.status = status
            return (text,)
        if viewer.paused:
            return ()
        if viewer.told != known:
            text = protocol.encode(protocol.Streams(*self._after(*viewer.told)))
            viewer.told = known
            return (text,)
        if asked := self._asked(viewer):
            return asked
        if viewer.sent - viewer.acked >= WINDOW:
            return ()
        messages = self._overview(viewer)
        if not messages:
            place = viewer.cursors, viewer.history
            messages, viewer.cursors, viewer.history = self._frames.next(*place)
        if messages:
            viewer.sent += 1
            self.frames += 1
        return messages

    def busy(self, viewer: Viewer) -> bool:
        """Whether there will be something for a viewer at the next tick, though nothing comes."""
        return not viewer.paused and self._texts.writing(viewer)

    def _asked(self, viewer: Viewer) -> Messages:
        """Answers, and what others asked for that this viewer sees too."""
        if viewer.curious:
            viewer.curious = False
            return (protocol.encode(example()),)
        if why := self._explanations.take(viewer):
            return (why,)
        if viewer.resets < self._reset_count:
            news = list(self._resets)[viewer.resets - self._reset_count :]
            viewer.resets = self._reset_count
            return tuple(protocol.encode(m) for m in news if m.stream in viewer.cursors)
        written = self._texts.written(viewer, self.now)
        return () if written is None else (protocol.encode(written),)

    def _overview(self, viewer: Viewer) -> Messages:
        if viewer.survey == self._overviews.surveys:
            return ()
        message = self._overviews.message(viewer.survey, self.now)
        viewer.survey = self._overviews.surveys
        return (message,) if message else ()

    # --- streams --------------------------------------------------------------------------------

    def _known(self, group: Group) -> _Group:
        known = self._groups.get(group.id)
        if known is None:
            known = self._groups[group.id] = _Group(group)
        return known

    def _id(self, key: str, group: _Group) -> int:
        id = self._ids.get(key)
        if id is None:
            id = self._ids[key] = len(self._streams)
            self._streams.append(_Stream(key, group.wire.id))
            self.rings.add(group.dtype)
            self._overviews.add()
            self._texts.add(id, key, group.group)
        return id

    def _after(self, groups: int, streams: int) -> tuple[list[protocol.Group], list[StreamInfo]]:
        """Groups and streams that came after the first so many."""
        infos = []
        for id, (key, group) in enumerate(self._streams[streams:], streams):
            seq, spark = self.rings[id].count - 1, self._overviews.spark(id)
            infos.append(StreamInfo(id, key, group, seq, spark))
        return [group.wire for group in list(self._groups.values())[groups:]], infos

    def _greeting(self) -> Messages:
        groups, streams = self._after(0, 0)
        hello = protocol.Hello(
            version=protocol.VERSION,
            epoch=self.epoch,
            name=self.name,
            server=self.server,
            now=self.now,
            started=self.started,
            groups=groups,
            streams=streams,
        )
        return (protocol.encode(hello),)

    # --- what viewers ask for -------------------------------------------------------------------

    def _watch(self, viewer: Viewer, watch: protocol.Watch) -> None:
        cursors: dict[int, int] = {}
        history: dict[int, int] = {}
        for stream in watch.streams:
            id, after = stream.id, stream.after
            self._check("watch", id)
            if id in viewer.cursors:
                # What it was sent is on its way, though `after` may not count it yet.
                cursors[id] = viewer.cursors[id]
                history[id] = viewer.history.get(id, 0)
                continue
            ring = self.rings[id]
            if watch.epoch == self.epoch and after is not None:
                cursors[id] = min(max(after + 1, 0), ring.count)
            else:
                cursors[id] = max(ring.first, ring.count - max(watch.history, 0))
            history[id] = ring.count
        viewer.cursors, viewer.history = cursors, history
        self._watched()

    def _check(self, what: str, id: int) -> None:
        if not 0 <= id < len(self._streams):
            raise ProtocolError(
                f"{what}: no stream {id}; there are {len(self._streams)}, counted from 0"
            )

    def _reset(self, id: int) -> None:
        self._check("reset", id)
        key = self._streams[id].key
        self._texts.check("reset", id, key)
        self._reset_now(key)

    def _ack(self, viewer: Viewer, frames: int) -> None:
        if not viewer.acked <= frames <= viewer.sent:
            raise ProtocolError(
                f"ack: expected {viewer.acked} to {viewer.sent} frames, got {frames}"
            )
        if frames > viewer.acked:
            viewer.acked = frames
            viewer.waiting_since = None

    def _watched(self) -> None:
        self.watched.clear()
        for viewer in self.viewers:
            if not viewer.paused:
                self.watched.update(self._streams[id].key for id in viewer.cursors)
