"""Runs of format 1 open for ever: they load, resume and evaluate to what they answered once.

Keys, shapes and draws are equal. Values are equal to the bit on the processor and torch that the
answers were made with, and within 1e-5 elsewhere.
"""

from __future__ import annotations

import shutil

import pytest
import torch
from golden.golden import EXPERIMENTS, RUNS, answers, differences, items, kept

import mmvae

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def one_thread():
    """Sums are added in one order, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check(name, run):
    tensors, document = answers(name, run)
    wanted_tensors, wanted = kept(name)
    exact = wanted.pop("machine") == document.pop("machine")
    assert list(differences(document, wanted, exact)) == []
    assert tensors.keys() == wanted_tensors.keys()
    for key, value in tensors.items():
        want = wanted_tensors[key]
        assert (value.shape, value.dtype) == (want.shape, want.dtype), key
        same = torch.equal(value, want) if exact else torch.allclose(value, want, 1e-5, 1e-5)
        assert same, key


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_stopped_run_resumes_to_the_answers_that_it_gave(name, tmp_path):
    shutil.copytree(RUNS / name / "stopped", tmp_path / "run")
    mmvae.resume(tmp_path / "run", items(name))
    check(name, tmp_path / "run")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_finished_run_gives_the_answers_that_it_gave(name, tmp_path):
    shutil.copytree(RUNS / name / "finished", tmp_path / "run")
    check(name, tmp_path / "run")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_checkpoint_of_a_stopped_run_is_a_model(name):
    model = mmvae.load(RUNS / name / "stopped")
    assert model.generate(given={"label": 2}, to=["image"], count=2)["image"].shape == (2, 4, 4)
