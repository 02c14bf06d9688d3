"""Validation: the same for the same weights, whoever asks and however the items are cut."""

from __future__ import annotations

import itertools

import pytest
import torch
from toys import VectorCodec
from trainings import config, metrics, registry, train

from mmvae.experiments.build import build_model, make_accelerator, open_experiment_data
from mmvae.experiments.config import load_experiment
from mmvae.foundations.randomness import ItemDraws
from mmvae.training.validation import validate


class BinaryCodec(VectorCodec):
    """Validation sees one fixed random view, as of a binarised picture."""

    kind = "toy-binary"

    def fixed(self, x, generator):
        return x + torch.randn(x.shape, generator=generator)


def parts(tmp_path, codec="toy-noisy", **sections):
    plugins = registry(BinaryCodec)
    modalities = {"v": {"codec": codec}, "c": {"codec": "toy-class"}}
    settings = config(modalities=modalities, **sections)
    experiment = load_experiment(settings, (), plugins).experiment
    accelerator = make_accelerator(experiment.train, tmp_path)
    data = open_experiment_data(experiment, plugins, None, accelerator)
    model = build_model(experiment, plugins, data.codecs)
    return model, data.batches("validation"), accelerator


@pytest.mark.parametrize("codec", ["toy-noisy", "toy-binary"])
def test_equal_weights_have_equal_figures_at_every_call(codec, tmp_path):
    model, items, accelerator = parts(tmp_path, codec)
    first = validate(model, items, 20, 0, accelerator)
    torch.manual_seed(99)
    assert validate(model, items, 20, 0, accelerator) == first
    assert validate(model, items, 20, 1, accelerator) != first


def test_it_leaves_the_mode_and_the_gradients_alone(tmp_path):
    model, items, accelerator = parts(tmp_path)
    for training in (True, False):
        model.train(training)
        validate(model, items, 20, 0, accelerator)
        assert model.training == training
        assert all(module.training == training for module in model.modules())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("codec", ["toy-noisy", "toy-binary"])
@pytest.mark.parametrize("size", [1, 7, 19, 1000])
def test_how_the_items_are_cut_changes_next_to_nothing(codec, size, tmp_path):
    model, items, accelerator = parts(tmp_path, codec)
    whole = validate(model, items, 20, 0, accelerator)
    cut = validate(model, items, size, 0, accelerator)
    assert cut == pytest.approx(whole, rel=1e-5)


def test_drawn_subsets_are_all_validated_at_full_weight(tmp_path):
    model, items, accelerator = parts(
        tmp_path, model={"subsets_per_step": 1, "alpha": 0.7, "warmup": "all"}
    )
    found = validate(model, items, 20, 0, accelerator)
    assert found["objective"] == pytest.approx(found["elbo"] - found["penalty"], rel=1e-5)
    both = found["subset_kl/v"] + found["subset_kl/c"]
    assert found["penalty"] == pytest.approx(0.7 * both, rel=1e-5)
    assert found["elbo"] == pytest.approx(
        found["log_likelihood/v"] + found["log_likelihood/c"] - found["kl"], rel=1e-5
    )


def test_validation_comes_when_asked_for_and_at_the_end(tmp_path):
    train(tmp_path / "run", config(train={"epochs": 5, "validate_every": 2}))
    records = [r for r in metrics(tmp_path / "run") if r["split"] == "validation"]
    assert [(r["step"], r["epoch"]) for r in records] == [(10, 2), (20, 4), (25, 5)]


@pytest.mark.parametrize("cuts", [[0, 150], [0, 1, 64, 65, 150], [0, 63, 128, 150]])
def test_an_items_numbers_do_not_depend_on_how_items_are_cut(cuts):
    def view(x, generator):
        return x + torch.rand(x.shape, generator=generator)

    x = torch.arange(300.0).view(150, 2)
    whole = ItemDraws(3, "validation", slice(0, 150))
    parts = [ItemDraws(3, "validation", slice(a, b)) for a, b in itertools.pairwise(cuts)]
    assert torch.equal(torch.cat([p.normal("z", 2) for p in parts]), whole.normal("z", 2))
    seen = torch.cat([p.resample("v", view, x[p.rows]) for p in parts])
    assert torch.equal(seen, whole.resample("v", view, x))
    noise = seen - x
    assert noise.min() >= 0
    assert len(noise.unique()) > 290  # no block repeats another
