"""Commands in a working folder that was removed: one line, whatever they would do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mmvae.cli.main import COMMANDS, cli, run


@pytest.fixture
def removed(tmp_path: Path) -> Iterator[Path]:
    """Make the working folder one that does not exist any more."""
    before = os.getcwd()
    folder = tmp_path / "removed"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    yield folder
    os.chdir(before)


@pytest.mark.parametrize("words", [[], ["--help"], *([name, "x"] for name in COMMANDS)])
def test_each_command_says_so(
    removed: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert len(err.splitlines()) == 1
    assert "working folder of this process was removed" in err


def test_before_anything_large_is_imported(tmp_path: Path) -> None:
    """The libraries of torch end a process that has no working folder."""
    program = f"{sys.executable} -c 'from mmvae.cli.main import main; main()' info"
    (tmp_path / "gone").mkdir()
    line = f"cd {tmp_path}/gone && rmdir ../gone && {program}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_one_that_is_removed_while_a_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def removing() -> None:
        (tmp_path / "removed").mkdir()
        os.chdir(tmp_path / "removed")
        (tmp_path / "removed").rmdir()
        Path("x").absolute()

    before = os.getcwd()
    monkeypatch.setattr(cli, "get_command", lambda ctx, name: removing)
    try:
        assert run(["removing"]) == 2
    finally:
        os.chdir(before)
    assert "was removed" in capsys.readouterr().err
