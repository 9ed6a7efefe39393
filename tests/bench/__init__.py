"""Benchmarks: `python -m tests.bench` prints them all; none of them is a test.

All of them, and what they compare with, run on one thread; libraries ask when they are imported.
"""

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def best(*calls: Callable[[], object], seconds: float = 1.0) -> list[float]:
    """The fastest of many runs of each call, in seconds, the calls taking turns."""
    for call in calls:
        call()
    times = [float("inf")] * len(calls)
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end:
        for n, call in enumerate(calls):
            start = time.perf_counter()
            call()
            times[n] = min(times[n], time.perf_counter() - start)
    return times


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a table in Markdown, numbers to the right."""
    yield f"| {' | '.join(names)} |"
    yield f"| {' | '.join(['---', *['--:'] * (len(names) - 1)])} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def into_docs(page: str, mark: str, text: str) -> None:
    """Put `text` on docs/`page` in place of what stands between <!-- mark --> and <!-- end -->."""
    path, begin, end = DOCS / page, f"<!-- {mark} -->\n", "<!-- end -->"
    before, rest = path.read_text("utf-8").split(begin)
    after = rest.partition(end)[2]
    path.write_text(f"{before}{begin}{text.rstrip()}\n{end}{after}", "utf-8")


def processor() -> str:
    """The processor as the system calls it; LLVM's name may be that of an older one."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()} ({names[0] if names else platform.processor()})"
