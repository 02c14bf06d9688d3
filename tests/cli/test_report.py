"""``mmvae report`` writes the page and says where it is."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from mmvae.evaluation import classifiers as classifiers


@pytest.fixture
def run(toy_run: Path, toy_plugin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(classifiers, "LEAST_STEPS", 50)
    return Path(shutil.copytree(toy_run, tmp_path / "run"))


def test_it_evaluates_first_and_says_where_the_report_is(mmvae, run: Path) -> None:
    result = mmvae("-q", "report", run)  # a slow machine tells of its progress otherwise
    assert (result.code, result.err) == (0, "")
    assert result.out == f"Report: {run / 'report.html'}\n"
    assert (run / "report.html").is_file()
    assert (run / "evaluation.json").is_file()


def test_without_matplotlib_it_says_what_to_install(mmvae, run: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = mmvae("report", run)
    assert result.code == 2
    assert "pip install 'mmvae[plot]'" in result.err
    assert not (run / "report.html").exists()
    assert not (run / "evaluation.json").exists()
