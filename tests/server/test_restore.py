"""What a person is told of a backup in which a snapshot is damaged, and what comes back then."""

from __future__ import annotations

import re

import pytest
from streamrnn_server import snapshots
from streamrnn_server.backup import backup, restore
from streamrnn_server.cli import app
from streamrnn_server.database import JournalError
from typer.testing import CliRunner

from tests.server.test_compaction import drop, turn
from tests.server.test_journal import Run, by_key, drawn, rules, uninterrupted

SAMPLES = drawn(200)


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "live")
    yield run
    run.die()


def snapshot(run):
    run.recorder.snapshot()
    run.recorder._written.result()


def copy_of(run, spoilt):
    """A backup, and the `spoilt` newest snapshots in it, in each of which a byte is another."""
    copy = run.journal.folder.parent / "copy"
    backup(run.journal.folder, copy)
    paths = snapshots.found(copy)[:spoilt]
    for path in paths:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    return copy, paths


def left_out(path):
    return f"{path} is damaged: its content is not what its name says; it is left out"


@pytest.mark.parametrize("spoilt", [0, 1, 2])
def test_a_backup_with_damaged_snapshots_goes_on_to_the_same_bits(run, tmp_path, spoilt):
    told = run.take(SAMPLES[:60])
    snapshot(run)
    told += run.take(SAMPLES[60:90])
    snapshot(run)
    told += run.take(SAMPLES[90:120])
    turn(run)
    copy, paths = copy_of(run, spoilt)
    (good, *_) = [*snapshots.found(copy)[spoilt:], None]
    restored = restore(copy, tmp_path / "restored")
    assert (
        list(restored.told)
        == [left_out(path) for path in paths]
        + {
            0: [],
            1: [f"states are those of {good and good.name}, and what the journal has after it"],
            2: ["no snapshot is left: the first start makes all states of the journal alone"],
        }[spoilt]
    )
    assert len(snapshots.found(tmp_path / "restored")) == 2 - spoilt
    assert restored.size == sum(p.stat().st_size for p in (tmp_path / "restored").iterdir())
    again = Run(tmp_path / "restored")
    assert (again.recovered.folded, again.recovered.differing) == ((30, 60, 120)[spoilt], 0)
    told += again.take(SAMPLES[120:])
    assert by_key(told) == uninterrupted(SAMPLES)
    again.die()


def test_samples_that_are_nowhere_any_more_are_told_of(run, tmp_path):
    run.take(drawn(60, keys=("gru/1", "gru/2")))
    snapshot(run)
    run.take(drawn(40, keys=("gru/1", "gru/2")))
    snapshot(run)
    turn(run)
    drop(run, 0.0, 1e9)  # the newest snapshot knows of all that goes
    copy, (newest,) = copy_of(run, 1)
    *_, last = restore(copy, tmp_path / "older").told
    lack = "samples that no good snapshot knows of and the journal keeps no more"
    change = "so their predictions will be others"
    assert last == f"2 of 2 streams go on without 40 {lack}, {change}"
    newest.unlink()  # as if it had never been there
    assert restore(copy, tmp_path / "same").told == [last]


def test_a_backup_of_which_no_state_can_be_made_is_restored_only_anyway(run, tmp_path):
    run.take(drawn(60, keys=("gru/1", "gru/2")))
    snapshot(run)
    turn(run)
    drop(run, 0.0, 1e9)
    copy, (damaged,) = copy_of(run, 1)
    with pytest.raises(JournalError) as error:
        restore(copy, tmp_path / "restored")
    lack = "60 samples that no good snapshot knows of and the journal keeps no more"
    assert str(error.value) == (
        f"{left_out(damaged)}; no state can be made as it was: all 2 streams lack {lack}. "
        "Take an earlier backup, or say --anyway: their predictions will be others then. "
        f"What was recorded `streamrnn export {copy}` reads"
    )
    assert not (tmp_path / "restored").exists()
    words = ["restore", str(copy), str(tmp_path / "restored")]
    assert CliRunner().invoke(app, words).exit_code == 1
    done = CliRunner().invoke(app, [*words, "--anyway"])
    assert (done.exit_code, done.stderr.splitlines()) == (0, [
        left_out(damaged),
        "no snapshot is left: the first start makes all states of the journal alone",
        f"2 of 2 streams go on without {lack}, so their predictions will be others",
    ])  # fmt: skip
    assert re.fullmatch(r".*/restored holds \d\.\d MB\n", done.stdout)


def test_one_stream_that_is_whole_is_reason_enough_to_restore(run, tmp_path):
    run.take(drawn(60, keys=("gru/1", "gru/2")))
    snapshot(run)
    turn(run)
    drop(run, 0.0, 1e9)
    run.take(drawn(10, keys=("learn/1",)))
    copy, _ = copy_of(run, 1)
    *_, last = restore(copy, tmp_path / "restored").told
    assert last.startswith("2 of 3 streams go on without 60 samples that no good snapshot knows of")


def test_of_a_stream_that_is_served_no_more_nothing_is_missed(run, tmp_path):
    run.take(drawn(60, keys=("gru/1", "learn/1")))
    run.stop()
    again = Run(run.journal.folder, rules()[0])  # so that no snapshot has learn/1 from now on
    again.take(drawn(10, keys=("gru/1",)))
    snapshot(again)
    again.take(drawn(10, keys=("gru/1",)))
    snapshot(again)
    turn(again)
    drop(again, 0.0, 1e9)
    copy, _ = copy_of(again, 0)
    assert restore(copy, tmp_path / "restored").told == []
    again.die()
