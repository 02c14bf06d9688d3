"""What attacks share: a run of the toys that a test may spoil, and a folder that must stay."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def run(toy_run: Path, tmp_path: Path) -> Path:
    """A run of the toys, trained to its end."""
    return Path(shutil.copytree(toy_run, tmp_path / "run"))


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder with a file that nobody may change."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "precious").write_text("precious")
    yield folder
    assert [path.name for path in folder.iterdir()] == ["precious"]
    assert (folder / "precious").read_text() == "precious"
