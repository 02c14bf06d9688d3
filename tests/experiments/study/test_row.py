"""A row is the same config wherever its files lie, and another with any other key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from nudge import nudge_registry
from toys import toy_config

from mmvae.experiments.config import LoadedConfig, load_experiment
from mmvae.experiments.study.row import Row, load_rows
from mmvae.experiments.study.study import load_study
from mmvae.foundations.errors import ConfigError, RunError
from mmvae.plugins.registry import Registry
from mmvae.runs.run import Run

ROW = '[data]\nsource = "toybox"\nroot = "data/toys"\n[modalities.a]\ncodec = "toy"\n'
ROW += '[evaluate]\nbounds = ["standard"]\n'
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
    return run_of(folder, loaded)


def run_of(folder: Path, loaded: LoadedConfig) -> Run:
    """A run of a config."""
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


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (
            {"nudge": {"modality": "v", "rate": 0.25}},
            {"nudge": {"modality": "v"}},
            "nudge.rate = ",
        ),
        ({"nudge": {"modality": "v"}}, {}, "nudge.modality = none"),
        ({}, {"nudge": {"modality": "v"}}, 'nudge.modality = "v"'),
    ],
)
def test_a_run_of_another_extension_is_refused_too(
    tmp_path: Path, ours: dict, theirs: dict, message: str
) -> None:
    registry = nudge_registry()
    own, other = (load_experiment(toy_config() | t, (), registry) for t in (ours, theirs))
    with pytest.raises(RunError, match=f"is a run of another config, {other.hash}: {message}"):
        Row("one", own, own).refuse_another(run_of(tmp_path, other), registry)


def test_a_run_with_its_modalities_in_another_order_is_refused(tmp_path: Path) -> None:
    registry, values = nudge_registry(), toy_config()
    turned = values | {"modalities": dict(reversed(values["modalities"].items()))}
    own, other = (load_experiment(v, (), registry) for v in (values, turned))
    with pytest.raises(RunError, match=r"modalities = \["):
        Row("one", own, own).refuse_another(run_of(tmp_path, other), registry)


def test_evaluation_keys_and_names_make_no_other_config(folder: Path, toys: Registry) -> None:
    run = made(folder, toys, "train.epochs=7", "evaluate.samples=3", "name=other")
    [row] = rows(folder, toys)
    row.refuse_another(run, toys)


def test_a_wrong_override_names_study_row_and_schedule(folder: Path, toys: Registry) -> None:
    (folder / "study.toml").write_text(STUDY.replace("epochs", "epoch"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"study.toml: row 'one' on schedule 'short': -s train."):
        rows(folder, toys)


def test_a_row_without_cells_is_refused_before_it_is_trained(folder: Path, toys: Registry) -> None:
    path, expected = (
        folder / "one.toml",
        r"row 'one' .*schedule 'short'; expected likelihood queries",
    )
    with pytest.raises(ConfigError, match=rf"^-s evaluate.bounds=.*bounds = \[\]: {expected}"):
        rows(folder, toys, "evaluate.bounds=[]")
    path.write_text(ROW.replace('"standard"', ""), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"one.toml:7: evaluate.bounds = \[\]: {expected}"):
        rows(folder, toys)
    path.write_text(ROW.partition("[evaluate]")[0], encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"one.toml: evaluate.bounds = \[\]: {expected}"):
        rows(folder, toys)
