"""Files of a run that others remove or change while it trains: told, put back, and resumed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from trainings import assert_same_run, config, latest, resume, train

from mmvae.foundations.errors import RunError, TrainingError
from mmvae.foundations.progress import Progress
from mmvae.runs import checkpoint_store as checkpoint
from mmvae.runs.metrics_log import read_metrics


class Heard(Progress):
    """Does something at a record of training, and keeps what is said.

    Args:
        step: The record's step.
        act: What is done.
    """

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self.step, self.act, self.said = step, act, ""

    def record(self, record: Mapping[str, Any], total_steps: int, seconds_left: float) -> None:
        if (record["step"], record["split"]) == (self.step, "train"):
            self.act()

    def say(self, line: str) -> None:
        self.said += f"{line}\n"


SETTINGS = config(train={"checkpoint_every": 4})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training, undisturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(folder, SETTINGS)
    return folder


@pytest.mark.parametrize("how", ["removed", "moved", "replaced", "linked"])
def test_metrics_that_go_away_are_written_again(how: str, tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "run"
    file, elsewhere = folder / "metrics.jsonl", tmp_path / "elsewhere"

    def act() -> None:
        file.rename(elsewhere)
        if how == "removed":
            elsewhere.unlink()
        if how == "replaced":
            file.write_text("")
        if how == "linked":
            file.symlink_to(elsewhere)

    heard = Heard(5, act)
    train(folder, SETTINGS, progress=heard, max_steps=10)
    assert f"{file} was removed or replaced while this process trained" in heard.said
    assert not file.is_symlink()
    resume(folder)
    assert_same_run(folder, whole)


@pytest.mark.parametrize("how", ["emptied", "cut", "edited", "lengthened"])
def test_metrics_that_change_are_told_and_the_run_is_resumed(how: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    file = folder / "metrics.jsonl"

    def act() -> None:
        data = file.read_bytes()
        os.truncate(file, {"emptied": 0, "cut": len(data) // 2}.get(how, len(data)))
        with file.open("r+b") as opened:
            if how == "edited":
                opened.write(data.replace(b"train", b"TRAIN", 1))
            if how == "lengthened":
                opened.seek(0, os.SEEK_END)
                opened.write(b'{"step": 5, "epoch": 1, "split": "train"}\n')

    heard = Heard(5, act)
    train(folder, SETTINGS, progress=heard, max_steps=10)
    assert f"{file} was changed while this process trained" in heard.said
    resume(folder)
    assert latest(folder).step == 15
    if how == "cut":  # within a line, behind which the next one was written
        with pytest.raises(RunError, match=r"line 2 is damaged.*Remove that line"):
            read_metrics(file)
    else:
        assert read_metrics(file)[-1]["step"] == 15


def test_checkpoints_that_are_removed_are_told_and_saved_again(
    tmp_path: Path, whole: Path
) -> None:
    folder = tmp_path / "run"
    heard = Heard(5, lambda: shutil.rmtree(folder / "checkpoints"))
    train(folder, SETTINGS, progress=heard, max_steps=10)
    assert f"all checkpoints were removed from {folder / 'checkpoints'}" in heard.said
    resume(folder)
    assert_same_run(folder, whole)


def test_checkpoints_that_are_removed_while_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write = tmp_path / "run", checkpoint.write_folder

    def removing(staged: Path, step: int, *rest: Any) -> None:
        if step == 8:
            shutil.rmtree(folder / "checkpoints")
        write(staged, step, *rest)

    monkeypatch.setattr(checkpoint, "write_folder", removing)
    with pytest.raises(TrainingError, match=r"checkpoints was removed while step 8 was saved"):
        train(folder, SETTINGS)


@pytest.mark.parametrize(
    "name", ["config.toml", "config.resolved.toml", "env.json", "plugins.lock.json", "latest"]
)
def test_what_a_run_is_opened_by_is_written_again(name: str, tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "run"
    heard = Heard(5, (folder / name).unlink)
    train(folder, SETTINGS, progress=heard, max_steps=10)
    assert name == "latest" or f"in {folder}: {name} was removed" in heard.said
    resume(folder)
    assert_same_run(folder, whole)


@pytest.mark.parametrize("kind", ["pipe", "link", "data"])
@pytest.mark.parametrize(
    "name",
    [
        *("config.toml", "config.resolved.toml", "env.json", "plugins.lock.json", "status.json"),
        *("latest", "metrics.jsonl", "checkpoints", "model"),
    ],
)
def test_what_takes_the_place_of_a_file_is_cleared(
    name: str, kind: str, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmvae.training.running_status.PAUSE_S", 0.0)
    folder, outside = tmp_path / "run", tmp_path / "outside"
    outside.write_text("mine")
    place = folder / name

    def act() -> None:
        if place.is_dir():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(place)
        elif kind == "link":
            place.symlink_to(outside)
        elif name in ("checkpoints", "model"):
            place.write_text("mine")
        else:
            place.mkdir()
            (place / "mine").write_text("mine")

    heard = Heard(5, act)
    train(folder, SETTINGS, progress=heard, max_steps=10)
    assert f"in {folder}: {name} was replaced by a" in heard.said
    kept = folder / f"{name}.other-1"
    assert kept.exists() == (kind == "data")
    if kind == "data":
        assert (kept if kept.is_file() else kept / "mine").read_text() == "mine"
    assert outside.read_text() == "mine"
    resume(folder)
    assert_same_run(folder, whole)
