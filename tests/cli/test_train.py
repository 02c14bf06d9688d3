"""``mmvae train`` trains, says where, stops cleanly and leaves nothing behind on mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmvae.cli.duration import Duration


def status(run: Path) -> dict:
    return json.loads((run / "status.json").read_text())


def test_it_trains_and_says_where(mmvae, training) -> None:
    result = mmvae("train", training, "--run-dir", "r")
    assert result.code == 0
    assert result.out == "r: finished at step 6. Next: mmvae evaluate r\n"
    lines = result.err.splitlines()
    assert lines[0] == "run folder: r"
    assert any(line.startswith("validation epoch    2  step 6/6") for line in lines)
    assert Path("r/log.txt").read_text().splitlines() == lines
    assert status(Path("r"))["state"] == "finished"


def test_a_folder_of_its_own_by_default(mmvae, training) -> None:
    result = mmvae("--quiet", "train", training, "-s", "train.epochs=1")
    (run,) = Path("runs/toy").iterdir()
    assert result.out == f"{run}: finished at step 3. Next: mmvae evaluate {run}\n"
    assert result.err == ""
    assert (run / "log.txt").read_text().startswith(f"run folder: {run}\n"), "quiet, but logged"


def test_max_steps_stops_and_tells_how_to_go_on(mmvae, training) -> None:
    result = mmvae("train", training, "--run-dir", "r", "--max-steps", 2)
    assert result.code == 0
    assert result.out == "r: stopped after step 2. Resume with: mmvae resume r\n"
    assert status(Path("r")) | {"step": 2, "state": "stopped", "exit_code": 0} == status(Path("r"))


def test_max_time_stops(mmvae, training) -> None:
    options = ("--run-dir", "r", "--max-time", "0.2s", "-s", "train.epochs=100000")
    result = mmvae("train", training, *options)
    assert result.code == 0
    assert "Resume with: mmvae resume r" in result.out
    assert 0 < status(Path("r"))["step"] < 300000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("90s", 90), ("45m", 2700), ("90", 90), ("1h1m1s", 3661), ("0.5s", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "0s", "soon", "-3m", "1d", "30m1h"])
def test_what_is_no_duration_is_refused(mmvae, training, text: str) -> None:
    result = mmvae("train", training, "--run-dir", "r", "--max-time", text)
    assert result.code == 2
    assert "expected such as 1h30m" in result.err
    assert not Path("r").exists()


def test_dry_run_tells_what_it_built_and_leaves_nothing(mmvae, training) -> None:
    result = mmvae("train", training, "--dry-run")
    assert result.code == 0
    rows = dict(line.split("  ", 1) for line in result.out.splitlines()[:-1])
    rows = {key: value.strip() for key, value in rows.items()}
    assert rows["items"] == "60 train, 20 validation, 20 test"
    assert rows["modality v"] == "3"
    assert rows["steps in all"] == "6"
    assert "log_likelihood/v -" in rows["first step"]
    assert result.out.splitlines()[-1].startswith(
        "OK: one step worked, and a checkpoint was saved"
    )
    assert set(os.listdir()) == {"site-packages", "toy.toml"}


def test_init_from_begins_with_the_weights_of_another_run(mmvae, training) -> None:
    from mmvae.inference.model_folder import load_model

    mmvae("train", training, "--run-dir", "a")
    options = ("-s", "train.learning_rate=1e-30", "-s", "train.seed=5")
    assert mmvae("train", training, "--run-dir", "b", "--init-from", "a", *options).code == 0
    a, b = (load_model(run).model.state_dict() for run in ("a", "b"))
    assert all((a[name] == b[name]).all() for name in a)


def test_a_run_folder_is_not_overwritten(mmvae, training) -> None:
    mmvae("train", training, "--run-dir", "r", "--max-steps", 1)
    before = status(Path("r"))
    result = mmvae("train", training, "--run-dir", "r")
    assert (result.code, result.out) == (2, "")
    assert "r already holds a run. `mmvae resume r`" in result.err
    assert status(Path("r")) == before


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ("train.epoch=5", 2, "train.epoch"),
        ("modalities.x.codec='toy-vector'", 2, "modality 'x' needs column 'x'"),
        ("modalities.c.codec='toy-vector'", 2, "numbers of shape (n, 3)"),
        ("data.source='tony'", 2, "Did you mean 'toy'?"),
    ],
)
def test_mistakes_leave_no_run(mmvae, training, change: str, code: int, message: str) -> None:
    result = mmvae("train", training, "-s", change, "--run-dir", "r")
    assert (result.code, result.out) == (code, "")
    assert message in result.err
    assert "Traceback" not in result.err
    assert not Path("r").exists()


def test_init_from_another_model_ends_with_5(mmvae, training) -> None:
    mmvae("train", training, "--run-dir", "a", "--max-steps", 1)
    options = ("--init-from", "a", "-s", "model.latent_dim=3")
    result = mmvae("train", training, "--run-dir", "b", *options)
    assert result.code == 5
    assert not Path("b").exists()


@pytest.mark.parametrize(
    ("number", "code", "state"),
    [(signal.SIGTERM, 75, "preempted"), (signal.SIGINT, 130, "stopped")],
)
def test_a_signal_saves_and_ends_with_its_code(
    mmvae, training, number: int, code: int, state: str
) -> None:
    command = [sys.executable, "-m", "mmvae", "train", "toy.toml", "--run-dir", "r"]
    options = ["-s", "train.epochs=1000000", "-s", "train.device='cpu'"]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "run folder: r\n"
        process.stderr.readline()  # it trains
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(60) == code
    assert rest.splitlines()[-1].startswith(f"Stopped by {number.name} after step ")
    assert rest.rstrip().endswith("Resume with: mmvae resume r")
    step = status(Path("r"))["step"]
    assert status(Path("r")) | {"state": state, "exit_code": code} == status(Path("r"))
    result = mmvae("resume", "r", "--max-steps", step + 1)
    assert result.out == f"r: stopped after step {step + 1}. Resume with: mmvae resume r\n"


def test_only_the_leading_process_speaks(mmvae, training, monkeypatch) -> None:
    from mmvae.cli.training import conclude, progress
    from mmvae.foundations.progress import Progress

    monkeypatch.setenv("RANK", "1")
    assert type(progress()) is not Progress, "it was left behind: nobody else speaks"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    assert type(progress()) is Progress
    conclude(None)
    monkeypatch.setenv("RANK", "0")
    assert type(progress()) is not Progress


def test_a_launcher_starts_several_processes(training) -> None:
    command = [sys.executable, "-m", "mmvae", "train", "toy.toml", "--run-dir", "r"]
    options = ["--max-steps", "2", "--launcher", "torchrun", "--"]
    arguments = ["--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, *options, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "r: stopped after step 2. Resume with: mmvae resume r\n", "said once"
    assert done.stderr.count("run folder: r\n") == 1


@pytest.mark.parametrize(
    ("state", "stored", "expected"),
    [("preempted", 75, 75), ("stopped", 130, 130), ("failed", 1, 1), ("running", None, 9)],
)
def test_the_launcher_brings_our_own_exit_code_back(
    tmp_path, state: str, stored: int | None, expected: int
) -> None:
    from mmvae.cli.launcher import stored_exit_code
    from mmvae.runs.run import Run

    assert stored_exit_code(tmp_path / "r", 9) == 9, "no run yet"
    run = Run.create(tmp_path / "r", "", "", {}, {})
    run.write_status(state, exit_code=stored)
    assert stored_exit_code(tmp_path / "r", 9) == expected
    assert stored_exit_code(tmp_path / "r", -9) == (stored or 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("toy.toml", "--", "--nproc-per-node", "2"), "only --launcher takes further arguments"),
        (("-", "--launcher", "torchrun"), "every process can read"),
        (("toy.toml", "--launcher", "torchrun", "-s", "train.epoch=2"), "train.epoch"),
        (("toy.toml", "--launcher", "slurm"), "torchrun"),
    ],
)
def test_mistakes_start_no_launcher(mmvae, training, monkeypatch, arguments, message) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("started")

    monkeypatch.setattr("mmvae.cli.train.torchrun", refuse)
    result = mmvae("train", *arguments)
    assert result.code == 2
    assert message in result.err


def test_every_process_gets_the_options(mmvae, training, monkeypatch) -> None:
    started = []
    monkeypatch.setattr("mmvae.cli.train.torchrun", lambda *call: started.append(call) or 75)
    options = ("-s", "train.epochs=3", "--max-time", "1m", "--init-from", "a", "--run-dir", "r")
    result = mmvae("-q", "train", training, *options, "--launcher", "torchrun", "--", "--x", "2")
    assert result.code == 75
    passed = ["--quiet", "train", "--set", "train.epochs=3", "--run-dir", "r", "--max-time"]
    assert started == [
        (("--x", "2"), [*passed, "60.0", "--init-from", "a", str(training)], Path("r"))
    ]
