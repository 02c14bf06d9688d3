"""CVAE and CMMA by the doors that users take: configs, runs, evaluation, generation."""

from __future__ import annotations

import pytest
import torch
from mmvae_baselines import CMMA, CVAE
from toys import ClassCodec, PictureCodec, ToySource, VectorCodec, toy_config, toy_items
from trainings import assert_same_run

import mmvae
from mmvae import ConfigError, UsageError
from mmvae.data.memory import MemorySource
from mmvae.experiments.config import load_experiment
from mmvae.inference.model_folder import load_model, save_model
from mmvae.inference.table_imputation import impute_table
from mmvae.plugins.registry import Registry
from mmvae.report.tables import tables

KINDS = ("cvae", "cmma")
REGISTRY = Registry.of(
    codecs=[VectorCodec, PictureCodec, ClassCodec],
    sources=[ToySource, MemorySource],
    models=[CVAE, CMMA],
)


def config(kind, epochs=2, **model):
    """Vectors v of class c: four steps an epoch."""
    return toy_config(
        model={"kind": kind, "target": "v", **model},
        train={"epochs": epochs, "batch_size": 15, "warmup_epochs": 2, "learning_rate": 1e-2},
    )


@pytest.fixture(scope="module", params=KINDS)
def run(request, tmp_path_factory):
    """A trained run; tests must not change it."""
    folder = tmp_path_factory.mktemp(request.param) / "run"
    mmvae.train(config(request.param, epochs=60), run_dir=folder, registry=REGISTRY)
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [1, 4, 6])
def test_a_resumed_run_is_the_run_that_was_not_stopped(kind, at, tmp_path):
    mmvae.train(config(kind), run_dir=tmp_path / "whole", registry=REGISTRY)
    mmvae.train(config(kind), run_dir=tmp_path / "cut", registry=REGISTRY, max_steps=at)
    mmvae.resume(tmp_path / "cut", registry=REGISTRY)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_saved_model_gives_the_same_numbers(run, tmp_path):
    ours, items = load_model(run, REGISTRY), toy_items(12)
    save_model(tmp_path / "model", ours.model, ours.model.state_dict(), step=1)
    theirs = load_model(tmp_path / "model", REGISTRY)
    assert torch.equal(ours.embed(items), theirs.embed(items))
    for name, value in ours.elbo(items).items():
        assert torch.equal(value, theirs.elbo(items)[name])
    one, other = (t.generate({"c": "red"}, count=5)["v"] for t in (ours, theirs))
    assert (one == other).all()


def test_the_target_is_generated_from_the_condition_alone(run):
    trained = load_model(run, REGISTRY)
    drawn = trained.generate({"c": ["red", "green", "blue"]}, count=20)
    assert drawn["v"].shape == (60, 3)
    assert set(drawn) == {"v"}
    means = drawn["v"].reshape(3, 20, 3).mean(1)
    assert (means.argmax(1) == [0, 1, 2]).all()  # the centre of class k is at 2 in cell k
    with pytest.raises(UsageError, match="'c' is not given"):
        trained.generate()
    with pytest.raises(UsageError, match="nothing given 'v'"):
        trained.generate({"v": [[2.0, 0.0, 0.0]]})
    with pytest.raises(UsageError, match="no decoder for 'c'"):
        trained.generate({"c": "red"}, to=["c"])
    with pytest.raises(UsageError, match=r"log p\(v \| c\)"):
        trained.score(toy_items(4))


def test_gaps_are_not_filled_and_the_reason_is_said(run, tmp_path):
    trained, table = load_model(run, REGISTRY), tmp_path / "t.csv"
    table.write_text("c\n1\n")
    with pytest.raises(
        UsageError, match=f"kind '{trained.model.kind}' cannot fill missing values: it models"
    ):
        impute_table(trained, table, tmp_path / "f.csv")
    assert not (tmp_path / "f.csv").exists()


def test_an_evaluation_names_the_conditional_that_it_bounds(run):
    keys = ["evaluate.coherence=false", 'evaluate.bounds=["standard"]', "evaluate.samples=5"]
    result = mmvae.evaluate(run, registry=REGISTRY, overrides=keys)
    assert list(result["cells"]) == ["v|c@multiple"]
    assert result["cells"]["v|c@multiple"]["bound"], "no difference of two"
    assert result["bounds of"] == "log p(v | c)"
    assert set(result["terms"]) == {"log_likelihood/v", "kl"}
    assert set(result["subset posteriors"]) == {"c"}
    assert tables(result)[0].title == "Evidence lower bound of log p(v | c)"


def test_a_wrong_target_is_found_in_the_config():
    with pytest.raises(ConfigError, match="model.target.*'vv' is no modality.*Did you mean 'v'"):
        load_experiment(config("cvae", target="vv"), registry=REGISTRY)
    without = config("cmma")
    del without["model"]["target"]
    with pytest.raises(ConfigError, match="model.target"):
        load_experiment(without, registry=REGISTRY)
