"""An extension trains a model differently and leaves the model itself as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from nudge import Nudge, nudge_registry
from toys import toy_config, toy_items, toy_registry
from trainings import assert_same_run, latest, metrics

import mmvae
from mmvae.experiments.build import build_model, extended, make_accelerator, open_experiment_data
from mmvae.experiments.config import load_experiment
from mmvae.inference.model_folder import load_model
from mmvae.models.extension import Extension
from mmvae.training.step import Stepper

REGISTRY = nudge_registry()


class Silent(Extension):
    """Changes nothing."""

    kind = "silent"


def config(epochs=3, train=None, **nudge):
    """Three steps an epoch."""
    settings = {"epochs": epochs, "batch_size": 25, **(train or {})}
    return toy_config(train=settings) | {"nudge": {"modality": "v", **nudge}}


def stepper(settings, registry=REGISTRY):
    """The steps of a training without a run."""
    experiment = load_experiment(settings, (), registry).experiment
    accelerator = make_accelerator(experiment.train)
    data = open_experiment_data(experiment, registry, None, accelerator)
    trained = extended(experiment, registry, build_model(experiment, registry, data.codecs))
    return Stepper(trained, data.batches("train"), experiment.train, accelerator)


def copied(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_the_models_first_weights_do_not_depend_on_it():
    extension, bare = stepper(config()), stepper(toy_config())
    assert isinstance(extension.trained, Nudge)
    assert extension.model is extension.trained.bare is extension.trained.inner
    assert_equal(copied(extension.model), copied(bare.model))
    assert bare.trained is bare.model is bare.model.bare


def test_the_base_changes_nothing():
    registry = nudge_registry(Silent)
    wrapped = stepper(toy_config() | {"silent": {}}, registry)
    bare = stepper(toy_config(), registry)
    assert isinstance(wrapped.trained, Silent)
    for step in range(4):
        wrapped.step(step)
        bare.step(step)
    assert_equal(copied(wrapped.model), copied(bare.model))
    assert [p.name for p in wrapped.phases] == ["jmvae"]
    assert list(wrapped.trained.compilable()) == list(wrapped.model.compilable())
    assert wrapped.trained.skips_weights == wrapped.model.skips_weights


def test_a_phase_moves_its_own_weights_by_its_own_settings():
    """Gradient descent by hand; the model trains as it does alone."""
    ours, bare = stepper(config(rate=0.3)), stepper(toy_config(train={"batch_size": 25}))
    before, prediction = copied(ours.model), ours.trained.prediction
    mine = copied(prediction)
    whole = ours.phases
    ours.phases = [whole[0], replace(whole[1], first_epoch=9)]
    ours.step(0)
    assert_equal(copied(ours.model), before)
    assert all(p.grad is None and p.requires_grad for p in ours.model.parameters())
    torch.testing.assert_close(
        prediction.weight, mine["weight"] - 0.3 * prediction.weight.grad, rtol=1e-6, atol=1e-7
    )
    mine = copied(prediction)
    ours.phases = [replace(whole[0], first_epoch=9), whole[1]]
    for step in range(3):
        ours.step(step)
        bare.step(step)
    assert_equal(copied(prediction), mine)
    assert_equal(copied(ours.model), copied(bare.model))


def test_a_batch_is_read_once_for_all_phases(monkeypatch):
    ours, read = stepper(config()), []
    batch = ours.train.batch

    def spied(items, *rest):
        read.append(len(items))
        return batch(items, *rest)

    monkeypatch.setattr(ours.train, "batch", spied)
    for step in range(3):
        ours.step(step)
    assert read == [25, 25, 10]


def test_a_later_phase_begins_at_its_epoch_and_is_told_of_it(tmp_path):
    ours = stepper(config(first_epoch=1))
    mine = copied(ours.trained.prediction)
    for step in range(3):
        ours.step(step)
    assert_equal(copied(ours.trained.prediction), mine)
    ours.step(3)
    assert not torch.equal(ours.trained.prediction.weight, mine["weight"])
    assert ours.trained.epochs == [0, 0, 0, 1]
    mmvae.train(config(2, first_epoch=1), run_dir=tmp_path / "run", registry=REGISTRY)
    first, second = [r for r in metrics(tmp_path / "run") if r["split"] == "train"]
    assert {"nudge/loss", "nudge/missed"} == second.keys() - first.keys()
    assert "elbo" in first  # the model's own terms keep their names


@pytest.mark.parametrize("stops", [[1], [3], [4, 7]])
def test_resuming_is_exact(stops, tmp_path):
    settings = config(3, {"ema": 0.9, "accumulation": 2}, first_epoch=1)
    mmvae.train(settings, run_dir=tmp_path / "whole", registry=REGISTRY)
    mmvae.train(settings, run_dir=tmp_path / "run", registry=REGISTRY, max_steps=stops[0])
    for stop in [*stops[1:], None]:
        mmvae.resume(tmp_path / "run", registry=REGISTRY, max_steps=stop)
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    saved = latest(tmp_path / "run").tensors
    assert saved["extensions"].keys() == {"prediction.weight", "prediction.bias"}
    assert {"optimizer-nudge", "optimizer-jmvae"} <= saved.keys()


def test_the_final_model_is_the_bare_one(tmp_path):
    """Neither loading nor an unfinished run's checkpoint needs the extension."""
    result = mmvae.train(config(), run_dir=tmp_path / "run", registry=REGISTRY)
    mmvae.train(config(), run_dir=tmp_path / "cut", registry=REGISTRY, max_steps=4)
    (tmp_path / "cut" / "model").rename(tmp_path / "gone")
    without = toy_registry()
    for folder in ("run", "cut"):
        loaded = load_model(tmp_path / folder, without)
        assert not isinstance(loaded.model, Extension)
    ours = load_model(tmp_path / "run", without)
    assert_equal(copied(ours.model), copied(result.model.model))
    items = toy_items(9)
    assert torch.equal(ours.elbo(items)["elbo"], result.model.elbo(items)["elbo"])


def test_a_model_may_begin_with_the_weights_of_one_without_it(tmp_path):
    mmvae.train(toy_config(), run_dir=tmp_path / "bare", registry=REGISTRY)
    origin = {"init_from": tmp_path / "bare", "registry": REGISTRY}
    begun = mmvae.train(config(1), run_dir=tmp_path / "run", max_steps=0, **origin)
    bare = load_model(tmp_path / "bare", REGISTRY)
    assert_equal(copied(begun.model.model), copied(bare.model))


def test_a_run_names_the_plugin_of_its_extension(tmp_path):
    mmvae.train(config(1), run_dir=tmp_path / "run", registry=REGISTRY, max_steps=1)
    assert '"extension nudge"' in (tmp_path / "run" / "plugins.lock.json").read_text()
