"""The compiled code on disk: used again, never trusted blindly; each case in fresh processes."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "streamrnn"
KERNEL = """
import ctypes
from streamrnn.kernels.jit import jit

absolute = ctypes.pythonapi.PyLong_AsLongLong  # an address of this process
absolute.argtypes, absolute.restype = [ctypes.c_void_p], ctypes.c_longlong

@jit
def double(x):
    return x + x

@jit
def double_all(x):
    for n in range(x.size):
        x[n] += x[n]

@jit
def number(address):
    return absolute(address)
"""
PROGRAM = """
from streamrnn.kernels.small import double
results = [double(x) for x in {arguments}]
print(*results, sum(double.stats.cache_hits.values()), sum(double.stats.cache_misses.values()))
"""
PLAIN = {"NUMBA_BOUNDSCHECK": "0"}  # whatever the tests themselves run with
COMPILED, LOADED = ["4", "0", "1"], ["4", "1", "0"]


@pytest.fixture
def kernels():
    """A package of the same name with two small kernels, free to be changed; all can read it."""
    with tempfile.TemporaryDirectory() as parent:  # tmp_path is closed to other users
        folder = Path(parent, "streamrnn", "kernels")
        folder.mkdir(parents=True)
        Path(parent).chmod(0o755)
        (folder.parent / "__init__.py").touch()
        (folder / "__init__.py").touch()
        for name in ("jit.py", "cache.py"):
            shutil.copy(PACKAGE / "kernels" / name, folder)
        (folder / "small.py").write_text(KERNEL)
        yield folder


def command(kernels, before, arguments, environment):
    """Arguments for a process that runs `before`, then PROGRAM."""
    program = before + PROGRAM.format(arguments=arguments)
    home = str(kernels.parents[1] / "home")
    places = {"HOME": home, "XDG_CACHE_HOME": f"{home}/.cache", "LOCALAPPDATA": home}
    return {
        "args": [sys.executable, "-c", program],
        "cwd": kernels.parents[1],
        "env": {**os.environ, "PYTHONPATH": str(kernels.parents[1]), **PLAIN, **places}
        | environment,
        "text": True,
    }


def run(kernels, *, before="", arguments="[2]", **environment):
    """What PROGRAM prints: the results, how many were loaded from the cache, and compiled."""
    call = command(kernels, before, arguments, environment)
    result = subprocess.run(**call, capture_output=True)
    assert (result.stderr, result.returncode) == ("", 0)
    return result.stdout.split()


def files(folder):
    """All compiled code in and below a folder, with what is left of it."""
    return set(folder.rglob("*.nbc*"))


def test_a_second_process_loads_what_the_first_compiled(kernels):
    assert run(kernels) == COMPILED
    assert run(kernels) == LOADED


def test_code_for_other_arguments_is_compiled_beside_loaded_code(kernels):
    run(kernels)
    assert run(kernels, arguments="[2, 1.5]") == ["4", "3.0", "1", "1"]
    assert run(kernels, arguments="[2, 1.5]") == ["4", "3.0", "2", "0"]


def test_loaded_code_works_on_arrays(kernels):
    use = """
import numpy
from streamrnn.kernels.small import double_all
x = numpy.ones(2)
double_all(x)
assert x.tolist() == [2.0, 2.0]
print(*double_all.stats.cache_hits.values())
"""
    assert [run(kernels, before=use)[0] for _ in range(2)] == ["4", "1"]


@pytest.mark.parametrize("other", ["other.py", "folder/other.py"])
def test_a_change_in_another_kernel_file_compiles_again(kernels, other):
    (kernels / other).parent.mkdir(exist_ok=True)
    run(kernels)
    (kernels / other).write_text("# a callee, say\n")
    assert run(kernels) == COMPILED
    assert len(files(kernels)) == 1  # in place of the old code


@pytest.mark.parametrize(
    "setting", [{"NUMBA_BOUNDSCHECK": "1"}, {"STREAMRNN_LANES": "4"}, {"NUMBA_CPU_NAME": "generic"}]
)
def test_other_settings_have_code_of_their_own(kernels, setting):
    run(kernels)
    assert run(kernels, **setting) == COMPILED
    assert run(kernels, **setting) == LOADED
    assert run(kernels) == LOADED


def test_code_that_holds_addresses_of_a_process_is_not_kept(kernels):
    use = "from streamrnn.kernels.small import number\nassert number(id(7)) == 7\n"
    run(kernels, before=use)
    run(kernels, before=use)
    assert [file.name.split(".")[1] for file in files(kernels)] == ["double"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_file_compiles_again_and_is_mended(kernels, damage):
    run(kernels)
    (file,) = files(kernels)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes({"truncated": content[:100], "flipped": content, "empty": b""}[damage])
    assert run(kernels) == COMPILED
    assert run(kernels) == LOADED


def test_a_file_under_the_name_of_another_is_not_taken_for_it(kernels):
    run(kernels)
    (integers,) = files(kernels)
    run(kernels, arguments="[1.5]")
    (floats,) = files(kernels) - {integers}
    shutil.copy(integers, floats)
    assert run(kernels, arguments="[1.5]") == ["3.0", "0", "1"]


def test_nowhere_to_write_runs_uncached(kernels):
    (kernels / "__pycache__").touch()  # a file in its place: not even root can write into it
    (kernels.parents[1] / "home").touch()
    assert run(kernels) == COMPILED
    assert run(kernels) == COMPILED


def test_a_given_folder_is_the_only_one(kernels):
    given = kernels.parents[1] / "given"
    run(kernels)
    assert run(kernels, NUMBA_CACHE_DIR=str(given)) == COMPILED
    assert run(kernels, NUMBA_CACHE_DIR=str(given)) == LOADED
    assert len(files(kernels)) == len(files(given)) == 1
    shutil.rmtree(given)
    given.touch()
    assert run(kernels, NUMBA_CACHE_DIR=str(given)) == COMPILED


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit the size of files")
def test_a_full_disk_runs_uncached_and_leaves_the_old_files(kernels):
    no_room = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    no_room += "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    assert run(kernels, before=no_room) == COMPILED
    assert files(kernels.parents[1]) == set()
    assert run(kernels) == COMPILED
    assert run(kernels, before=no_room) == LOADED
    (kernels / "other.py").touch()
    assert run(kernels, before=no_room) == COMPILED
    (kernels / "other.py").unlink()
    assert run(kernels) == LOADED


def test_processes_that_compile_at_once_leave_whole_files(kernels):
    wait = "import streamrnn.kernels.small\nprint('ready', flush=True)\ninput()\n"
    calls = [command(kernels, wait, f"[{x}]", {}) for x in ("2", "1.5") * 3]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(**c, stdin=pipe, stdout=pipe, stderr=pipe) for c in calls]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process, result in zip(processes, ("4", "3.0") * 3, strict=True):
        printed, errors = process.communicate()
        assert (printed.split()[0], errors) == (result, "")
    assert run(kernels, arguments="[2, 1.5]") == ["4", "3.0", "2", "0"]
    assert len(files(kernels)) == 2


# Other users. What belongs to root, root alone can write; so a test that runs as root takes other
# users' part once Numba is imported, since the Python it runs on may be closed to them. It compiles
# something first, because what Numba then imports it could not import later on.
OTHER = """
import os, hashlib, pathlib, pickle, uuid
import numba
numba.njit(lambda x: x)(1.0)
os.setgroups([])
os.setresgid(*[{user}] * 3)
os.setresuid(*[{user}] * 3)
"""
SOMEBODY, SOMEBODY_ELSE = 54321, 54322  # no entry in /etc/passwd


@pytest.fixture
def somebody():
    """A program that makes the process one of another user, for whom all of root's is read-only."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can run as another user")
    try:
        subprocess.run(["true"], user=SOMEBODY, group=SOMEBODY, extra_groups=[], check=True)
    except OSError as error:
        pytest.skip(f"this root cannot run as another user: {error}")
    return OTHER.format(user=SOMEBODY)


@pytest.fixture
def home(kernels):
    """SOMEBODY's."""
    folder = kernels.parents[1] / "home"
    folder.mkdir()
    os.chown(folder, SOMEBODY, SOMEBODY)
    return folder


def test_code_for_a_read_only_package_lies_with_the_user(kernels, somebody, home):
    read_only = "import os\nassert not os.access('streamrnn/kernels/__pycache__', os.W_OK)\n"
    (kernels / "__pycache__").mkdir()
    assert run(kernels, before=somebody + read_only) == COMPILED
    (file,) = files(kernels.parents[1])
    assert file.is_relative_to(home) and file.stat().st_uid == SOMEBODY
    assert run(kernels, before=somebody + read_only) == LOADED


def test_code_that_the_owner_of_a_package_compiled_serves_all_who_can_read_it(
    kernels, somebody, home
):
    assert run(kernels) == COMPILED
    assert run(kernels, before=somebody) == LOADED
    assert files(home) == set()
    (kernels / "other.py").touch()  # what lies with the package is old now
    assert run(kernels, before=somebody) == COMPILED
    assert run(kernels, before=somebody) == LOADED


def test_a_user_without_a_home_runs_uncached(kernels, somebody):
    homeless = somebody + "del os.environ['HOME'], os.environ['XDG_CACHE_HOME']\n"
    kernels.parents[1].chmod(0o777)  # also the working directory is left alone
    before = set(kernels.parents[1].iterdir())
    assert run(kernels, before=homeless) == COMPILED
    assert run(kernels, before=homeless) == COMPILED
    assert set(kernels.parents[1].iterdir()) == before


def test_code_that_another_user_wrote_is_not_run(kernels, somebody):
    shared = kernels.parents[1] / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    folder = {"NUMBA_CACHE_DIR": str(shared)}
    assert run(kernels, before=somebody, **folder) == COMPILED
    assert run(kernels, before=OTHER.format(user=SOMEBODY_ELSE), **folder) == COMPILED
    (file,) = files(shared)
    assert file.stat().st_uid == SOMEBODY
    os.chown(file, SOMEBODY_ELSE, SOMEBODY_ELSE)
    assert run(kernels, before=OTHER.format(user=SOMEBODY_ELSE), **folder) == LOADED
    assert run(kernels, **folder) == COMPILED  # nor does root run it, but puts its own there
    assert file.stat().st_uid == 0
    assert run(kernels, before=somebody, **folder) == LOADED


@pytest.mark.skipif(os.name != "posix", reason="Windows has no permissions of this kind")
@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_code_that_others_could_have_changed_is_not_run(kernels, mode):
    open_to_all = "import os; os.umask(0)\n"
    assert run(kernels, before=open_to_all) == COMPILED
    (file,) = files(kernels)
    assert file.stat().st_mode & 0o777 == 0o644
    file.chmod(mode)
    assert run(kernels) == COMPILED
    assert run(kernels) == LOADED


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root can write everywhere; see above for it"
)
def test_code_for_a_read_only_folder_of_ones_own_lies_with_the_user(kernels):
    (kernels / "__pycache__").mkdir(mode=0o555)
    assert run(kernels) == COMPILED
    (file,) = files(kernels.parents[1])
    assert file.is_relative_to(kernels.parents[1] / "home")
    assert run(kernels) == LOADED
