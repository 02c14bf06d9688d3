"""``mmvae resume`` resumes a run, and refuses a folder that is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmvae.inference.model_folder import load_model
from mmvae.runs.metrics_log import read_metrics
from mmvae.runs.run import Run


@pytest.fixture
def stopped(mmvae, training) -> Path:
    assert mmvae("train", training, "--run-dir", "r", "--max-steps", 2).code == 0
    return Path("r")


def test_it_ends_as_the_run_that_was_not_stopped(mmvae, training, stopped) -> None:
    result = mmvae("resume", stopped)
    assert result.out == "r: finished at step 6. Next: mmvae evaluate r\n"
    mmvae("train", training, "--run-dir", "whole")
    resumed, whole = (load_model(run).model.state_dict() for run in ("r", "whole"))
    assert all((resumed[name] == whole[name]).all() for name in whole)
    timing = {"seconds", "items_per_second"}
    a, b = (
        [{k: v for k, v in record.items() if k not in timing} for record in read_metrics(path)]
        for path in (Path("r/metrics.jsonl"), Path("whole/metrics.jsonl"))
    )
    assert a == b


def test_the_log_goes_on(mmvae, stopped) -> None:
    before = (stopped / "log.txt").read_text()
    mmvae("resume", stopped)
    after = (stopped / "log.txt").read_text()
    assert after.startswith(before)
    assert after.count("run folder: r\n") == 2


def test_a_longer_run(mmvae, stopped) -> None:
    mmvae("resume", stopped)
    assert "step 6" in mmvae("resume", stopped).out, "nothing left to do"
    result = mmvae("resume", stopped, "-s", "train.epochs=3")
    assert result.out == "r: finished at step 9. Next: mmvae evaluate r\n"


def test_from_an_earlier_checkpoint(mmvae, training) -> None:
    options = ("-s", "train.checkpoint_every=2", "--max-steps", 4)
    mmvae("train", training, "--run-dir", "r", *options)
    name = "step-00000002"
    assert (Path("r/checkpoints") / name).is_dir()
    result = mmvae("resume", "r", "--from", name, "--max-steps", 3)
    assert result.out.startswith("r: stopped after step 3.")


def test_only_keys_of_train_may_change(mmvae, stopped) -> None:
    result = mmvae("resume", stopped, "-s", "model.latent_dim=3")
    assert result.code == 2
    assert "-s model.latent_dim=3" in result.err


def test_no_run(mmvae, training) -> None:
    result = mmvae("resume", "nowhere")
    assert (result.code, result.out) == (2, "")
    assert "There is no run folder nowhere" in result.err
    assert not Path("nowhere").exists()


def test_a_run_in_use(mmvae, stopped) -> None:
    before = (stopped / "status.json").read_bytes()
    with Run.open(stopped).locked():
        result = mmvae("resume", stopped)
    assert result.code == 2
    assert "r is in use by pid" in result.err
    assert (stopped / "status.json").read_bytes() == before


def test_a_damaged_checkpoint(mmvae, stopped) -> None:
    (file,) = stopped.glob("checkpoints/*/model.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    result = mmvae("resume", stopped)
    assert (result.code, result.out) == (5, "")
    assert "model.safetensors" in result.err
    assert "Traceback" not in result.err


def test_an_unknown_checkpoint(mmvae, stopped) -> None:
    result = mmvae("resume", stopped, "--from", "step-00000099")
    assert result.code == 5
    assert "step-00000099" in result.err


def test_other_data_must_be_asked_for(mmvae, training, stopped) -> None:
    env = json.loads((stopped / "env.json").read_text())
    env["data"]["fingerprint"] = "another"
    (stopped / "env.json").write_text(json.dumps(env))
    result = mmvae("evaluate", stopped, "-s", "evaluate.coherence=false")
    assert (result.code, result.err.count("\n")) == (0, 1)
    assert "r was trained on data with fingerprint another, these have" in result.err
    result = mmvae("resume", stopped)
    assert result.code == 2
    assert "fingerprint another" in result.err
    assert "--other-data" in result.err
    assert mmvae("resume", stopped, "--other-data", "--max-steps", 4).code == 0
    assert mmvae("resume", stopped).code == 0, "they are the run's data now"
