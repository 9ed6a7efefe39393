"""Runs every benchmark, each in a process of its own, so that none warms another's caches."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

OTHERS = ("__init__", "__main__")
NEEDS = {
    "learn": "river",
    "peers": "onnxruntime",
    "published": "keras",
    "river": "river",
    "text": "torch",
    "windows": "torch",
}  # of the extra `bench`, but for keras


def main() -> None:
    packages = ("streamrnn", "numba", "numpy", "streamz", "websockets")
    print(datetime.now(UTC).strftime("%Y-%m-%d"), platform.platform(), platform.processor())
    print("Python", platform.python_version(), *(f"{name} {version(name)}" for name in packages))
    for program in sorted(Path(__file__).parent.glob("*.py")):
        if program.stem in OTHERS:
            continue
        print(f"\n# python -m tests.bench.{program.stem}", flush=True)
        if program.stem in NEEDS and find_spec(NEEDS[program.stem]) is None:
            print('left out; it needs: pip install -e ".[bench]"')
        else:
            subprocess.run([sys.executable, "-m", f"tests.bench.{program.stem}"], check=True)


if __name__ == "__main__":
    main()
