"""A study is carried out row by row; whatever stops it, the same call resumes it."""

from __future__ import annotations

import json
import os
import signal
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from studies import ROW, toy_study
from toys import toy_registry

import mmvae.experiments.reproduce
from mmvae.evaluation import classifiers as classifiers
from mmvae.experiments.reproduce import current, nats, reproduce
from mmvae.experiments.study.record import Record, read_records
from mmvae.experiments.study.study import Study
from mmvae.foundations.errors import (
    ConfigError,
    DataError,
    Interrupted,
    RunError,
    TrainingError,
    UsageError,
)
from mmvae.foundations.progress import Progress
from mmvae.runs.metrics_log import read_metrics
from mmvae.runs.run import Run


class Told(Progress):
    """Remembers what is said of the study, and nothing of its trainings.

    Args:
        said: The lines.
    """

    def __init__(self, said: list[str]) -> None:
        self.said, self.training = said, False

    def __enter__(self) -> Told:
        self.training = True
        return self

    def __exit__(self, *details: object) -> None:
        self.training = False

    def say(self, line: str) -> None:
        if not self.training:
            self.said.append(line)


class Stage:
    """A toy study in a folder, and what was said of it."""

    def __init__(self, folder: Path) -> None:
        self.study: Study = toy_study(folder / "study")
        self.runs, self.results = folder / "runs", folder / "results"
        self.said: list[str] = []

    def reproduce(self, **options: Any) -> list[Record]:
        self.said.clear()
        given = {"schedule": "short", "registry": toy_registry()}
        return reproduce(
            self.study,
            self.runs,
            self.results,
            **given | {"progress": Told(self.said)} | options,
        )

    def run(self, row: str) -> Run:
        return Run.open(self.runs / row)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_no_row_is_trained_or_kept_elsewhere(stage: Stage, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stage.runs.mkdir()
    (stage.runs / "strong").symlink_to(elsewhere)
    with pytest.raises(RunError, match="strong is a symbolic link; the runs of a study lie in"):
        stage.reproduce()
    assert sorted(stage.runs.iterdir()) == [stage.runs / "strong"]
    (stage.runs / "strong").unlink()
    (stage.results / stage.study.name).mkdir(parents=True)
    (stage.results / stage.study.name / "short").symlink_to(elsewhere)
    with pytest.raises(TrainingError, match="short: it is a symbolic link"):
        stage.reproduce(only=["weak"])
    assert list(elsewhere.iterdir()) == []


def fail(*args: object, **options: object) -> None:
    raise AssertionError("this was to be skipped")


def test_every_row_is_trained_evaluated_and_kept(stage: Stage) -> None:
    weak, strong = stage.reproduce()
    assert [weak.row, strong.row] == ["weak", "strong"]
    assert read_records(stage.results, stage.study) == {"short": [weak, strong]}
    assert (weak.epochs, weak.steps, weak.items, weak.k) == (2, 6, 20, 8)
    assert weak.published == {"v@multiple": -4.0}
    assert (weak.label, weak.source) == ("α = 0.1", "Somebody (2016)")
    assert set(weak.cells) == {"v@multiple", "v@single", "v|c@single", "v+c"}
    assert weak.nats.keys() == weak.cells.keys()
    for cell, figure in weak.cells.items():
        per_item = weak.per_item(cell)
        assert len(per_item) == 20
        assert per_item.mean() == pytest.approx(figure["mean"], abs=1e-5)
    assert tomllib.loads(weak.config)["train"]["epochs"] == 2
    assert [r.step for r in weak.first_steps] == [2, 3, 4, 6]
    kept = read_metrics(stage.run("weak").metrics)
    losses = [r["loss"] for r in kept if r["split"] == "train"]
    assert [r.loss for r in weak.first_steps] == losses
    assert weak.config_hash != strong.config_hash


def test_a_record_names_no_place_and_no_host(stage: Stage) -> None:
    stage.reproduce(only=["weak"])
    text = (stage.results / "toys/short/weak.json").read_text(encoding="utf-8")
    assert str(stage.runs.parent) not in text
    assert json.dumps(os.uname().nodename) not in text


def test_what_is_finished_is_skipped(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    records = stage.reproduce()
    for step in ("train", "resume", "evaluate"):
        monkeypatch.setattr(mmvae.experiments.reproduce, step, fail)
    assert stage.reproduce() == records
    assert stage.said[:2] == [
        f"row 1 of 2, weak: {stage.runs / 'weak'} is finished, skipped",
        "row 1 of 2, weak: evaluated already, skipped",
    ]


def test_only_some_rows(stage: Stage) -> None:
    assert [r.row for r in stage.reproduce(only=["strong"])] == ["strong"]
    assert not (stage.runs / "weak").exists()


def test_other_keys_of_evaluation_evaluate_again_but_do_not_train(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.reproduce(only=["weak"])
    monkeypatch.setattr(mmvae.experiments.reproduce, "train", fail)
    [record] = stage.reproduce(only=["weak"], overrides=["evaluate.samples=3"])
    assert record.k == record.cells["v+c"]["samples"] == 3


def test_a_run_that_was_begun_goes_on(stage: Stage) -> None:
    assert stage.reproduce(max_steps=4) == []
    assert "row 1 of 2, weak: not finished, so not evaluated" in stage.said
    assert stage.run("weak").status().state == "stopped"
    begun = stage.reproduce()
    assert f"row 1 of 2, weak: resuming {stage.runs / 'weak'} after step 4" in stage.said
    fresh = Stage(stage.runs.parent / "fresh")
    straight = fresh.reproduce()
    assert [r.nats for r in begun] == [r.nats for r in straight]


def test_a_run_by_train_is_as_good(stage: Stage) -> None:
    mmvae.train(
        stage.study.rows["weak"],
        overrides=["train.epochs=2", "evaluate.samples=1"],
        run_dir=stage.runs / "weak",
        registry=toy_registry(),
    )
    [record] = stage.reproduce(only=["weak"])
    assert "is finished, skipped" in stage.said[0]
    assert record.k == 8


def test_a_study_of_coherence_needs_no_bounds(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifiers, "LEAST_STEPS", 20)
    text = 'title = "T"\nrows = ["weak.toml"]\n[[tables]]\ntitle = "C"\ncoherence = "c"\n'
    stage.study = toy_study(tmp_path / "coherence", text)
    row = stage.study.rows["weak"]
    row.write_text(
        ROW.format(alpha=1)
        .replace("[modalities.c]", '[modalities.w]\ncodec = "toy-vector"\n\n[modalities.c]')
        .replace("coherence = false", "coherence = true\ncoherence_samples = 10")
        .replace('bounds = ["v@multiple", "v@single", "v|c@single", "v+c"]', ""),
        encoding="utf-8",
    )
    [kept] = stage.reproduce(schedule="full")
    assert (kept.cells, kept.nats) == ({}, {})
    assert set(kept.judged["c"]["by size"]) == {"1"}
    for step in ("train", "evaluate"):
        monkeypatch.setattr(mmvae.experiments.reproduce, step, fail)
    assert stage.reproduce(schedule="full") == [kept]
    row.write_text(row.read_text().replace("coherence = true", "coherence = false"))
    with pytest.raises(ConfigError, match="'weak' of .* would have no values"):
        stage.reproduce(schedule="full")


def test_a_run_of_another_config_stops_all_before_anything_is_touched(stage: Stage) -> None:
    stage.reproduce(only=["strong"])
    before = {path: path.stat().st_mtime_ns for path in stage.runs.rglob("*")}
    with pytest.raises(RunError, match=r"strong is a run of another config, .*train.epochs = 2"):
        stage.reproduce(schedule="full")
    assert {path: path.stat().st_mtime_ns for path in stage.runs.rglob("*")} == before


def test_unknown_schedule_or_row(stage: Stage) -> None:
    with pytest.raises(UsageError, match="no schedule 'long'"):
        stage.reproduce(schedule="long")
    with pytest.raises(UsageError, match="no row 'middle'"):
        stage.reproduce(only=["middle"])


def test_other_data_than_those_of_training_are_refused(stage: Stage) -> None:
    stage.reproduce(only=["weak"])
    run = stage.run("weak")
    env = run.environment()
    env["data"]["fingerprint"] = "another"
    (run.folder / "env.json").write_text(json.dumps(env), encoding="utf-8")
    with pytest.raises(DataError, match="other data than it was trained on"):
        stage.reproduce(only=["weak"])


def test_items_of_another_evaluation_are_refused(stage: Stage) -> None:
    [record] = stage.reproduce(only=["weak"])
    run = stage.run("weak")
    np.testing.assert_allclose(nats(run)["v+c"], record.per_item("v+c"), rtol=1e-6)
    with safe_open(run.evaluation_items, "np") as file:
        items = {cell: file.get_tensor(cell) for cell in file.keys()}
        made_with = file.metadata()
    save_file(items, run.evaluation_items, made_with | {"split": "train"})
    with pytest.raises(RunError, match="cannot be read: its checksum differs.* Or remove that"):
        stage.reproduce(only=["weak"])
    for with_checksum in ("sealed", "sha256"):  # as older versions wrote it
        del made_with[with_checksum]
    worse = items | {"v+c": items["v+c"] - 1}
    shorter = {cell: values[1:] for cell, values in items.items()}
    for values, source, said in (
        (items, made_with | {"weights": "others"}, "weights = 'others', expected"),
        (items, made_with | {"data": "others"}, "data = 'others', expected"),
        (items, made_with | {"split": "train"}, "split = 'train', expected 'test'"),
        (worse, made_with, "the mean of 'v\\+c' is"),
        (shorter, made_with, "expected 20 float64"),
    ):
        save_file(values, run.evaluation_items, source)
        with pytest.raises(RunError, match=rf"{said}.* Or remove that file; the same command"):
            stage.reproduce(only=["weak"])
    run.evaluation_items.unlink()
    assert stage.reproduce(only=["weak"]) == [record]


def test_one_of_several_processes_is_refused_before_anything_is_touched(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_ADDR", "localhost")):
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=r"^WORLD_SIZE = 2: .*--launcher torchrun"):
        stage.reproduce()
    assert not stage.runs.exists()


def test_a_damaged_evaluation_is_told(stage: Stage) -> None:
    stage.reproduce(only=["weak"])
    stage.run("weak").evaluation.write_text("[", encoding="utf-8")
    with pytest.raises(RunError, match=r"evaluation.json cannot be read: .* Or remove that"):
        stage.reproduce(only=["weak"])


class Signalling(Progress):
    """Sends a signal to this process at the first record."""

    def __init__(self, number: signal.Signals) -> None:
        self.number: signal.Signals | None = number

    def record(self, *args: object) -> None:
        if self.number is not None:
            number, self.number = self.number, None
            os.kill(os.getpid(), number)


CODES = [(signal.SIGTERM, 75), (signal.SIGINT, 130)]


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_in_training_ends_it_with_the_codes_of_train(
    stage: Stage, number: signal.Signals, code: int
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(
        Interrupted, match="Repeat the same `mmvae reproduce` command to resume the study"
    ) as stop:
        stage.reproduce(progress=Signalling(number))
    assert stop.value.exit_code == code
    assert signal.getsignal(signal.SIGTERM) is before
    assert [r.row for r in stage.reproduce()] == ["weak", "strong"]


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Ctrl-C as a terminal has it: a shell's background jobs ignore it from the start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_in_evaluation_does_so_too(
    stage: Stage, number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **options: object) -> None:
        os.kill(os.getpid(), number)
        signal.sigtimedwait([], 5)  # give the signal a place to arrive at

    with monkeypatch.context() as patch:
        patch.setattr(mmvae.experiments.reproduce, "evaluate", interrupted)
        with pytest.raises(Interrupted, match="resume the study") as stop:
            stage.reproduce()
    assert stop.value.exit_code == code
    assert [r.row for r in stage.reproduce()] == ["weak", "strong"]


def test_the_progress_of_each_part_is_shown(stage: Stage) -> None:
    told: list[str] = []

    class Lines(Progress):
        def part(self, what: str, done: int, total: int) -> None:
            told.append(what)

        def record(self, *args: object) -> None:
            told.append("training")

    stage.reproduce(only=["weak"], progress=Lines())
    assert told[0] == "training"
    assert set(told) >= {"training", "items"}


def test_current_needs_the_rows_own_keys(stage: Stage) -> None:
    from mmvae.experiments.study.row import load_rows

    stage.reproduce(only=["weak"])
    load: Callable[..., Any] = lambda *o: load_rows(  # noqa: E731
        stage.study, "short", o, ["weak"], toy_registry()
    )[0]
    assert current(load(), stage.run("weak")) is not None
    assert current(load("evaluate.seed=1"), stage.run("weak")) is None
    stage.run("weak").evaluation_items.unlink()
    assert current(load(), stage.run("weak")) is None
