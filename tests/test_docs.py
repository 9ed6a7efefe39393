"""README and docs are true: their Python runs, their links lead somewhere, the tree is as drawn."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_on_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks:  # later blocks go on from the earlier ones, as a reader does
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_example_in_the_readme_finds_the_spike(capsys):
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGES[0].read_text("utf-8"), re.M | re.S)
    exec(compile(block, "README.md", "exec"), {})
    first, following, mean = capsys.readouterr().out.splitlines()
    assert first == "hour 450: outside the range seen"
    assert following.startswith("next: 15")  # 20 + 5 sin(500 / 24 2 pi) = 15.67
    assert mean.split() == ["[20.", *["20."] * 10, "20.]"]
