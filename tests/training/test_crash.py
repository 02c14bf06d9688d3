"""Whatever ends a training, its last checkpoint is whole and the run goes on from it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from trainings import assert_same_run, config, exit_code, forked, latest, resume, train

from mmvae.foundations import operations
from mmvae.foundations.errors import ConfigError, RunError, TrainingError
from mmvae.foundations.progress import Progress
from mmvae.inference import model_folder
from mmvae.inference.model_folder import saved_model
from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.run import Run

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


def test_twenty_kills_at_random_instants_lose_nothing():
    script = Path(__file__).with_name("kill9.py")
    done = subprocess.run(
        [sys.executable, str(script), "--times", "20"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 kills in" in done.stdout


def disk_full_at(path_part, count):
    """A fault: from the ``count``-th write to a path with ``path_part`` on, the disk is full."""
    seen = 0

    def fault(operation, *paths):
        nonlocal seen
        if operation == "write" and path_part in str(paths[0]):
            seen += 1
            if seen >= count:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return fault


def test_a_disk_that_fills_up_while_saving_spoils_nothing(tmp_path, monkeypatch):
    settings = config(train={"checkpoint_every": 3})
    train(tmp_path / "whole", settings)
    with monkeypatch.context() as patch:
        patch.setattr(operations, "fault", disk_full_at("step-00000009", 2))
        with pytest.raises(TrainingError, match="No space left.*Free space") as failed:
            train(tmp_path / "run", settings)
    assert failed.value.exit_code == 1
    assert f"mmvae resume {tmp_path / 'run'}" in str(failed.value)
    store = CheckpointStore(tmp_path / "run" / "checkpoints")
    assert store.load("latest").step == 6
    assert store.intact() == store.paths()
    status = Run.open(tmp_path / "run").status()
    assert (status.state, status.exit_code, status.step) == ("failed", 1, 9)
    assert "No space left" in status.message
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("part", ["metrics.jsonl", "step-", "/.model"])
def test_a_disk_so_full_that_not_even_the_status_fits_keeps_the_first_error(
    part, tmp_path, monkeypatch
):
    settings = config(train={"checkpoint_every": 3})
    train(tmp_path / "run", settings, max_steps=4)
    full = disk_full_at("run", 1)

    def fault(operation, *paths):
        fault.full |= operation == "write" and part in str(paths[0])
        if fault.full:
            full(operation, *paths)

    fault.full = False
    with monkeypatch.context() as patch:
        patch.setattr(operations, "fault", fault)
        with pytest.raises(TrainingError, match="Cannot write .*" + part.replace("/.", "/")):
            resume(tmp_path / "run")
    assert latest(tmp_path / "run").step >= 4
    assert resume(tmp_path / "run").outcome == "finished"


def test_a_run_in_use_is_refused(tmp_path):
    child = forked(lambda: train(tmp_path / "run", config(train={"epochs": 10**6})))
    try:
        while not (tmp_path / "run" / "metrics.jsonl").exists():
            time.sleep(0.02)
        for again in (lambda: resume(tmp_path / "run"), lambda: train(tmp_path / "run", config())):
            with pytest.raises(RunError) as refused:
                again()
            assert refused.value.exit_code == 2
            assert str(tmp_path / "run") in str(refused.value)
        with pytest.raises(RunError, match=f"in use by pid {child}"):
            resume(tmp_path / "run")
        assert Run.open(tmp_path / "run").status().pid == child
    finally:
        os.kill(child, 9)
        assert exit_code(child) == -9
    assert Run.open(tmp_path / "run").status().state == "killed"


def test_a_bug_says_so_in_the_status(tmp_path, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("mmvae.training.step.Stepper.step", broken)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "run", config())
    status = Run.open(tmp_path / "run").status()
    assert (status.state, status.exit_code, status.message) == ("failed", 1, "a bug")


@pytest.mark.parametrize("damaged", [False, True])
def test_a_resume_that_fails_before_it_begins_keeps_the_step(damaged, tmp_path):
    train(tmp_path / "run", config(), max_steps=7)
    if damaged:
        (tmp_path / "run" / "status.json").write_text("{")
    with pytest.raises(ConfigError, match="running mean"):
        resume(tmp_path / "run", overrides=["train.ema=0.9"])
    status = Run.open(tmp_path / "run").status()
    assert (status.state, status.exit_code) == ("failed", 2)
    assert (status.step, status.epoch) == ((0, 0) if damaged else (7, 2))


def test_wrong_data_leave_no_run(tmp_path):
    data = {"v": [[0.0, 1.0, float("nan")]] * 30, "c": ["red"] * 30}
    settings = {k: v for k, v in config().items() if k != "data"}
    with pytest.raises(Exception, match="finite number"):
        train(tmp_path / "run", settings, data=data)
    assert not (tmp_path / "run").exists()


class AtStep(Progress):
    """Does something when the training record of a step comes."""

    def __init__(self, step, act):
        self.step, self.act = step, act

    def record(self, record, total_steps, seconds_left):
        if (record["step"], record["split"]) == (self.step, "train"):
            self.act()


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_a_run_folder_that_goes_away_ends_the_training_at_the_next_save(how, tmp_path):
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"

    def act():
        if how == "removed":
            shutil.rmtree(folder)
        else:
            folder.rename(elsewhere)
        if how == "replaced":
            train(folder, config(), max_steps=1)

    settings = config(train={"checkpoint_every": 4})
    with pytest.raises(RunError, match=r"run.* was removed, moved or replaced"):
        train(folder, settings, progress=AtStep(5, act))
    if how == "replaced":  # nothing was written into another run
        status = Run.open(folder).status()
        assert (status.state, status.step) == ("stopped", 1)
    if how != "removed":
        assert latest(elsewhere).step == 4
        resume(elsewhere)
        train(tmp_path / "whole", settings)
        assert_same_run(elsewhere, tmp_path / "whole")


def test_the_status_knows_the_steps_that_are_saved(tmp_path):
    seen = []
    look = AtStep(5, lambda: seen.append(Run.open(tmp_path / "run").status()))
    train(tmp_path / "run", config(train={"checkpoint_every": 4}), progress=look)
    assert [(status.state, status.step) for status in seen] == [("running", 4)]


def test_how_a_training_ended_is_told_where_no_file_can_be_made(tmp_path, monkeypatch):
    def no_inodes(operation, *paths):
        if operation == "open" and paths[0].name.startswith(".") and "lock" not in paths[0].name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    full = AtStep(5, lambda: monkeypatch.setattr(operations, "fault", no_inodes))
    with pytest.raises(TrainingError, match="No space left"):
        train(tmp_path / "run", config(), progress=full)
    monkeypatch.undo()
    status = Run.open(tmp_path / "run").status()
    assert (status.state, status.exit_code) == ("failed", 1)
    assert "No space left" in status.message


def test_a_training_goes_on_without_its_terminal_and_its_log(tmp_path, monkeypatch):
    class Closed(Progress):
        def record(self, record, total_steps, seconds_left):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    train(tmp_path / "whole", config())
    train(tmp_path / "piped", config(), progress=Closed())
    assert_same_run(tmp_path / "piped", tmp_path / "whole")
    assert "can no longer be shown (Broken pipe)" in (tmp_path / "piped" / "log.txt").read_text()
    said = []
    progress = Progress()
    progress.say = said.append
    monkeypatch.setattr(operations, "fault", disk_full_at("log.txt", 3))
    train(tmp_path / "full", config(), progress=progress)
    monkeypatch.undo()
    assert_same_run(tmp_path / "full", tmp_path / "whole")
    told = [line for line in said if "log.txt" in line and "No space left" in line]
    assert len(told) == 1


def test_a_model_is_read_while_its_training_replaces_checkpoints(tmp_path, monkeypatch):
    settings = config(train={"checkpoint_every": 1, "keep_checkpoints": 1})
    train(tmp_path / "run", settings, max_steps=3)
    read, left = model_folder.CheckpointStore.load, [1]

    def overtaken(store, which):
        if left[0]:
            left[0] -= 1
            old = store.find(which)
            resume(tmp_path / "run", max_steps=latest(tmp_path / "run").step + 1)
            shutil.rmtree(tmp_path / "run" / "model")  # as it is until the training ends
            assert not old.exists()
            return read(store, old)
        return read(store, which)

    shutil.rmtree(tmp_path / "run" / "model")
    monkeypatch.setattr(model_folder.CheckpointStore, "load", overtaken)
    assert saved_model(tmp_path / "run").step == 4
