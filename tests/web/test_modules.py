"""The page's modules without DOM, tested by TypeScript beside this file and run by node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.web.tools import need

HERE = Path(__file__).parent
WEB = HERE.parent.parent / "web"
ESBUILD = WEB / "node_modules" / "esbuild" / "bin" / "esbuild"


@pytest.mark.parametrize(
    "name", ["protocol", "series", "numbers", "text", "shapes", "paths", "foresight", "visit"]
)
def test_module(name: str, tmp_path: Path) -> None:
    node = need(shutil.which("node"), "node, from the Debian package nodejs")
    need(ESBUILD.exists(), "esbuild, which `npm ci --ignore-scripts` in web/ installs")
    script = tmp_path / f"{name}.mjs"
    source = HERE / f"{name}.test.ts"
    bundle = [node, str(ESBUILD), str(source), "--bundle", "--format=esm", f"--outfile={script}"]
    subprocess.run(bundle, check=True, capture_output=True)
    run = subprocess.run([node, script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
