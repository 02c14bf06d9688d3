"""Lines of ``metrics.jsonl`` that changed are told, never used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from trainings import assert_same_run, config, latest, metrics, resume, train

from mmvae.evaluation import classifiers as classifiers
from mmvae.foundations.errors import RunError
from mmvae.runs.metrics_log import MetricsLog, check_prefix, read_training
from mmvae.training.state import TrainingState


def test_a_resume_refuses_other_lines_and_leaves_the_run_as_it_is(tmp_path: Path) -> None:
    train(tmp_path / "run", config(), max_steps=6)
    file = tmp_path / "run" / "metrics.jsonl"
    lines, status = file.read_bytes(), (tmp_path / "run" / "model").is_dir()
    assert status
    for changed in (lines.replace(b'"step": 2', b'"step": 3'), lines[:40], b""):
        file.write_bytes(changed)
        with pytest.raises(RunError, match="or other lines. Restore that file"):
            resume(tmp_path / "run")
        assert file.read_bytes() == changed
        assert (tmp_path / "run" / "model").is_dir()
    file.unlink()
    with pytest.raises(RunError, match=r"metrics\.jsonl cannot be read"):
        resume(tmp_path / "run")
    file.write_bytes(lines)
    resume(tmp_path / "run")
    train(tmp_path / "whole", config())
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_what_follows_the_lines_that_a_checkpoint_knew_is_cut(tmp_path: Path) -> None:
    train(tmp_path / "run", config(), max_steps=6)
    known = metrics(tmp_path / "run")
    with (tmp_path / "run" / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 7, "epoch": 2, "split": "train", "loss": 0}\ntorn')
    resume(tmp_path / "run", max_steps=6)
    assert metrics(tmp_path / "run") == known


def test_checkpoints_that_noted_no_hash_are_gone_on_from(tmp_path: Path, monkeypatch) -> None:
    numbers = TrainingState.numbers

    def older(self: TrainingState):
        found = numbers(self)
        del found["position"]["metrics_sha256"]
        return found

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "numbers", older)
        train(tmp_path / "run", config(), max_steps=6)
    assert "metrics_sha256" not in latest(tmp_path / "run").state["position"]
    resume(tmp_path / "run")
    assert len(latest(tmp_path / "run").state["position"]["metrics_sha256"]) == 64


def test_the_hash_is_that_of_the_lines_so_far(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        for step in range(3):
            log.append({"step": step})
        offset, digest = log.offset, log.sha256
        log.append({"step": 3})
        check_prefix(path, offset, digest)
        log.truncate(offset)
        assert log.sha256 == digest
    with MetricsLog(path) as log:
        assert log.sha256 == digest
    with pytest.raises(RunError, match="or other lines"):
        check_prefix(path, offset - 1, digest)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        '{"step": 1}',
        '{"step": -1, "epoch": 1, "split": "train"}',
        '{"step": 1e999}',
        '{"step": %s, "epoch": 1, "split": "train"}' % ("9" * 400),
        '{"step": 9223372036854775808, "epoch": 1, "split": "train"}',
        '{"step": true, "epoch": 1, "split": "train"}',
        '{"step": 1, "epoch": 1, "split": "train", "loss": %s}' % ("9" * 400),
        '{"step": 1, "epoch": 1, "split": "train", "loss": "1"}',
    ],
)
def test_lines_that_are_no_records_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    good = '{"step": 1, "epoch": 1, "split": "train", "loss": "NaN"}'
    path.write_text(f"{good}\n{line}\n")
    with pytest.raises(RunError, match="line 2 is damaged"):
        read_training(path)


@pytest.mark.parametrize(
    "steps", [[0], [1, 1], [3, 2], [1, 2, 2]], ids=["no step", "twice", "back", "twice later"]
)
def test_records_out_of_order_are_told(tmp_path: Path, steps: list[int]) -> None:
    """Means over the steps since the record before would be of no steps, or of fewer than none."""
    path = tmp_path / "metrics.jsonl"
    lines = [{"step": s, "epoch": 1, "split": "train", "loss": 1.0} for s in steps]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RunError, match=f"line {len(steps)} is damaged: step: .* expected more"):
        read_training(path)


def test_a_standard_error_below_0_is_told(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    line = {"step": 1, "epoch": 1, "split": "observed", "x": 1.0}
    for error in (None, 0, 0.5, "NaN"):
        path.write_text(json.dumps({**line, "errors": {"x": error}}) + "\n")
        assert len(read_training(path)) == 1
    path.write_text(json.dumps({**line, "errors": {"x": -0.5}}) + "\n")
    with pytest.raises(RunError, match=r"line 1 is damaged: errors\.x.*below 0"):
        read_training(path)
