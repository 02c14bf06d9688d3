"""The base class of variational models: another model is one file, and has all that JMVAE has."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from mixture_of_experts import Mixture, MixtureOfExperts
from torch.distributions import Normal
from toys import ClassCodec, VectorCodec, toy_config, toy_items
from trainings import metrics

import mmvae
from mmvae.data.memory import MemorySource
from mmvae.models.posteriors import DiagonalGaussian
from mmvae.plugins.registry import Registry
from mmvae.testing import ModelContract

BOUNDS = {"bounds": ["standard"], "samples": 8, "coherence": False}


class TestMixtureOfExperts(ModelContract):
    model = MixtureOfExperts
    keys = {"latent_dim": 2}


def experts() -> list[DiagonalGaussian]:
    means = torch.tensor([[-3.0], [2.0]])
    return [DiagonalGaussian(m.view(1, 1), torch.zeros(1, 1)) for m in means]


def test_a_mixture_integrates_to_one() -> None:
    z = torch.linspace(-12, 12, 4001).view(-1, 1, 1)
    density = Mixture(experts()).log_prob(z).exp().flatten()
    assert torch.trapezoid(density, z.flatten()).item() == pytest.approx(1.0, abs=1e-5)


def test_samples_of_a_mixture_follow_its_density() -> None:
    z = Mixture(experts()).rsample(torch.randn(40_000, 1, 1, generator=torch.manual_seed(0)))
    for edge in (-4.0, -3.0, 0.0, 1.5, 3.0):
        below = (z < edge).double().mean().item()
        exact = sum(Normal(m, 1.0).cdf(torch.tensor(edge)).item() for m in (-3.0, 2.0)) / 2
        assert below == pytest.approx(exact, abs=4 * math.sqrt(0.25 / len(z)))


def test_another_model_trains_and_its_bounds_are_evaluated(tmp_path: Path) -> None:
    """`train` and `evaluate` know nothing of a model but the contract."""
    registry = Registry.of(
        codecs=[VectorCodec, ClassCodec], sources=[MemorySource], models=[MixtureOfExperts]
    )
    config = toy_config(data={"source": "memory"}, train={"epochs": 20}, evaluate=BOUNDS)
    config["model"] = {"kind": "mixture-of-experts", "latent_dim": 2}
    run = tmp_path / "run"
    mmvae.train(config, data=toy_items(200), run_dir=run, registry=registry)
    bounds = [line["objective"] for line in metrics(run) if line["split"] == "validation"]
    assert bounds[-1] > bounds[0]
    cells = mmvae.evaluate(run, data=toy_items(200), registry=registry)["cells"]
    assert {cell.split("@")[0] for cell in cells} >= {"v", "c", "v+c", "v|c", "c|v"}
