"""A row is the same config wherever its files lie, and another with any other key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mmvae.config import load_experiment
from mmvae.errors import ConfigError, RunError
from mmvae.registry import Registry
from mmvae.study.row import Row, load_rows
from mmvae.study.study import load_study
from mmvae.training.run import Run

ROW = '[data]\nsource = "toybox"\nroot = "data/toys"\n[modalities.a]\ncodec = "toy"\n'
STUDY = """\
title = "Toys"
rows = ["one.toml"]
[schedules.full]
[schedules.short]
set = ["train.epochs=7"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "one.toml").write_text(ROW, encoding="utf-8")
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def rows(folder: Path, toys: Registry, *overrides: str, schedule: str = "short") -> Sequence[Row]:
    return load_rows(load_study(folder / "study.toml"), schedule, overrides, (), toys)


def made(folder: Path, toys: Registry, *overrides: str) -> Run:
    """A run as ``mmvae train one.toml -s …`` makes it."""
    loaded = load_experiment(folder / "one.toml", overrides, toys)
    return Run.create(folder / "run", loaded.text, loaded.resolved_toml(), {}, {})


def test_overrides_come_after_the_schedule_and_that_after_the_file(
    folder: Path, toys: Registry
) -> None:
    [row] = rows(folder, toys)
    assert row.loaded.experiment.train.epochs == 7
    [row] = rows(folder, toys, "train.epochs=3")
    assert row.loaded.experiment.train.epochs == row.recorded.experiment.train.epochs == 3
    [row] = rows(folder, toys, schedule="full")
    assert row.loaded.experiment.train.epochs == 100


def test_what_is_recorded_names_no_place_on_this_machine(folder: Path, toys: Registry) -> None:
    [here], [there] = rows(folder, toys), rows(folder, toys, "data.root=/big/disk")
    assert there.loaded.experiment.data.root == "/big/disk"
    assert there.recorded.values == here.recorded.values == here.loaded.values
    assert "/big/disk" not in there.recorded.resolved_toml()


@pytest.mark.parametrize("place", ["data/toys", "/big/disk"])
def test_a_run_is_the_rows_wherever_its_data_lie(folder: Path, toys: Registry, place: str) -> None:
    run = made(folder, toys, "train.epochs=7", f"data.root={place}")
    for [row] in (rows(folder, toys), rows(folder, toys, "data.root=elsewhere")):
        row.refuse_another(run, toys)


def test_a_run_of_another_config_is_refused_by_both_hashes(folder: Path, toys: Registry) -> None:
    run = made(folder, toys, "train.epochs=8")
    [row] = rows(folder, toys)
    theirs = load_experiment(run.resolved, (), toys).hash
    message = f"{theirs}: train.epochs = 8. Row 'one' is {row.recorded.hash}, with 7"
    with pytest.raises(RunError, match=message):
        row.refuse_another(run, toys)


def test_evaluation_keys_and_names_make_no_other_config(folder: Path, toys: Registry) -> None:
    run = made(folder, toys, "train.epochs=7", "evaluate.samples=3", "name=other")
    [row] = rows(folder, toys)
    row.refuse_another(run, toys)


def test_a_wrong_override_names_study_row_and_schedule(folder: Path, toys: Registry) -> None:
    (folder / "study.toml").write_text(STUDY.replace("epochs", "epoch"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"study.toml: row 'one' on schedule 'short': -s train."):
        rows(folder, toys)
