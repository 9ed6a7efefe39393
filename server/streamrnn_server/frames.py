"""Frames of samples: what a viewer gets next, by its cursors into the rings.

Chunks are encoded once a moment, and viewers in the same place share whole frames.
"""

from __future__ import annotations

import math

from streamrnn_server import binary, protocol
from streamrnn_server.binary import HISTORY
from streamrnn_server.rings import Ring, Rings

FRAME_BYTES = 1 << 15  # a frame ends there

Messages = tuple[str | bytes, ...]
Cursors = dict[int, int]  # by stream, see hub.Viewer


class Frames:
    """`begin(now)` before the first of a moment, and whenever the rings have got something.

    gaps      how many were announced
    pictures  the newest, by stream; they go with the newest sample
    """

    def __init__(self, epoch: int, rings: Rings) -> None:
        self.gaps = 0
        self.pictures: dict[int, protocol.Picture] = {}
        self._epoch = epoch
        self._rings = rings
        self.begin(0.0)

    def begin(self, now: float) -> None:
        """Drop what viewers share only as long as nothing changes."""
        self._now = now
        self._chunks: dict[tuple[int, int, int, int], bytes] = {}
        self._frames: dict[int, tuple[Cursors, Messages, Cursors]] = {}
        self._heads: dict[frozenset[int], Cursors] = {}

    def next(self, cursors: Cursors, history: Cursors) -> tuple[Messages, Cursors, Cursors]:
        """What a viewer gets next, if anything, and where it is after that."""
        built = None if history else self._frames.get(id(cursors))
        if built is None:
            built = self._build(cursors, history)
            if not history:
                self._frames[id(cursors)] = built
        _, messages, cursors = built
        if not messages:  # it has everything: from here on it can share with others
            return messages, self._heads.setdefault(frozenset(cursors), cursors), {}
        return messages, cursors, history

    def _build(self, cursors: Cursors, history: Cursors) -> tuple[Cursors, Messages, Cursors]:
        """The next frame for a viewer at `cursors`, with the gaps before it, and where it is then.

        The first part keeps `cursors` alive while its id names the frame.
        """
        gaps: list[str] = []
        pictures: list[str] = []
        chunks: list[bytes] = []
        size = 0
        whole = True  # whether this is all there is for it
        untouched, served = {}, {}
        for stream, cursor in cursors.items():
            ring = self._rings[stream]
            count = ring.count
            if cursor == count:
                served[stream] = cursor
                continue
            room = (FRAME_BYTES - size) // ring.row_bytes
            if chunks and room < 1:
                untouched[stream] = cursor
                whole = False
                continue
            if cursor < ring.first:
                gaps.append(protocol.encode(protocol.Gap(stream, cursor, ring.first - 1)))
                cursor = ring.first
            until = history.get(stream, 0)
            flags = HISTORY if cursor < until else 0
            stop = until if flags else count
            if stop - cursor > room:
                stop = cursor + max(room, 1)
            chunk = self._chunk(stream, ring, cursor, stop, flags)
            chunks.append(chunk)
            size += len(chunk)
            served[stream] = stop
            if stop < count:
                whole = False
            elif stream in self.pictures:
                pictures.append(protocol.encode(self.pictures[stream]))
        if not chunks:
            return cursors, (), cursors
        self.gaps += len(gaps)
        frame = binary.encode_samples(self._epoch, self._now, chunks)
        # Those left out come first the next time, so that none waits for ever.
        after = untouched | served if untouched else served
        if whole:
            self._frames[id(after)] = after, (), after
        return cursors, (*gaps, *pictures, frame), after

    def _chunk(self, stream: int, ring: Ring, first: int, stop: int, flags: int) -> bytes:
        key = (stream, first, stop, flags)
        chunk = self._chunks.get(key)
        if chunk is None:
            rows = ring.raw(first, stop)
            arrived = ring.arrived if stop == ring.count and not flags else math.nan
            chunk = binary.encode_chunk(stream, first, rows, ring.sizes, arrived, flags)
            self._chunks[key] = chunk
        return chunk
