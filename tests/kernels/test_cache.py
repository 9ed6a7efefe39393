"""The compiled code on disk: used again, never trusted blindly; each case in fresh processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "streamrnn"
KERNEL = """
from streamrnn.kernels.jit import jit

@jit
def double(x):
    return x + x
"""
PROGRAM = """
from streamrnn.kernels.small import double
result = double(2)
print(result, sum(double.stats.cache_hits.values()), sum(double.stats.cache_misses.values()))
"""


@pytest.fixture
def kernels(tmp_path):
    """A package of the same name with one small kernel, free to be changed."""
    folder = tmp_path / "streamrnn" / "kernels"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").touch()
    shutil.copy(PACKAGE / "kernels" / "jit.py", folder)
    (folder / "small.py").write_text(KERNEL)
    return folder


def run(kernels, *, before="", **environment):
    """What PROGRAM prints, run after `before`: result, loaded from the cache, compiled."""
    result = subprocess.run(
        [sys.executable, "-c", before + PROGRAM],
        cwd=kernels.parents[1],
        env={**os.environ, "PYTHONPATH": str(kernels.parents[1]), **PLAIN, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    return result.stdout.split()


PLAIN = {"NUMBA_BOUNDSCHECK": "0"}  # whatever the tests themselves run with
COMPILED, LOADED = ["4", "0", "1"], ["4", "1", "0"]


def test_a_second_process_loads_what_the_first_compiled(kernels):
    assert run(kernels) == COMPILED
    assert run(kernels) == LOADED


def test_a_change_in_another_kernel_file_compiles_again(kernels):
    run(kernels)
    (kernels / "other.py").write_text("# a callee, say\n")
    assert run(kernels) == COMPILED


def test_bounds_checking_is_not_served_from_a_plain_run(kernels):
    run(kernels)
    assert run(kernels, NUMBA_BOUNDSCHECK="1") == COMPILED
    assert run(kernels) == COMPILED


def test_another_width_of_vectors_compiles_again(kernels):
    run(kernels)
    assert run(kernels, STREAMRNN_LANES="4") == COMPILED


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_damaged_files_compile_again_and_are_mended(kernels, suffix, damage):
    run(kernels)
    (file,) = (kernels / "__pycache__").glob(f"small.double-*.{suffix}")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes({"truncated": content[:100], "flipped": content, "empty": b""}[damage])
    assert run(kernels) == COMPILED
    assert run(kernels) == LOADED


def test_nowhere_to_write_runs_uncached(kernels):
    nowhere = kernels / "a file, not a folder"
    nowhere.touch()
    environment = {"NUMBA_CACHE_DIR": str(nowhere), "HOME": str(nowhere)}
    environment |= {"XDG_CACHE_HOME": str(nowhere), "LOCALAPPDATA": str(nowhere)}
    (kernels / "__pycache__").touch()  # a file in its place: not even root can write into it
    assert run(kernels, PYTHONDONTWRITEBYTECODE="1", **environment)[0] == "4"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit the size of files")
def test_a_full_disk_runs_uncached_and_leaves_the_old_files(kernels):
    no_room = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    no_room += "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    assert run(kernels, before=no_room) == COMPILED
    assert run(kernels) == COMPILED
    assert run(kernels, before=no_room) == LOADED
    assert run(kernels, before=no_room, NUMBA_BOUNDSCHECK="1") == COMPILED
    assert run(kernels) == LOADED
