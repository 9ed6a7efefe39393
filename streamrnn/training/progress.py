"""A line on the terminal that tells how far training is, and Ctrl-C that waits for the update."""

import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any, NamedTuple, TextIO

from streamrnn.training.layers import Array

EVERY_S = 0.2
WIDTH = 5  # of the bar


class Report(NamedTuple):
    """Where training stands, after an update.

    epoch             from 0, of `epochs`
    update            from 1, of `updates` if no epoch is left out
    loss              mean over the epoch so far
    validation_loss   after the last epoch, NaN before
    samples_per_s     steps of sequences
    parameters        as they are now, by name: to look at, or to assign to another model
    """

    epoch: int
    epochs: int
    update: int
    updates: int
    loss: float
    validation_loss: float
    samples_per_s: float
    seconds_left: float
    parameters: Mapping[str, Array]


class Bar:
    """Writes the newest report over the one before, on a terminal and at most each EVERY_S."""

    def __init__(self, stream: TextIO | None = None, shown: bool | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.shown = self.stream.isatty() if shown is None else shown
        self.next = 0.0

    def show(self, report: Report) -> None:
        """Write the line, if it is time."""
        now = time.monotonic()
        if not self.shown or (now < self.next and report.update < report.updates):
            return
        self.next = now + EVERY_S
        width = shutil.get_terminal_size().columns - 1
        self.stream.write("\r" + line(report)[:width].ljust(width))
        self.stream.flush()

    def close(self) -> None:
        """Leave the line as it is and go to the next."""
        if self.shown and self.next:
            self.stream.write("\n")
            self.stream.flush()


def line(report: Report) -> str:
    """What the bar shows, the time first, where a narrow terminal cuts the end off.

    >>> line(Report(1, 10, 30, 200, 1.5, 1.75, 81234.5, 75.2, {}))
    ' 15% ▊     0:01:15 left, epoch 2/10, loss 1.5000, validation 1.7500, 81,234 samples/s'
    """
    share = report.update / report.updates
    whole, rest = divmod(int(share * 8 * WIDTH), 8)
    bar = ("█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(WIDTH)
    left = int(report.seconds_left)
    known = report.validation_loss == report.validation_loss
    validation = f"validation {report.validation_loss:.4f}, " if known else ""
    return (
        f"{share:4.0%} {bar} {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left, "
        f"epoch {report.epoch + 1}/{report.epochs}, loss {report.loss:.4f}, "
        f"{validation}{report.samples_per_s:,.0f} samples/s"
    )


class Interrupt:
    """While it is entered the first Ctrl-C sets `asked`, the second is a KeyboardInterrupt.

    Python handles signals in the main thread alone; elsewhere nothing changes. A shell has what it
    starts in the background ignore Ctrl-C, which is for others then: that stays so as well.
    """

    def __enter__(self) -> "Interrupt":
        self.asked = False
        self.before: Any = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        self.heard = main and self.before is not signal.SIG_IGN
        if self.heard:
            signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, self.before)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.heard:
            signal.signal(signal.SIGINT, self.before)
