"""`streamrnn train text` and `sample`, and `evaluate` of what they use."""

import re

import pytest
from streamrnn_server.cli import app
from typer.testing import CliRunner

from streamrnn.text import load_reader

TEXT = "the cat sat on the mat. the dog sat on the log. " * 60
SMALL = "--hidden-size 24 --layers 1 --batch-size 4 --seq-length 20 --epochs 3 --threads 1".split()


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a text, and a model that has read it."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "cats.txt").write_text(TEXT, "utf-8")
    model = folder / "model.safetensors"
    result = run("train", "text", folder / "cats.txt", "-o", model, "--validation", 0.2, *SMALL)
    assert result.exit_code == 0, result.output
    bits = re.search(r"of epoch \d of 3: ([\d.]+) bits per character", result.output)
    assert bits and 0 < float(bits[1]) < 4.4  # 18 characters alike: log2 19 = 4.2
    return folder


def test_a_trained_model_writes_the_same_with_the_same_seed(trained):
    arguments = ["sample", trained / "model.safetensors", "--prime", "the ", "--length", 40]
    first, same, other = (run(*arguments, "--seed", seed).output for seed in (1, 1, 2))
    assert first == same != other
    assert first.startswith("the ") and len(first) == 4 + 40 + 1
    assert set(first) <= set(TEXT) | {"\n"}


def test_evaluate_tells_bits_of_text_it_knows_and_of_text_it_does_not(trained):
    (trained / "reversed.txt").write_text(TEXT[::-1], "utf-8")
    bits = []
    for name in ("cats.txt", "reversed.txt"):
        result = run("evaluate", trained / "model.safetensors", trained / name)
        found = re.fullmatch(r"([\d.]+) bits per character, 2880 characters\n", result.output)
        bits.append(float(found[1]))
    assert bits[0] < bits[1]


def test_training_goes_on_after_a_kill(trained, monkeypatch):
    from streamrnn import charrnn

    arguments = ["train", "text", trained / "cats.txt", "--validation", 0.2, *SMALL, "-o"]
    save = charrnn.fit

    def killed(*args, callback, **options):
        def until(report):
            callback(report)
            if report.epoch == 1:
                raise MemoryError  # as good as a kill: nothing after it is written

        return save(*args, callback=until, **options)

    monkeypatch.setattr(charrnn, "fit", killed)
    begun = trained / "again.training.safetensors"
    run(*arguments, trained / "again.safetensors")
    assert begun.exists() and not (trained / "again.safetensors").exists()
    monkeypatch.setattr(charrnn, "fit", save)
    result = run(*arguments, trained / "again.safetensors")
    assert f"going on from {begun}; delete it to begin anew" in result.output
    assert not begun.exists()
    again, once = (load_reader(trained / f"{name}.safetensors") for name in ("again", "model"))
    assert again.surprise(TEXT).tobytes() == once.surprise(TEXT).tobytes()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train", "text", "missing.txt"], "missing.txt: No such file or directory"),
        (["train", "text", "empty.txt"], "the corpus is empty, expected text to learn from"),
        (["train", "text", "same.txt"], "the corpus is 500 times the character 'a'"),
        (["train", "text", "latin.txt"], "latin.txt: byte 3 is 0xe9, which is not UTF-8"),
        (["train", "text", "short.txt"], "the stream to learn from has"),
        (["train", "text", "-o", "nowhere/model.safetensors"], "there is no folder"),
        (["train", "text", "short.txt", "--unit", "verse"], "unit is 'verse', expected one of"),
        (
            ["train", "text", "short.txt", "--cell", "cnn"],
            "cell is 'cnn', expected one of rnn, gru",
        ),
        (["sample", "missing.safetensors"], "missing.safetensors"),
        (["sample", "latin.txt"], "not a whole safetensors file"),
        (["evaluate", "latin.txt", "latin.txt"], "not a whole safetensors file"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(arguments, text, tmp_path, monkeypatch):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "same.txt").write_text("a" * 500)
    (tmp_path / "short.txt").write_text("ab" * 100)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 au lait")
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 1
    assert text in result.output and "Traceback" not in result.output
