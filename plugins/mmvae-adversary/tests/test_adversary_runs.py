"""An adversary by the doors that users take: configs, runs, resume, processes, evaluation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # adversarial.py, which processes share

from adversarial import REGISTRY, WITHOUT, bare, config
from toys import toy_items
from trainings import assert_same_run, latest, metrics

import mmvae
from mmvae.experiments.build import build_model, extended, make_accelerator, open_experiment_data
from mmvae.experiments.config import load_experiment
from mmvae.experiments.config_schema import json_schema
from mmvae.foundations.errors import ConfigError
from mmvae.inference.model_folder import load_model
from mmvae.training.step import Stepper


def stepper(settings):
    """The steps of a training without a run."""
    experiment = load_experiment(settings, (), REGISTRY).experiment
    accelerator = make_accelerator(experiment.train)
    data = open_experiment_data(experiment, REGISTRY, None, accelerator)
    trained = extended(experiment, REGISTRY, build_model(experiment, REGISTRY, data.codecs))
    return Stepper(trained, data.batches("train"), experiment.train, accelerator)


def copied(parameters):
    return [p.detach().clone() for p in parameters]


def weights_after(settings, steps):
    ours = stepper(settings)
    for step in range(steps):
        ours.step(step)
    return [p.detach() for p in ours.trained.bare.parameters()]


def test_together_a_model_trains_as_without_an_adversary_until_there_is_a_critic():
    train = {"learning_rate": 1e-2, "betas": (0.9, 0.999)}
    adversary = {"updates": "together", "betas": (0.9, 0.999), "start_epoch": 3}
    without = weights_after(bare(train=train), 6)
    together = weights_after(config(train=train, **adversary), 6)
    assert all(torch.equal(a, b) for a, b in zip(without, together, strict=True))
    with_critic = weights_after(config(train=train, **adversary | {"start_epoch": 1}), 6)
    assert not all(torch.equal(a, b) for a, b in zip(without, with_critic, strict=True))
    in_turn = weights_after(config(train=train, **adversary | {"updates": "in-turn"}), 6)
    assert not all(torch.equal(a, b) for a, b in zip(without, in_turn, strict=True))


def test_a_phase_leaves_the_parameters_of_the_others_untouched():
    ours = stepper(config(error="features"))
    whole = ours.phases
    for phase in whole:
        others = [p for other in whole if other is not phase for p in other.parameters]
        before, mine = copied(others), copied(phase.parameters)
        ours.phases = [replace(p, first_epoch=0 if p is phase else 9) for p in whole]
        for p in ours.trained.parameters():
            p.grad = None
        ours.step(0)
        assert all(torch.equal(a, b) for a, b in zip(others, before, strict=True))
        assert all(p.grad is None and p.requires_grad for p in others)
        moved = [not torch.equal(a, b) for a, b in zip(phase.parameters, mine, strict=True)]
        assert all(moved)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"start_epoch": 2, "error": "features", "latents": "prior", "noise": 0.1},
        {"start_epoch": 2, "updates": "together"},
    ],
    ids=["plain", "everything", "together"],
)
def test_a_resumed_run_is_the_run_that_was_not_stopped(keys, tmp_path):
    train = {"ema": 0.9, "accumulation": 2, "schedule": "cosine", "log_every": 2} if keys else {}
    settings = config(train=train, **keys)
    mmvae.train(settings, run_dir=tmp_path / "whole", registry=REGISTRY)
    mmvae.train(settings, run_dir=tmp_path / "cut", registry=REGISTRY, max_steps=1)
    for stop in (3, 4, 8, None):
        mmvae.resume(tmp_path / "cut", registry=REGISTRY, max_steps=stop)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    saved = latest(tmp_path / "cut").tensors
    optimizers = {name for name in saved if name.startswith("optimizer-")}
    assert optimizers == {"optimizer-critic", "optimizer-decoder", "optimizer-jmvae"}
    assert all(saved[name] for name in optimizers)


def test_accumulation_changes_next_to_nothing(tmp_path):
    for parts in (1, 3):
        settings = config(train={"accumulation": parts})
        mmvae.train(settings, run_dir=tmp_path / str(parts), registry=REGISTRY)
    one, other = latest(tmp_path / "1"), latest(tmp_path / "3")
    for stem in ("model", "extensions"):
        for name, value in one.tensors[stem].items():
            torch.testing.assert_close(other.tensors[stem][name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("accumulation", "updates"), [(1, "in-turn"), (2, "in-turn"), (2, "together")]
)
def test_two_processes_end_where_one_does(accumulation, updates, tmp_path):
    """The last batch has two items, so that with accumulation some parts have none."""
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", script, tmp_path / "two", accumulation, updates]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*map(str, command)], env=environment, capture_output=True, text=True, timeout=190
    )
    assert done.returncode == 0, done.stderr
    settings = config(epochs=2, train={"batch_size": 29}, updates=updates)
    mmvae.train(settings, run_dir=tmp_path / "one", registry=REGISTRY)
    one, two = latest(tmp_path / "one"), latest(tmp_path / "two")
    assert one.step == two.step == 6
    for stem in ("model", "extensions"):
        for name, value in one.tensors[stem].items():
            torch.testing.assert_close(two.tensors[stem][name], value, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(metrics(tmp_path / "one"), metrics(tmp_path / "two"), strict=True):
        assert theirs.pop("split") == ours.pop("split")
        assert theirs == pytest.approx(ours, rel=1e-3, abs=1e-4)


def test_metrics_have_the_critic_under_its_name(tmp_path):
    mmvae.train(config(start_epoch=2), run_dir=tmp_path / "run", registry=REGISTRY)
    records = metrics(tmp_path / "run")
    first, *later = [r for r in records if r["split"] == "train"]
    assert {"critic/loss", "critic/accuracy"} == {n for n in later[0] if n.startswith("critic/")}
    assert {"elbo", "kl", "log_likelihood/v", "decoder/error"} <= first.keys()
    assert "critic/accuracy" not in first
    assert all(0 <= r["critic/accuracy"] <= 1 for r in later)
    for record in records:
        if record["split"] == "validation":
            assert not [name for name in record if "critic" in name or "decoder" in name]


def test_a_model_with_an_adversary_is_the_bare_model(tmp_path):
    """The same weights give the same evaluation; loading needs no plugin."""
    mmvae.train(config(), run_dir=tmp_path / "with", registry=REGISTRY)
    mmvae.train(bare(), run_dir=tmp_path / "bare", registry=WITHOUT)
    shutil.rmtree(tmp_path / "bare" / "model")
    shutil.copytree(tmp_path / "with" / "model", tmp_path / "bare" / "model")
    keys = ["evaluate.samples=5", 'evaluate.bounds=["standard"]', "evaluate.coherence=false"]
    results = [
        mmvae.evaluate(tmp_path / name, registry=registry, overrides=keys)
        for name, registry in (("with", REGISTRY), ("bare", WITHOUT))
    ]
    for figure in ("cells", "terms", "elbo"):
        assert results[0].get(figure) == results[1].get(figure)
    assert results[0]["cells"]
    ours, theirs = (load_model(tmp_path / n, WITHOUT) for n in ("with", "bare"))
    one, other = (m.generate({"c": "red"}, count=5)["v"] for m in (ours, theirs))
    assert (one == other).all()
    assert not [name for name in ours.model.state_dict() if "critic" in name]


def test_training_moves_what_is_decoded_towards_the_items(tmp_path):
    """With the critic alone, and no likelihood, what is decoded still comes to look like items."""
    keys = {"error_weight": 0.05, "weight": 3.0, "latents": "prior", "learning_rate": 5e-3}
    settings = config(60, {"warmup_epochs": 2}, **keys)
    result = mmvae.train(settings, run_dir=tmp_path / "run", registry=REGISTRY)
    values = torch.as_tensor(toy_items(60)["v"])
    drawn = torch.as_tensor(result.model.generate(to="v", count=300)["v"])
    assert (drawn.mean(0) - values.mean(0)).abs().max() < 0.5
    scores = [r["critic/accuracy"] for r in metrics(tmp_path / "run") if r["split"] == "train"]
    assert 0.3 < sum(scores[-20:]) / 20 < 0.95


# --- what is refused


def test_a_modality_that_is_none_is_refused_with_its_line(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(
        '[data]\nsource = "toy"\n[modalities.v]\ncodec = "toy-picture"\n'
        '[adversary]\nmodality = "vv"\nweight = 0\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, (), REGISTRY)
    said = str(caught.value)
    assert (
        f"{path}:6: adversary.modality = \"vv\": 'vv' is no modality, expected one of v." in said
    )
    assert "Did you mean 'v'?" in said
    assert f"{path}:7: adversary.weight = 0: expected a number > 0." in said
    with pytest.raises(ConfigError, match=r":5: adversary: unknown table: .* Install the plugin"):
        load_experiment(path, (), WITHOUT)


def test_a_class_has_nothing_for_a_critic_to_teach(tmp_path):
    with pytest.raises(ConfigError, match="adversary.modality = 'c': .*Name an image modality"):
        mmvae.train(config(modality="c"), run_dir=tmp_path / "run", registry=REGISTRY)
    assert not (tmp_path / "run").exists()


def test_the_schema_for_editors_knows_the_table():
    table = json_schema(REGISTRY)["$defs"]["AdversaryExtension"]
    assert table["required"] == ["modality"]
    assert all(key["description"] for key in table["properties"].values())


@pytest.mark.parametrize("start", [1, 2, 1000])
def test_there_are_best_weights_also_of_a_training_that_its_critic_never_joins(tmp_path, start):
    mmvae.train(config(start_epoch=start), run_dir=tmp_path / "run", registry=REGISTRY)
    assert latest(tmp_path / "run").state["position"]["best_step"] > 0
