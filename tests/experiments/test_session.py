"""A session holds its run from the moment that it is built until it ends."""

from __future__ import annotations

import os

import pytest
from trainings import config, exit_code, forked, latest, registry, resume, train

from mmvae.experiments.config import load_experiment
from mmvae.experiments.open_run import open_run
from mmvae.experiments.session import Session
from mmvae.foundations.errors import CheckpointError, DataError, TrainingError
from mmvae.runs.run import Run
from mmvae.training.stop_conditions import Limits

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def test_a_reopened_run_is_locked_before_it_trains(tmp_path):
    train(tmp_path / "run", config(), max_steps=3)
    run = Run.open(tmp_path / "run")
    with Session.reopen(run, None, registry()) as session:
        assert session.saved.step == 3
        assert exit_code(forked(lambda: resume(run.folder))) == 2
        assert session.fit(Limits(max_steps=4)).steps == 4
    assert latest(run.folder).step == 4
    assert exit_code(forked(lambda: resume(run.folder))) == 0


def test_a_new_run_is_locked_before_it_trains(tmp_path):
    loaded = load_experiment(config(), (), registry())
    with Session.new(loaded, None, registry(), tmp_path / "run") as session:
        assert exit_code(forked(lambda: resume(tmp_path / "run"))) == 2
        assert session.fit(Limits(max_steps=4)).steps == 4
    assert exit_code(forked(lambda: resume(tmp_path / "run"))) == 0


def refused(folder):
    """Build a session of a new run, which is then refused before its first step."""
    loaded = load_experiment(config(), (), registry())
    with Session.new(loaded, None, registry(), folder) as session:
        session.run.write_status("failed", step=0)
        raise DataError("refused")


def test_a_new_session_that_is_refused_leaves_no_run(tmp_path):
    with pytest.raises(DataError, match="refused"):
        refused(tmp_path / "run")
    assert not os.path.lexists(tmp_path / "run")


def test_a_finished_run_stays_finished_if_its_last_remark_fails(tmp_path, monkeypatch) -> None:
    def failing(*given: object) -> None:
        raise MemoryError("no room for a second model")

    monkeypatch.setattr("mmvae.experiments.session.diverged", failing)
    with pytest.raises(TrainingError, match="Out of memory"):
        train(tmp_path / "run", config())
    assert Run.open(tmp_path / "run").status().state == "finished"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("alpha = 0.1", "alpha = 0.5", r"model\.alpha = 0\.5, but .* trained with 0\.1"),
        ("gaps = false", "gaps = true", r"modalities\.v\.gaps = true, .* with false"),
        ("toy-noisy", "toy-vector", r"modalities\.v\.codec = \"toy-vector\""),
        ("[modalities.v]", "[modalities.w]\ncolumn = 'v'", r"modalities\.v\.codec = none"),
        (
            "[modalities.c]",
            '[modalities.a]\ncodec = "toy-class"\ncolumn = "c"\n\n[modalities.c]',
            r"modalities\.a\.codec = \"toy-class\", .* with none",
        ),
    ],
)
def test_a_config_of_another_model_is_refused(tmp_path, old, new, said):
    """The weights may fit both, and would go on with another objective."""
    train(tmp_path / "run", config(), max_steps=3)
    run = Run.open(tmp_path / "run")
    text = run.resolved.read_text()
    assert old in text
    run.resolved.write_text(text.replace(old, new))
    for use in (resume, lambda folder: open_run(folder, registry=registry())):
        with pytest.raises(CheckpointError, match=said):
            use(run.folder)
    run.resolved.write_text(text)
    resume(run.folder, max_steps=4)
