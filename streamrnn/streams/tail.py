"""Sources of lines that are still being written: a growing file, and standard input."""

import asyncio
import os
import stat
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from os import PathLike
from pathlib import Path
from typing import IO, Any

from streamz import Stream

from streamrnn.streams.batch import DAY_S, Batch
from streamrnn.streams.lines import Lines, batches
from streamrnn.streams.places import Place, Places, name_of
from streamrnn.streams.refused import Refused
from streamrnn.streams.sources import BATCH_ROWS, Emitted, Marks, Source, marked

CHUNK_BYTES = 1 << 16
LINE_BYTES = 1 << 20  # a longer one is no sample, and would fill the memory


class Splitter:
    """Bytes in, whole lines out; the last, unfinished one waits for its end.

    marks   what goes with a batch whose last line ends at a place of the file
    at      where the first byte is; then where what waits begins
    """

    def __init__(
        self, lines: Lines, marks: Callable[[Place], Marks] = lambda place: {}, at: int = 0
    ) -> None:
        self._lines = lines
        self._marks = marks
        self.at = at
        self._rest = b""
        self._too_long = False  # leaving out all until the next line

    def feed(self, chunk: bytes) -> Iterator[list[Batch]]:
        """What goes together: the samples of whole lines, and how far these were read."""
        if self._too_long:
            left_out, end, chunk = chunk.partition(b"\n")
            self.at += len(left_out) + len(end)
            self._too_long = not end
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        ends = [*accumulate((len(line) + 1 for line in whole), initial=self.at)]
        self.at = ends[-1]
        before = self._lines.number
        rows = [(row, self._lines.number) for row in self._lines.rows(whole)]
        for start in range(0, len(rows), BATCH_ROWS):
            part = rows[start : start + BATCH_ROWS]
            line = part[-1][1]
            place = Place(ends[line - before], line)
            yield marked([row for row, _ in part], self._marks(place))
        if len(self._rest) > LINE_BYTES:
            self.at += len(self._rest)
            self._rest, self._too_long = b"", True
            self._lines.number += 1
            error = f"expected at most {LINE_BYTES} bytes; this line is left out"
            self._lines.refuse(Refused("line", f"{self._lines.name}:{self._lines.number}", error))

    def skip(self, chunk: bytes) -> None:
        """Leave out what is there already, but count its lines and read its header."""
        head, _, _ = (self._rest + chunk).partition(b"\n")
        if self._lines.number == 0 and b"\n" in chunk:
            list(self._lines.rows([head]))
            self._lines.number -= 1
        self._lines.number += chunk.count(b"\n")
        left_out, end, self._rest = (self._rest + chunk).rpartition(b"\n")
        self.at += len(left_out) + len(end)

    def finish(self) -> list[Batch]:
        """The file has ended: what waits is a line too."""
        rest, self._rest = self._rest, b""
        return [*batches(list(self._lines.rows([rest])))]


@Stream.register_api(staticmethod)
class follow(Source):
    """Lines that are appended to a CSV or NDJSON file (lines.py), as `tail -F` gives them.

    The file may come later, be truncated, or be replaced by a new one (rotated): then the rest of
    the old one is read, and the new one from its beginning, with or without a header. On Windows a
    file that is being followed cannot be renamed; let the writer truncate it.

    from_end  leave out what is there at the start
    poll_s    seconds between looks at the file
    key, time, channels, future_s   as for replay

    With a taker that has a journal it goes on after the last line that is in there, whatever
    `from_end` says. What nobody looked at before the file was replaced is gone, and a file without
    header that continues one with a header is only understood by who has read that one's.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        from_end: bool = False,
        poll_s: float = 0.2,
        key: str | None = None,
        time: str | None = None,
        channels: Sequence[str] | None = None,
        future_s: float = DAY_S,
        **kwargs: Any,
    ) -> None:
        if not poll_s > 0:
            raise ValueError(f"expected poll_s above 0, got {poll_s!r}")
        self.path = Path(path)
        self.from_end = from_end
        self.poll_s = poll_s
        super().__init__(f"follow {self.path.name}", **kwargs)
        self._lines = Lines(
            str(self.path),
            self.path.stem if key is None else key,
            time=time,
            channels=channels,
            refuse=self._refusals.add,
            future_s=future_s,
        )
        self._places = Places(name_of("followed", self.path, key, channels))

    async def batches(self) -> AsyncGenerator[Emitted, None]:
        skip = self.from_end and not self._places.begun(self.marked)
        while True:
            skip = not await self._come() and skip
            with self.path.open("rb", buffering=0) as file:
                self.state, self.detail = "running", ""
                marks = partial(self._places.marks, file)
                at = self._go_on(file)
                splitter = Splitter(self._lines, marks, at)
                replaced = False
                while True:
                    chunk = file.read(CHUNK_BYTES)
                    if chunk and skip:
                        splitter.skip(chunk)
                    elif chunk:
                        for part in splitter.feed(chunk):
                            yield part
                    elif replaced:
                        break
                    elif self._truncated(file.fileno(), file.tell()):
                        file.seek(0)
                        self._lines.restart()
                        splitter = Splitter(self._lines, marks)
                    else:
                        if skip:
                            skip = False
                            self._marks |= marks(Place(splitter.at, self._lines.number))
                        # Look once more after that: the writer may have added its last lines.
                        replaced = self._replaced(file.fileno())
                    await asyncio.sleep(0.0 if chunk or replaced else self.poll_s)
                yield splitter.finish()

    def _go_on(self, file: IO[bytes]) -> int:
        """Go where the file was read up to; where that is."""
        self._lines.restart()
        known = self._places.known(file, self.marked)
        if known is None:
            return 0
        while not self._lines.begun and file.tell() < known.at:  # up to the header, or a sample
            list(self._lines.rows([file.readline()]))
        file.seek(known.at)
        self._lines.number = known.line
        return known.at

    async def _come(self) -> bool:
        """Whether the file had to be waited for."""
        waited = False
        while True:
            try:
                mode = self.path.stat().st_mode
            except FileNotFoundError:
                self.state, self.detail = "waiting", f"{self.path} does not exist yet"
                await asyncio.sleep(self.poll_s)
                waited = True
                continue
            if not stat.S_ISREG(mode):  # to open a named pipe would block
                raise Refused("file", str(self.path), "expected a regular file")
            return waited

    def _truncated(self, fd: int, position: int) -> bool:
        return os.fstat(fd).st_size < position

    def _replaced(self, fd: int) -> bool:
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(fd))
        except FileNotFoundError:  # between the renaming of the old and the making of the new
            return False


@Stream.register_api(staticmethod)
class stdin(Source):
    """Lines of CSV or NDJSON (lines.py) from standard input, until it is closed.

    fd   another file descriptor to read instead
    key, time, channels, future_s   as for replay
    """

    def __init__(
        self,
        *,
        fd: int | None = None,
        key: str = "stdin",
        time: str | None = None,
        channels: Sequence[str] | None = None,
        future_s: float = DAY_S,
        **kwargs: Any,
    ) -> None:
        self.fd = fd
        super().__init__("stdin", **kwargs)
        self._lines = Lines(
            "stdin",
            key,
            time=time,
            channels=channels,
            refuse=self._refusals.add,
            future_s=future_s,
        )
        self._splitter = Splitter(self._lines)
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._room = threading.Semaphore(8)  # chunks read ahead
        self._thread: threading.Thread | None = None

    async def batches(self) -> AsyncGenerator[Emitted, None]:
        if self._thread is None:
            # A thread, because on Windows no event loop can wait for a console or pipe. It reads
            # the descriptor, not sys.stdin, whose lock it would hold when Python exits: that is
            # a fatal error.
            fd = self._descriptor()
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._pump, args=(fd, loop), daemon=True)
            self._thread.start()
        while chunk := await self._chunks.get():
            self._room.release()
            for part in self._splitter.feed(chunk):
                yield part
        self._thread = None
        yield self._splitter.finish()

    def _descriptor(self) -> int:
        if self.fd is not None:
            return self.fd
        try:
            return sys.stdin.fileno()
        except (AttributeError, OSError, ValueError):  # closed, or a program without a console
            raise Refused("file", "stdin", "this process has no standard input") from None

    def _pump(self, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        chunk = b"\n"
        while chunk:
            self._room.acquire()
            try:
                chunk = os.read(fd, CHUNK_BYTES)
            except OSError:  # closed under our hands
                chunk = b""
            try:
                loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)
            except RuntimeError:  # the loop has ended
                return
