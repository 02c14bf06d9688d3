"""The pages of the house name its rooms and files, and the drawing is of the source as it is."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import mmvae

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_drawing_is_of_the_source() -> None:
    drawn = runpy.run_path(str(DOCS / "house.py"))
    made = drawn["svg"]()
    assert made == (DOCS / "figures" / "house.svg").read_text(encoding="utf-8"), (
        "docs/figures/house.svg is out of date: run python docs/house.py"
    )


def test_the_page_names_every_room_and_nothing_else() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    house = page.partition("## The house")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(\w+)/` \|", house, re.MULTILINE)
    packages = {path.parent.name for path in (ROOT / "mmvae").glob("*/__init__.py")}
    assert len(named) == len(set(named))
    assert set(named) == packages


@pytest.mark.parametrize("page", ["architecture.md", "changing.md"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:mmvae|plugins|tests|examples|docs)/[\w./-]+)`", text))
    assert named
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]


def test_the_reference_has_every_public_name() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    public = [name for name in mmvae.__all__ if not name.startswith("_")]
    assert not [name for name in public if not re.search(rf"\bmmvae\.{name}\b", page)]


def test_the_theory_names_code_that_is_there() -> None:
    """Each row of the table of equations: files, and in one of these each name."""
    table = (DOCS / "theory.md").read_text(encoding="utf-8").partition("| equation | paper")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) > 10
    for row in rows:
        words = re.findall(r"`([^`]+)`", row)
        files = [ROOT / word for word in words if word.endswith(".py")]
        assert all(file.is_file() for file in files), row
        source = "\n".join(file.read_text(encoding="utf-8") for file in files)
        for word in words:
            if not word.endswith(".py") and "Codec." not in word:
                name = word.rpartition(".")[2]
                assert re.search(rf"(def|class) {name}\b", source), f"{word} in {row}"
