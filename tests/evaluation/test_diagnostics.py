"""Diagnostics of models whose latent is known."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from conditional import Conditional
from heard import Heard
from linear_gaussian import exact, jmvae, linear_codecs
from torch import Tensor

from mmvae import Column, Split
from mmvae.data.batches import Batch, Batches
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.diagnostics import (
    LatentFigures,
    diagnostics,
    dimension_kl,
    gradient_norms,
    shares,
)
from mmvae.evaluation.elbo import bound_and_terms
from mmvae.evaluation.items import chunks
from mmvae.foundations.errors import TrainingError
from mmvae.models.base import Model
from mmvae.models.jmvae import JMVAE
from mmvae.models.posteriors import DiagonalGaussian

from .generators import Generator

N = 150
CONFIG = EvaluateConfig(batch_size=64)


def items(model: Model, seed: int = 0, **same: str) -> Batches:
    """Standard normal items for linear codecs; ``same`` names modalities that copy another."""
    rng, values = np.random.default_rng(seed), {}
    for m, codec in model.codecs.items():
        drawn = rng.normal(size=(N, *codec.event_shape)).astype(np.float32)
        values[m] = values[same[m]] if m in same else drawn
    columns = {m: Column(x) for m, x in values.items()}
    return Batches(Split(columns, np.arange(N)), model.codecs, {m: m for m in model.codecs})


def linear_model(**modalities: Any) -> JMVAE:
    modalities = modalities or {"x": {"dim": 4, "sd": 0.8}, "w": {"dim": 3, "sd": 0.5}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = jmvae(linear_codecs(**modalities), fusion="linear", trunks="separate")
        return exact(model).eval()


def figures(model: Model, batches: Batches, config: EvaluateConfig = CONFIG) -> dict[str, Any]:
    result, left_out = diagnostics(model, batches, config)
    assert left_out == {}
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    return result


def kill(model: JMVAE, dimension: int) -> None:
    """Set a dimension of the joint posterior to the prior's."""
    heads = model.encoders.joint_posterior.heads
    with torch.no_grad():
        for row in (dimension, model.latent_dim + dimension):
            heads.weight[row] = 0.0
            heads.bias[row] = 0.0


def test_kl_per_dimension_is_the_closed_form() -> None:
    model = linear_model()
    batches = items(model)
    x = batches.fixed(slice(0, N)).x
    precision, shift = torch.ones(2), torch.zeros(N, 2)
    for m, decoder in model.decoders.items():
        weight, variance = decoder.weight, model.codecs[m].config.sd ** 2
        precision = precision + weight.square().sum(0) / variance
        shift = shift + (x[m] - decoder.bias) @ weight / variance
    mean = shift / precision
    wanted = 0.5 * (1 / precision - 1 + precision.log() + mean.square().mean(0))
    latent = figures(model, batches)["latent"]
    assert latent["kl per dimension"] == pytest.approx(wanted.tolist(), rel=1e-4)
    spread = mean.var(0, correction=0)
    assert latent["variance per dimension"] == pytest.approx(spread.tolist(), rel=1e-4)
    assert latent["dimensions"] == latent["active units"] == 2


@pytest.mark.parametrize("make", [linear_model, Conditional])
def test_its_sum_is_the_kl_of_the_bound(make: Any) -> None:
    model = make()
    batches = items(model)
    kl = [bound_and_terms(model, *chunk)["terms", "kl"] for chunk in chunks(batches, N, 0)]
    latent = figures(model, batches)["latent"]
    assert sum(latent["kl per dimension"]) == pytest.approx(float(torch.cat(kl).mean()), rel=1e-5)


def test_a_conditional_model_is_held_against_its_own_prior() -> None:
    model = Conditional()
    batches = items(model)
    x = batches.fixed(slice(0, N)).x
    variance = 1 / (1 + model.a.square().sum(0) / 0.8**2)
    distance = model.posterior(x).mean - x["w"] @ model.d.T
    wanted = 0.5 * (variance - 1 - variance.log() + distance.square().mean(0))
    found = figures(model, batches)
    assert found["latent"]["kl per dimension"] == pytest.approx(wanted.tolist(), rel=1e-4)
    assert found["gradient shares"] == {"x": {"mean": 1.0, "error": 0.0}}, "it decodes x alone"


def test_a_dead_dimension_holds_nothing_and_is_inactive() -> None:
    model = linear_model()
    kill(model, 1)
    latent = figures(model, items(model))["latent"]
    assert latent["kl per dimension"][1] == latent["variance per dimension"][1] == 0.0
    assert latent["kl per dimension"][0] > 0.1
    assert (latent["active units"], latent["dimensions"]) == (1, 2)


def test_units_are_active_above_the_threshold() -> None:
    standard = torch.tensor([-1.0, 1.0])[:, None]  # variance 1
    points = 5 + standard * torch.tensor([0.0099, 0.0101, 1.0]).sqrt()
    latent = LatentFigures()
    q = DiagonalGaussian(points, torch.zeros_like(points))
    latent.add(q, DiagonalGaussian.standard(points), 0)
    assert latent.summary()["active units"] == 2


def test_the_gradient_is_the_closed_form() -> None:
    model = linear_model()
    batch = items(model).fixed(slice(0, N))
    z = torch.randn(N, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        norms = gradient_norms(model, batch, z)
    for m, decoder in model.decoders.items():
        residual = batch.x[m] - decoder(z)
        wanted = (residual @ decoder.weight / model.codecs[m].config.sd ** 2).norm(dim=1)
        torch.testing.assert_close(norms[m], wanted.detach())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(norm.requires_grad for norm in norms.values())


def twins(sd: float = 1.0) -> tuple[JMVAE, Batches]:
    """Modalities ``a`` and ``b`` of equal values and decoders, ``b`` with this sd."""
    model = linear_model(a={"dim": 3}, b={"dim": 3, "sd": sd})
    model.decoders["b"].load_state_dict(model.decoders["a"].state_dict())
    return model, items(model, b="a")


def test_identical_modalities_share_evenly() -> None:
    found = figures(*twins())["gradient shares"]
    assert found["a"] == found["b"]
    assert found["a"]["mean"] == pytest.approx(0.5)
    assert found["a"]["error"] == pytest.approx(0.0, abs=1e-9)


def test_a_sharper_likelihood_pulls_more() -> None:
    """At half the standard deviation the same residual pulls four times as much."""
    found = figures(*twins(sd=0.5))["gradient shares"]
    assert found["b"]["mean"] == pytest.approx(0.8, rel=1e-5)
    assert found["a"]["mean"] + found["b"]["mean"] == pytest.approx(1.0)


def test_a_modality_whose_decoder_ignores_z_has_no_share() -> None:
    model = linear_model()
    torch.nn.init.zeros_(model.decoders["w"].weight)
    found = figures(model, items(model))["gradient shares"]
    assert found == {"x": {"mean": 1.0, "error": 0.0}, "w": {"mean": 0.0, "error": 0.0}}


def test_a_decoder_without_any_path_from_z_has_no_share(data) -> None:
    found = figures(Generator(data.codecs), data.batches("test"))["gradient shares"]
    assert [found[m]["mean"] for m in ("v", "c")] == [0.0, 1.0]


def test_shares_have_no_scale_and_the_error_of_their_spread() -> None:
    source = torch.Generator().manual_seed(0)
    samples = torch.rand(500, 2, 200, generator=source)
    found = [shares({"a": 3 * a, "b": 5 * b}) for a, b in samples]
    means = torch.tensor([f["a"]["mean"] for f in found])
    errors = torch.tensor([f["a"]["error"] for f in found])
    assert float(means.mean()) == pytest.approx(3 / 8, abs=0.01)
    assert float(errors.mean()) == pytest.approx(float(means.std()), rel=0.15)
    a, b = samples[0]
    assert shares({"a": 7 * a, "b": 7 * b})["a"] == pytest.approx(shares({"a": a, "b": b})["a"])


def test_nothing_depends_on_the_size_of_chunks(data) -> None:
    model = jmvae(dict(data.codecs)).eval()

    def numbers(size: int) -> list[float]:
        found = figures(model, data.batches("test"), EvaluateConfig(batch_size=size))
        latent, pulls = found["latent"], found["gradient shares"]
        spread = [n for figure in pulls.values() for n in figure.values()]
        return [*latent["kl per dimension"], *latent["variance per dimension"], *spread]

    assert numbers(200) == pytest.approx(numbers(37), rel=1e-5)


def test_the_seed_moves_the_gradient_alone(data) -> None:
    model = jmvae(dict(data.codecs)).eval()
    one, other = (
        figures(model, data.batches("test"), EvaluateConfig(seed=seed)) for seed in (0, 1)
    )
    assert one["latent"] == other["latent"]
    assert one["gradient shares"] != other["gradient shares"]


class Other(DiagonalGaussian):
    """Another family, whose KL need not be a sum over dimensions."""


class Elsewhere(Generator):
    kind = "elsewhere"

    def prior(self, given: Any, b: int) -> Other:
        return Other(torch.zeros(b, 3), torch.zeros(b, 3))

    def parameters_of(self, modality: str, z: Tensor, given: Any) -> Tensor:
        return super().parameters_of(modality, z.detach(), given)


def test_what_cannot_be_had_is_left_out_with_the_reason(data) -> None:
    result, left_out = diagnostics(Elsewhere(data.codecs), data.batches("test"), CONFIG)
    assert set(result) == {"latent"}
    assert set(result["latent"]) == {"variance per dimension", "active units", "dimensions"}
    assert left_out == {
        "kl per dimension": "the posterior or the prior is no diagonal Gaussian",
        "gradient shares": "no likelihood changes with z",
    }
    q = DiagonalGaussian.standard(torch.zeros(2, 3))
    assert dimension_kl(q, Other(q.mean, q.log_variance)) is None


class Overflowing(Generator):
    kind = "overflowing"

    def posterior(self, observed: Any) -> DiagonalGaussian:
        q = super().posterior(observed)
        if len(q.mean) == N - 128:  # the last chunk
            q.mean[3] = math.inf
        return q


def test_a_figure_that_is_not_finite_names_its_item(data) -> None:
    split = data.batches("test").split.take(np.arange(N))
    batches = Batches(split, data.codecs, data.columns)
    with pytest.raises(TrainingError, match=r"latent / kl per dimension is inf for item 131 "):
        diagnostics(Overflowing(data.codecs), batches, CONFIG)


def test_progress_is_told(data) -> None:
    heard = Heard()
    diagnostics(Generator(data.codecs), data.batches("test"), CONFIG, heard)
    assert heard.parts == [("diagnostics", done, 200) for done in (0, 64, 128, 192, 200)]


def test_so_does_a_gradient(data, monkeypatch: pytest.MonkeyPatch) -> None:
    def steep(model: Model, batch: Batch, z: Tensor) -> dict[str, Tensor]:
        norm = torch.zeros(len(z))
        norm[5] = math.nan if len(z) == 200 - 3 * 64 else 0.0
        return {"c": norm}

    monkeypatch.setattr("mmvae.evaluation.diagnostics.gradient_norms", steep)
    with pytest.raises(TrainingError, match=r"gradient shares / c is nan for item 197 "):
        diagnostics(Generator(data.codecs), data.batches("test"), CONFIG)
