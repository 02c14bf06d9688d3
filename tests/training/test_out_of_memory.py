"""Out of memory: the message names what to try, and what to try is valid."""

from __future__ import annotations

import re

import pytest
import torch
from trainings import Moment, latest, moments, resume, train

from mmvae.foundations.errors import TrainingError
from mmvae.runs.run import Run
from mmvae.training.config import TrainConfig
from mmvae.training.out_of_memory import out_of_memory_advice

ERRORS = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"),
    RuntimeError("MPS backend out of memory"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error)[:12] or "MemoryError")
def test_a_failed_allocation_names_what_to_try(error, tmp_path):
    def fail(x):
        raise error

    settings, plugins = moments(Moment(7, fail), train={"checkpoint_every": 3, "accumulation": 1})
    with pytest.raises(TrainingError) as failed:
        train(tmp_path / "run", settings, registry=plugins)
    message = str(failed.value)
    assert "train.batch_size = 14, train.accumulation = 1" in message
    assert "-s train.accumulation=2" in message
    assert "-s train.batch_size=7" in message
    assert failed.value.exit_code == 1
    assert Run.open(tmp_path / "run").status().state == "failed"
    assert latest(tmp_path / "run").step == 6
    resume(tmp_path / "run", overrides=["train.accumulation=2"], registry=plugins)


@pytest.mark.parametrize(
    ("batch_size", "accumulation", "tries"),
    [(100, 1, {"2", "50"}), (100, 64, {"100", "50"}), (8, 8, {"4"}), (1, 1, set())],
)
def test_what_it_names_is_valid(batch_size, accumulation, tries):
    config = TrainConfig(batch_size=batch_size, accumulation=accumulation)
    with pytest.raises(TrainingError) as failed, out_of_memory_advice(config):
        raise MemoryError
    assert set(re.findall(r"-s train\.\w+=(\d+)", str(failed.value))) == tries
    assert "-s data.resident=false" in str(failed.value)


def test_other_errors_are_left_alone():
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory_advice(TrainConfig()):
        raise RuntimeError("shapes do not fit")
